"""What a person sees who watches: every event once, and a picture that fits the terminal."""

from __future__ import annotations

import asyncio
import io
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import httpx
import pytest
import uvicorn
from payengine.engine import Engine
from payengine.errors import ConfigurationError, EnvironmentProblem
from payengine.settings import Settings
from payengine_graphql.app import create_app
from payengine_graphql.watch import Screen, Sighting, follow, run
from rich.console import Console

from tests.graphql.audience import listening
from tests.graphql.worlds import World, make_world


async def _take(stream: AsyncIterator[Sighting], count: int) -> list[Sighting]:
    async with asyncio.timeout(60):
        return [await anext(stream) for _ in range(count)]


async def _live(states: list[bool], world: World) -> None:
    async with asyncio.timeout(60):
        while True not in states:  # noqa: ASYNC110 - a list has no event
            await asyncio.sleep(0.01)
    await listening(world.context)  # the subscription follows the connection


async def test_events_come_as_they_happen(world: World, url: str) -> None:
    states: list[bool] = []
    stream = follow(url, world.secret, shop="Ada's shop", told=states.append)
    first = asyncio.create_task(_take(stream, 2))
    await _live(states, world)
    payment = (await world.pay())["payment"]
    sightings = await first
    assert [each.type for each in sightings] == ["payment.created", "payment.captured"]
    assert {each.payment_id for each in sightings} == {payment["id"]}
    assert {each.shop for each in sightings} == {"Ada's shop"}
    assert sightings[1].data["currency"] == "EUR"
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_key_that_is_not_valid_ends_the_watching(url: str) -> None:
    stream = follow(url, "pe_test_nobody")
    with pytest.raises(EnvironmentProblem):
        await _take(stream, 1)


def _port_of_our_own() -> int:
    """A port that no system hands out, so that nobody takes it while the server is away."""
    for port in range(20_000 + os.getpid() % 5_000, 32_000):
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise AssertionError("every port is taken")


@asynccontextmanager
async def _serving_on(port: int, engine: Engine, settings: Settings) -> AsyncIterator[str]:
    config = uvicorn.Config(
        create_app(engine, settings), host="127.0.0.1", port=port, log_level="warning"
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done()
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@pytest.mark.parametrize(
    ("address", "says"), [("nowhere", "no address"), ("/elsewhere", "no live feed")]
)
async def test_an_address_without_a_feed_ends_the_watching(
    url: str, address: str, says: str
) -> None:
    address = url + address if address.startswith("/") else address
    with pytest.raises(EnvironmentProblem, match=says):
        async for _ in follow(address, "pk_test_x"):
            pass


async def test_a_server_that_goes_away_is_waited_for_and_nothing_is_missed(
    engine: Engine, settings: Settings
) -> None:
    port = _port_of_our_own()
    states: list[bool] = []
    async with httpx.AsyncClient() as client:
        async with _serving_on(port, engine, settings) as url:
            client.base_url = httpx.URL(url)
            world = await make_world(engine, client)
            stream = follow(url, world.secret, told=states.append)
            begun = asyncio.create_task(_take(stream, 2))
            await _live(states, world)
            paid = [(await world.pay())["payment"]["id"]]
            sightings = await begun
            gone = asyncio.create_task(_take(stream, 4))
        async with _serving_on(port, engine, settings):
            paid += [(await world.pay())["payment"]["id"] for _ in range(2)]
            sightings += await gone
            await stream.aclose()  # type: ignore[attr-defined]
    assert [each.payment_id for each in sightings] == [each for each in paid for _ in range(2)]
    assert False in states


async def test_watching_nobody_is_explained(settings: Settings, tmp_path: object) -> None:
    nobody = Settings.from_environment({}, home=str(tmp_path))
    with pytest.raises(ConfigurationError, match="--key"):
        await run(nobody, key=None, url=None, plain=True)


def _sighting(type: str, number: int, **data: object) -> Sighting:
    return Sighting(
        shop="Copper Kettle",
        type=type,
        cursor="",
        occurred_at=datetime(2026, 11, 23, 12, 30, number % 60, tzinfo=UTC),
        payment_id=f"pay_{number:026}",
        data={"amount_minor": 123_456, "currency": "EUR"} | data,
    )


def _picture(screen: Screen, *, width: int, height: int, is_live: bool = True) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=False)
    with console.capture() as captured:
        console.print(screen.render(console.size, is_live=is_live))
    return captured.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (50, 12), (40, 8), (140, 50)])
def test_the_picture_fits_the_terminal_and_cuts_no_amount(width: int, height: int) -> None:
    screen = Screen("http://127.0.0.1:8000")
    for number in range(100):
        screen.add(_sighting("payment.created", number))
        screen.add(_sighting("payment.captured", number))
        screen.add(_sighting("payment.declined", number, decline_code="card_velocity_exceeded"))
    lines = _picture(screen, width=width, height=height)
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    assert all("1234.56 EUR" in line for line in lines[5:])


def test_the_picture_tells_outcomes_counts_and_sums() -> None:
    screen = Screen("http://127.0.0.1:8000")
    assert "waiting for the first payment" in "\n".join(_picture(screen, width=80, height=24))
    screen.add(_sighting("payment.created", 1))
    screen.add(_sighting("payment.captured", 1, operation={"amount_minor": 1_000}))
    screen.add(_sighting("payment.declined", 2, decline_code="lost_card"))
    screen.add(_sighting("payment.captured", 3, amount_minor=500, currency="JPY"))
    picture = "\n".join(_picture(screen, width=100, height=24))
    assert "captured 2" in picture
    assert "declined 1" in picture
    assert "accepted 66.7 %" in picture
    assert "10.00 EUR" in picture
    assert "500 JPY" in picture
    assert "lost_card" in picture
    assert "created" not in picture


def test_the_picture_says_when_no_server_answers() -> None:
    lines = _picture(Screen("http://127.0.0.1:8000"), width=80, height=24, is_live=False)
    assert "waiting for the server" in lines[0]
