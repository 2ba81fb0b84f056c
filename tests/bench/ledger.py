"""What does a transfer of the ledger cost, on one account, on many, and among ten million?

`make bench-ledger`: transfers by the engine's own posting function, one to a commit, at 32 at once,
beside pgbench's bare insert of two rows on the same server, in turn; then 32 payments at once into
one merchant's account beside 32 into as many, in turn: about a minute. With `--rows 10000000` the
same cost in a ledger that SQL has grown tenfold at a time. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
from payengine.storage import Database

from tests.bench.figures import median
from tests.bench.floor import Floor
from tests.bench.house import House, load, open_house
from tests.bench.ledger_growth import Size, sizes
from tests.bench.ledger_posts import WORKERS, fold, pace, post_into
from tests.bench.report import write_ledger
from tests.bench.wire import say

__all__ = ["Figures", "TwoRows", "main"]

_ROUNDS = 3
_WINDOW_S = 2.0
_BATCH = 100
_PAIRS = 6
_PAIR_S = 1.5
_HERE = Path(__file__).parent
_PAGE = _HERE.parents[1] / "docs" / "performance.md"

_FLOOR_TABLE = """
    CREATE TABLE floor_entry (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, transfer_id bigint NOT NULL,
        account text NOT NULL, amount_minor bigint NOT NULL, created_at timestamptz NOT NULL)
"""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Medians of the rounds; a second each, CPU in ms, and ratios of what ran side by side."""

    floor_tps: float
    transfers_tps: float
    batched_tps: float
    floor_ratio: float
    floor_cpu_ms: float
    transfer_cpu_ms: float
    batched_cpu_ms: float
    hot_ledger_ratio: float
    hot_payments_ratio: float
    load_average: float
    growth_cpu_ratio: float | None = None
    growth_blocks: float | None = None
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
        return await self._bench("-f", script, database="floor", clients=WORKERS, seconds=seconds)


class Round(NamedTuple):
    """How many a second, and PostgreSQL's CPU for each in ms."""

    tps: float
    cpu_ms: float


async def _ledger(house: House, database: Database, tenant_id: uuid.UUID) -> dict[str, list[Round]]:
    """Transfers beside the floor, and one account beside many, in turn."""
    floor = TwoRows(house)
    await floor.prepare()
    many = [f"m{number}" for number in range(WORKERS)]

    async def bare() -> float:
        return await floor.tps(seconds=_WINDOW_S)

    async def into_one() -> float:
        done = pace(lambda _: post_into(database, tenant_id, ["m0"]), seconds=_WINDOW_S)
        return (await done).tps

    async def into_many() -> float:
        done = pace(lambda at: post_into(database, tenant_id, [many[at]]), seconds=_WINDOW_S)
        return (await done).tps

    async def batched() -> float:
        one = pace(lambda _: post_into(database, tenant_id, many, count=_BATCH), seconds=1.0)
        return (await one).tps

    works = {"floor": bare, "one": into_one, "many": into_many, "batched": batched}
    found: dict[str, list[Round]] = {name: [] for name in works}
    for turn in range(_ROUNDS):
        for name in works if turn % 2 else reversed(works):
            found[name].append(await _round(house, works[name]))
            await fold(database)
        told = ", ".join(f"{name} {each[-1].tps:,.0f}/s" for name, each in found.items())
        sys.stderr.write(f"… {told}\n")
    return found


async def _round(house: House, work: Callable[[], Awaitable[float]]) -> Round:
    before, begun = house.database_seconds(), time.perf_counter()
    tps = await work()
    spent = house.database_seconds() - before
    return Round(tps, spent / (tps * (time.perf_counter() - begun)) * 1e3)


