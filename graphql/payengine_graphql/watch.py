"""What is happening right now?

A client of the live subscription like any other: GraphQL over WebSocket
(`graphql-transport-ws`), resumed from the last cursor after every interruption.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
import websockets
from payengine.errors import ConfigurationError, EnvironmentProblem
from payengine.money import decimal_text
from payengine.settings import Settings
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from payengine_graphql.demo.tenants import read_demo_tenants

__all__ = ["Sighting", "follow", "run"]

_PROTOCOL = websockets.Subprotocol("graphql-transport-ws")
_PAUSE_S = 0.5
_LINES = 22
_RATE_OVER_S = 10.0
_SUBSCRIPTION = """
    subscription ($after: String) {
        paymentEvents(after: $after) { type cursor resync occurredAt paymentId data }
    }
"""
_COLOURS = {
    "payment.captured": "green",
    "payment.authorized": "cyan",
    "payment.declined": "red",
    "payment.requires_action": "yellow",
    "payment.processing": "yellow",
    "payment.canceled": "magenta",
    "payment.expired": "magenta",
    "payment.needs_review": "bold red",
    "refund.succeeded": "blue",
    "refund.failed": "red",
}


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it came over the wire."""

    shop: str
    type: str
    cursor: str
    occurred_at: datetime
    payment_id: str
    data: dict[str, Any]


class _Refused(EnvironmentProblem):
    """The server does not let this client watch."""


async def follow(url: str, key: str, *, shop: str = "") -> AsyncIterator[Sighting]:
    """The tenant's events from now on, without gap or duplicate, for ever.

    Raises `EnvironmentProblem` where the key or the subscription is refused; a server that goes
    away is waited for.
    """
    after: str | None = None
    address = url.replace("http", "ws", 1) + "/graphql"
    while True:
        with contextlib.suppress(OSError, websockets.WebSocketException):
            async with websockets.connect(
                address, subprotocols=[_PROTOCOL], compression=None
            ) as socket:
                async for sighting in _listen(socket, key, after=after, shop=shop):
                    after = sighting.cursor
                    if sighting.type != "feed.resync":
                        yield sighting
        await asyncio.sleep(_PAUSE_S)


async def _listen(
    socket: websockets.ClientConnection, key: str, *, after: str | None, shop: str
) -> AsyncIterator[Sighting]:
    hello = {"type": "connection_init", "payload": {"authorization": f"Bearer {key}"}}
    await socket.send(json.dumps(hello))
    async for frame in socket:
        message = json.loads(frame)
        if message["type"] == "connection_ack":
            payload = {"query": _SUBSCRIPTION, "variables": {"after": after}}
            ask = {"id": "1", "type": "subscribe", "payload": payload}
            await socket.send(json.dumps(ask))
        elif message["type"] == "ping":
            await socket.send(json.dumps({"type": "pong"}))
        elif message["type"] == "error":
            raise _Refused(f"The server refused: {message['payload'][0]['message']}")
        elif message["type"] == "next":
            yield _sighting(message["payload"]["data"]["paymentEvents"], shop)
        elif message["type"] == "complete":
            return


def _sighting(event: dict[str, Any], shop: str) -> Sighting:
    resync = event["resync"]
    occurred = "1970-01-01T00:00:00Z" if resync else event["occurredAt"]
    return Sighting(
        shop=shop,
        type="feed.resync" if resync else event["type"],
        cursor=event["cursor"],
        occurred_at=datetime.fromisoformat(occurred),
        payment_id=event["paymentId"] or "",
        data=event["data"] or {},
    )


