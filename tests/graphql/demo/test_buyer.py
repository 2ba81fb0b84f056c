"""The demo's buyer pays through the public API, and an answer that is lost doubles nothing."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest
from payengine.engine import Engine
from payengine.errors import ConfigurationError, EnvironmentProblem
from payengine.payments import PaymentFilter
from payengine.settings import Settings
from payengine_graphql.demo import buyer as buyer_module
from payengine_graphql.demo.buyer import replay
from payengine_graphql.demo.client import Client
from payengine_graphql.demo.command import run
from payengine_graphql.demo.purchases import purchases
from payengine_graphql.demo.tenants import DemoTenant

from tests.graphql.worlds import World, make_world

_PING = "query { payments(first: 1) { edges { node { id } } } }"


async def _shops(engine: Engine, client: httpx.AsyncClient) -> list[tuple[World, DemoTenant]]:
    found = []
    for currency in ("EUR", "USD", "GBP"):
        world = await make_world(engine, client)
        tenant_id = str(world.context.tenant_id)
        shop = DemoTenant(
            name="a test", currency=currency, tenant_id=tenant_id, api_key=world.secret
        )
        found.append((world, shop))
    return found


async def test_every_purchase_becomes_one_payment(
    engine: Engine, client: httpx.AsyncClient, url: str
) -> None:
    shops = await _shops(engine, client)
    told: list[int] = []
    buyer = await replay(
        url,
        [shop for _, shop in shops],
        number=60,
        rate=None,
        concurrency=8,
        told=lambda _, done: told.append(done),
    )
    assert told == list(range(1, 61))
    assert sum(buyer.seen.values()) == 60
    wanted = list(purchases(60))
    assert buyer.seen["DECLINED"] == sum(each.token != "tok_visa" for each in wanted)
    for number, (world, _) in enumerate(shops):
        own = [each for each in wanted if each.tenant == number]
        page = await engine.payments.page(world.context, PaymentFilter(), first=100)
        assert sorted(each.amount_minor for each in page) == sorted(e.amount_minor for e in own)


async def test_a_rate_is_kept(engine: Engine, client: httpx.AsyncClient, url: str) -> None:
    shops = [shop for _, shop in await _shops(engine, client)]
    began = asyncio.get_running_loop().time()
    await replay(url, shops, number=6, rate=10.0)
    assert asyncio.get_running_loop().time() - began >= 0.5


class _LosingProxy:
    """Hands requests on, and every third answer is lost with its connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.lost = 0
        self._asked = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._port)
        there.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + body)
        answer = await there_reader.read(-1)
        there.close()
        self._asked += 1
        if self._asked % 3 == 0:
            self.lost += 1
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()


async def test_an_answer_that_is_lost_is_asked_for_again_with_the_same_key(
    engine: Engine, client: httpx.AsyncClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buyer_module, "_PATIENCE_S", 0.01)
    shops = await _shops(engine, client)
    proxy = _LosingProxy(int(url.rpartition(":")[2]))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    buyer = await replay(
        f"http://127.0.0.1:{port}", [s for _, s in shops], number=30, rate=None, concurrency=1
    )
    server.close()
    assert proxy.lost > 5
    assert sum(buyer.seen.values()) == 30
    counts = [
        len(await engine.payments.page(world.context, PaymentFilter(), first=100))
        for world, _ in shops
    ]
    assert sum(counts) == 30


async def test_a_client_says_what_is_wrong(world: World, url: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        away = Client(nobody, connections=1)
        with pytest.raises(EnvironmentProblem, match=f"No server answers at {nobody}"):
            await away.ask(world.secret, _PING, {})
        await away.close()
    refused = Client(url, connections=1)
    with pytest.raises(EnvironmentProblem, match="API key"):
        await refused.ask("pe_test_nobody", _PING, {})
    assert "payments" in await refused.ask(world.secret, _PING, {})
    await refused.close()
    with pytest.raises(EnvironmentProblem, match="no address"):
        Client("ftp://somewhere", connections=1)


async def test_closing_a_client_waits_for_no_answer() -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    client = Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections=1)
    asking = asyncio.create_task(client.ask("a key", _PING, {}))
    await asyncio.sleep(0.2)
    async with asyncio.timeout(60):
        await client.close()
        with pytest.raises(EnvironmentProblem):
            await asking
    server.close()


@pytest.mark.parametrize(
    ("count", "rate", "concurrency"),
    [(0, "max", 1), (1, "max", 0), (1, "0", 1), (1, "-1", 1), (1, "nan", 1), (1, "fast", 1)],
)
async def test_a_demo_that_makes_no_sense_is_refused(
    settings: Settings, count: int, rate: str, concurrency: int
) -> None:
    with pytest.raises(ConfigurationError):
        await run(settings, count=count, rate=rate, concurrency=concurrency, url=None)
