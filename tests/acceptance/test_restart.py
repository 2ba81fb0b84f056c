"""What was acknowledged before a kill -9 is there afterwards, and the books agree."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from payengine.embedded import running_servers, stop_all
from payengine.errors import EnvironmentProblem
from payengine.settings import Settings
from payengine_graphql.demo.client import Client

from tests.acceptance.programs import PAY, PAYMENT, Serving, new_key, payengine, serving
from tests.core.embedded.processes import running_pids
from tests.servers import temporary_home

_HASTY = {"PAYENGINE_GATEWAY_DEADLINE_MS": "500"}


@pytest.fixture
def home() -> Iterator[Path]:
    """A new data folder."""
    with temporary_home() as path:
        yield path


async def _open_operations(home: Path, tenant_id: str) -> int:
    async with running_servers(Settings.from_environment({}, home=home)) as servers:
        owner = await asyncpg.connect(servers.owner_url)
        try:
            await owner.execute(f"SET app.tenant_id = '{tenant_id}'")
            found: int = await owner.fetchval(
                "SELECT count(*) FROM operation WHERE status IN ('created', 'sending', 'unknown')"
            )
            return found
        finally:
            await owner.close()


class _Load:
    """Buyers who pay until the server dies; what it acknowledged is remembered."""

    def __init__(self, server: Serving, key: str) -> None:
        self._client = Client(server.url, connections=12)
        self._key = key
        self.sent: list[str] = []
        self.acknowledged: dict[str, str] = {}

    async def run(self) -> None:
        """Return when the server answers no more."""
        await asyncio.gather(*(self._buy() for _ in range(12)))
        await self._client.close()

    async def _buy(self) -> None:
        while True:
            name = new_key()
            given = {
                "idempotencyKey": name,
                "amount": {"amountMinor": 1_234, "currency": "EUR"},
                "paymentMethod": {"token": "tok_visa"},
            }
            self.sent.append(name)
            try:
                data = await self._client.ask(self._key, PAY, {"input": given})
            except EnvironmentProblem:
                return
            self.acknowledged[name] = data["createPayment"]["payment"]["id"]


async def _killed_under_load(home: Path) -> tuple[dict[str, str], _Load]:
    async with serving(home, **_HASTY) as server:
        tenant = await server.tenant()
        load = _Load(server, tenant["api_key"])
        buying = asyncio.create_task(load.run())
        async with asyncio.timeout(300):
            while len(load.acknowledged) < 200:  # noqa: ASYNC110 - the server's pace, not ours
                await asyncio.sleep(0.01)
            done = await server.program.ended(signal.SIGKILL)
            await buying
    assert done.code == -signal.SIGKILL
    assert len(load.sent) > len(load.acknowledged), "the kill found nothing under way"
    return tenant, load


async def test_kill_9_under_load_loses_no_payment_and_doubles_none(home: Path) -> None:
    tenant, load = await _killed_under_load(home)
    key = tenant["api_key"]
    async with serving(home, **_HASTY) as server:
        give_up_at = time.monotonic() + 240
        while await _open_operations(home, tenant["tenant_id"]):
            assert time.monotonic() < give_up_at, "the reconciler left something open"
            await asyncio.sleep(0.3)
        for payment_id in load.acknowledged.values():
            data = await server.ask(key, PAYMENT, id=payment_id)
            assert data["payment"]["status"] == "CAPTURED"
        for name in load.sent:  # the same keys again: the same payments, or the first ones
            paid = await server.pay(key, name=name)
            assert paid["status"] == "CAPTURED"
            assert paid["id"] == load.acknowledged.get(name, paid["id"])
        done = await payengine("verify", "--json", home=home)
        report = json.loads(done.output)
        assert (done.code, report["broken"]) == (0, [])
        assert report["payments"] == report["movements"] == len(load.sent)
        assert (await server.program.ended(signal.SIGINT)).code == 0
    assert running_pids(home) == []


async def test_servers_that_a_kill_9_left_running_are_adopted_and_stopped(home: Path) -> None:
    async with serving(home) as server:
        tenant = await server.tenant()
        payment = await server.pay(tenant["api_key"])
        await server.program.ended(signal.SIGKILL)
    left = running_pids(home)
    assert left, "the servers outlive a kill -9"
    async with serving(home) as server:
        assert running_pids(home) == left
        data = await server.ask(tenant["api_key"], PAYMENT, id=payment["id"])
        assert data["payment"]["status"] == "CAPTURED"
        assert (await server.program.ended(signal.SIGINT)).code == 0
    assert running_pids(home) == []
    await stop_all(Settings.from_environment({}, home=home))
