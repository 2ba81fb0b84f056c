"""Is an answer weighed for what it proves, and for nothing more?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.plugin import (
    Amount,
    BankDetails,
    Decline,
    DisputeEvent,
    DisputeReport,
    Manifest,
    NextAction,
    Outcome,
    WebhookEvent,
)
from payengine.registry import Answer, CallKind, judge
from payengine.registry.answers import clean_text, judge_event

from tests.core.registry.gateways import DECLINED, authorize_request, good_outcome

ASKED = Amount(1_000, "EUR")
MANIFEST = Manifest(name="m", title="M", version="1", not_processed_codes=("busy",))
CARD = "4242424242424242"


def weighed(outcome: object, kind: CallKind = "authorize", **options: Any) -> Answer:
    chosen: dict[str, Any] = {"asked": ASKED, "manifest": MANIFEST} | options
    return judge(outcome, kind=kind, **chosen)


def outcome(**changes: Any) -> Outcome:
    return good_outcome(authorize_request(), **changes)


def test_decline_is_a_result() -> None:
    said = Outcome(status="declined", decline=DECLINED, raw_status="51")
    assert weighed(said) == Answer(kind="outcome", outcome=said)


def test_pending_and_challenge_are_results() -> None:
    for said in (
        outcome(status="pending"),
        outcome(status="requires_action", amount=None, next_action=NextAction(url="/challenge/1")),
        outcome(status="requires_action", next_action=NextAction(url="https://bank.example/a?b=c")),
    ):
        assert weighed(said) == Answer(kind="outcome", outcome=said)


@pytest.mark.parametrize("status", ["succeeded", "pending", "requires_action"])
@pytest.mark.parametrize("amount", [Amount(999, "EUR"), Amount(1_000, "USD")])
def test_another_amount_is_unknown_and_keeps_what_was_said(status: str, amount: Amount) -> None:
    action = NextAction(url="/x") if status == "requires_action" else None
    said = outcome(status=status, amount=amount, next_action=action)
    answer = weighed(said)
    assert (answer.kind, answer.mismatch, answer.outcome) == ("unknown", True, said)
    assert "1000 EUR" in answer.detail


def test_money_taken_against_the_request_is_a_mismatch() -> None:
    assert weighed(outcome(captured=True), capture=False).mismatch
    assert weighed(outcome(captured=False), capture=True).mismatch
    assert not weighed(outcome(captured=True), capture=True).mismatch


def test_void_needs_no_amount_but_a_named_one_must_agree() -> None:
    assert weighed(outcome(amount=None), kind="void").kind == "outcome"
    assert weighed(outcome(amount=Amount(1, "EUR")), kind="void").mismatch


def test_lookup_may_find_nothing_and_compares_where_it_is_told_the_amount() -> None:
    nothing = Outcome(status="not_found")
    assert weighed(nothing, kind="lookup") == Answer(kind="outcome", outcome=nothing)
    found = outcome(amount=Amount(7, "EUR"))
    assert weighed(found, kind="lookup", asked=None).kind == "outcome"
    assert weighed(found, kind="lookup").mismatch


@pytest.mark.parametrize(
    "said",
    [
        Outcome(status="not_processed", raw_status="busy"),
        Outcome(status="not_processed", decline=Decline(code="try_later", raw_code="busy")),
    ],
)
def test_listed_code_proves_that_nothing_happened(said: Outcome) -> None:
    answer = weighed(said)
    assert (answer.kind, answer.reason) == ("not_sent", "not_processed")
    # For a lookup it is the thing found out; the lookup itself was sent.
    assert weighed(said, kind="lookup") == Answer(kind="outcome", outcome=said)


def test_code_that_is_not_listed_proves_nothing() -> None:
    answer = weighed(Outcome(status="not_processed", raw_status="oops"))
    assert (answer.kind, answer.reason, answer.outcome) == ("unknown", "nonsense", None)


def test_card_numbers_do_not_pass() -> None:
    decline = Decline(code="do_not_honor", raw_code=CARD, raw_text=f"card {CARD} refused")
    answer = weighed(Outcome(status="declined", decline=decline, raw_status=CARD))
    assert answer.kind == "outcome"
    assert CARD not in repr(answer)
    assert weighed(outcome(provider_reference=CARD)).reason == "nonsense"
    url = NextAction(url=f"https://bank.example/?pan={CARD}")
    refused = weighed(outcome(status="requires_action", next_action=url))
    assert refused.reason == "nonsense"
    assert CARD not in repr(refused)


def test_long_and_unprintable_words_are_cut_and_cleaned() -> None:
    decline = Decline(code="x", raw_code="r" * 9_999, raw_text="no\x00pe\ud800" + "t" * 9_999)
    said = weighed(Outcome(status="declined", decline=decline, raw_status="s\n" * 999)).outcome
    assert said is not None
    assert said.decline is not None
    assert (len(said.decline.raw_code), len(said.decline.raw_text)) == (255, 500)
    assert said.decline.raw_text.startswith("no pe ")
    assert len(said.raw_status) <= 255
    assert said.raw_status.isprintable()


def test_time_becomes_utc() -> None:
    east = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    said = weighed(outcome(expires_at=east)).outcome
    assert said is not None
    assert said.expires_at == datetime(2030, 1, 1, 10, tzinfo=UTC)
    assert said.expires_at.tzinfo is UTC


@pytest.mark.parametrize(
    "url", ["ftp://x/", "javascript:alert(1)", "//evil.example", "http://", "https://a b/", ""]
)
def test_address_that_a_buyer_must_not_open(url: str) -> None:
    said = outcome(status="requires_action", next_action=NextAction(url=url))
    assert weighed(said).reason == "nonsense"


_DETAILS: dict[str, Any] = {
    "holder": "Ada Lovelace",
    "iban": "NL91ABNA0417164300",
    "bic": "ABNANL2A",
    "reference": "RF18539007547034",
    "amount": ASKED,
}


@pytest.mark.parametrize(
    ("wrong", "is_right"),
    [
        ({}, True),
        ({"bic": ""}, True),
        ({"iban": "NL91ABNA0417164301"}, False),
        ({"iban": "nl91abna0417164300"}, False),
        ({"iban": ""}, False),
        ({"bic": "ABNA"}, False),
        ({"holder": ""}, False),
        ({"holder": "A" * 141}, False),
        ({"reference": "a\nb"}, False),
        ({"reference": CARD}, False),
        ({"amount": Amount(0, "EUR")}, False),
    ],
)
def test_only_an_account_is_shown_to_a_buyer(wrong: dict[str, Any], is_right: bool) -> None:
    details = BankDetails(**(_DETAILS | wrong))
    action = NextAction(url="https://bank.example/pay", bank_details=details)
    answer = weighed(outcome(status="requires_action", amount=None, next_action=action))
    assert (answer.reason == "nonsense") is not is_right
    if is_right:
        assert answer.outcome is not None
        assert answer.outcome.next_action == action


_ANYTHING: Any = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.datetimes()
)


@given(
    st.fixed_dictionaries(
        {"status": st.sampled_from(["succeeded", "declined", "pending", "not_processed", 7])},
        optional={
            "provider_reference": _ANYTHING,
            "amount": st.builds(Amount, _ANYTHING, _ANYTHING) | st.just(ASKED) | _ANYTHING,
            "captured": _ANYTHING,
            "decline": st.builds(Decline, code=_ANYTHING, raw_code=_ANYTHING) | _ANYTHING,
            "next_action": _ANYTHING,
            "fee_minor": _ANYTHING,
            "expires_at": _ANYTHING,
            "raw_status": _ANYTHING,
        },
    )
)
def test_whatever_a_plugin_says_only_what_was_asked_is_booked(fields: dict[str, Any]) -> None:
    answer = weighed(Outcome(**fields))
    msgspec.json.encode(answer)
    assert answer.kind != "not_sent"
    if answer.kind == "outcome":
        said = answer.outcome
        assert said is not None
        assert said.status in ("succeeded", "pending", "declined")
        assert said.status == "declined" or said.amount == ASKED
        assert type(said.fee_minor) is int


@given(st.text())
def test_cleaned_text_can_be_stored(text: str) -> None:
    cleaned = clean_text(text, limit=50)
    assert len(cleaned) <= 50
    assert cleaned.isprintable()
    cleaned.encode()


def event(**changes: Any) -> WebhookEvent:
    fields: dict[str, Any] = {
        "event_id": "evt_1",
        "kind": "authorize",
        "key": "op_1",
        "provider_reference": "ch_1",
        "outcome": outcome(),
        "occurred_at": datetime(2030, 1, 1, tzinfo=UTC),
    }
    return WebhookEvent(**(fields | changes))


def test_good_event_passes_unharmed() -> None:
    assert judge_event(event(), manifest=MANIFEST) == event()


@pytest.mark.parametrize(
    "broken",
    [
        None,
        {"event_id": "evt_1"},
        event(event_id=""),
        event(event_id="e" * 256),
        event(key="\x00"),
        event(kind="steal"),
        event(occurred_at=datetime(2030, 1, 1)),  # noqa: DTZ001
        event(outcome=None),
        event(outcome=outcome(amount=Amount(-1, "EUR"))),
        event(outcome=Outcome(status="not_found")),
    ],
)
def test_broken_event_is_refused(broken: Any) -> None:
    with pytest.raises((ValueError, msgspec.ValidationError)):
        judge_event(broken, manifest=MANIFEST)


def test_a_status_that_nobody_knows_is_a_verified_event_all_the_same() -> None:
    strange = judge_event(
        event(outcome=outcome(status="partially_maybe", raw_status="PARTIAL")), manifest=MANIFEST
    )
    assert isinstance(strange, WebhookEvent)
    assert strange.outcome == Outcome(status="unmodelled", raw_status="PARTIAL")


def test_an_events_time_is_put_into_utc() -> None:
    east = datetime(2030, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert judge_event(event(occurred_at=east), manifest=MANIFEST) == event()


def dispute(**changes: Any) -> DisputeEvent:
    fields: dict[str, Any] = {
        "reference": "dsp_1",
        "status": "needs_response",
        "amount": Amount(1_000, "EUR"),
        "reason": "fraudulent",
        "fee_minor": 1_500,
        "evidence_due_at": datetime(2030, 1, 8, tzinfo=UTC),
    }
    around = {"event_id": "evt_1", "key": "op_1", "provider_reference": "ch_1"}
    around |= {name: changes.pop(name) for name in [*changes] if name in around}
    at = changes.pop("occurred_at", datetime(2030, 1, 1, tzinfo=UTC))
    return DisputeEvent(
        **around,
        dispute=DisputeReport(**(fields | changes)),
        occurred_at=at,
    )


def test_a_good_dispute_passes_unharmed() -> None:
    assert judge_event(dispute(), manifest=MANIFEST) == dispute()


def test_a_disputes_reason_is_cleaned() -> None:
    read = judge_event(dispute(reason="4111 1111 1111 1111\n\x00stolen"), manifest=MANIFEST)
    assert isinstance(read, DisputeEvent)
    assert read.dispute.reason == "[card number]  stolen"


@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": ""},
        {"key": ""},
        {"provider_reference": "x" * 256},
        {"reference": ""},
        {"reference": "4111111111111111"},
        {"status": "maybe"},
        {"amount": Amount(0, "EUR")},
        {"amount": Amount(1, "euro")},
        {"amount": None},
        {"fee_minor": -1},
        {"fee_minor": 10**15},
        {"evidence_due_at": datetime(2030, 1, 1)},  # noqa: DTZ001
        {"occurred_at": datetime(2030, 1, 1)},  # noqa: DTZ001
        {"occurred_at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))},
    ],
    ids=lambda changes: ",".join(changes),
)
def test_a_broken_dispute_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((ValueError, msgspec.ValidationError)):
        judge_event(dispute(**changes), manifest=MANIFEST)


@pytest.mark.parametrize("kind", ["authorize", "capture", "refund", "lookup"])
@pytest.mark.parametrize(
    ("said", "named"),
    [
        (Outcome(status="unmodelled", raw_status="frozen"), "frozen"),
        (Outcome(status="perhaps"), "perhaps"),  # type: ignore[arg-type]
        (Outcome(status="unmodelled", raw_status=f"card {CARD}"), "card [card number]"),
        (Outcome(status="unmodelled", raw_status="x" * 900), "x" * 255),
    ],
)
def test_a_status_that_nobody_knows_is_unknown_and_named(
    said: Outcome, named: str, kind: CallKind
) -> None:
    assert weighed(said, kind) == Answer(kind="unknown", reason="unmodelled", detail=named)


@pytest.mark.parametrize("kind", ["submit_evidence", "accept_dispute"])
def test_a_step_of_a_dispute_needs_no_amount(kind: CallKind) -> None:
    said = Outcome(status="succeeded")
    assert weighed(said, kind, asked=None) == Answer(kind="outcome", outcome=said)
