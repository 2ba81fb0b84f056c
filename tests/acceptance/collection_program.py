"""A worker that collects, and nothing else; dies where it is told to.

It takes the data folder, the login's URL and how often to look; the shop's clocks stand still.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from payengine.engine import open_engine
from payengine.settings import Settings


async def _work(home: Path, url: str, rounds: int) -> None:
    async with open_engine(
        Settings.from_environment({}, home=home), login_url=url, background=False
    ) as engine:
        for _ in range(rounds):
            wall = datetime.now(UTC) + timedelta(minutes=2)  # leases of the dead have run out
            await engine.collection.collections.run_once(at=wall)
            await engine.collection.postman.run_once(at=wall)
            await engine.reconciler.run_once(at=wall)


if __name__ == "__main__":
    asyncio.run(_work(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
