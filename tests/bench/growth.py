"""What does a payment cost when there are many already?

`make bench-growth`: the tables are grown by SQL from 10⁴ payments tenfold at a time, and at each
size payments are taken at 8 at once: CPU of the API and of PostgreSQL for each, and the rate beside
the floor's. A long run by itself: a step to 10⁷ writes some 30 GB.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec
from payengine.storage import Database

from tests.bench.figures import median
from tests.bench.floor import Floor
from tests.bench.house import House, load, open_house
from tests.bench.report import write_growth
from tests.bench.wire import say

__all__ = ["Size", "grow", "measure", "statements_of"]

_FIRST = 10_000
_STEP = 250_000
_TENANTS = 20
_CONCURRENCY = 8
_ROUNDS = 5
_WINDOW_S = 5.0
_HERE = Path(__file__).parent
_PAGE = _HERE.parents[1] / "docs" / "performance.md"


class Size(NamedTuple):
    """The cost of a payment beside so many; the median of the rounds."""

    payments: int
    megabytes: float
    api_cpu_ms: float
    database_cpu_ms: float
    rps: float
    floor_rps: float
    load: float

    @property
    def cpu_ms(self) -> float:
        """Of the API and of PostgreSQL."""
        return self.api_cpu_ms + self.database_cpu_ms


def statements_of(text: str) -> dict[str, str]:
    """The statements of a script by the names in the comments above them."""
    parts = re.split(r"^-- (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


async def grow(
    connection: asyncpg.Connection, tenants: Sequence[uuid.UUID], *, begin: int, end: int
) -> None:
    """Make payments number `begin` up to but without `end`; both divide by the tenants."""
    statements = statements_of((_HERE / "growth.sql").read_text())
    at = datetime(2026, 1, 1, tzinfo=UTC)
    # Rows that are made whole need no look-ups of what they refer to.
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("SET synchronous_commit = off")
    for first in range(begin, end, _STEP):
        last = min(first + _STEP, end) - 1
        for name, sql in statements.items():
            given = [first, last, list(tenants), at]
            await connection.execute(sql, *given[: 3 if name == "head" else 4])
        sys.stderr.write(f"… {last + 1:,} payments\n")
    await connection.execute("VACUUM (ANALYZE)")
    await connection.execute("CHECKPOINT")


async def measure(most: int) -> list[Size]:
    """The cost at 10⁴, 10⁵ and so on up to `most` payments."""
    found: list[Size] = []
    async with open_house(tenants=_TENANTS) as house:
        floor = Floor(house)
        await floor.prepare()
        database = await Database.open(house.servers.login_url)
        tenants = await database.tenant_ids()
        await database.close()
        admin = await asyncpg.connect(
            host=house.socket_folder,
            user="postgres",
            password=house.passwords["postgres"],
            database="payengine",
        )
        before, size = 0, _FIRST
        while size <= most:
            await grow(admin, tenants, begin=before, end=size)
            found.append(await _cost(house, floor, admin, payments=size))
            sys.stderr.write(f"… {found[-1]}\n")
            before, size = size, size * 10
        await admin.close()
    return found


async def _cost(house: House, floor: Floor, admin: asyncpg.Connection, *, payments: int) -> Size:
    rounds: list[Size] = []
    bytes_used = await admin.fetchval("SELECT pg_database_size('payengine')")
    async with house.api() as api:
        await load(api, concurrency=_CONCURRENCY, seconds=3, shops=house.shops)
        for _ in range(_ROUNDS):
            tps = await floor.rps(clients=_CONCURRENCY, seconds=_WINDOW_S / 2)
            before = house.database_seconds()
            result = await load(
                api,
                concurrency=_CONCURRENCY,
                seconds=_WINDOW_S,
                shops=house.shops,
                warm_up=0.0,
            )
            spent = house.database_seconds() - before
            rounds.append(
                Size(
                    payments,
                    bytes_used / 1e6,
                    result.cpu_ms,
                    spent / result.sent * 1e3,
                    result.rps,
                    tps,
                    os.getloadavg()[0],
                )
            )
    middle = median([each.cpu_ms for each in rounds])
    return next(each for each in rounds if each.cpu_ms == middle)


def _rows(sizes: Sequence[Size]) -> list[tuple[str, ...]]:
    least = sizes[0].cpu_ms
    return [
        (
            f"{each.payments:,}",
            f"{each.megabytes:,.0f}",
            f"{each.api_cpu_ms:.2f}",
            f"{each.database_cpu_ms:.2f}",
            f"{each.cpu_ms / least:.2f}",
            f"{each.rps:.0f}",
            f"{each.rps / each.floor_rps:.2f}",
            f"{each.load:.1f}",
        )
        for each in sizes
    ]


def main() -> None:
    """Measure, write the table into the page; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="make bench-growth", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="the last size, in payments")
    sizes = asyncio.run(measure(parser.parse_args().rows))
    heads = (
        *("payments before", "MB", "API CPU ms", "PostgreSQL CPU ms", "to the first"),
        *("payments/s", "to the floor", "load average"),
    )
    rows = _rows(sizes)
    write_growth(_PAGE, heads, rows)
    for line in (heads, *rows):
        say(" | ".join(line))
    ratio = sizes[-1].cpu_ms / sizes[0].cpu_ms
    found = {"growth_cpu_ratio": round(ratio, 3), "growth_rows": sizes[-1].payments}
    say(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
