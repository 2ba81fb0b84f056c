"""A rule that is switched on knows what was decided on before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine.payments import FraudInput
from payengine.plugin import Label, RuleVerdict, distinct, known_fraud, velocity

from tests.core.fraud.rules import Rule, RulePack
from tests.core.fraud.test_screening import decisions, only
from tests.engines import Shop, Till, open_till
from tests.servers import HomeOfTest

RULES = (
    Rule("cards", lambda context: RuleVerdict(), velocity("card", "count", "1h")),
    Rule(
        "devices",
        lambda context: RuleVerdict(),
        velocity("device", "count", "1d"),
        velocity("device", "count", "1d", where="declined"),
        distinct("device", "ip_country", "1d"),
        known_fraud("device", "fraud", window="30d"),
        mode="off",
    ),
)
_BUYER = FraudInput(card_fingerprint="one", device="phone", ip_country="DE")


@pytest.fixture(scope="module")
async def till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    async with open_till(payment_home, plugins={"pack": RulePack(*RULES)}) as opened:
        yield opened


@pytest.fixture
async def shop(till: Till) -> Shop:
    made = await till.shop()
    await only(made, "cards")
    return made


async def _switch_on(shop: Shop) -> None:
    await shop.engine.fraud.rulebook.save(
        shop.context, "devices", mode="live", settings={}, reason="a test"
    )


async def brought_up(shop: Shop) -> None:
    """Until the tenant's past is as its rules want it."""
    for _ in range(50):
        at = datetime.now(UTC) + timedelta(seconds=1)
        await shop.engine.backfill.run_once(at=at)
        async with shop.engine.database.tenant(shop.context.tenant_id) as session:
            due = await session.fetchval(
                "SELECT due_at FROM fraud_backfill WHERE tenant_id = $1", shop.context.tenant_id
            )
        if due is None:
            return
    raise AssertionError("it never ends")


async def _features(shop: Shop, **given: Any) -> dict[str, Any]:
    paid = await shop.pay(**({"fraud": _BUYER} | given))
    (row,) = await decisions(shop, paid.payment.id)
    features: dict[str, Any] = row["document"]["context"]["features"]
    return features


async def test_it_counts_what_was_decided_on_before(shop: Shop) -> None:
    for _ in range(3):
        await shop.charge(fraud=_BUYER)
    await shop.pay(token="tok_decline_generic_decline", fraud=_BUYER)
    # Nobody but a device: no rule wanted to know of it, so it is no part of the past at all.
    alone = FraudInput(device="phone", ip_country="FR")
    bad = await shop.charge(fraud=alone)
    await shop.pay(token="tok_decline_generic_decline", fraud=alone)
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        label = Label(
            payment_id=bad.id, is_fraud=True, observed_at=datetime.now(UTC), source="tenant"
        )
        await shop.engine.fraud.label(session, shop.context.tenant_id, label)
    await _switch_on(shop)
    assert (await _features(shop))["device.count.1d"] == 0
    await brought_up(shop)
    features = await _features(shop)
    assert features["device.count.1d"] == 7
    assert features["device.count.1d.declined"] == 2
    assert features["device.distinct.ip_country.1d"] == 2
    assert features["device.fraud.30d"] == 1
    assert features["card.count.1h"] == 5


async def test_pages_follow_each_other_and_nothing_is_counted_twice(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payengine.fraud.backfill._PAGE", 2)
    for _ in range(5):
        await shop.charge(fraud=_BUYER)
    for _ in range(2):
        await _switch_on(shop)
        await brought_up(shop)
    features = await _features(shop)
    assert (features["device.count.1d"], features["card.count.1h"]) == (5, 5)


async def test_what_nobody_reads_is_not_kept(shop: Shop) -> None:
    await shop.charge(fraud=_BUYER)
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        row = await session.fetchrow(
            "SELECT device, card FROM fraud_event WHERE tenant_id = $1", shop.context.tenant_id
        )
    assert row is not None
    assert row["device"] is None
    assert row["card"] is not None


async def test_another_tenants_past_stays_its_own(shop: Shop, till: Till) -> None:
    other = await till.shop()
    await only(other, "cards")
    await other.charge(fraud=_BUYER)
    await shop.charge(fraud=_BUYER)
    await _switch_on(shop)
    await brought_up(shop)
    assert (await _features(shop))["device.count.1d"] == 1
    async with other.engine.database.tenant(other.context.tenant_id) as session:
        rows = await session.fetch(
            "SELECT device FROM fraud_event WHERE tenant_id = $1", other.context.tenant_id
        )
    assert [row["device"] for row in rows] == [None]
