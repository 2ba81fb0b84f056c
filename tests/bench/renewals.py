"""How many invoices does a worker make in a second, and does that depend on how many there are?

`python -m tests.bench.renewals`: one worker on one core renews batches of due subscriptions of one
tenant, in turn with `pgbench` doing the least that the same renewals need; then it collects some of
the invoices from the sandbox. With `--sizes` the cost of a renewal is taken beside so many
subscriptions that are not due, grown by SQL. The last line is JSON; the page of performance is
rewritten in its own section.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import msgspec
from payengine.billing.invoices.renewals import CLAIM, IS_ANY_DUE
from payengine.embedded.account import choose_account
from payengine.embedded.programs import postgres_programs

from tests.acceptance.renewals.stage import Stage
from tests.bench.figures import median
from tests.bench.floor import tps_of
from tests.bench.wire import say
from tests.engines import open_till
from tests.servers import HomeOfTest, migrated_home

__all__ = ["Renewed", "explain_claim", "grow", "pages_of"]

_HERE = Path(__file__).parent
_PAGE = _HERE.parents[1] / "docs" / "performance.md"
_BATCH = 50
_FLOOR_S = 5
_SECTION = re.compile(r"<!-- renewals -->\n.*?<!-- /renewals -->\n", re.DOTALL)
_FAR = timedelta(days=20)

_GROW_CUSTOMERS = """
    INSERT INTO customer (tenant_id, id, reference, metadata, created_at)
    SELECT $1, 'cus_0' || lpad(n::text, 25, '0'), 'grown-' || n, '{}', $4
    FROM generate_series($2::bigint, $3::bigint) AS n
"""
_GROW_SUBSCRIPTIONS = """
    INSERT INTO subscription (tenant_id, id, customer_id, currency, status, access, anchor,
        interval_unit, interval_count, time_zone, period_start, period_end, cancel_at_period_end,
        pause_at_period_end, coupons, phases, proration_mode, metadata, version, due_at, created_at)
    SELECT $1, 'sub_0' || lpad(n::text, 25, '0'), 'cus_0' || lpad(n::text, 25, '0'), 'EUR',
        'active', 'granted', $4, 'month', 1, 'UTC', $4,
        $5::timestamptz + n * interval '1 millisecond', false, false, '[]', '[]', 'second', '{}',
        1, $5::timestamptz + n * interval '1 millisecond', $4
    FROM generate_series($2::bigint, $3::bigint) AS n
"""
_GROW_ITEMS = """
    INSERT INTO subscription_item
        (tenant_id, id, subscription_id, price_id, quantity, starts_at, ended_at)
    SELECT $1, 'sit_0' || lpad(n::text, 25, '0'), 'sub_0' || lpad(n::text, 25, '0'), $5, '1', $4,
        NULL
    FROM generate_series($2::bigint, $3::bigint) AS n
"""
_STEP = 100_000
_EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF)"


class Renewed(msgspec.Struct, frozen=True, kw_only=True):
    """What renewing cost: invoices a second of wall time, and milliseconds of the worker's CPU."""

    invoices: int
    per_s: float
    worker_ms: float

    @property
    def per_core_s(self) -> float:
        """Invoices in a second of the worker's CPU."""
        return 1_000 / self.worker_ms


async def _renew(stage: Stage) -> Renewed:
    """Renew what is due, and take the time of it."""
    began, cpu = time.perf_counter(), time.process_time()
    at = datetime.now(UTC)
    tenant_id = stage.context.tenant_id
    taken = 0
    while done := await stage.engine.invoicing.renewals.run_tenant(tenant_id, at=at):
        taken += done
    wall, spent = time.perf_counter() - began, time.process_time() - cpu
    return Renewed(invoices=taken, per_s=taken / wall, worker_ms=1_000 * spent / taken)


async def _collect(stage: Stage, most: int) -> float:
    """Charges a second against the sandbox, with the gateway in this process."""
    began = time.perf_counter()
    taken = 0
    while taken < most:
        done = await stage.engine.collection.collections.run_once(at=datetime.now(UTC), limit=50)
        if not done:
            break
        taken += done
    return taken / (time.perf_counter() - began)


