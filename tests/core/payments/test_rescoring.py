"""What was decided without all that was needed is thought of once more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine.payments import FraudInput
from payengine.plugin import FraudContext, RuleVerdict, velocity

from tests.core.fraud.rules import Rule, RulePack
from tests.core.fraud.test_screening import decisions, held, only
from tests.engines import Shop, Till, open_till
from tests.servers import HomeOfTest

#: What the moody rule does next; None raises.
_MOOD: list[str | None] = [None]


def _moody(context: FraudContext) -> Any:
    if _MOOD[0] is None:
        raise ValueError("not today")
    return RuleVerdict(verdict=_MOOD[0], reason="mood")  # type: ignore[arg-type]


RULES = (Rule("moody", _moody, velocity("card", "count", "1h")),)


@pytest.fixture(scope="module")
async def till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    async with open_till(payment_home, plugins={"pack": RulePack(*RULES)}) as opened:
        yield opened


@pytest.fixture
async def shop(till: Till) -> Shop:
    made = await till.shop()
    await only(made, "moody")
    _MOOD[0] = None
    return made


async def _later(shop: Shop, seconds: int = 10) -> None:
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    while await shop.engine.rescoring.run_once(at=at, limit=50) == 50:
        pass


async def _rescored(shop: Shop) -> list[Any]:
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        return await session.fetch(
            "SELECT * FROM fraud_rescore WHERE tenant_id = $1 ORDER BY payment_id",
            shop.context.tenant_id,
        )


async def _told(shop: Shop) -> list[Any]:
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        rows = await session.fetch(
            "SELECT data FROM event WHERE tenant_id = $1 AND type = 'fraud.rescored'",
            shop.context.tenant_id,
        )
    return [row["data"] for row in rows]


async def test_a_stronger_verdict_is_told_and_shown_to_a_person(shop: Shop) -> None:
    paid = await shop.charge(fraud=FraudInput(card_fingerprint="one"))
    (row,) = await _rescored(shop)
    assert (row["payment_id"], row["stage"], row["verdict"]) == (paid.id, "pre_auth", None)
    _MOOD[0] = "block"
    await _later(shop)
    after = await shop.check(paid.id)
    assert (after.status, after.needs_review) == ("CAPTURED", True)
    (row,) = await _rescored(shop)
    assert (row["verdict"], row["due_at"]) == ("block", None)
    (told,) = await _told(shop)
    assert (told["verdict"], told["before"], told["rules"]) == ("block", "abstain", ["moody"])
    # What was decided stands as it was.
    (kept,) = await decisions(shop, paid.id)
    assert kept["verdict"] == "abstain"
    await shop.assert_sound()


async def test_once_is_enough(shop: Shop) -> None:
    await shop.charge()
    _MOOD[0] = "allow"
    for _ in range(3):
        await _later(shop, seconds=100)
    assert len(await _told(shop)) == 1
    assert not (await shop.payment((await _rescored(shop))[0]["payment_id"])).needs_review


async def test_a_rule_that_goes_on_failing_is_given_up(shop: Shop) -> None:
    await shop.charge()
    for seconds in (10, 100, 1_000, 10_000, 100_000):
        await _later(shop, seconds=seconds)
    (row,) = await _rescored(shop)
    assert (row["tries"], row["due_at"], row["verdict"]) == (3, None, "abstain")
    (told,) = await _told(shop)
    assert told["degraded"]


async def test_what_was_decided_with_everything_is_left_alone(shop: Shop) -> None:
    _MOOD[0] = "allow"
    await shop.charge()
    assert await _rescored(shop) == []


async def test_a_payment_whose_past_was_not_read_is_seen_by_those_after(shop: Shop) -> None:
    _MOOD[0] = "allow"
    buyer = FraudInput(card_fingerprint="busy")
    first = await shop.charge(fraud=buyer)
    (kept,) = await decisions(shop, first.id)
    name = kept["document"]["context"]["card"]
    async with held(shop, "card", name):
        unseen = await shop.charge(fraud=buyer)
    (row,) = await decisions(shop, unseen.id)
    assert row["degraded"]
    assert not row["document"]["context"]["features"]
    await _later(shop)
    (row,) = await _rescored(shop)
    assert row["document"]["context"]["features"]["card.count.1h"] == 1
    third = await shop.charge(fraud=buyer)
    (kept,) = await decisions(shop, third.id)
    assert kept["document"]["context"]["features"]["card.count.1h"] == 2
