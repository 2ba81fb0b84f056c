"""What does a payment cost when there are many already?

`make bench-growth`: the tables of one database are grown by SQL from 10⁴ payments tenfold at a
time, beside another that stays at 10⁴. At each size payments are taken of both in turn, at 8 at
once, so that a machine which slows down meanwhile slows both: CPU of the API and of PostgreSQL. A
long run by itself: a step to 10⁷ writes some 30 GB.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec
from payengine.storage import Database

from tests.bench.figures import median
from tests.bench.house import Api, House, load, open_house
from tests.bench.report import write_growth
from tests.bench.wire import say

__all__ = ["Cost", "Size", "grow", "measure", "statements_of"]

_FIRST = 10_000
_STEP = 250_000
_TENANTS = 20
_CONCURRENCY = 8
_ROUNDS = 5
_WINDOW_S = 5.0
_HERE = Path(__file__).parent
_PAGE = _HERE.parents[1] / "docs" / "performance.md"


class Cost(NamedTuple):
    """What a payment costs, in ms of CPU, and how many were taken in a second."""

    api_ms: float
    database_ms: float
    rps: float

    @property
    def cpu_ms(self) -> float:
        """Of the API and of PostgreSQL."""
        return self.api_ms + self.database_ms


class Size(NamedTuple):
    """The cost beside so many payments, and beside few, taken in turn; medians of the rounds."""

    payments: int
    megabytes: float
    grown: Cost
    few: Cost
    load: float

    @property
    def ratio(self) -> float:
        """How much dearer a payment is."""
        return self.grown.cpu_ms / self.few.cpu_ms


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
    async with _shelf() as few, _shelf() as grown:
        await grow(few.admin, few.tenants, begin=0, end=_FIRST)
        before, size = 0, _FIRST
        while size <= most:
            await grow(grown.admin, grown.tenants, begin=before, end=size)
            found.append(await _compare(few, grown, payments=size))
            sys.stderr.write(f"… {found[-1]}\n")
            before, size = size, size * 10
    return found


class _Shelf(NamedTuple):
    """A database with its tenants and a superuser's connection to it."""

    house: House
    tenants: Sequence[uuid.UUID]
    admin: asyncpg.Connection


@asynccontextmanager
async def _shelf() -> AsyncIterator[_Shelf]:
    async with open_house(tenants=_TENANTS) as house:
        database = await Database.open(house.servers.login_url)
        tenants = await database.tenant_ids()
        await database.close()
        admin = await asyncpg.connect(
            host=house.socket_folder,
            user="postgres",
            password=house.passwords["postgres"],
            database="payengine",
        )
        try:
            yield _Shelf(house, tenants, admin)
        finally:
            await admin.close()


async def _compare(few: _Shelf, grown: _Shelf, *, payments: int) -> Size:
    bytes_used = await grown.admin.fetchval("SELECT pg_database_size('payengine')")
    rounds: dict[str, list[Cost]] = {"few": [], "grown": []}
    async with few.house.api() as few_api, grown.house.api() as grown_api:
        pairs = {"few": (few.house, few_api), "grown": (grown.house, grown_api)}
        for house, api in pairs.values():
            await load(api, concurrency=_CONCURRENCY, seconds=3, shops=house.shops)
        for turn in range(_ROUNDS):
            names = list(pairs) if turn % 2 else list(reversed(pairs))
            for name in names:
                rounds[name].append(await _cost(*pairs[name]))
    middle = {
        name: next(each for each in costs if each.cpu_ms == median([c.cpu_ms for c in costs]))
        for name, costs in rounds.items()
    }
    return Size(payments, bytes_used / 1e6, middle["grown"], middle["few"], os.getloadavg()[0])


async def _cost(house: House, api: Api) -> Cost:
    before = house.database_seconds()
    result = await load(
        api, concurrency=_CONCURRENCY, seconds=_WINDOW_S, shops=house.shops, warm_up=0.0
    )
    spent = house.database_seconds() - before
    return Cost(result.cpu_ms, spent / result.sent * 1e3, result.rps)


def _rows(sizes: Sequence[Size]) -> list[tuple[str, ...]]:
    return [
        (
            f"{each.payments:,}",
            f"{each.megabytes:,.0f}",
            f"{each.grown.api_ms:.2f}",
            f"{each.grown.database_ms:.2f}",
            f"{each.few.cpu_ms:.2f}",
            f"{each.ratio:.2f}",
            f"{each.grown.rps / each.few.rps:.2f}",
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
        *("payments before", "MB", "API CPU ms", "PostgreSQL CPU ms", "both beside 10,000"),
        *("dearer", "payments/s to those", "load average"),
    )
    rows = _rows(sizes)
    write_growth(_PAGE, heads, rows)
    for line in (heads, *rows):
        say(" | ".join(line))
    found = {"growth_cpu_ratio": round(sizes[-1].ratio, 3), "growth_rows": sizes[-1].payments}
    say(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
