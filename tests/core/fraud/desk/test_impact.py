"""Does the report say what the rule would have done, by the code that judges payments?"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from payengine.errors import InputInvalid, NotFound, PluginSettingsInvalid
from payengine.fraud.desk import impact as room
from payengine.fraud.desk.impact import ImpactReport
from payengine.fraud.outcomes import OutcomeReport
from payengine.payments import FraudInput

from tests.engines import Shop, key

_DAY = timedelta(days=1)


async def _report(shop: Shop, settings: dict[str, Any], **given: Any) -> ImpactReport:
    now = shop.till.clock.now(shop.context.tenant_id)
    fields: dict[str, Any] = {"rule": "amounts", "since": now - _DAY, "until": now + _DAY} | given
    return await shop.engine.fraud_desk.impacts.report(shop.context, settings=settings, **fields)


async def _known(shop: Shop, payment_id: str) -> None:
    await shop.engine.fraud_desk.feedback.report(
        shop.context,
        OutcomeReport(idempotency_key=key(), payment_id=payment_id, is_fraud=True),
    )


async def test_hits_disputes_caught_good_payments_hit_and_their_worth(
    seller: Shop, rival: Shop
) -> None:
    await rival.charge(4_000)
    fine = await seller.charge(1_000)
    good = await seller.charge(3_000)
    bad = await seller.charge(4_000)
    small = await seller.charge(500)
    blocked = (await seller.pay(9_000)).payment
    await seller.pay(3_500, token="tok_decline_generic_decline")
    assert blocked.status == "DECLINED"
    assert good.id != fine.id
    for fraud in (bad, small):
        await _known(seller, fraud.id)
    report = await _report(seller, {"above_minor": 2_000})
    found = report.impact
    assert (report.total, found.looked_at, report.complete) == (6, 6, True)
    assert found.verdicts == {"allow": 2, "block": 4}
    assert (found.hits.payments, found.hits.worth) == (4, {"EUR": 19_500})
    assert (found.hits_before.payments, found.hits_before.worth) == (1, {"EUR": 9_000})
    assert (found.caught.payments, found.caught.worth) == (1, {"EUR": 4_000})
    assert (found.good.payments, found.good.worth) == (1, {"EUR": 3_000})
    assert (found.missed.payments, found.missed.worth) == (1, {"EUR": 500})
    assert (found.stopped.payments, found.released.payments) == (3, 0)
    looser = (await _report(seller, {"above_minor": 10_000})).impact
    assert (looser.hits.payments, looser.released.worth) == (0, {"EUR": 9_000})


async def test_facts_that_nobody_read_then_are_computed_as_they_were_then(seller: Shop) -> None:
    # The rule as it is asks for no fact: what it would read is counted over the history.
    for card in ("a", "a", "b", "a", "b"):
        await seller.charge(fraud=FraudInput(card_fingerprint=card))
    found = (await _report(seller, {"most": 1})).impact
    assert found.verdicts == {"allow": 2, "block": 3}
    found = (await _report(seller, {"most": 2})).impact
    assert found.verdicts == {"allow": 4, "block": 1}


async def test_the_report_says_what_the_rule_then_does(seller: Shop) -> None:
    cards = ["a", "a", "b", "a", "c", "b", "a"]
    for card in cards:
        await seller.charge(fraud=FraudInput(card_fingerprint=card))
    predicted = (await _report(seller, {"most": 2})).impact.verdicts
    assert predicted == {"allow": 5, "block": 2}
    # The same payments an hour and more later, with the rule as it was tried.
    await seller.engine.fraud.rulebook.save(
        seller.context, "amounts", mode="live", settings={"most": 2}, reason="tried"
    )
    between = _in(seller, 0)
    with seller.till.clock.later(timedelta(hours=2)):
        said = [
            (await seller.pay(fraud=FraudInput(card_fingerprint=card))).payment.status
            for card in cards
        ]
        again = (await _report(seller, {"most": 2}, since=between)).impact.verdicts
    assert said.count("DECLINED") == 2
    assert again == predicted


def _in(shop: Shop, hours: int) -> datetime:
    return shop.till.clock.now(shop.context.tenant_id) + timedelta(hours=hours)


async def test_a_bound_parts_the_span_and_the_parts_make_the_whole(
    seller: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for amount in (1_000, 6_000, 2_000, 3_000, 1_500, 4_000, 2_500):
        await seller.pay(amount)
    whole = await _report(seller, {"above_minor": 1_999})
    monkeypatch.setattr(room, "MOST_DECISIONS", 3)
    monkeypatch.setattr(room, "_PAGE", 2)
    hits, looked_at, until, parts = 0, 0, _in(seller, 1), 0
    while True:
        part = await _report(seller, {"above_minor": 1_999}, until=until)
        hits, looked_at, parts = (
            hits + part.impact.hits.payments,
            looked_at + part.impact.looked_at,
            parts + 1,
        )
        if part.complete:
            break
        until = part.since
    assert (hits, looked_at, parts) == (whole.impact.hits.payments, 7, 3)
    assert whole.impact.hits.payments == 5


async def test_it_changes_nothing(seller: Shop) -> None:
    await seller.charge(3_000)
    before = await seller.rows()
    await _report(seller, {"above_minor": 1})
    assert await seller.rows() == before
    assert (await seller.pay(3_000)).payment.status == "CAPTURED"


async def test_nonsense_is_refused(seller: Shop) -> None:
    now = _in(seller, 0)
    for settings, given, refused in (
        ({}, {"rule": "perhaps"}, NotFound),
        ({"above_minor": "much"}, {}, PluginSettingsInvalid),
        ({}, {"until": now, "since": now}, InputInvalid),
        ({}, {"rule": "remote_provider"}, InputInvalid),
    ):
        with pytest.raises(refused):
            await _report(seller, settings, **given)
