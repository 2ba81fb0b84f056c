"""What is kept of a decision in few words says all that was said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from payengine.fraud.decide import STRENGTH, Evaluated
from payengine.fraud.spelling import said_in, spelled_context, spelled_verdicts, told_in
from payengine.plugin.fraud import FraudContext

from tests.engines import Shop

_AT = datetime(2026, 5, 1, tzinfo=UTC)
_TEXT = st.sampled_from(["", "it is so"])
_SAID = st.lists(
    st.builds(
        Evaluated,
        rule=st.from_regex(r"[a-z][a-z0-9_-]{0,9}", fullmatch=True),
        verdict=st.sampled_from(sorted(STRENGTH)),
        version=st.integers(0, 40),
        mode=st.sampled_from(["live", "shadow"]),
        reason=_TEXT,
        detail=_TEXT,
        error=_TEXT,
        score=st.none() | st.floats(0, 1),
        took_us=st.integers(0, 20_000),
    ),
    unique_by=lambda each: each.rule,
    max_size=12,
).map(lambda said: tuple(sorted(said, key=lambda each: each.rule)))
_FEATURES = st.dictionaries(
    st.sampled_from(["card.count.1h", "device.distinct.card.1h", "list.listed.block", "ip.age"]),
    st.none() | st.integers(0, 9) | st.sampled_from(["card", "card,ip"]),
)


def _stored(document: dict[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    return read


@given(said=_SAID)
def test_what_was_said_is_read_again(said: tuple[Evaluated, ...]) -> None:
    assert said_in(_stored(spelled_verdicts(said))) == said


@given(features=_FEATURES, off_session=st.booleans(), card=st.none() | st.just("9f"))
def test_what_was_told_is_read_again(
    features: dict[str, Any], off_session: bool, card: str | None
) -> None:
    told = FraudContext(
        tenant="one",
        stage="pre_auth",
        as_of=_AT,
        payment_id="pay_1",
        amount_minor=5,
        currency="EUR",
        base_minor=6,
        base_currency="USD",
        off_session=off_session,
        card=card,
        features=features,
    )
    named = {"tenant": "one", "payment_id": "pay_1"}
    again = told_in(_stored(spelled_context(told)))
    assert msgspec.convert(again | named, FraudContext) == told


def test_who_has_nothing_to_say_is_a_word() -> None:
    said = (
        Evaluated(rule="lists", verdict="abstain", took_us=2),
        Evaluated(rule="ring", verdict="abstain", version=3),
        Evaluated(rule="testing", verdict="allow", took_us=1),
        Evaluated(rule="velocity", verdict="review", reason="often"),
    )
    spelled = spelled_verdicts(said)
    assert spelled["plain"] == {"abstain": "lists=2 ring@3=0", "allow": "testing=1"}
    assert [each.rule for each in spelled["verdicts"]] == ["velocity"]


async def test_the_database_reads_the_same(shop: Shop) -> None:
    said = (
        Evaluated(rule="lists", verdict="abstain", took_us=2),
        Evaluated(rule="ring", verdict="abstain", version=3, took_us=17),
        Evaluated(rule="testing", verdict="allow", took_us=1),
        Evaluated(rule="velocity", verdict="review", reason="often", took_us=4, mode="shadow"),
    )
    assert await _by_database(shop, _stored(spelled_verdicts(said))) == said


async def _by_database(shop: Shop, document: dict[str, Any]) -> tuple[Evaluated, ...]:
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        rows = await session.fetch("SELECT said FROM fraud_said($1) AS said", document)
    read = msgspec.convert([row["said"] for row in rows], list[Evaluated])
    return tuple(sorted(read, key=lambda each: each.rule))
