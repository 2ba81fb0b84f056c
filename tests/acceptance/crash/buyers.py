"""What does a buyer do?

A plan is drawn from the seed: pay at once or hold and capture, refund, void, confirm a challenge,
try another card, press the button twice, ask for more than there is in several requests at once.
A buyer follows the plan to its end, however often the server dies meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from string import ascii_lowercase
from typing import Any

import httpx

from tests.acceptance.crash.client import Client, Refused
from tests.acceptance.crash.memory import FINAL, Bought, Memory, Shop, amount_of

__all__ = ["CREATE", "Buyer", "Plan", "plan_of"]

#: A payment is five steps large; captures and refunds are whole numbers of steps.
_WHOLE = 5
_LOOK_S = 0.2
_LONGEST_LOOK_S = 1.0
_BROWSER_S = 10.0
#: Nothing could be sent: the gateway's breaker is open, and stays so for a while.
_UNSENT_S = 2.0
_TRIES = 90
_EXPECTED = frozenset({"REFUND_EXCEEDS_CAPTURED", "CAPTURE_EXCEEDS_AUTHORIZED"})

_PAYMENT = """
    id status nextAction { url }
    operations(first: 100) { id kind status amount { amountMinor } }
"""
_LOOK = f"query ($id: ID!) {{ payment(id: $id) {{ {_PAYMENT} }} }}"


def _document(field: str, kind: str, own: str) -> str:
    return f"""
        mutation ($input: {kind}Input!) {{
            {field}(input: $input) {{
                payment {{ {_PAYMENT} }} {own} {{ id status }} errors {{ code message retryable }}
            }}
        }}
    """


_DOCUMENTS = {
    field: _document(field, field[0].upper() + field[1:], own)
    for field, own in (
        ("createPayment", "operation"),
        ("confirmPayment", "operation"),
        ("capturePayment", "operation"),
        ("voidPayment", "operation"),
        ("refundPayment", "refund"),
    )
}


#: The first request of every payment.
CREATE = _DOCUMENTS["createPayment"]


_Parts = tuple[int | tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one buyer will do; `captures` and `refunds` in steps, each list one after the other.

    A tuple inside the lists is asked for all at once, and more than there is.
    """

    token: str
    is_manual: bool
    is_twice: bool
    approves: bool
    voids: bool
    captures: _Parts
    refunds: _Parts


_TOKENS = (
    *["tok_visa"] * 16,
    *["tok_challenge"] * 2,
    "tok_decline_insufficient_funds",
    "tok_not_processed",
)
_CAPTURES: tuple[_Parts, ...] = ((5,), (5,), (3,), (2, 3), ((2, 2, 2),))
_REFUNDS: tuple[_Parts, ...] = ((), (), (), (1,), (1, 2), ((2, 2, 2),))


def plan_of(chance: Random) -> Plan:
    """The next plan that the seed brings."""
    is_manual = chance.random() < 0.4
    return Plan(
        token=chance.choice(_TOKENS),
        is_manual=is_manual,
        is_twice=chance.random() < 0.1,
        approves=chance.random() < 0.8,
        voids=is_manual and chance.random() < 0.2,
        captures=chance.choice(_CAPTURES) if is_manual else (),
        refunds=chance.choice(_REFUNDS),
    )


