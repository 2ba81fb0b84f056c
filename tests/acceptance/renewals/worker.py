"""A worker that renews and collects until nothing is due, in a process of its own.

`python -m tests.acceptance.renewals.worker HOME LOGIN_URL once|doubled`; crash points are switched
on by the environment. It asks the rooms as the pollers do, one after the other.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from payengine.engine import Engine, open_engine
from payengine.settings import Settings

__all__ = ["work"]

_IDLE_ROUNDS = 3
_PAUSE_S = 0.05


async def work(engine: Engine, *, doubled: bool = False) -> None:
    """Renew and collect until three looks in a row have found nothing.

    `doubled`: each look for renewals is two at once, as where a message came twice.
    """
    idle = 0
    while idle < _IDLE_ROUNDS:
        at = datetime.now(UTC)
        looks = [engine.invoicing.renewals.run_once(at=at) for _ in range(1 + doubled)]
        taken = sum(await asyncio.gather(*looks))
        taken += await engine.collection.collections.run_once(at=datetime.now(UTC))
        idle = 0 if taken else idle + 1
        if not taken:
            await asyncio.sleep(_PAUSE_S)


async def _main(home: Path, login_url: str, *, doubled: bool) -> None:
    settings = Settings.from_environment({}, home=home, pool_size=4)
    async with open_engine(settings, login_url=login_url, background=False) as engine:
        await work(engine, doubled=doubled)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), sys.argv[2], doubled=sys.argv[3] == "doubled"))
