"""What is there to be seen when everybody has finished?

Read as an outsider would: the provider's books over its own HTTP, balances and events through the
public API, every payment by sending its first request once more, and `payengine verify`.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import httpx

from tests.acceptance.crash.buyers import CREATE
from tests.acceptance.crash.client import Client, Refused
from tests.acceptance.crash.memory import Bought, Memory, Shop
from tests.acceptance.crash.world import World

__all__ = ["Books", "books_of", "replayed", "verified"]

_AT_ONCE = 16
_PAGE = 100
_TIMEOUT_S = 60.0
_BALANCES = """
    { ledgerBalances(prefix: "psp_receivable") { account currency balance { amountMinor } } }
"""
_EVENTS = """
    query ($after: String) {
        events(first: 100, after: $after) { edges { cursor node { position type operationId } } }
    }
"""


@dataclass(frozen=True, kw_only=True)
class Books:
    """One shop's, at the end: the provider's movements, our balance with it, and all events."""

    shop: Shop
    movements: tuple[dict[str, Any], ...]
    balance_minor: int
    events: tuple[tuple[int, str, str | None], ...]


async def books_of(world: World, client: Client, shop: Shop) -> Books:
    """Read both sides' books."""
    _, data = await client.ask(shop.api_key, _BALANCES)
    return Books(
        shop=shop,
        movements=await _movements(world, shop),
        balance_minor=sum(int(each["balance"]["amountMinor"]) for each in data["ledgerBalances"]),
        events=await _events(client, shop),
    )


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


async def _events(client: Client, shop: Shop) -> tuple[tuple[int, str, str | None], ...]:
    found: list[tuple[int, str, str | None]] = []
    after: str | None = None
    while True:
        _, data = await client.ask(shop.api_key, _EVENTS, after=after)
        edges = data["events"]["edges"]
        found += [
            (int(node["position"]), node["type"], node["operationId"])
            for node in (edge["node"] for edge in edges)
        ]
        if len(edges) < _PAGE:
            return tuple(found)
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
