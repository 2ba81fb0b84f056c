"""Does the gateway ask Stripe as it should, and believe only what an answer proves?"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from fake_stripe_process import FakeStripe, api_key, call_of, losing_the_answer, payment
from payengine.plugin import (
    Amount,
    Authorize,
    Call,
    Capture,
    Increment,
    Movement,
    NotSent,
    Outcome,
    Refund,
    Void,
)
from payengine_stripe.client import API_VERSION
from payengine_stripe.gateway import MANIFEST, StripeGateway
from payengine_stripe.problems import NOT_PROCESSED_CODES, Refused, Unreadable
from payengine_stripe.samples import stripe_case

_DAY = timedelta(days=1)


def euros(minor: int) -> Amount:
    """An amount in EUR."""
    return Amount(minor, "EUR")


async def paid(gateway: StripeGateway, call: Call, request: Authorize) -> str:
    """The reference of an authorization that succeeded."""
    outcome = await gateway.authorize(call, request)
    assert outcome.status == "succeeded", outcome
    assert outcome.provider_reference is not None
    return outcome.provider_reference


async def books(gateway: StripeGateway, call: Call) -> list[Movement]:
    """Every line of the account."""
    now = datetime.now(UTC)
    return list(await gateway.movements(call, since=now - _DAY, until=now + _DAY))


def test_importing_the_plugin_does_not_import_stripes_sdk() -> None:
    program = (
        "import sys, payengine_stripe; payengine_stripe.gateways()[0].describe();"
        "sys.exit('stripe' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


async def test_every_request_says_the_version_and_writes_carry_their_own_key(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    call = call_of(key, multicapture=True, increments=True, connected_account="acct_1")
    held = payment(capture=False)
    reference = await paid(gateway, call, held)
    raised = Increment(key="inc", provider_reference=reference, amount=euros(500))
    await gateway.increment(call, raised)
    part = Capture(key="cap", provider_reference=reference, amount=euros(700), final=False)
    await gateway.capture(call, part)
    back = Refund(key="ref", provider_reference=reference, amount=euros(100))
    await gateway.refund(call, back)
    await gateway.void(call, Void(key="voi", provider_reference=reference, amount=euros(800)))
    seen = fake.state(key)["seen"]
    assert {request["stripe-version"] for request in seen} == {API_VERSION}
    assert {request["stripe-account"] for request in seen} == {"acct_1"}
    assert all("x-stripe-client-telemetry" not in request for request in seen)
    written = [request for request in seen if request["method"] == "POST"]
    assert [request["idempotency-key"] for request in written] == [
        held.key,
        "inc",
        "cap",
        "ref",
        "voi",
    ]
    assert all("idempotency-key" not in request for request in seen if request not in written)


@pytest.mark.parametrize("base", ["http://127.0.0.1:9", "gopher://127.0.0.1", "http://[::bad"])
async def test_a_connection_that_is_refused_is_not_sent(key: str, base: str) -> None:
    gateway = StripeGateway(api_base=base)
    with pytest.raises(NotSent):
        await gateway.authorize(call_of(key), payment())
    await gateway.aclose()


@pytest.mark.parametrize("fault", ["error_before", "error_after", "kept_500", "reset_after"])
async def test_a_lost_or_broken_answer_proves_nothing(
    gateway: StripeGateway, key: str, fault: str
) -> None:
    with pytest.raises((Refused, Unreadable)):
        await gateway.authorize(call_of(key), losing_the_answer(payment(), fault))


async def test_a_rate_limit_is_proof_that_nothing_happened(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    outcome = await gateway.authorize(call_of(key), losing_the_answer(payment(), "rate_limit"))
    assert (outcome.status, outcome.raw_status) == ("not_processed", "rate_limit")
    assert outcome.raw_status in MANIFEST.not_processed_codes
    assert "payment_intent" not in fake.books(key)


@pytest.mark.parametrize("wrong", ["nonsense", "sk_test_\n", "sk_test_ключ"])
async def test_a_key_that_is_not_accepted_is_proof_too(gateway: StripeGateway, wrong: str) -> None:
    outcome = await gateway.authorize(call_of(wrong), payment())
    assert (outcome.status, outcome.raw_status) == ("not_processed", "authentication_error")
    assert set(MANIFEST.not_processed_codes) == set(NOT_PROCESSED_CODES)


@pytest.mark.parametrize("live", [True, False])
async def test_a_key_of_the_other_mode_is_never_used(
    gateway: StripeGateway, fake: FakeStripe, live: bool
) -> None:
    key = api_key(live=live)
    call = msgspec.structs.replace(call_of(key), mode="test" if live else "live")
    outcome = await gateway.authorize(call, payment())
    assert (outcome.status, outcome.raw_status) == ("not_processed", "key_of_another_mode")
    assert fake.state(key)["seen"] == []


async def test_a_live_world_uses_its_live_key(gateway: StripeGateway, fake: FakeStripe) -> None:
    key = api_key(live=True)
    call = msgspec.structs.replace(call_of(key), mode="live")
    outcome = await gateway.authorize(call, payment())
    assert outcome.status == "declined"  # a test card at a live account
    assert len(fake.state(key)["seen"]) == 1


async def test_the_same_key_under_way_is_no_outcome(gateway: StripeGateway, key: str) -> None:
    request = payment()
    answers = await asyncio.gather(
        *(gateway.authorize(call_of(key), request) for _ in range(6)), return_exceptions=True
    )
    outcomes = [a for a in answers if isinstance(a, Outcome)]
    assert {a.status for a in outcomes} == {"succeeded"}
    assert len({a.provider_reference for a in outcomes}) == 1
    # Whoever came before the first was through was sent away; how many is the machine's affair.
    under_way = [a for a in answers if not isinstance(a, Outcome)]
    assert all(isinstance(a, Refused) and a.status == 409 for a in under_way)


async def test_a_used_key_with_another_body_is_no_outcome(gateway: StripeGateway, key: str) -> None:
    request = payment()
    await paid(gateway, call_of(key), request)
    other = msgspec.structs.replace(request, amount=euros(999))
    with pytest.raises(Refused, match="idempotency_error"):
        await gateway.authorize(call_of(key), other)


@pytest.mark.parametrize(
    ("kind", "token", "types"),
    [
        ("card", "pm_card_visa", ["card"]),
        ("card", "tok_visa", ["card"]),
        ("card", "ctoken_visa", ["card"]),
        ("apple_pay", "pm_card_visa", ["card"]),
        ("google_pay", "tok_mastercard", ["card"]),
        ("link", "pm_card_visa", ["card", "link"]),
    ],
)
async def test_wallets_and_every_kind_of_token_are_taken(
    gateway: StripeGateway, fake: FakeStripe, key: str, kind: str, token: str, types: list[str]
) -> None:
    outcome = await gateway.authorize(call_of(key), payment(kind=kind, token=token))
    assert outcome.status == "succeeded"
    assert fake.books(key)["payment_intent"][0]["payment_method_types"] == types
    assert kind in MANIFEST.methods


async def test_a_challenge_leads_to_the_bank_or_is_declined_where_nobody_could_return(
    gateway: StripeGateway, key: str
) -> None:
    request = payment(token="pm_card_threeDSecure2Required")
    asked = await gateway.authorize(call_of(key), request)
    assert asked.status == "requires_action"
    assert asked.next_action is not None
    assert "/3ds/pi_" in asked.next_action.url
    nowhere = payment(token="pm_card_threeDSecure2Required", return_url=None)
    declined = await gateway.authorize(call_of(key), nowhere)
    assert declined.status == "declined"
    assert declined.decline is not None
    assert declined.decline.code == "authentication_required"
    shops = call_of(key, return_url="https://shop.example/default")
    again = payment(token="pm_card_threeDSecure2Required", return_url=None)
    assert (await gateway.authorize(shops, again)).status == "requires_action"


async def test_off_session_a_challenge_is_a_decline(gateway: StripeGateway, key: str) -> None:
    away = payment(token="pm_card_authenticationRequired", off_session=True)
    outcome = await gateway.authorize(call_of(key), away)
    assert outcome.decline is not None
    assert (outcome.status, outcome.decline.code) == ("declined", "authentication_required")


async def test_the_shops_metadata_goes_along_as_far_as_stripe_keeps_it(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    theirs = {f"note{number:02}": "x" for number in range(50)}
    theirs |= {"payengine_key": "forged", "payengine_capture_1": "1 forged", "a[b]": "x", "e": ""}
    request = payment(metadata=dict(list(theirs.items())))
    await paid(gateway, call_of(key), request)
    kept = fake.books(key)["payment_intent"][0]["metadata"]
    assert kept["payengine_key"] == request.key
    assert kept["payengine_payment"] == "pay_1"
    assert "payengine_capture_1" not in kept
    assert len(kept) == 40
    assert kept["note37"] == "x"


async def test_captures_increments_and_refunds_are_done_once_for_each_key(
    gateway: StripeGateway, key: str
) -> None:
    call = call_of(key, multicapture=True, increments=True)
    reference = await paid(gateway, call, payment(capture=False))
    raised = Increment(key="inc", provider_reference=reference, amount=euros(500))
    taken = Capture(key="cap", provider_reference=reference, amount=euros(700), final=False)
    given = Refund(key="ref", provider_reference=reference, amount=euros(100))
    for _ in range(2):
        assert (await gateway.increment(call, raised)).amount == euros(500)
        assert (await gateway.capture(call, taken)).amount == euros(700)
        assert (await gateway.refund(call, given)).amount == euros(100)
    assert [(line.key, line.amount.minor) for line in await books(gateway, call)] == [
        ("cap", 700),
        ("ref", -100),
    ]


async def test_an_increment_whose_answer_was_lost_is_not_made_twice(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    call = call_of(key, increments=True)
    reference = await paid(gateway, call, payment(capture=False))
    fake.faults(key, seed=1, reset_after=1_000)
    request = Increment(key="inc", provider_reference=reference, amount=euros(500))
    with pytest.raises(Unreadable):
        await gateway.increment(call, request)
    fake.faults(key)
    fake.forget_keys()  # even where Stripe forgot the key, the mark tells
    outcome = await gateway.increment(call, request)
    assert (outcome.status, outcome.amount) == ("succeeded", euros(500))
    assert fake.books(key)["payment_intent"][0]["amount"] == 1_500


@pytest.mark.parametrize(
    ("what", "code"), [("capture", "multicapture_is_off"), ("increment", "increments_are_off")]
)
async def test_what_is_switched_off_is_refused_before_it_is_sent(
    gateway: StripeGateway, fake: FakeStripe, key: str, what: str, code: str
) -> None:
    call = call_of(key)
    reference = await paid(gateway, call, payment(capture=False))
    before = len(fake.state(key)["seen"])
    if what == "capture":
        part = Capture(key="c", provider_reference=reference, amount=euros(1), final=False)
        outcome = await gateway.capture(call, part)
    else:
        more = Increment(key="i", provider_reference=reference, amount=euros(1))
        outcome = await gateway.increment(call, more)
    assert (outcome.status, outcome.raw_status) == ("not_processed", code)
    assert len(fake.state(key)["seen"]) == before


async def test_a_card_without_multicapture_says_so_and_takes_nothing(
    gateway: StripeGateway, key: str
) -> None:
    call = call_of(key, multicapture=True)
    reference = await paid(gateway, call, payment(token="pm_card_diners", capture=False))
    part = Capture(key="c", provider_reference=reference, amount=euros(300), final=False)
    assert (await gateway.capture(call, part)).status == "declined"
    whole = Capture(key="d", provider_reference=reference, amount=euros(300), final=True)
    assert (await gateway.capture(call, whole)).status == "succeeded"


async def test_voiding_what_is_canceled_already_succeeds_and_what_is_taken_does_not(
    gateway: StripeGateway, key: str
) -> None:
    call = call_of(key)
    held = await paid(gateway, call, payment(capture=False))
    for number in range(2):
        void = Void(key=f"v{number}", provider_reference=held, amount=euros(1_000))
        assert (await gateway.void(call, void)).status == "succeeded"
    taken = await paid(gateway, call, payment())
    late = Void(key="v9", provider_reference=taken, amount=euros(1_000))
    outcome = await gateway.void(call, late)
    assert outcome.decline is not None
    assert outcome.decline.raw_code == "payment_intent_unexpected_state"


async def test_a_reason_of_stripes_is_told_and_any_other_is_noted(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    call = call_of(key)
    reference = await paid(gateway, call, payment())
    for number, reason in enumerate(("duplicate", "it was broken", None)):
        refund = Refund(
            key=f"r{number}", provider_reference=reference, amount=euros(10), reason=reason
        )
        assert (await gateway.refund(call, refund)).status == "succeeded"
    made = fake.books(key)["refund"]
    assert [one["reason"] for one in made] == ["duplicate", None, None]
    assert made[1]["metadata"]["payengine_reason"] == "it was broken"


async def test_each_account_has_its_own_client_and_the_fewest_needed_are_kept(
    gateway: StripeGateway, fake: FakeStripe
) -> None:
    keys = [api_key() for _ in range(3)]
    for each in keys:
        await paid(gateway, call_of(each), payment())
    assert [len(fake.books(each)["payment_intent"]) for each in keys] == [1, 1, 1]
    clients = gateway._clients._clients
    assert len(clients) == 3
    for number in range(300):
        await gateway._clients._client(call_of(f"sk_test_{number}"))
    assert len(clients) == 256
    await gateway.aclose()
    assert len(clients) == 0
    await paid(gateway, call_of(keys[0]), payment())


async def test_whatever_strikes_each_key_moves_money_once(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    rates = ("rate_limit", "error_before", "error_after", "reset_before", "reset_after")
    fake.faults(key, seed=11, hang_after=50, **dict.fromkeys(rates, 60))
    call = call_of(key)

    async def insist(request: Authorize) -> None:
        for _ in range(30):
            try:
                async with asyncio.timeout(2):
                    outcome = await gateway.authorize(call, request)
            except (TimeoutError, NotSent, Refused, Unreadable):
                continue
            if outcome.status == "succeeded":
                return
            assert outcome.status == "not_processed"
        raise AssertionError(f"{request.key} was never answered")

    requests = [payment(f"op_{number}") for number in range(60)]
    await asyncio.gather(*map(insist, requests))
    assert len(fake.state(key)["struck"]) == 6
    fake.faults(key)
    lines = await books(gateway, call)
    assert Counter(line.key for line in lines) == {request.key: 1 for request in requests}


def test_the_contracts_case_signs_with_the_settings_secret() -> None:
    case = stripe_case(api_key="sk_test_x", api_base="http://127.0.0.1:9")
    assert case.sign_webhook is not None
    outcome = Outcome(status="succeeded", provider_reference="pi_1", amount=euros(1_000))
    genuine = case.sign_webhook(case.call(), payment(), outcome, datetime.now(UTC))
    (event,) = case.gateway.parse_webhook(case.call(), genuine)
    assert event.provider_reference == "pi_1"


@pytest.mark.parametrize("fault", ["error_before", "reset_before"])
async def test_a_question_that_comes_first_and_is_not_answered_sends_nothing(
    gateway: StripeGateway, fake: FakeStripe, key: str, fault: str
) -> None:
    call = call_of(key, increments=True)
    reference = await paid(gateway, call, payment(capture=False))
    rates: dict[str, Any] = {fault: 1_000}
    fake.faults(key, reads=True, **rates)
    raised = Increment(key="inc", provider_reference=reference, amount=euros(500))
    with pytest.raises(NotSent):
        await gateway.increment(call, raised)
    with pytest.raises(NotSent):
        await gateway.authorize(call, payment(token="pm_saved", saved=True))
    assert [seen["method"] for seen in fake.state(key)["seen"]] == ["POST", "GET", "GET"]
