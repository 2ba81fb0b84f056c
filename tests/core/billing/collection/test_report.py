"""Does the report tell what failed, what was got in and by what?"""

from __future__ import annotations

from datetime import timedelta

import pytest
from payengine.errors import InputInvalid

from tests.debtors import T0, Counter


async def test_recovered_money_is_told_by_class_and_attempt(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_insufficient_funds", amount=1_000)
    await debtor.owe(2_000)
    await debtor.collect()
    await debtor.becomes("tok_decline_stolen_card")
    await debtor.owe(4_000)
    await debtor.collect()
    await debtor.becomes("tok_visa")
    await debtor.owe(8_000)  # never failed: no part of this
    await debtor.collect()
    await debtor.collect(T0 + timedelta(days=2))
    report = debtor.engine.collection.report
    parts = await report.between(debtor.context, since=T0, until=T0 + timedelta(days=1))
    assert [
        (p.decline_class, p.attempt, p.trigger, p.failed, p.failed_minor, p.recovered_minor)
        for p in parts
    ] == [
        ("hard", None, None, 1, 4_000, 0),
        ("soft", 1, "schedule", 2, 3_000, 3_000),
    ]
    later = await report.between(
        debtor.context, since=T0 + timedelta(days=1), until=T0 + timedelta(days=9)
    )
    assert later == []


async def test_a_period_has_an_order(counter: Counter) -> None:
    debtor = await counter.debtor("tok_visa")
    with pytest.raises(InputInvalid):
        await debtor.engine.collection.report.between(debtor.context, since=T0, until=T0)
