"""Shares what happened to divided payments, once.

It takes the data folder and the login's URL, and dies where
`PAYENGINE_FAULTS` says.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from payengine.engine import open_engine
from payengine.settings import Settings


async def _share(home: Path, url: str) -> None:
    async with open_engine(
        Settings.from_environment({}, home=home), login_url=url, background=False
    ) as engine:
        await engine.marketplace.sharer.run_once(at=datetime.now(UTC) + timedelta(seconds=5))


if __name__ == "__main__":
    asyncio.run(_share(Path(sys.argv[1]), sys.argv[2]))
