"""Are past payments decided again as they were made?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine.errors import InputInvalid, RateLimited, RoutingPolicyInvalid
from payengine.payments import MethodInput
from payengine.payments.simulating import simulate_routing
from payengine.routing import Simulation, past

from tests.engines import Shop, Till
from tests.gateways import NamedSandbox, declined, open_several, shop_with_only
from tests.servers import HomeOfTest


@pytest.fixture(scope="module")
async def pair(payment_home: HomeOfTest) -> AsyncIterator[tuple[Till, NamedSandbox, NamedSandbox]]:
    """An engine with two gateways."""
    alpha = NamedSandbox("alpha", path=payment_home.home / "past-alpha.sqlite3")
    beta = NamedSandbox("beta", path=payment_home.home / "past-beta.sqlite3")
    async with open_several(payment_home, alpha, beta) as till:
        yield till, alpha, beta


async def simulated(shop: Shop, document: dict[str, Any], **span: datetime) -> Simulation:
    """The report over the last hour, unless another span is given."""
    now = datetime.now(UTC)
    times = {"since": now - timedelta(hours=1), "until": now + timedelta(minutes=1)} | span
    engine = shop.engine
    return await simulate_routing(
        shop.context, document, registry=engine.registry, router=engine.router, **times
    )


async def test_the_payments_of_the_span_are_decided_again(
    pair: tuple[Till, NamedSandbox, NamedSandbox],
) -> None:
    till, alpha, _ = pair
    shop, other = await shop_with_only(till), await shop_with_only(till)
    alpha.answers = [declined("lost_card")] * 3
    german = MethodInput(token="tok_visa", country="DE", card_digits="411111")
    for n in range(12):
        await shop.pay(token=None, payment_method=german, metadata={"n": str(n % 2)})
    rule = {
        "name": "half of the German cards",
        "when": {"countries": ["DE"], "cardRanges": ["4111"], "metadata": {"n": "1"}},
        "then": {"by": "priority", "gateways": ["beta"]},
    }
    found = await simulated(shop, {"rules": [rule]})
    assert (found.payments, found.changed, found.untakeable) == (12, 6, 0)
    assert {(each.was, each.to) for each in found.changes} == {("alpha", "beta")}
    assert found.past_success == 0.75
    assert (found.unknown_share, found.success) == (0.5, 0.75)
    assert (await simulated(other, {"rules": [rule]})).payments == 0
    later = datetime.now(UTC) + timedelta(seconds=1)
    span = {"since": later, "until": later + timedelta(hours=1)}
    assert (await simulated(shop, {}, **span)).payments == 0


async def test_of_too_many_payments_the_latest_are_taken_page_by_page(
    pair: tuple[Till, NamedSandbox, NamedSandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await shop_with_only(pair[0])
    made = [(await shop.pay()).payment.id for _ in range(9)]
    monkeypatch.setattr(past, "MOST_PAYMENTS", 7)
    monkeypatch.setattr(past, "_PAGE", 3)
    found = await simulated(shop, {"exclude": ["alpha"]})
    assert (found.payments, found.truncated) == (7, True)
    assert [each.payment_id for each in found.changes] == made[2:]
    monkeypatch.setattr(past, "MOST_PAYMENTS", 9)
    found = await simulated(shop, {})
    assert (found.payments, found.truncated) == (9, False)


async def test_one_simulation_of_a_tenant_runs_at_a_time(
    pair: tuple[Till, NamedSandbox, NamedSandbox],
) -> None:
    shop = await shop_with_only(pair[0])
    await shop.pay()
    answers = await asyncio.gather(*(simulated(shop, {}) for _ in range(5)), return_exceptions=True)
    assert [each.payments for each in answers if isinstance(each, Simulation)] == [1]
    assert sum(isinstance(each, RateLimited) for each in answers) == 4
    assert (await simulated(shop, {})).payments == 1


async def test_what_cannot_be_simulated_is_refused(
    pair: tuple[Till, NamedSandbox, NamedSandbox],
) -> None:
    shop = await shop_with_only(pair[0])
    with pytest.raises(RoutingPolicyInvalid):
        await simulated(shop, {"exclude": ["nobody"]})
    now = datetime.now(UTC)
    with pytest.raises(InputInvalid):
        await simulated(shop, {}, since=now, until=now)
