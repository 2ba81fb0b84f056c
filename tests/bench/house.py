"""What is measured, and who starts it?

A database of its own in a temporary folder, tenants made by the library, then the API as an
operator starts it: one process, production mode, the sandbox inside it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec
from payengine.context import SCOPES
from payengine.storage import Database, migrate
from payengine_tenants.keys import ApiKeys
from payengine_tenants.tenants import Tenants

from tests.bench.figures import family_seconds
from tests.bench.load import Job, Result, Shop
from tests.bench.watchers import Heard, WatchJob
from tests.bench.wire import until
from tests.servers import HomeOfTest, test_home

__all__ = ["Api", "Hearing", "House", "bare_server", "load", "open_house", "watching"]

_START_S = 60.0
_JOB_S = 600.0


class Api(NamedTuple):
    """A server process."""

    pid: int
    port: int

    def counters(self) -> tuple[float, float]:
        """Statements and commits that the process has sent, for requests and beside them."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            text = answer.read().decode()
        found = [
            re.search(rf"^payengine_sql_{name}_total ([\d.e+]+)$", text, re.MULTILINE)
            for name in ("statements", "commits")
        ]
        statements, commits = (float(each[1]) if each else 0.0 for each in found)
        return statements, commits


class House(NamedTuple):
    """The servers, and the tenants' keys."""

    servers: HomeOfTest
    shops: list[Shop]

    @property
    def socket_folder(self) -> str:
        """Where PostgreSQL listens."""
        return parse_qs(urlsplit(self.servers.owner_url).query)["host"][0]

    @property
    def passwords(self) -> dict[str, str]:
        """The passwords of the database's roles."""
        found: dict[str, str] = json.loads((self.servers.home / "passwords.json").read_text())
        return found

    def database_seconds(self) -> float:
        """CPU time that PostgreSQL has used, all its processes together."""
        recorded = self.servers.home / "postgres" / "data" / "postmaster.pid"
        return family_seconds(int(recorded.read_text().split()[0]))

    async def open_shops(self, tenants: int) -> list[Shop]:
        """As many further test worlds."""
        return await _shops(self.servers, tenants)

    @asynccontextmanager
    async def api(self) -> AsyncIterator[Api]:
        """One API process on a free port."""
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("PAYENGINE_")},
            "PAYENGINE_MODE": "production",
            "PAYENGINE_TIMINGS": "1",
            "PAYENGINE_HOME": str(self.servers.home),
        }
        program = Path(sys.executable).with_name("payengine")
        process = await asyncio.create_subprocess_exec(
            program, "serve", "--port", "0", env=environment, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), _START_S)
            port = urlsplit(line.decode().split()[-1]).port
            assert port is not None
            yield Api(process.pid, port)
        finally:
            await _end(process)


@asynccontextmanager
async def open_house(*, tenants: int) -> AsyncIterator[House]:
    """Servers with as many test worlds."""
    async with test_home() as servers:
        await migrate(owner_url=servers.owner_url, login_url=servers.login_url)
        yield House(servers, await _shops(servers, tenants))


async def _shops(servers: HomeOfTest, tenants: int) -> list[Shop]:
    database = await Database.open(servers.login_url)
    try:
        return [await _shop(database, number) for number in range(tenants)]
    finally:
        await database.close()


async def _shop(database: Database, number: int) -> Shop:
    tenant = await Tenants(database).create(f"Shop {number}", mode="test")
    _, secret = await ApiKeys(database).create(tenant.context("bench"), name="bench", scopes=SCOPES)
    return Shop(secret)


@asynccontextmanager
async def bare_server(*, rate: float, size: int) -> AsyncIterator[Api]:
    """The bare Starlette application in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.bare", str(port), str(rate), str(size)
    )
    try:
        await until(lambda: _answers(port), seconds=_START_S)
        yield Api(process.pid, port)
    finally:
        await _end(process)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(TimeoutError):  # most have ended, and only their end has not been told yet
        await asyncio.wait_for(process.wait(), 0.2)
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 30)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _child(module: str, job: msgspec.Struct) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", f"tests.bench.{module}"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(job))
    await process.stdin.drain()
    process.stdin.close()
    return process


async def load(
    api: Api,
    *,
    concurrency: int,
    seconds: float,
    shops: Sequence[Shop] = (),
    kinds: Sequence[str] = ("pay",),
    warm_up: float = 1.0,
) -> Result:
    """Drive the server from another process."""
    job = Job(
        port=api.port,
        pid=api.pid,
        concurrency=concurrency,
        seconds=seconds,
        warm_up=warm_up,
        shops=list(shops),
        kinds=list(kinds),
    )
    process = await _child("load", job)
    try:
        said, _ = await asyncio.wait_for(process.communicate(), _JOB_S)
    finally:
        await _end(process)
    if process.returncode:
        raise RuntimeError("the load could not be driven")
    return msgspec.json.decode(said, type=Result)


class Hearing:
    """Subscribers in another process, all of whom have subscribed."""

    def __init__(self, output: asyncio.StreamReader) -> None:
        self._output = output
        self._enough = asyncio.Event()
        self._task = asyncio.create_task(self._read())

    async def enough(self) -> None:
        """Return when all cuts were made; what still comes will be waited for."""
        waiting = asyncio.create_task(self._enough.wait())
        await asyncio.wait([waiting, self._task], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def result(self) -> Heard:
        """What they heard, when they are done."""
        return await self._task

    async def _read(self) -> Heard:
        last = b""
        async for line in self._output:
            last = line
            if line == b"enough\n":
                self._enough.set()
        return msgspec.json.decode(last, type=Heard)


@asynccontextmanager
async def watching(job: WatchJob) -> AsyncIterator[Hearing]:
    """Subscribers in another process; inside, all have subscribed."""
    process = await _child("watchers", job)
    assert process.stdout is not None
    try:
        ready = await asyncio.wait_for(process.stdout.readline(), _JOB_S)
        if ready != b"ready\n":
            raise RuntimeError("the subscribers could not begin")
        yield Hearing(process.stdout)
    finally:
        await _end(process)