async def grow(stage: Stage, connection: asyncpg.Connection, *, begin: int, end: int) -> None:
    """Further subscriptions of the tenant, numbers `begin` to `end`, none of them due for weeks."""
    tenant_id = stage.context.tenant_id
    price_id = await stage.price(1_900)
    await connection.execute(f"SET app.tenant_id = '{tenant_id}'")
    start = datetime.now(UTC) - timedelta(days=8)
    for first in range(begin, end + 1, _STEP):
        last = min(first + _STEP - 1, end)
        await connection.execute(_GROW_CUSTOMERS, tenant_id, first, last, start)
        await connection.execute(_GROW_SUBSCRIPTIONS, tenant_id, first, last, start, start + _FAR)
        await connection.execute(_GROW_ITEMS, tenant_id, first, last, start, price_id)
    for table in ("customer", "subscription", "subscription_item"):
        await connection.execute(f"VACUUM ANALYZE {table}")


async def explain_claim(stage: Stage) -> list[str]:
    """How PostgreSQL finds that something is due, and claims it, as the app role; with pages.

    Nothing may be due before: `_BATCH` subscriptions are added to be claimed.
    """
    await stage.add(_BATCH)
    tenant_id, at = stage.context.tenant_id, datetime.now(UTC)
    async with stage.engine.database.tenant(tenant_id) as session:
        found = await session.fetch(f"{_EXPLAIN} {IS_ANY_DUE}", tenant_id, at)
        claimed = await session.fetch(f"{_EXPLAIN} {CLAIM}", tenant_id, at, _BATCH)
    await _renew(stage)
    return [row["QUERY PLAN"] for row in (*found, *claimed)]


def pages_of(plan: Sequence[str]) -> int:
    """How many pages the last of the explained statements looked at, all of its nodes together."""
    last = max(place for place, line in enumerate(plan) if line.startswith(("Limit", "LockRows")))
    said = next(line for line in plan[last:] if "Buffers:" in line)
    return sum(int(number) for number in re.findall(r"(?:hit|read)=(\d+)", said))


class _Floor:
    """pgbench as the superuser of the embedded server, in a database of its own."""

    def __init__(self, home: HomeOfTest) -> None:
        self._home = home.home
        self._programs = postgres_programs(
            home.home / "programs", choose_account(existing=home.home / "postgres" / "data")
        )
        found = msgspec.json.decode((home.home / "passwords.json").read_bytes())
        self._environment = {
            **os.environ,
            "PGHOST": _socket_folder(home.owner_url),
            "PGPORT": "5432",
            "PGUSER": "postgres",
            "PGPASSWORD": found["postgres"],
        }

    async def prepare(self) -> None:
        """Make the floor's database and tables."""
        await self._run("psql", "-q", "-d", "postgres", "-c", "CREATE DATABASE floor")
        schema = str(_HERE / "renewals_floor_schema.sql")
        await self._run("psql", "-q", "-d", "floor", "-v", "ON_ERROR_STOP=1", "-f", schema)

    async def per_s(self) -> float:
        """Renewals in a second, one client that sends batches of fifty."""
        said = await self._run(
            *("pgbench", "-n", "-M", "simple", "-c", "1", "-j", "1", "-T", str(_FLOOR_S)),
            *("-f", str(_HERE / "renewals_floor.sql"), "floor"),
        )
        return tps_of(said) * _BATCH

    async def _run(self, program: str, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            self._programs / program,
            *arguments,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, problem = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"{program} failed: {problem.decode()}")
        return said.decode()


def _socket_folder(url: str) -> str:
    found = parse_qs(urlsplit(url).query).get("host")
    if found is None:
        raise RuntimeError("The embedded server is reached by a socket.")
    return found[0]


async def _throughput(home: HomeOfTest, *, rounds: int, due: int) -> dict[str, Any]:
    """Renewals and the floor in turn, then charges; medians of the rounds."""
    floor = _Floor(home)
    await floor.prepare()
    own, least = [], []
    async with open_till(home) as till:
        await _renew(await Stage.open(till, _BATCH))  # statements are prepared, pools are open
        stage = await Stage.open(till, due)
        for number in range(rounds):
            least.append(await floor.per_s())
            stage = stage if number == 0 else await Stage.open(till, due)
            own.append(await _renew(stage))
            say(f"round {number + 1}: {own[-1].per_s:.0f} invoices/s, floor {least[-1]:.0f}")
        charges = await _collect(stage, min(due, 300))
        plan = await explain_claim(stage)
    return {
        "invoices_per_s": median([each.per_s for each in own]),
        "invoices_per_core_s": median([each.per_core_s for each in own]),
        "worker_cpu_ms": median([each.worker_ms for each in own]),
        "floor_per_s": median(least),
        "ratio": median([each.per_s for each in own]) / median(least),
        "charges_per_s": charges,
        "claim": plan,
    }


