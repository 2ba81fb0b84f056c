"""What does a transfer of the ledger cost, on one account, on many, and among ten million?

`make bench-ledger`: transfers by the engine's own posting function, one to a commit, at 32 at once,
beside pgbench's bare insert of two rows on the same server, in turn; then 32 payments at once into
one merchant's account beside 32 into as many; then, with `--rows`, the same cost in a ledger that
SQL has grown tenfold at a time. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec
from payengine.ledger import balances, balances_at, fold_all, post, templates
from payengine.storage import Database

from tests.bench.figures import median
from tests.bench.floor import Floor
from tests.bench.house import House, load, open_house
from tests.bench.report import write_ledger
from tests.bench.wire import say

__all__ = ["Figures", "TwoRows", "grow", "main"]

_WORKERS = 32
_ROUNDS = 5
_WINDOW_S = 4.0
_BATCH = 100
_FIRST = 10_000
_STEP = 250_000
_HERE = Path(__file__).parent
_PAGE = _HERE.parents[1] / "docs" / "performance.md"
_AT = datetime(2026, 1, 1, tzinfo=UTC)

_FLOOR_TABLE = """
    CREATE TABLE floor_entry (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, transfer_id bigint NOT NULL,
        account text NOT NULL, amount_minor bigint NOT NULL, created_at timestamptz NOT NULL)
"""

#: Transfers $1 up to $2 of the tenant $3, a thousand to a day, over a hundred merchants.
_GROW = """
    INSERT INTO ledger_transfer (tenant_id, transaction_id, line, phase, kind, debit_account,
                                 credit_account, amount_minor, currency, created_at)
    SELECT $3::uuid, 'op_0' || lpad(n::text, 25, '0') || ':captured', 1, 'posted',
           'payment.captured', 'psp_receivable:grown', 'merchant_payable:m' || n % 100,
           1000 + n % 5000, 'EUR', $4::timestamptz + (n / 1000) * interval '1 day'
    FROM generate_series($1::bigint, $2::bigint) n
"""
_GROW_SUMS = """
    INSERT INTO {table} AS kept
    SELECT tenant_id, account, currency{day}, sum(debit)::bigint, sum(credit)::bigint, 0, 0
    FROM (
        SELECT tenant_id, debit_account AS account, currency, amount_minor AS debit, 0 AS credit,
               (created_at AT TIME ZONE 'UTC')::date AS day
        FROM ledger_transfer WHERE tenant_id = $3 AND transaction_id >= $1 AND transaction_id < $2
        UNION ALL
        SELECT tenant_id, credit_account, currency, 0, amount_minor,
               (created_at AT TIME ZONE 'UTC')::date
        FROM ledger_transfer WHERE tenant_id = $3 AND transaction_id >= $1 AND transaction_id < $2
    ) AS sides
    GROUP BY tenant_id, account, currency{day}
    ON CONFLICT (tenant_id, account, currency{day}) DO UPDATE
    SET debits_posted = kept.debits_posted + excluded.debits_posted,
        credits_posted = kept.credits_posted + excluded.credits_posted
"""


class Size(NamedTuple):
    """The cost in a ledger of so many transfers: CPU of PostgreSQL, and what one reading takes."""

    transfers: int
    megabytes: float
    post_ms: float
    balance_ms: float
    past_ms: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Medians of the rounds; a second each, and ratios of what ran side by side."""

    floor_tps: float
    transfers_tps: float
    batched_tps: float
    floor_ratio: float
    hot_ledger_ratio: float
    hot_payments_ratio: float
    growth_cpu_ratio: float | None = None
    growth_transfers: int | None = None


class TwoRows(Floor):
    """The floor of a ledger: a bare insert of two rows, one to a commit."""

    async def prepare(self) -> None:
        """Make the floor's database and the one table."""
        await super().prepare()
        await self._run("psql", "-q", "-d", "floor", "-v", "ON_ERROR_STOP=1", "-c", _FLOOR_TABLE)

    async def tps(self, *, seconds: float) -> float:
        """Inserts of two rows in a second, at 32 at once."""
        script = str(_HERE / "ledger_floor.sql")
        return await self._bench("-f", script, database="floor", clients=_WORKERS, seconds=seconds)


_serial = itertools.count()


async def _fold(database: Database) -> None:
    """Fold all that is left: a call alone leaves the rest of a long tail to the next."""
    while await fold_all(database):
        pass


