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
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import websockets
from payengine.errors import ConfigurationError, EnvironmentProblem
from payengine.money import decimal_text
from payengine.settings import Settings
from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from payengine_graphql.demo.tenants import read_demo_tenants

__all__ = ["Screen", "Sighting", "follow", "run"]

_PROTOCOL = websockets.Subprotocol("graphql-transport-ws")
_REFUSALS = frozenset({4400, 4401, 4403, 4406})  # codes of graphql-transport-ws
_ELSEWHERE = frozenset({400, 403, 404, 405})  # somebody answers, and has no such feed
_PAUSE_S = 0.5
_INSISTS_S = 1.0
_MOST_LINES = 200
_HEAD_LINES = 5  # the panel and the table's header
_NARROW = 60
_WIDE = 90
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


def _untold(is_live: bool) -> None:
    """Nobody asked to be told."""


async def follow(
    url: str, key: str, *, shop: str = "", told: Callable[[bool], None] = _untold
) -> AsyncIterator[Sighting]:
    """The tenant's events from now on, without gap or duplicate, for ever.

    Raises `EnvironmentProblem` where the key or the subscription is refused; a server that goes
    away is waited for, and `told` hears whether one answers.
    """
    after: str | None = None
    address = url.replace("http", "ws", 1) + "/graphql"
    while True:
        try:
            async with websockets.connect(
                address, subprotocols=[_PROTOCOL], compression=None
            ) as socket:
                told(True)
                async for sighting in _listen(socket, key, after=after, shop=shop):
                    after = sighting.cursor
                    if sighting.type != "feed.resync":
                        yield sighting
        except websockets.ConnectionClosedError as closed:
            if closed.rcvd is not None and closed.rcvd.code in _REFUSALS:
                raise EnvironmentProblem(
                    f"The server refused: {closed.rcvd.reason}. Is the key valid?"
                ) from None
        except websockets.InvalidURI:
            raise EnvironmentProblem(
                f"{url!r} is no address: write it like http://127.0.0.1:8000."
            ) from None
        except websockets.InvalidStatus as refused:
            if refused.response.status_code in _ELSEWHERE:
                raise EnvironmentProblem(
                    f"There is no live feed at {address}: is it the server's address?"
                ) from None
        except (OSError, websockets.WebSocketException):
            pass
        told(False)
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
            raise EnvironmentProblem(f"The server refused: {message['payload'][0]['message']}")
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
    is_plain = plain or not sys.stdout.isatty()
    line = _Line(address, is_told=is_plain)

    async def watch_one(key: str, shop: str) -> None:
        async for sighting in follow(address, key, shop=shop, told=line.told):
            await sightings.put(sighting)

    tasks = [asyncio.create_task(watch_one(each, shop)) for each, shop in watched]
    show = _show_lines(sightings) if is_plain else _show_screen(sightings, line)
    showing = asyncio.create_task(show)
    try:
        done, _ = await asyncio.wait([*tasks, showing], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _stop({*tasks, showing})
    return 0


async def _stop(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel until they end: a connection that breaks just then is told instead of the cancel."""
    while tasks:
        for task in tasks:
            task.cancel()
        done, tasks = await asyncio.wait(tasks, timeout=_INSISTS_S)
        for task in done:
            _ = task.cancelled() or task.exception()  # asked for, or asyncio complains


class _Line:
    """Whether the server answers."""

    def __init__(self, address: str, *, is_told: bool) -> None:
        self.address = address
        self.is_live: bool | None = None
        self._is_told = is_told

    def told(self, is_live: bool) -> None:
        """The line is up or down; said on stderr where there is no screen."""
        if self._is_told and not is_live and self.is_live is not False:
            print(f"No server answers at {self.address}; waiting for one.", file=sys.stderr)
        self.is_live = is_live


async def _show_lines(sightings: asyncio.Queue[Sighting]) -> None:
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


async def _show_screen(sightings: asyncio.Queue[Sighting], line: _Line) -> None:
    console = Console()
    screen = Screen(line.address)
    with Live(console=console, refresh_per_second=12, screen=True) as live:
        while True:
            live.update(screen.render(console.size, is_live=line.is_live is not False))
            with contextlib.suppress(TimeoutError):
                screen.add(await asyncio.wait_for(sightings.get(), 0.25))
                while not sightings.empty():
                    screen.add(sightings.get_nowait())


class Screen:
    """The last events, the counts and the rate."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._began = time.monotonic()
        self._latest: deque[Sighting] = deque(maxlen=_MOST_LINES)
        self._moments: deque[float] = deque(maxlen=20_000)
        self._counts: Counter[str] = Counter()
        self._captured: Counter[str] = Counter()

    def add(self, sighting: Sighting) -> None:
        """Take in what happened; a payment's line is its outcome, not that it began."""
        self._counts[sighting.type] += 1
        if sighting.type != "payment.created":
            self._latest.appendleft(sighting)
        if sighting.type == "payment.captured":
            self._captured[sighting.data["currency"]] += _amount(sighting)
            self._moments.append(time.monotonic())

    def render(self, size: ConsoleDimensions, *, is_live: bool = True) -> Group:
        """The picture, cut to the terminal's size."""
        now = time.monotonic()
        over = min(max(now - self._began, 1.0), _RATE_OVER_S)
        rate = sum(now - moment < over for moment in self._moments) / over
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
            ("   a second ", "dim"),
            (f"{rate:.1f}", "bold"),
            ("\n" + (totals or "waiting for the first payment …"), "green"),
            overflow="ellipsis",
            no_wrap=True,
        )
        state = "live" if is_live else "waiting for the server"
        panel = Panel(
            head,
            title=f"payengine · {state} · {self._address}",
            border_style="blue" if is_live else "red",
        )
        rows = max(size.height - _HEAD_LINES, 1)
        return Group(panel, _table(list(self._latest)[:rows], width=size.width))


def _table(latest: Sequence[Sighting], *, width: int) -> Table:
    """Narrow terminals show fewer columns, not cut ones."""
    has_shops = width >= _NARROW and any(each.shop for each in latest)
    has_ids = width >= _WIDE
    names = ["time", *["shop"] * has_shops, *["payment"] * has_ids, "event"]
    table = Table(expand=True, box=None, header_style="dim")
    for name in names:
        table.add_column(name, no_wrap=True, ratio=1 if name == "event" else None)
    table.add_column("amount", justify="right", no_wrap=True)
    for each in latest:
        reason = each.data.get("decline_code") or ""
        event = Text(each.type.removeprefix("payment."), style=_COLOURS.get(each.type, "white"))
        cells: list[str | Text] = [f"{each.occurred_at.astimezone():%H:%M:%S}"]
        cells += [each.shop] * has_shops
        cells += [Text(f"…{each.payment_id[-10:]}", style="dim")] * has_ids
        cells += [event.append(f"  {reason}" if reason else "", style="dim red")]
        amount = decimal_text(_amount(each), each.data["currency"])
        table.add_row(*cells, f"{amount} {each.data['currency']}")
    return table
