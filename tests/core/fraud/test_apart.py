"""Whatever a neighbour does, with the very same names, moves no score."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from payengine.errors import Conflict
from payengine.fraud.lists import AddListEntry
from payengine.payments import FraudInput
from payengine.plugin import (
    FraudContext,
    Label,
    RuleVerdict,
    distinct,
    known_fraud,
    listed,
    recent,
    velocity,
)

from tests.core.fraud.rules import Rule, RulePack
from tests.core.fraud.test_screening import decisions, only
from tests.engines import Shop, Till, key, open_till
from tests.servers import HomeOfTest

_STEPS = 30
_READ = (
    velocity("card", "count", "1h"),
    velocity("card", "sum", "1d"),
    velocity("device", "count", "1h", where="declined"),
    distinct("device", "card", "1d"),
    distinct("ip", "customer", "1d"),
    recent("card", "median", last=5),
    known_fraud("card", "fraud"),
    known_fraud("device", "run"),
    known_fraud("seller", "labeled"),
    listed("block"),
    listed("allow"),
)


def _sum_up(context: FraudContext) -> RuleVerdict:
    """A score that every fact moves."""
    facts = sorted(context.features.items())
    weighed = sum((1 + at) * len(str(value)) + context.number(name)
                  for at, (name, value) in enumerate(facts))  # fmt: skip
    blocked = context.features["list.listed.block"] is not None
    return RuleVerdict(verdict="block" if blocked else "allow", score=weighed % 1_000 / 1_000)


@pytest.fixture(scope="module")
async def till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    pack = RulePack(Rule("sums_up", _sum_up, *_READ))
    async with open_till(payment_home, plugins={"pack": pack}) as opened:
        yield opened


class Business:
    """Does what the chance of its seed says, step by step."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop = shop
        self.scores: list[Any] = []
        self._chance = Random(seed)
        self._paid: list[str] = []

    async def step(self) -> None:
        """A payment, a label or an entry on a list."""
        chance = self._chance
        draw = chance.random()
        # Everything is drawn whatever is done, so that two of one seed do the same.
        buyer = FraudInput(
            card_fingerprint=f"card{chance.randrange(3)}",
            device=f"device{chance.randrange(3)}",
            ip=f"198.51.100.{chance.randrange(3)}",
            email=f"b{chance.randrange(2)}@example.org",
            seller_id=f"seller{chance.randrange(2)}",
        )
        token = "tok_visa" if chance.random() < 0.7 else "tok_decline_generic_decline"
        which, value = chance.random(), f"device{chance.randrange(3)}"
        if draw < 0.7 or not self._paid:
            await self._pay(buyer, token, 100 + int(which * 10_000))
        elif draw < 0.9:
            await self._label(self._paid[int(which * len(self._paid))], is_fraud=draw < 0.85)
        else:
            await self._list(value, block=which < 0.5)

    async def _pay(self, buyer: FraudInput, token: str, amount: int) -> None:
        paid = await self.shop.pay(amount, token=token, fraud=buyer)
        self._paid.append(paid.payment.id)
        (row,) = [r for r in await decisions(self.shop, paid.payment.id) if r["number"] == 1]
        features = row["document"]["context"]["features"]
        self.scores.append((row["verdict"], row["document"]["score"], features))

    async def _label(self, payment_id: str, *, is_fraud: bool) -> None:
        label = Label(
            payment_id=payment_id,
            is_fraud=is_fraud,
            observed_at=datetime.now(UTC),
            source="tenant",
        )
        async with self.shop.engine.database.tenant(self.shop.context.tenant_id) as session:
            await self.shop.engine.fraud.label(session, self.shop.context.tenant_id, label)

    async def _list(self, value: str, *, block: bool) -> None:
        entry = AddListEntry(
            idempotency_key=key(),
            list="block" if block else "allow",
            kind="device",
            person="Ada",
            reason="a test",
            value=value,
        )
        with suppress(Conflict):  # it is on that list
            await self.shop.engine.fraud_desk.lists.add(self.shop.context, entry)


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_tenants_payments_labels_or_lists_move_anothers_score(
    till: Till, seed: int
) -> None:
    shops = [await till.shop() for _ in range(3)]
    for shop in shops:
        await only(shop, "sums_up")
    alone, beside = Business(shops[0], seed), Business(shops[1], seed)
    neighbour = Business(shops[2], seed + 100)
    for _ in range(_STEPS):
        await alone.step()
    for _ in range(_STEPS):
        await neighbour.step()
        await beside.step()
    assert len(alone.scores) > _STEPS // 2
    assert alone.scores == beside.scores
    # They could have: the neighbour's own differ.
    assert neighbour.scores != alone.scores
