"""What does one lane consist of?

A data folder with its own PostgreSQL and Valkey, a provider in a process of its own behind a tap,
a few tenants, and the program on a fixed port. The harness itself uses the folder's servers, so
that they outlive the program however it dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
from payengine.embedded import forget, running_servers
from payengine.settings import Settings
from payengine.storage import Database, migrate
from payengine_sandbox.testing import SandboxProcess
from payengine_tenants.keys import ApiKeys
from payengine_tenants.tenants import Tenants

from tests.acceptance.crash.defects import DROPPED
from tests.acceptance.crash.listening import listening
from tests.acceptance.crash.memory import Shop
from tests.acceptance.crash.options import DEADLINE_MS, Options
from tests.acceptance.crash.post import TOLD_TYPES, Post
from tests.acceptance.crash.tap import Tap, tapped
from tests.acceptance.programs import Program

__all__ = ["CLOCKED", "World", "opened"]

_ROOT = Path(__file__).parents[3]
_PROGRAM = Path(sys.executable).with_name("payengine")
_PREFIX = "payengine-crash-"
_ONE_AT_A_TIME = asyncio.Lock()
#: Beside the shops: one that lives in the present, and one with a test clock.
_CLUBS = 2
CLOCKED = 1
#: As many as it takes that one shop's bad luck with the provider is not everybody's.
_SHOPS = 8
_CURRENCIES = ("EUR", "USD", "JPY")
_READY = {"serve": r"^ready http", "worker": "worker_ready"}
_PORTS = range(20_000, 30_000)
#: Shares of the chaos, in thousandths of it; the rest is nonsense for an answer.
_CHAOS = {
    "error-before": 200,
    "error-after": 200,
    "hang-before": 130,
    "hang-after": 170,
    "late-success": 170,
    "garbage": 130,
}

_OPEN = """
    SELECT id FROM operation
    WHERE tenant_id = $1 AND status IN ('created', 'sending', 'unknown', 'pending')
"""
_STUCK = """
    SELECT id, kind, status, raw_status, tries, due_at FROM operation
    WHERE tenant_id = $1 AND status IN ('created', 'sending', 'unknown', 'pending')
"""
#: One that waits for the buyer is settled when that was known, not when the buyer has decided.
_SETTLED = """
    SELECT id, coalesce(
        (SELECT min(created_at) FROM evidence
         WHERE tenant_id = $1 AND operation_id = operation.id AND finding = 'requires_action'),
        updated_at) AS settled_at
    FROM operation
    WHERE tenant_id = $1 AND id = ANY ($2)
      AND status NOT IN ('created', 'sending', 'unknown', 'pending')
"""
_UNAPPLIED = "SELECT id FROM received_webhook WHERE tenant_id = $1 AND state = 'pending'"
#: What the rooms behind the payments have still to do, in words.
_ROOMS = """
    WITH clock AS (SELECT now_at, target_at, leased_until FROM test_clock WHERE tenant_id = $1),
         present AS (SELECT coalesce((SELECT now_at FROM clock), now()) AS now_at)
    SELECT id || ' is due' AS words FROM subscription, present
    WHERE tenant_id = $1 AND due_at <= now_at
    UNION ALL
    SELECT invoice_id || ' is collected: ' || phase FROM collection, present
    WHERE tenant_id = $1
      AND (phase IN ('charging', 'unknown') OR due_at <= now_at OR lease_until > now())
    UNION ALL
    SELECT invoice_id || ': its charge is looked at' FROM collection_charge
    WHERE tenant_id = $1 AND look_at IS NOT NULL
    UNION ALL
    SELECT id || ' was not brought' FROM notice WHERE tenant_id = $1 AND status = 'waiting'
    UNION ALL
    SELECT 'the clock is moving' FROM clock
    WHERE now_at < target_at OR leased_until IS NOT NULL
    UNION ALL
    SELECT id || ' is ' || status FROM payout
    WHERE tenant_id = $1 AND status IN ('pending', 'sending', 'unknown', 'in_transit')
    UNION ALL
    SELECT payment_id || ' is to be shared' FROM payment_split
    WHERE tenant_id = $1 AND due_at IS NOT NULL
