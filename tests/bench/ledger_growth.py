"""What does a transfer cost among ten million?

SQL grows the ledger of one database tenfold at a time, as posting and folding leave it, beside
another that stays at the first size; transfers are posted into both in turn, so that a machine
which slows down meanwhile slows both. Blocks are the pages of the ledger's tables and indexes that
one transfer, or one reading, touches: a figure that no other program on the machine can move.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg
from payengine.ledger import balances, balances_at, post
from payengine.storage import Database, Session

from tests.bench.figures import median
from tests.bench.house import House, open_house
from tests.bench.ledger_posts import WORKERS, captures, fold, post_one_by_one

__all__ = ["Cost", "Shelf", "Size", "Took", "grow", "open_shelf", "sizes"]

_FIRST = 10_000
_STEP = 500_000
_ROUNDS = 5
_WINDOW_S = 2.0
_SINGLES = 50
_READS = 20
_FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(days=20_000)

#: Transfers $1 up to $2 of the tenant $3, a thousand to a day, over a hundred merchants.
_TRANSFERS = """
    INSERT INTO ledger_transfer (tenant_id, transaction_id, line, phase, kind, debit_account,
                                 credit_account, amount_minor, currency, payment_id, created_at)
    SELECT $3::uuid, 'op_0' || lpad(n::text, 25, '0') || ':captured', 1, 'posted',
           'payment.captured', 'psp_receivable:grown', 'merchant_payable:m' || n % 100,
           1000 + n % 5000, 'EUR', 'pay_0' || lpad(n::text, 25, '0'),
           $4::timestamptz + (n / 1000) * interval '1 day'
    FROM generate_series($1::bigint, $2::bigint) n
"""

#: What folding those transfers leaves in {table}, whose key has {day} or nothing more.
_SUMS = """
    INSERT INTO {table} AS kept
    SELECT $3::uuid, account, 'EUR'{day}, sum(debit)::bigint, sum(credit)::bigint, 0, 0
    FROM (
        SELECT side.account, side.debit, side.credit,
               ($4::timestamptz AT TIME ZONE 'UTC')::date + (n / 1000)::integer AS day
        FROM generate_series($1::bigint, $2::bigint) n, LATERAL (
            VALUES ('psp_receivable:grown', 1000 + n % 5000, 0),
                   ('merchant_payable:m' || n % 100, 0, 1000 + n % 5000)
        ) AS side (account, debit, credit)
    ) AS moved
    GROUP BY account{day}
    ON CONFLICT (tenant_id, account, currency{day}) DO UPDATE
    SET debits_posted = kept.debits_posted + excluded.debits_posted,
        credits_posted = kept.credits_posted + excluded.credits_posted
"""

#: What this connection has asked of the ledger's tables and of their indexes since it last told.
_BLOCKS = """
    SELECT sum(pg_stat_get_xact_blocks_fetched(oid))::bigint FROM pg_class
    WHERE relkind IN ('r', 'i') AND relname LIKE 'ledger\\_%'
"""


class Shelf(NamedTuple):
    """A database, a tenant in it, and a superuser's connection to it."""

    house: House
    database: Database
    tenant_id: uuid.UUID
    admin: asyncpg.Connection


class Took(NamedTuple):
    """One reading or writing of the ledger: pages, and milliseconds that passed."""

    blocks: float
    ms: float


class Cost(NamedTuple):
    """PostgreSQL's CPU in ms for a transfer; a transfer, and an account's balance now and then."""

    post_ms: float
    post: Took
    balance: Took
    past: Took


class Size(NamedTuple):
    """The costs in a ledger of so many transfers, and beside it in one that stays small."""

    transfers: int
    megabytes: float
    grown: Cost
    few: Cost

    @property
    def dearer(self) -> float:
        """How much more CPU a transfer takes than in the small ledger, measured in turn."""
        return self.grown.post_ms / self.few.post_ms


@asynccontextmanager
async def open_shelf(house: House) -> AsyncIterator[Shelf]:
    """The database of a house, as the engine and as a superuser see it."""
    database = await Database.open(house.servers.login_url, pool_size=WORKERS + 4)
    admin = await asyncpg.connect(
        host=house.socket_folder,
        user="postgres",
        password=house.passwords["postgres"],
        database="payengine",
    )
    try:
        yield Shelf(house, database, (await database.tenant_ids())[0], admin)
    finally:
        await admin.close()
        await database.close()


