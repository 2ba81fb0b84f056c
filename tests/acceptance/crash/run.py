"""What happens in all lanes together?

The crash points are found in the program's own source, the kills are dealt out to the lanes, and
their figures are added up.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from payengine.faults import POINTS

from tests.acceptance.crash.lane import Lane
from tests.acceptance.crash.options import Options
from tests.acceptance.crash.reckoning import Figures
from tests.acceptance.crash.schedule import kills_of
from tests.acceptance.crash.world import opened

__all__ = ["crash", "places"]

_SOURCES = ("payengine", "payengine_tenants", "payengine_graphql")
_POINT = re.compile(r"""faults\.point\((.*?)\)\n""")
#: Webhooks that a stand-in for the provider may not send.
_OF_WEBHOOKS = frozenset({"webhook_applied", "webhook_stored"})
_NAME = re.compile(r'"([a-z_]+)"')


def places() -> tuple[str, ...]:
    """The crash points that the program's source passes."""
    found: set[str] = set()
    for source in _SOURCES:
        spec = find_spec(source)
        assert spec is not None, source
        assert spec.origin is not None, source
        for path in Path(spec.origin).parent.rglob("*.py"):
            for call in _POINT.findall(path.read_text()):
                found.update(_NAME.findall(call))
    return tuple(sorted(found & POINTS))


async def crash(options: Options, *, told: Callable[[int], None] | None = None) -> Figures:
    """Kill, mend and reckon; `told` hears how many kills are done."""
    points = options.points
    if points is None:
        points = tuple(
            each for each in places() if not options.provider or each not in _OF_WEBHOOKS
        )
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        if told is not None:
            told(done)

    figures = Figures()
    shares = [
        options.kills // options.lanes + (lane < options.kills % options.lanes)
        for lane in range(options.lanes)
    ]
    async with asyncio.TaskGroup() as group:
        lanes = [
            group.create_task(_lane(options, points, lane=lane, kills=share, told=one_more))
            for lane, share in enumerate(shares)
            if share or not options.kills
        ]
    for lane in lanes:
        figures.add(lane.result())
    return figures


async def _lane(
    options: Options,
    points: tuple[str, ...],
    *,
    lane: int,
    kills: int,
    told: Callable[[], None],
) -> Figures:
    # Every other lane leaves the background to a worker of its own.
    has_worker = lane % 2 == 1
    planned = kills_of(
        kills,
        points=points,
        random_kills=options.random_kills,
        has_worker=has_worker,
        seed=f"{options.seed}/{lane}/kills",
    )
    async with opened(options, lane=lane, has_worker=has_worker) as world:
        return await Lane(world, planned, lane, told).run()