async def run(settings: Settings, *, key: str | None, url: str | None, plain: bool) -> int:
    """Watch until interrupted."""
    address = url or f"http://{settings.host}:{settings.port}"
    watched = [(key, "")] if key else [(t.api_key, t.name) for t in read_demo_tenants(settings)]
    if not watched:
        raise ConfigurationError(
            "There is nothing to watch: give --key with an API key, or start the demo with "
            "`make run`."
        )
    sightings: asyncio.Queue[Sighting] = asyncio.Queue(1_000)

    async def watch_one(key: str, shop: str) -> None:
        async for sighting in follow(address, key, shop=shop):
            await sightings.put(sighting)

    tasks = [asyncio.create_task(watch_one(each, shop)) for each, shop in watched]
    show = _show_lines if plain or not sys.stdout.isatty() else _show_screen
    showing = asyncio.create_task(show(sightings, address))
    try:
        done, _ = await asyncio.wait([*tasks, showing], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (*tasks, showing):
            task.cancel()
        await asyncio.gather(*tasks, showing, return_exceptions=True)
    return 0


async def _show_lines(sightings: asyncio.Queue[Sighting], address: str) -> None:
    while True:
        each = await sightings.get()
        amount = decimal_text(_amount(each), each.data["currency"])
        print(
            f"{each.occurred_at:%H:%M:%S.%f} {each.shop} {each.payment_id} {each.type} "
            f"{amount} {each.data['currency']} {each.data.get('decline_code', '')}".rstrip(),
            flush=True,
        )


def _amount(sighting: Sighting) -> int:
    operation: dict[str, Any] = sighting.data.get("operation") or {}
    amount: int = operation.get("amount_minor") or sighting.data["amount_minor"]
    return amount


async def _show_screen(sightings: asyncio.Queue[Sighting], address: str) -> None:
    screen = _Screen(address)
    with Live(screen.render(), console=Console(), refresh_per_second=12, screen=True) as live:
        while True:
            with contextlib.suppress(TimeoutError):
                screen.add(await asyncio.wait_for(sightings.get(), 0.25))
                while not sightings.empty():
                    screen.add(sightings.get_nowait())
            live.update(screen.render())


class _Screen:
    """The last events, the counts and the rate."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._latest: deque[Sighting] = deque(maxlen=_LINES)
        self._moments: deque[float] = deque(maxlen=20_000)
        self._counts: Counter[str] = Counter()
        self._captured: Counter[str] = Counter()

    def add(self, sighting: Sighting) -> None:
        self._latest.appendleft(sighting)
        self._counts[sighting.type] += 1
        if sighting.type == "payment.captured":
            self._captured[sighting.data["currency"]] += _amount(sighting)
            self._moments.append(time.monotonic())

    def render(self) -> Group:
        now = time.monotonic()
        rate = sum(now - moment < _RATE_OVER_S for moment in self._moments) / _RATE_OVER_S
        taken, refused = self._counts["payment.captured"], self._counts["payment.declined"]
        share = f"{100 * taken / (taken + refused):.1f} %" if taken + refused else "–"
        totals = "   ".join(
            f"{decimal_text(minor, code)} {code}" for code, minor in sorted(self._captured.items())
        )
        head = Text.assemble(
            ("captured ", "dim"),
            (str(taken), "bold green"),
            ("   declined ", "dim"),
            (str(refused), "bold red"),
            ("   accepted ", "dim"),
            (share, "bold"),
            ("   captures/s ", "dim"),
            (f"{rate:.1f}", "bold"),
            ("\n" + (totals or "waiting for the first payment …"), "green"),
        )
        title = f"payengine · live · {self._address}"
        return Group(Panel(head, title=title, border_style="blue"), _table(self._latest))


def _table(latest: Sequence[Sighting]) -> Table:
    table = Table(expand=True, box=None, header_style="dim")
    for name in ("time", "shop", "payment", "event"):
        table.add_column(name, no_wrap=True)
    table.add_column("amount", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for each in latest:
        colour = _COLOURS.get(each.type, "white")
        table.add_row(
            f"{each.occurred_at.astimezone():%H:%M:%S}",
            each.shop,
            Text(f"…{each.payment_id[-10:]}", style="dim"),
            Text(each.type, style=colour),
            f"{decimal_text(_amount(each), each.data['currency'])} {each.data['currency']}",
            Text(str(each.data.get("decline_code", "")), style="red"),
        )
    return table