async def grow(admin: asyncpg.Connection, tenant_id: uuid.UUID, *, begin: int, end: int) -> None:
    """Make transfers number `begin` up to but without `end`, as folding leaves them."""
    await admin.execute("SET session_replication_role = replica; SET synchronous_commit = off")
    began = time.perf_counter()
    for first in range(begin, end, _STEP):
        last = min(first + _STEP, end) - 1
        for sql in (
            _TRANSFERS,
            _SUMS.format(table="ledger_rollup", day=""),
            _SUMS.format(table="ledger_day", day=", day"),
        ):
            await admin.execute(sql, first, last, tenant_id, _FIRST_DAY)
        _say(f"{last + 1:,} transfers after {time.perf_counter() - began:.0f} s of growing")
    await admin.execute("VACUUM (ANALYZE) ledger_transfer, ledger_rollup, ledger_day, ledger_tail")
    await admin.execute("CHECKPOINT")


async def sizes(most: int) -> list[Size]:
    """The cost at 10⁴, 10⁵ and so on up to `most` transfers."""
    found: list[Size] = []
    async with (
        open_house(tenants=1) as small,
        open_house(tenants=1) as large,
        open_shelf(small) as few,
        open_shelf(large) as grown,
    ):
        for shelf in (few, grown):
            # Vacuum's work is no transfer's: it is done where a size is reached.
            for setting in ("autovacuum = off", "max_wal_size = '8GB'"):
                await shelf.admin.execute(f"ALTER SYSTEM SET {setting}")
            await shelf.admin.execute("SELECT pg_reload_conf()")
        await grow(few.admin, few.tenant_id, begin=0, end=_FIRST)
        before, size = 0, _FIRST
        while size <= most:
            await grow(grown.admin, grown.tenant_id, begin=before, end=size)
            found.append(await _compared(few, grown, transfers=size))
            _say(f"{size:,}: {found[-1].dearer:.2f} of the small ledger's CPU for a transfer")
            before, size = size, size * 10
    return found


async def _compared(few: Shelf, grown: Shelf, *, transfers: int) -> Size:
    used = await grown.admin.fetchval("SELECT pg_database_size('payengine')")
    pair = (few, grown)
    spent: tuple[list[float], list[float]] = ([], [])
    for shelf in pair:
        await post_one_by_one(shelf.database, shelf.tenant_id, _WINDOW_S / 4)
    for turn in range(_ROUNDS):
        for which in (0, 1) if turn % 2 else (1, 0):
            spent[which].append(await _cpu_ms(pair[which]))
    costs = [
        await _cost(shelf, median(each), transfers=count)
        for shelf, each, count in zip(pair, spent, (_FIRST, transfers), strict=True)
    ]
    return Size(transfers, used / 1e6, few=costs[0], grown=costs[1])


async def _cpu_ms(shelf: Shelf) -> float:
    before = shelf.house.database_seconds()
    done = await post_one_by_one(shelf.database, shelf.tenant_id, _WINDOW_S)
    spent = (shelf.house.database_seconds() - before) / done * 1e3
    await fold(shelf.database)
    return spent


async def _cost(shelf: Shelf, post_ms: float, *, transfers: int) -> Cost:
    middle = _FIRST_DAY + timedelta(days=transfers / 2_000, hours=12)
    tenant_id, one = shelf.tenant_id, {"account": "merchant_payable:m7"}

    async def write(session: Session) -> None:
        await post(session, tenant_id, captures(["m7"]), at=datetime.now(UTC))

    async def read_now(session: Session) -> None:
        await balances(session, tenant_id, **one)

    async def read_then(session: Session) -> None:
        await balances_at(session, tenant_id, at=middle, **one)

    took = [await _took(shelf, work) for work in (write, read_now, read_then)]
    return Cost(post_ms, *took)


async def _took(shelf: Shelf, work: Callable[[Session], Awaitable[None]]) -> Took:
    """The middle of several, with nothing that is left to fold."""
    await fold(shelf.database)
    await shelf.admin.execute("VACUUM ledger_rollup, ledger_day, ledger_tail")
    times: list[float] = []
    touched: list[float] = []
    for _ in range(_SINGLES):
        async with shelf.database.tenant(shelf.tenant_id) as session:
            before = await session.fetchval(_BLOCKS)
            begun = time.perf_counter()
            await work(session)
            times.append(time.perf_counter() - begun)
            touched.append(await session.fetchval(_BLOCKS) - before)
    return Took(median(touched), median(times) * 1e3)


def _say(what: str) -> None:
    sys.stderr.write(f"… {what}\n")
