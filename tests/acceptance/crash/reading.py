"""What is there to be seen when everybody has finished?

Read as an outsider would: the provider's books over its own HTTP, balances and events through the
public API, every payment by sending its first request once more, and `payengine verify`.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from payengine_sandbox.payout_book import PayoutBook

from tests.acceptance.crash.billed import BILLED, BilledBooks
from tests.acceptance.crash.buyers import CREATE
from tests.acceptance.crash.client import Client, Refused
from tests.acceptance.crash.divided import DIVIDED, DividedBooks
from tests.acceptance.crash.memory import Bought, Memory, Shop
from tests.acceptance.crash.world import World

__all__ = ["Books", "books_of", "replayed", "verified"]

#: An event's type up to the dot → which of its data names what it is about.
_SUBJECTS = {"invoice": "invoice_id", "payout": "payout", "subscription": "subscription_id"}
#: What the rail has in the data folder.
_RAIL = "sandbox_payouts.sqlite3"
_AT_ONCE = 16
_PAGE = 100
_TIMEOUT_S = 60.0
#: While it is still told of something, the books are read again.
_MOST_LOOKS = 5
_BALANCES = """
    query ($prefix: String) {
        ledgerBalances(prefix: $prefix) { account currency balance { amountMinor } }
    }
"""
_EVENTS = """
    query ($after: String) {
        events(first: 100, after: $after) {
            edges { cursor node { position type operationId data } }
        }
    }
"""


@dataclass(frozen=True, kw_only=True)
class Books:
    """One shop's, at the end: the provider's movements, our balance with it, and all events."""

    shop: Shop
    movements: tuple[dict[str, Any], ...]
    balance_minor: int
    events: tuple[tuple[int, str, str | None], ...]
    #: How often each thing was told of, by the event's type and the thing's id.
    news: Counter[tuple[str, str]] = field(default_factory=Counter)
    bills: BilledBooks | None = None
    shares: DividedBooks | None = None


async def books_of(world: World, client: Client, shop: Shop) -> Books:
    """Read both sides' books, until nothing was told while they were read.

    The program goes on serving: a payout that ends between two looks is no contradiction.
    """
    events = await _events(client, shop)
    for _ in range(_MOST_LOOKS):
        books = await _look(world, client, shop, events)
        before, events = events, await _events(client, shop)
        if len(events) == len(before):
            break
    return books


async def _look(world: World, client: Client, shop: Shop, events: list[dict[str, Any]]) -> Books:
    movements = await _movements(world, shop)
    news = Counter((node["type"], _subject(node)) for node in events)
    return Books(
        shop=shop,
        movements=movements,
        balance_minor=sum((await _balances(client, shop, "psp_receivable")).values()),
        events=tuple((int(node["position"]), node["type"], node["operationId"]) for node in events),
        news=news,
        bills=await _bills(world, shop, movements, news) if shop in world.clubs else None,
        shares=(
            await _shares(world, client, shop, movements, news)
            if shop.tenant_id in world.markets
            else None
        ),
    )


def _subject(node: dict[str, Any]) -> str:
    """What an event is about, beside a payment."""
    name = _SUBJECTS.get(node["type"].partition(".")[0])
    return "" if name is None else node["data"].get(name, "")


async def _balances(client: Client, shop: Shop, prefix: str) -> dict[str, int]:
    _, data = await client.ask(shop.api_key, _BALANCES, prefix=prefix)
    return {each["account"]: int(each["balance"]["amountMinor"]) for each in data["ledgerBalances"]}


async def _bills(
    world: World, shop: Shop, movements: Sequence[dict[str, Any]], news: Counter[tuple[str, str]]
) -> BilledBooks:
    rows = {name: await world.rows(statement, shop) for name, statement in BILLED.items()}
    return BilledBooks(shop=shop, movements=movements, told=news, **rows)


async def _shares(
    world: World,
    client: Client,
    shop: Shop,
    movements: Sequence[dict[str, Any]],
    news: Counter[tuple[str, str]],
) -> DividedBooks:
    rows = {name: await world.rows(statement, shop) for name, statement in DIVIDED.items()}
    rows["steps"] = [
        {**row, "moved": json.loads(row["moved"]), "refundable": json.loads(row["refundable"])}
        for row in rows["steps"]
    ]
    book = PayoutBook(world.settings.home / _RAIL)
    try:
        orders = await asyncio.to_thread(book.every, shop.tenant_id)
    finally:
        book.close()
    owed: dict[str, int] = {}
    for prefix in ("vendor_payable", "payouts_in_transit"):
        owed |= await _balances(client, shop, prefix)
    return DividedBooks(shop=shop, orders=orders, owed=owed, movements=movements, told=news, **rows)


async def _movements(world: World, shop: Shop) -> tuple[dict[str, Any], ...]:
    found: list[dict[str, Any]] = []
    query = {"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
    async with httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S) as http:
        while True:
            answer = await http.get(
                f"{world.provider_url}/v1/movements",
                params=query,
                headers={"sandbox-account": shop.tenant_id},
            )
            page = answer.raise_for_status().json()
            found += page["movements"]
            if not page["next"]:
                return tuple(found)
            query["after"] = page["next"]


async def _events(client: Client, shop: Shop) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        _, data = await client.ask(shop.api_key, _EVENTS, after=after)
        edges = data["events"]["edges"]
        found += [edge["node"] for edge in edges]
        if len(edges) < _PAGE:
            return found
        after = edges[-1]["cursor"]


async def replayed(client: Client, memory: Memory) -> None:
    """Send every payment's first request once more: the same payment, as it was told before."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def again(bought: Bought) -> None:
        async with places:
            try:
                asked_at, payload = await client.mutate(
                    bought.shop.api_key, CREATE, "createPayment", dict(bought.given)
                )
            except Refused as refused:
                memory.lost.append(f"{bought.payment_id}: its key is refused with {refused}")
                return
            memory.told(bought, payload["payment"], asked_at=asked_at)

    await asyncio.gather(*(again(bought) for bought in memory.bought if bought.payment_id))


async def verified(world: World) -> list[str]:
    """What `payengine verify` finds broken, in words."""
    done = await (await world.start("verify", "--json")).ended()
    if not done.output:
        return [f"verify ended with {done.code}: {done.complaints[-500:]}"]
    report = json.loads(done.output)
    return [f"{each['check']}: {each['subject']}: {each['message']}" for each in report["broken"]]