async def _growth(home: HomeOfTest, sizes: Sequence[int], *, due: int) -> list[dict[str, Any]]:
    """The cost of a renewal beside so many subscriptions of the same tenant."""
    found = []
    async with open_till(home) as till:
        stage = await Stage.open(till, due)
        await _renew(stage)
        grown = due
        connection = await asyncpg.connect(home.owner_url)
        try:
            for size in sizes:
                if size > grown:
                    await grow(stage, connection, begin=grown + 1, end=size)
                    grown = size
                rounds = []
                for _ in range(3):
                    await stage.add(due)
                    rounds.append(await _renew(stage))
                plan = await explain_claim(stage)
                row = {
                    "subscriptions": size,
                    "invoices_per_s": median([each.per_s for each in rounds]),
                    "worker_cpu_ms": median([each.worker_ms for each in rounds]),
                    "claim_pages": pages_of(plan),
                    "load": os.getloadavg()[0],
                    "claim": plan,
                }
                say(
                    f"{size:,}: {row['invoices_per_s']:.0f} invoices/s, "
                    f"{row['claim_pages']} pages for a claim of {_BATCH}"
                )
                found.append(row)
        finally:
            await connection.close()
    return found


def _section(found: dict[str, Any]) -> str:
    """The page's own part."""
    plans = [row["claim"] for row in found["growth"]] or [found["claim"]]
    claim = "\n".join(plans[-1])
    lines = [
        "<!-- renewals -->",
        "| renewals of one worker process on one core | |",
        "|---|---:|",
        f"| finalised invoices/s | {found['invoices_per_s']:,.0f} |",
        f"| finalised invoices per second of the worker's CPU | "
        f"{found['invoices_per_core_s']:,.0f} |",
        f"| the floor: the least that the same renewals need, by `pgbench` | "
        f"{found['floor_per_s']:,.0f} |",
        f"| charges/s against the sandbox, in the same process | {found['charges_per_s']:,.0f} |",
        "",
        f"How PostgreSQL finds that something is due, by the index alone, and claims {_BATCH}, "
        "where there are most:",
        "",
        "```text",
        claim,
        "```",
    ]
    if found["growth"]:
        lines += [
            "",
            f"| subscriptions of the tenant | invoices/s | worker CPU ms per invoice | "
            f"pages that a claim of {_BATCH} looks at | load average |",
            "|---:|---:|---:|---:|---:|",
        ]
        lines += [
            f"| {row['subscriptions']:,} | {row['invoices_per_s']:,.0f} | "
            f"{row['worker_cpu_ms']:.2f} | {row['claim_pages']:,} | {row['load']:.1f} |"
            for row in found["growth"]
        ]
    return "\n".join([*lines, "<!-- /renewals -->", ""])


def _write(found: dict[str, Any]) -> None:
    text = _PAGE.read_text()
    section = _section(found)
    if _SECTION.search(text):
        _PAGE.write_text(_SECTION.sub(lambda _: section, text))
    else:
        _PAGE.write_text(f"{text.rstrip()}\n\n## Renewals\n\n{section}")


async def _main(options: argparse.Namespace) -> dict[str, Any]:
    async with migrated_home() as home:
        os.environ["PAYENGINE_HOME"] = str(home.home)
        found = await _throughput(home, rounds=options.rounds, due=options.due)
    found["growth"] = []
    if options.sizes:
        async with migrated_home() as home:
            os.environ["PAYENGINE_HOME"] = str(home.home)
            found["growth"] = await _growth(home, options.sizes, due=options.due)
    if options.write:
        _write(found)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--due", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--sizes",
        type=lambda text: [int(each) for each in text.split(",") if each],
        default=[1_000, 10_000, 100_000],
        help="up to 1000000 takes five minutes",
    )
    parser.add_argument("--no-write", dest="write", action="store_false")
    figures = asyncio.run(_main(parser.parse_args()))
    say(msgspec.json.encode(figures).decode())