"""
_TOLD = "SELECT id FROM event WHERE tenant_id = $1 AND type = ANY ($2)"


@dataclass
class World:
    """One lane's means; `programs` are the running processes, `serve` and perhaps `worker`."""

    options: Options
    settings: Settings
    port: int
    tap: Tap
    post: Post
    provider_url: str
    post_url: str
    login_url: str
    owner_url: str
    shops: tuple[Shop, ...]
    clubs: tuple[Shop, ...]
    owner: asyncpg.Connection
    has_worker: bool
    told_shops: list[Shop] = field(default_factory=list)
    #: The tenants whose payments are divided.
    markets: set[str] = field(default_factory=set)
    programs: dict[str, Program] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where the program answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def tenants(self) -> tuple[Shop, ...]:
        """The shops and the clubs."""
        return self.shops + self.clubs

    async def begin(self, name: str, faults: str = "") -> bool:
        """Start `serve` or `worker`; False where it died before it was ready."""
        arguments = ["serve", "--port", str(self.port)] if name == "serve" else ["worker"]
        if name == "serve" and self.has_worker:
            arguments.append("--no-worker")
        program = self.programs[name] = await self.start(*arguments, faults=faults)
        try:
            await program.said(_READY[name])
        except AssertionError:
            if await self.died(name) != -signal.SIGKILL:
                raise
            return False
        return True

    async def start(self, *arguments: str, faults: str = "") -> Program:
        """Start `payengine` beside this lane's servers, with the defect if one is planted."""
        kept = {
            name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ
        }
        command = [str(_PROGRAM)]
        if self.options.defect is not None:
            command = [
                sys.executable,
                *("-m", "tests.acceptance.crash.defects", self.options.defect),
            ]
            kept.setdefault("PYTHONPATH", str(_ROOT))
        process = await asyncio.create_subprocess_exec(
            *command,
            *arguments,
            *("--home", str(self.settings.home)),
            env={
                **kept,
                "PAYENGINE_FAULTS": faults,
                "PAYENGINE_GATEWAY_DEADLINE_MS": str(DEADLINE_MS),
                "PAYENGINE_SANDBOX_URL": self.provider_url,
                "PAYENGINE_WEBHOOK_ALLOW_PRIVATE": "1",
                "PAYENGINE_JOB_LEASE_MS": str(DEADLINE_MS),
            },
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return Program(process)

    async def died(self, name: str) -> int:
        """Wait for the end of a process; how it ended. What it complained of is kept."""
        program = self.programs[name]
        code = await program.process.wait()
        self.complaints += program.complaints
        self.programs.pop(name, None)
        return code

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal, if the process lives still."""
        program = self.programs.get(name)
        if program is not None and program.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                program.process.send_signal(number)

    async def end(self) -> None:
        """kill -9 whatever runs."""
        for name in list(self.programs):
            self.send(name, signal.SIGKILL)
            await self.died(name)

    async def reconnect(self) -> None:
        """The owner's connection anew, after the database was away."""
        self.owner.terminate()
        self.owner = await asyncpg.connect(self.owner_url)

    async def rows(self, statement: str, shop: Shop, *arguments: Any) -> list[Any]:
        """What the owner reads in one shop."""
        await self.owner.execute(f"SET app.tenant_id = '{shop.tenant_id}'")
        found: list[Any] = await self.owner.fetch(statement, shop.tenant_id, *arguments)
        return found

    async def open_operations(self, *, timed: bool = False) -> set[str]:
        """The operations whose outcome is awaited; `timed`: of those who live in the present."""
        tenants = [shop for shop in self.tenants if not timed or shop != self.clubs[CLOCKED]]
        return {row["id"] for shop in tenants for row in await self.rows(_OPEN, shop)}

    async def stuck(self) -> list[str]:
        """What is awaited still, in words."""
        rooms = [row["words"] for shop in self.tenants for row in await self.rows(_ROOMS, shop)]
        return rooms + [
            f"{row['id']} {row['kind']} is {row['status']} ({row['raw_status']}) after"
            f" {row['tries']} looks, the next one due in {row['due_at'] - datetime.now(UTC)}"
            if row["due_at"] is not None
            else f"{row['id']} {row['kind']} is {row['status']}, and nobody will look"
            for shop in self.tenants
            for row in await self.rows(_STUCK, shop)
        ]

    async def unfinished(self) -> int:
        """How much is still to be done: operations, rooms, webhooks that came in, told events."""
        left = len(await self.open_operations())
        for shop in self.tenants:
            left += len(await self.rows(_ROOMS, shop))
            left += len(await self.rows(_UNAPPLIED, shop))
        for shop in self.told_shops:
            told = self.post.arrived[shop.tenant_id]
            events = await self.rows(_TOLD, shop, list(TOLD_TYPES))
            left += sum(row["id"] not in told for row in events)
        return left

    async def settled(self, operations: set[str]) -> dict[str, datetime]:
        """Which of the operations are settled, and since when."""
        return {
            row["id"]: row["settled_at"]
            for shop in self.tenants
            for row in await self.rows(_SETTLED, shop, list(operations))
        }


@contextmanager
def _home() -> Iterator[Path]:
    above = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))
    above.chmod(0o711)
    try:
        yield above / "home"
    finally:
        shutil.rmtree(above, ignore_errors=True)


