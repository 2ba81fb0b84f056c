"""Who pays by the period?

Two clubs, shops of their own. One lives in the present: members join all the time whose
subscriptions began days ago, so that several periods are due at once. The other has a test clock,
which is moved on by a day again and again, while its members change their cards for bad ones and
back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.acceptance.crash.client import Client, Refused
from tests.acceptance.crash.memory import Memory, Shop

__all__ = ["Club"]

_PRICE = "1900"
_MEMBERS = 4
_BEGAN_AGO = timedelta(days=2, hours=12)
_DAY = timedelta(days=1)
_GOOD, _BAD = "tok_visa", "tok_decline_insufficient_funds"
#: What may be answered to who comes too late: the clock runs already, the subscription has ended.
_EXPECTED = frozenset({"CONFLICT", "NOT_FOUND", "TRANSITION_REFUSED"})

_CLOCK = "{ testClock { status nowAt } }"


@dataclass(frozen=True)
class _Member:
    subscription_id: str
    #: Saved methods: one that is charged, and one that is declined.
    methods: tuple[str, str]


@dataclass
class Club:
    """One shop with subscriptions; `clocked`: with a test clock."""

    client: Client
    memory: Memory
    shop: Shop
    chance: Random
    clocked: bool
    _price_id: str = ""
    _joined: int = 0
    _days: int = 0
    _members: list[_Member] = field(default_factory=list)
    _moving: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def open(self) -> None:
        """Offer something, and have the first members."""
        currency = self.shop.currency
        product = await self._make("createProduct", "product", reference="club", name="A club")
        price = await self._make(
            "createPrice",
            "price",
            productId=product["id"],
            options={currency: {"model": "flat", "flat_amount": _PRICE}},
            intervalUnit="DAY",
            intervalCount=1,
        )
        self._price_id = price["id"]
        if self.clocked:
            now = datetime.now(UTC).isoformat()
            await self._make("createTestClock", "testClock", nowAt=now)
            for _ in range(_MEMBERS):
                await self._join()

    async def come(self) -> None:
        """What happens next: somebody joins, or a day passes."""
        try:
            if not self.clocked:
                await self._join(startsAt=(datetime.now(UTC) - _BEGAN_AGO).isoformat())
            elif not self._moving.locked():
                async with self._moving:
                    await self._day()
        except Refused as refused:
            self.memory.surprises.append(f"a club of {self.shop.tenant_id}: {refused}")

    async def _join(self, **given: Any) -> None:
        self._joined += 1
        name = f"member{self._joined}"
        is_good = self.chance.random() < 0.8
        if given and self.chance.random() < 0.5:
            given["trialDays"] = 1
        customer = await self._make(
            "createCustomer", "customer", f"{name}customer", reference=name, email="a@example.com"
        )
        methods = [
            (
                await self._make(
                    "savePaymentMethod",
                    "paymentMethod",
                    f"{name}{token}",
                    customerId=customer["id"],
                    token=token,
                )
            )["id"]
            for token in (_GOOD, _BAD)
        ]
        made = await self._make(
            "createSubscription",
            "subscription",
            f"{name}subscription",
            customerId=customer["id"],
            currency=self.shop.currency,
            items=[{"priceId": self._price_id}],
            paymentMethodId=methods[0 if is_good or self.clocked else 1],
            **given,
        )
        self.memory.made[made["id"]] = self.shop
        self._members.append(_Member(made["id"], (methods[0], methods[1])))

    async def _day(self) -> None:
        """Let a day pass; before it, somebody may have changed the card."""
        if self.chance.random() < 0.6:
            await self._change_card(self.chance.choice(self._members))
        _, data = await self.client.ask(self.shop.api_key, _CLOCK)
        clock = data["testClock"]
        if clock["status"] != "READY":
            return
        self._days += 1
        to = datetime.fromisoformat(clock["nowAt"]) + _DAY
        try:
            await self._make("advanceTestClock", "testClock", f"day{self._days}", to=to.isoformat())
        except Refused as refused:
            if str(refused) not in _EXPECTED:
                raise

    async def _change_card(self, member: _Member) -> None:
        self._days += 1
        try:
            await self._make(
                "updateSubscriptionMethod",
                "collections",
                f"card{self._days}",
                subscriptionId=member.subscription_id,
                paymentMethodId=self.chance.choice(member.methods),
            )
        except Refused as refused:
            if str(refused) not in _EXPECTED:
                raise
            # The subscription has ended; somebody else joins.
            self._members.remove(member)
            await self._join()

    async def _make(self, mutation: str, made: str, key: str | None = None, **given: Any) -> Any:
        return await self.client.make(self.shop.api_key, mutation, made, key or mutation, **given)