class Buyer:
    """One payment of one shop, from the first request to the last refund."""

    def __init__(
        self,
        client: Client,
        memory: Memory,
        shop: Shop,
        *,
        number: int,
        chance: Random,
        split: Mapping[str, Any] | None = None,
    ) -> None:
        """`split` says how the payment is divided; none: the shop keeps it."""
        self._client = client
        self._memory = memory
        self._shop = shop
        self._chance = chance
        self._plan = plan_of(chance)
        given: dict[str, Any] = {
            "idempotencyKey": self._key(),
            "amount": {
                "amountMinor": amount_of(number, steps=_WHOLE),
                "currency": shop.currency,
            },
            "captureMethod": "MANUAL" if self._plan.is_manual else "AUTOMATIC",
            "paymentMethod": {"token": self._plan.token},
        }
        if split is not None:
            given["split"] = split
        self.bought = Bought(shop, number, given)
        memory.bought.append(self.bought)

    async def run(self) -> None:
        """Follow the plan; what the server should not have said is remembered as a surprise."""
        try:
            await self._follow()
        except Refused as refused:
            self._memory.surprises.append(f"{self.bought.payment_id} {self._plan}: {refused}")
        self.bought.is_done = True

    async def _follow(self) -> None:
        requests = [self._mutate("createPayment", self.bought.given)]
        if self._plan.is_twice:
            requests.append(self._mutate("createPayment", self.bought.given))
        await asyncio.gather(*requests)
        payment = await self._settled()
        for _ in range(_TRIES):
            if payment["status"] == "REQUIRES_ACTION":
                payment = await self._challenged(payment)
            elif payment["status"] in ("CREATED", "DECLINED"):
                if payment["status"] == "CREATED":
                    await asyncio.sleep(_UNSENT_S)
                await self._confirm({"paymentMethod": {"token": "tok_visa"}})
                payment = await self._settled()
            else:
                break
        if payment["status"] == "AUTHORIZED" and self._plan.voids:
            await self._step("voidPayment", {})
            return
        if payment["status"] == "AUTHORIZED":
            for part in self._plan.captures:
                await self._part("capturePayment", part)
        if (await self._look())["status"] == "CAPTURED":
            for part in self._plan.refunds:
                await self._part("refundPayment", part)

    async def _challenged(self, payment: Mapping[str, Any]) -> dict[str, Any]:
        """The buyer decides on the provider's page; the server is asked what came of it."""
        decision = "approve" if self._plan.approves else "decline"
        async with httpx.AsyncClient(trust_env=False, timeout=_BROWSER_S) as browser:
            await browser.post(payment["nextAction"]["url"], data={"decision": decision})
        await self._confirm({})
        return await self._settled(awaits_buyer=False)

    async def _confirm(self, given: dict[str, Any]) -> None:
        await self._mutate(
            "confirmPayment",
            {"idempotencyKey": self._key(), "paymentId": self.bought.payment_id, **given},
        )

    async def _part(self, field: str, part: int | tuple[int, ...]) -> None:
        """One capture or refund, or several at once of which not all can be had."""
        parts = part if isinstance(part, tuple) else (part,)
        at_once = len(parts) > 1
        await asyncio.gather(
            *(
                self._step(field, self._amount(field, each, at_once=at_once), at_once=at_once)
                for each in parts
            )
        )

    def _amount(self, field: str, steps: int, *, at_once: bool) -> dict[str, Any]:
        given: dict[str, Any] = {"amountMinor": amount_of(self.bought.number, steps=steps)}
        if field == "capturePayment":
            given["final"] = not at_once and steps >= 3
        return given

    async def _step(self, field: str, given: dict[str, Any], *, at_once: bool = False) -> None:
        """A capture, void or refund until it is done; with a new key where nothing was sent."""
        for _ in range(_TRIES):
            asked = {"idempotencyKey": self._key(), "paymentId": self.bought.payment_id, **given}
            try:
                payload = await self._mutate(field, asked)
            except Refused as refused:
                if at_once and str(refused) in _EXPECTED:
                    return
                raise
            operation = payload["refund" if field == "refundPayment" else "operation"]
            payment = await self._settled()
            status = next(
                each["status"] for each in payment["operations"] if each["id"] == operation["id"]
            )
            if status != "NOT_SENT":
                return
            await asyncio.sleep(_UNSENT_S)
        raise Refused(f"{field} could not be sent")

    async def _mutate(self, field: str, given: Mapping[str, Any]) -> dict[str, Any]:
        asked_at, payload = await self._client.mutate(
            self._shop.api_key, _DOCUMENTS[field], field, dict(given)
        )
        self._memory.told(self.bought, payload["payment"], asked_at=asked_at)
        return payload

    async def _look(self) -> dict[str, Any]:
        asked_at, data = await self._client.ask(
            self._shop.api_key, _LOOK, id=self.bought.payment_id
        )
        if data["payment"] is None:
            raise Refused("the payment is gone")
        payment: dict[str, Any] = data["payment"]
        self._memory.told(self.bought, payment, asked_at=asked_at)
        return payment

    async def _settled(self, *, awaits_buyer: bool = True) -> dict[str, Any]:
        """The payment once nothing is under way; `awaits_buyer`: a challenge counts as settled."""
        settled = FINAL | ({"REQUIRES_ACTION"} if awaits_buyer else set())
        pause_s = _LOOK_S
        while True:
            payment = await self._look()
            if all(each["status"] in settled for each in payment["operations"]):
                return payment
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_LOOK_S)

    def _key(self) -> str:
        return "".join(self._chance.choices(ascii_lowercase, k=24))
