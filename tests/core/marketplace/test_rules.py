"""Does the most particular rule that was agreed hold for a sale?"""

from __future__ import annotations

from typing import Any

import pytest
from payengine.errors import Conflict, InputInvalid, NotFound
from payengine.ids import new_id
from payengine.marketplace.commission import CommissionRule, Tier
from payengine.marketplace.rules import ArchiveSplitRule, CreateSplitRule
from payengine.marketplace.sharing_models import SplitRule

from tests.bazaar import Bazaar
from tests.engines import Shop, key


async def _agree(bazaar: Bazaar, scope: Any, bps: int, **given: Any) -> SplitRule:
    fields = {"commission": CommissionRule(percent_bps=bps)} | given
    return await bazaar.room.rules.create(
        bazaar.shop.context, CreateSplitRule(idempotency_key=key(), scope=scope, **fields)
    )


async def test_the_most_particular_rule_holds(shop: Shop) -> None:
    bazaar = Bazaar(shop)
    one = await bazaar.vendor()
    sale = {"vendor_id": one.id, "product": "lamp", "category": "light"}
    kept = []
    tenant = await _agree(bazaar, "tenant", 500)
    kept.append((await bazaar.parts(await bazaar.sell(1_000, **sale)))[1])
    for scope, subject, bps in (
        ("vendor", one.id, 600),
        ("category", "light", 700),
        ("product", "lamp", 800),
    ):
        await _agree(bazaar, scope, bps, subject=subject)
        kept.append((await bazaar.parts(await bazaar.sell(1_000, **sale)))[1])
    own = await bazaar.sell(1_000, commission=CommissionRule(percent_bps=900), **sale)
    kept.append((await bazaar.parts(own))[1])
    assert kept == [50, 60, 70, 80, 90]
    await bazaar.room.rules.archive(
        shop.context, ArchiveSplitRule(idempotency_key=key(), rule_id=tenant.id)
    )
    other = await bazaar.vendor()
    with pytest.raises(InputInvalid):
        await bazaar.sell(1_000, vendor_id=other.id)


async def test_a_payment_keeps_the_rule_of_its_day(shop: Shop) -> None:
    bazaar = Bazaar(shop)
    one = await bazaar.vendor()
    first = await _agree(bazaar, "tenant", 1_000)
    paid = await bazaar.sell(1_000, vendor_id=one.id, capture_method="MANUAL")
    await bazaar.room.rules.archive(
        shop.context, ArchiveSplitRule(idempotency_key=key(), rule_id=first.id)
    )
    await _agree(bazaar, "tenant", 2_000)
    await shop.capture(paid.id)
    await bazaar.share()
    assert await bazaar.parts(paid) == [900, 100]


async def test_a_rule_of_the_currency_holds_against_one_for_all(shop: Shop) -> None:
    bazaar = Bazaar(shop)
    one = await bazaar.vendor()
    await _agree(bazaar, "tenant", 1_000)
    await _agree(
        bazaar, "tenant", 0, currency="USD", commission=CommissionRule(fixed=30, percent_bps=290)
    )
    euros = await bazaar.sell(1_000, vendor_id=one.id)
    dollars = await bazaar.sell(10_000, vendor_id=one.id, currency="USD")
    assert (await bazaar.parts(euros))[1] == 100
    assert (await bazaar.parts(dollars))[1] == 320
    assert await bazaar.available(one, "USD") == 9_680


async def test_rules_that_some_sale_could_not_bear_are_refused(shop: Shop) -> None:
    bazaar = Bazaar(shop)
    await _agree(bazaar, "tenant", 1_000)
    with pytest.raises(Conflict):
        await _agree(bazaar, "tenant", 2_000)
    with pytest.raises(NotFound):
        await _agree(bazaar, "vendor", 100, subject=new_id("acc"))
    for scope, given in (
        ("product", {}),
        ("tenant", {"subject": "lamp"}),
        ("tenant", {"commission": CommissionRule(fixed=30)}),
        ("tenant", {"currency": "EUR", "commission": CommissionRule(fixed=-1)}),
        ("tenant", {"commission": CommissionRule(percent_bps=10_001)}),
        (
            "tenant",
            {"commission": CommissionRule(tiers=(Tier(up_to=None, percent_bps=20_000),))},
        ),
        (
            "tenant",
            {
                "currency": "EUR",
                "commission": CommissionRule(tiers=(Tier(up_to=5, percent_bps=1),)),
            },
        ),
        ("everything", {}),
    ):
        with pytest.raises(InputInvalid):
            await _agree(bazaar, scope, 100, **given)
    assert len(await bazaar.room.rules.page(shop.context, first=50)) == 1
