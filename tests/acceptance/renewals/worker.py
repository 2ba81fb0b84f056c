"""A worker that renews and collects until nothing is due, in a process of its own.

`python -m tests.acceptance.renewals.worker HOME LOGIN_URL once|doubled|woken`; crash points are
switched on by the environment. It asks the rooms as the pollers do, one after the other, or does
what wake-ups tell of and nothing else.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from payengine.engine import Engine, open_engine
from payengine.settings import Settings

__all__ = ["Manner", "work"]

#: By itself; by itself, two looks at once; or only when it is woken.
Manner = Literal["once", "doubled", "woken"]

_IDLE_ROUNDS: dict[Manner, int] = {"once": 3, "doubled": 3, "woken": 30}
_PAUSE_S = 0.05


async def work(engine: Engine, *, manner: Manner = "once") -> None:
    """Renew and collect until some looks in a row have found nothing."""
    idle = 0
    while idle < _IDLE_ROUNDS[manner]:
        taken = await _look(engine, manner)
        idle = 0 if taken else idle + 1
        if not taken:
            await asyncio.sleep(_PAUSE_S)


async def _look(engine: Engine, manner: Manner) -> int:
    if manner == "woken":
        return await engine.jobs.run_until_idle(most=20)
    at = datetime.now(UTC)
    looks = [engine.invoicing.renewals.run_once(at=at) for _ in range(1 + (manner == "doubled"))]
    taken = sum(await asyncio.gather(*looks))
    return taken + await engine.collection.collections.run_once(at=datetime.now(UTC))


async def _main(home: Path, login_url: str, manner: Manner) -> None:
    settings = Settings.from_environment({}, home=home, pool_size=4)
    async with open_engine(settings, login_url=login_url, background=False) as engine:
        await work(engine, manner=manner)


if __name__ == "__main__":
    asked = next(each for each in get_args(Manner) if each == sys.argv[3])
    asyncio.run(_main(Path(sys.argv[1]), sys.argv[2], asked))
