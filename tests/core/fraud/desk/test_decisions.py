"""A decision is shown with what was thought of it later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine.fraud.desk.decisions import DecisionFilter, Decisions
from payengine.plugin import FraudContext, RuleVerdict
from payengine_graphql.fraud.decisions import show_decision

from tests.core.fraud.rules import Rule, RulePack
from tests.core.fraud.test_screening import only
from tests.engines import Till, open_till
from tests.servers import HomeOfTest

#: Whether the moody rule has come to its senses.
_WELL = [False]


def _moody(context: FraudContext) -> Any:
    if not _WELL[0]:
        raise ValueError("not today")
    return RuleVerdict(verdict="review", reason="mood", score=0.25)


@pytest.fixture(scope="module")
async def till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    rules = RulePack(Rule("moody", _moody))
    async with open_till(payment_home, plugins={"pack": rules}) as opened:
        yield opened


async def test_a_rescored_decision_says_both_verdicts(till: Till) -> None:
    shop = await till.shop()
    await only(shop, "moody")
    _WELL[0] = False
    paid = await shop.charge()
    desk = Decisions(shop.engine.database)
    (before,) = (await desk.of_payments(shop.context, [paid.id]))[paid.id]
    assert before.degraded
    assert before.rescored is None
    assert show_decision(before).rescored() is None
    _WELL[0] = True
    at = datetime.now(UTC) + timedelta(seconds=10)
    while await shop.engine.rescoring.run_once(at=at, limit=50) == 50:
        pass
    (after,) = (await desk.of_payments(shop.context, [paid.id]))[paid.id]
    again = after.rescored
    assert again is not None
    assert (after.verdict, again.verdict, again.by, again.at) == (
        "abstain",
        "review",
        ("moody",),
        at,
    )
    assert (again.rules[0].reason, again.score) == ("mood", 0.25)
    (listed,) = await desk.page(shop.context, DecisionFilter(verdicts=("abstain",)), first=5)
    assert listed == after
    shown = show_decision(after).rescored()
    assert shown is not None
    assert (shown.verdict().value, shown.score()) == ("review", 250_000)