@asynccontextmanager
async def opened(options: Options, *, lane: int, has_worker: bool) -> AsyncIterator[World]:
    """A lane with running servers and provider, and no program yet; gone afterwards."""
    async with AsyncExitStack() as stack:
        home = stack.enter_context(_home())
        settings = Settings.from_environment({}, home=home)
        stack.push_async_callback(forget, settings)
        servers = await stack.enter_async_context(running_servers(settings))
        async with _ONE_AT_A_TIME:  # the migration tool is one for the whole process
            await migrate(owner_url=servers.owner_url, login_url=servers.login_url)
        port = _free_port()
        post = Post(f"http://127.0.0.1:{port}", seed=f"{options.seed}/{lane}/post")
        stack.push_async_callback(post.aclose)
        post_url = await stack.enter_async_context(listening(post))
        upstream = options.provider
        if upstream is None:
            chaos = [*_chaos(options, lane), "--webhook-url", f"{post_url}/provider"]
            sandbox = await asyncio.to_thread(SandboxProcess, home.parent / "provider", *chaos)
            stack.push_async_callback(asyncio.to_thread, sandbox.kill)
            upstream = sandbox.url
        tap, address = await stack.enter_async_context(
            tapped(upstream, forgets=options.provider is None)
        )
        owner = await asyncpg.connect(servers.owner_url)
        tenants = await _tenants(servers.login_url)
        world = World(
            options=options,
            settings=settings,
            port=port,
            tap=tap,
            post=post,
            provider_url=address,
            post_url=post_url,
            login_url=servers.login_url,
            owner_url=servers.owner_url,
            shops=tenants[:_SHOPS],
            clubs=tenants[_SHOPS:],
            owner=owner,
            has_worker=has_worker,
        )
        stack.callback(lambda: world.owner.terminate())
        stack.push_async_callback(world.end)
        if options.defect in DROPPED:
            await owner.execute(DROPPED[options.defect])
        yield world


def _chaos(options: Options, lane: int) -> list[str]:
    given = ["--seed", str(Random(f"{options.seed}/{lane}").randrange(2**32))]
    left = options.chaos
    for name, share in _CHAOS.items():
        rate = options.chaos * share // 1_000
        left -= rate * (name != "garbage")
        given += [f"--{name}", str(rate if name != "garbage" else left)]
    return given


def _free_port() -> int:
    """One that the system gives to nobody else while the program is away."""
    for port in Random(time.time_ns()).sample(_PORTS, k=200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port")


async def _tenants(login_url: str) -> tuple[Shop, ...]:
    database = await Database.open(login_url)
    try:
        shops = []
        for number in range(_SHOPS + _CLUBS):
            currency = _CURRENCIES[number % len(_CURRENCIES)]
            tenant = await Tenants(database).create(f"Shop {number}")
            _, secret = await ApiKeys(database).create(tenant.context("operator"), "crash")
            shops.append(Shop(tenant_id=str(tenant.id), api_key=secret, currency=currency))
        return tuple(shops)
    finally:
        await database.close()