async def _post(
    database: Database, tenant_id: uuid.UUID, merchants: Sequence[str], *, count: int = 1
) -> int:
    """Capture into each of the merchants' accounts, in one commit; how many transfers."""
    postings = [
        templates.captured(
            operation_id=f"bench-{os.getpid()}-{next(_serial)}",
            payment_id="bench",
            gateway="bench",
            amount_minor=1_000,
            currency="EUR",
            merchant=merchants[number % len(merchants)],
        )
        for number in range(count)
    ]
    async with database.tenant(tenant_id) as session:
        await post(session, tenant_id, postings, at=datetime.now(UTC))
    return count


async def _rate(work: Callable[[int], Awaitable[int]], *, seconds: float = _WINDOW_S) -> float:
    """How many a second, by 32 workers that go on until the window ends."""
    begun = time.perf_counter()
    ends = begun + seconds

    async def run(number: int) -> int:
        done = 0
        while time.perf_counter() < ends:
            done += await work(number)
        return done

    total = sum(await asyncio.gather(*map(run, range(_WORKERS))))
    return total / (time.perf_counter() - begun)


async def _ledger(house: House, database: Database, tenant_id: uuid.UUID) -> dict[str, float]:
    """Transfers beside the floor; one account beside many. In turn, medians."""
    floor = TwoRows(house)
    await floor.prepare()
    many = [f"m{number}" for number in range(_WORKERS)]
    found: dict[str, list[float]] = {"floor": [], "single": [], "batched": [], "one": []}
    for turn in range(_ROUNDS):
        found["floor"].append(await floor.tps(seconds=_WINDOW_S))

        async def into_one() -> float:
            return await _rate(lambda _: _post(database, tenant_id, ["m0"]))

        async def into_many() -> float:
            return await _rate(lambda number: _post(database, tenant_id, [many[number]]))

        pair = [("one", into_one), ("single", into_many)]
        for name, measure in pair if turn % 2 else reversed(pair):
            found[name].append(await measure())
            await _fold(database)
        found["batched"].append(
            await _rate(lambda _: _post(database, tenant_id, many, count=_BATCH))
        )
        await _fold(database)
        sys.stderr.write(f"… { ({name: round(each[-1]) for name, each in found.items()}) }\n")
    return {name: median(each) for name, each in found.items()}


async def _payments(house: House) -> tuple[float, float]:
    """Payments a second of 32 buyers into one merchant's account, and into 32 merchants'."""
    one: list[float] = []
    many: list[float] = []
    async with house.api() as api:
        await load(api, concurrency=_WORKERS, seconds=3, shops=house.shops)
        for turn in range(_ROUNDS):
            pair = [(one, house.shops[:1]), (many, house.shops)]
            for rates, shops in pair if turn % 2 else reversed(pair):
                result = await load(
                    api, concurrency=_WORKERS, seconds=_WINDOW_S, shops=shops, warm_up=0.5
                )
                rates.append(result.rps)
            sys.stderr.write(f"… payments/s {one[-1]:.0f} into one, {many[-1]:.0f} into many\n")
    return median(one), median(many)


async def grow(admin: asyncpg.Connection, tenant_id: uuid.UUID, *, begin: int, end: int) -> None:
    """Make transfers number `begin` up to but without `end`, as folding leaves them."""
    await admin.execute("SET session_replication_role = replica; SET synchronous_commit = off")
    for first in range(begin, end, _STEP):
        last = min(first + _STEP, end)
        await admin.execute(_GROW, first, last - 1, tenant_id, _AT - timedelta(days=20_000))
        names = [f"op_0{number:025}" for number in (first, last)]
        for table, day in (("ledger_rollup", ""), ("ledger_day", ", day")):
            await admin.execute(_GROW_SUMS.format(table=table, day=day), *names, tenant_id)
        sys.stderr.write(f"… {last:,} transfers\n")
    await admin.execute("VACUUM (ANALYZE)")
    await admin.execute("CHECKPOINT")


async def _sizes(house: House, database: Database, tenant_id: uuid.UUID, most: int) -> list[Size]:
    found: list[Size] = []
    async with _superuser(house) as admin:
        before, size = 0, _FIRST
        while size <= most:
            await grow(admin, tenant_id, begin=before, end=size)
            used = await admin.fetchval("SELECT pg_database_size('payengine')")
            found.append(await _cost(house, database, tenant_id, size, used))
            sys.stderr.write(f"… {found[-1]}\n")
            before, size = size, size * 10
    return found