async def _payments(house: House) -> float:
    """Payments of 32 buyers into one merchant's account beside those into 32 merchants'.

    The rounds come in pairs, each way round in turn; the median of the pairs' ratios.
    """
    ratios: list[float] = []
    async with house.api() as api:
        await load(api, concurrency=WORKERS, seconds=3, shops=house.shops)
        for turn in range(_PAIRS):
            rates: dict[int, float] = {}
            for shops in (1, WORKERS) if turn % 2 else (WORKERS, 1):
                result = await load(
                    api,
                    concurrency=WORKERS,
                    seconds=_PAIR_S,
                    shops=house.shops[:shops],
                    warm_up=0.3,
                )
                rates[shops] = result.rps
            ratios.append(rates[1] / rates[WORKERS])
            told = f"{rates[1]:,.0f} into one, {rates[WORKERS]:,.0f} into many"
            sys.stderr.write(f"… payments/s {told}\n")
    return sum(sorted(ratios)[_PAIRS // 2 - 1 : _PAIRS // 2 + 1]) / 2


async def _measure(most: int) -> tuple[Figures, list[Size]]:
    async with open_house(tenants=WORKERS) as house:
        database = await Database.open(house.servers.login_url, pool_size=WORKERS + 4)
        try:
            tenant_id = (await database.tenant_ids())[0]
            found = await _ledger(house, database, tenant_id)
            hot = await _payments(house)
        finally:
            await database.close()
    load_average = os.getloadavg()[0]
    grown = await sizes(most) if most else []
    tps = {name: median([each.tps for each in rounds]) for name, rounds in found.items()}
    cpu = {name: median([each.cpu_ms for each in rounds]) for name, rounds in found.items()}
    pairs = zip(found["one"], found["many"], strict=True)
    figures = Figures(
        floor_tps=round(tps["floor"], 1),
        transfers_tps=round(tps["many"], 1),
        batched_tps=round(tps["batched"], 1),
        floor_ratio=round(tps["many"] / tps["floor"], 3),
        floor_cpu_ms=round(cpu["floor"], 3),
        transfer_cpu_ms=round(cpu["many"], 3),
        batched_cpu_ms=round(cpu["batched"], 3),
        hot_ledger_ratio=round(median([one.tps / many.tps for one, many in pairs]), 3),
        hot_payments_ratio=round(hot, 3),
        load_average=round(load_average, 1),
        growth_cpu_ratio=round(grown[-1].dearer, 3) if grown else None,
        growth_blocks=grown[-1].grown.post.blocks if grown else None,
        growth_transfers=grown[-1].transfers if grown else None,
    )
    return figures, grown


def _tables(figures: Figures, grown: Sequence[Size]) -> list[tuple[Sequence[str], list[list[str]]]]:
    rows = [
        [name, f"{tps:,.0f}", f"{tps / figures.floor_tps:.2f}", f"{cpu:.3f}"]
        for name, tps, cpu in (
            ("bare insert of two rows, by pgbench", figures.floor_tps, figures.floor_cpu_ms),
            ("transfer, one to a commit", figures.transfers_tps, figures.transfer_cpu_ms),
            (f"transfer, {_BATCH} to a commit", figures.batched_tps, figures.batched_cpu_ms),
        )
    ]
    hot = [
        ["transfers", f"{figures.hot_ledger_ratio:.2f}"],
        ["payments", f"{figures.hot_payments_ratio:.2f}"],
    ]
    today = datetime.now(UTC).date().isoformat()
    tables: list[tuple[Sequence[str], list[list[str]]]] = [
        (("32 at once", "per second", "of the floor", "PostgreSQL CPU ms"), rows),
        (("32 at once into one account", "of 32 into 32 accounts"), hot),
        (("measured on", "load average"), [[today, f"{figures.load_average:.1f}"]]),
    ]
    if grown:
        heads = (
            *("transfers before", "MB", "PostgreSQL CPU ms", "beside 10,000", "dearer"),
            *("its blocks", "balance now: blocks", "ms", "at a past instant: blocks", "ms"),
        )
        tables.append((heads, [_row(each) for each in grown]))
    return tables


def _row(each: Size) -> list[str]:
    return [
        f"{each.transfers:,}",
        f"{each.megabytes:,.0f}",
        f"{each.grown.post_ms:.3f}",
        f"{each.few.post_ms:.3f}",
        f"{each.dearer:.2f}",
        f"{each.grown.post.blocks:.0f}",
        *(
            figure
            for took in (each.grown.balance, each.grown.past)
            for figure in (f"{took.blocks:.0f}", f"{took.ms:.2f}")
        ),
    ]


def main() -> None:
    """Measure, write the tables into the page; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="make bench-ledger", description=__doc__)
    parser.add_argument("--rows", type=int, default=0, help="grow up to so many transfers")
    parser.add_argument("--no-page", action="store_true", help="leave docs/performance.md alone")
    given = parser.parse_args()
    figures, grown = asyncio.run(_measure(given.rows))
    tables = _tables(figures, grown)
    if not given.no_page:
        write_ledger(_PAGE, tables)
    for heads, rows in tables:
        for line in (heads, *rows):
            say(" | ".join(line))
    say(msgspec.json.encode(figures).decode())


if __name__ == "__main__":
    main()
