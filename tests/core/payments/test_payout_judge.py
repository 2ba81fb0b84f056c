"""Do the fraud rules' words hold a payout, refuse it or let it go?"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

import msgspec
import pytest
from payengine.context import TenantContext
from payengine.marketplace.treasury import Judged, Payout, ReleasePayout
from payengine.marketplace.treasury.service import Treasury

from tests.core.marketplace.treasury.vendors import Vendor, open_vendor, paid_by
from tests.engines import Shop, key


def _judged(vendor: Vendor, words: list[Judged | Exception]) -> Vendor:
    """The vendor, paid out by a treasury whose judge says these words in turn."""

    async def judge(context: TenantContext, payout: Payout, at: datetime) -> Judged:
        word = words.pop(0) if len(words) > 1 else words[0]
        if isinstance(word, Exception):
            raise word
        return word

    means = dataclasses.replace(vendor.engine.treasury._means, judge=judge)
    engine: Any = dataclasses.replace(vendor.engine, treasury=Treasury(means))
    return dataclasses.replace(vendor, engine=engine)


async def test_review_holds_it_until_a_person_lets_it_go(shop: Shop) -> None:
    vendor = _judged(await open_vendor(shop), ["hold"])
    made = await vendor.pay_out(4_000)
    assert (made.status, made.held_because, await vendor.balance()) == (
        "held",
        "fraud_review",
        6_000,
    )
    await vendor.go_on()
    assert (await vendor.payout(made.id)).status == "held"
    await vendor.engine.treasury.release(
        vendor.context,
        ReleasePayout(idempotency_key=key(), payout_id=made.id, person="Ada", reason="known"),
    )
    await vendor.go_on()
    assert (await vendor.payout(made.id)).status == "in_transit"
    assert (await vendor.events())[:3] == ["payout.created", "payout.held", "payout.released"]


async def test_a_block_calls_it_off_and_gives_the_money_back(shop: Shop) -> None:
    vendor = _judged(await open_vendor(shop), ["refuse"])
    made = await vendor.pay_out(4_000)
    assert (made.status, made.failure_code, await vendor.balance()) == (
        "canceled",
        "not_allowed",
        10_000,
    )
    await vendor.go_on()
    assert paid_by(vendor.engine, vendor.context.tenant_id) == []


async def test_what_nobody_could_judge_is_not_sent_and_judged_later(shop: Shop) -> None:
    vendor = _judged(await open_vendor(shop), [RuntimeError("no rules"), RuntimeError("x"), "pass"])
    made = await vendor.pay_out(4_000)
    await vendor.go_on()
    assert (await vendor.payout(made.id)).status == "pending"
    assert paid_by(vendor.engine, vendor.context.tenant_id) == []
    await vendor.go_on()
    assert (await vendor.payout(made.id)).status == "in_transit"


@pytest.mark.parametrize("amount", [4_000])
async def test_without_rules_for_payouts_the_engine_lets_it_go(shop: Shop, amount: int) -> None:
    vendor = await open_vendor(shop)
    judge = vendor.engine.treasury._means.judge
    made = await vendor.pay_out(amount)
    again = msgspec.structs.replace(made, screened=False)
    assert await judge(vendor.context, again, made.created_at) == "pass"