async def _cost(
    house: House, database: Database, tenant_id: uuid.UUID, size: int, used: int
) -> Size:
    costs: list[float] = []
    for _ in range(_ROUNDS):
        spent = house.database_seconds()
        rate = await _rate(lambda number: _post(database, tenant_id, [f"m{number}"]))
        costs.append((house.database_seconds() - spent) / (rate * _WINDOW_S) * 1e3)
        await _fold(database)
    now: list[float] = []
    past: list[float] = []
    middle = _AT - timedelta(days=20_000) + timedelta(days=size / 2_000, hours=12)
    for _ in range(20):
        async with database.tenant(tenant_id) as session:
            begun = time.perf_counter()
            await balances(session, tenant_id, account="merchant_payable:m7")
            now.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            await balances_at(session, tenant_id, at=middle, account="merchant_payable:m7")
            past.append(time.perf_counter() - begun)
    return Size(size, used / 1e6, median(costs), median(now) * 1e3, median(past) * 1e3)


@asynccontextmanager
async def _superuser(house: House) -> AsyncIterator[asyncpg.Connection]:
    admin = await asyncpg.connect(
        host=house.socket_folder,
        user="postgres",
        password=house.passwords["postgres"],
        database="payengine",
    )
    try:
        yield admin
    finally:
        await admin.close()


async def _measure(most: int) -> tuple[Figures, list[Size]]:
    async with open_house(tenants=_WORKERS) as house:
        database = await Database.open(house.servers.login_url, pool_size=_WORKERS + 4)
        try:
            tenant_id = (await database.tenant_ids())[0]
            found = await _ledger(house, database, tenant_id)
            one, many = await _payments(house)
            sizes = await _sizes(house, database, tenant_id, most) if most else []
        finally:
            await database.close()
    figures = Figures(
        floor_tps=round(found["floor"], 1),
        transfers_tps=round(found["single"], 1),
        batched_tps=round(found["batched"], 1),
        floor_ratio=round(found["single"] / found["floor"], 3),
        hot_ledger_ratio=round(found["one"] / found["single"], 3),
        hot_payments_ratio=round(one / many, 3),
        growth_cpu_ratio=round(sizes[-1].post_ms / sizes[0].post_ms, 3) if sizes else None,
        growth_transfers=sizes[-1].transfers if sizes else None,
    )
    return figures, sizes


def _tables(figures: Figures, sizes: Sequence[Size]) -> list[tuple[Sequence[str], list[list[str]]]]:
    rows = [
        ["bare insert of two rows, by pgbench", f"{figures.floor_tps:,.0f}", "1.00"],
        [
            "transfer, one to a commit",
            f"{figures.transfers_tps:,.0f}",
            f"{figures.floor_ratio:.2f}",
        ],
        [
            f"transfer, {_BATCH} to a commit",
            f"{figures.batched_tps:,.0f}",
            f"{figures.batched_tps / figures.floor_tps:.2f}",
        ],
    ]
    hot = [
        ["transfers", f"{figures.hot_ledger_ratio:.2f}"],
        ["payments", f"{figures.hot_payments_ratio:.2f}"],
    ]
    tables: list[tuple[Sequence[str], list[list[str]]]] = [
        (("32 at once", "per second", "of the floor"), rows),
        (("32 at once into one account", "of 32 into 32 accounts"), hot),
    ]
    if sizes:
        heads = (
            *("transfers before", "MB", "PostgreSQL CPU ms", "balance now ms"),
            *("at a past instant ms", "dearer"),
        )
        grown = [
            [
                f"{each.transfers:,}",
                f"{each.megabytes:,.0f}",
                f"{each.post_ms:.2f}",
                f"{each.balance_ms:.2f}",
                f"{each.past_ms:.2f}",
                f"{each.post_ms / sizes[0].post_ms:.2f}",
            ]
            for each in sizes
        ]
        tables.append((heads, grown))
    return tables


def main() -> None:
    """Measure, write the tables into the page; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="make bench-ledger", description=__doc__)
    parser.add_argument("--rows", type=int, default=0, help="grow up to so many transfers")
    parser.add_argument("--no-page", action="store_true", help="leave docs/performance.md alone")
    given = parser.parse_args()
    figures, sizes = asyncio.run(_measure(given.rows))
    tables = _tables(figures, sizes)
    if not given.no_page:
        write_ledger(_PAGE, tables)
    for heads, rows in tables:
        for line in (heads, *rows):
            say(" | ".join(line))
    say(msgspec.json.encode(figures).decode())


if __name__ == "__main__":
    main()
