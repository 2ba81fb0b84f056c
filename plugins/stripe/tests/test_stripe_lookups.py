"""Can what became of a request be found out, and is "not found" never a guess?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from fake_stripe_process import FakeStripe, call_of, losing_the_answer, payment
from payengine.plugin import Amount, Authorize, Call, Capture, Increment, Lookup, Refund, Void
from payengine_stripe import lookups
from payengine_stripe.gateway import MANIFEST, StripeGateway
from payengine_stripe.problems import Refused, Unreadable

_LONG = timedelta(hours=26)


def euros(minor: int) -> Amount:
    """An amount in EUR."""
    return Amount(minor, "EUR")


async def lose(gateway: StripeGateway, call: Call, request: Authorize) -> datetime:
    """Send a request whose answer never comes; when it was sent."""
    sent_at = datetime.now(UTC)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await gateway.authorize(call, losing_the_answer(request))
    return sent_at


def test_not_found_is_no_evidence_while_stripe_remembers_the_key() -> None:
    assert MANIFEST.key_window_s < 24 * 3_600
    assert MANIFEST.lookup_consistent_after_ms > 24 * 3_600 * 1_000


@pytest.mark.parametrize("capture", [True, False])
async def test_a_lost_authorization_is_found_by_its_key(
    gateway: StripeGateway, key: str, capture: bool
) -> None:
    call, request = call_of(key), payment(capture=capture)
    sent_at = await lose(gateway, call, request)
    for known in (sent_at, None):
        lookup = Lookup(key=request.key, kind="authorize", sent_at=known)
        found = await gateway.lookup(call, lookup)
        assert (found.status, found.amount) == ("succeeded", euros(1_000))
        assert found.captured is capture
        assert (found.expires_at is None) is capture
        assert (found.fee_minor > 0) is capture


async def test_what_was_sent_at_another_time_is_not_searched_for(
    gateway: StripeGateway, key: str
) -> None:
    call, request = call_of(key), payment()
    sent_at = await lose(gateway, call, request)
    lookup = Lookup(key=request.key, kind="authorize", sent_at=sent_at - timedelta(hours=2))
    assert (await gateway.lookup(call, lookup)).status == "not_found"
    # Past the key's window every moment counts at which it may have been sent again.
    lookup = Lookup(key=request.key, kind="authorize", sent_at=sent_at - timedelta(hours=25))
    assert (await gateway.lookup(call, lookup)).status == "succeeded"


async def test_a_list_that_is_too_long_tells_nothing_past_the_keys_window(
    gateway: StripeGateway, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = call_of(key)
    await asyncio.gather(*(gateway.authorize(call, payment()) for _ in range(101)))
    monkeypatch.setattr(lookups, "_MOST_PAGES", 1)
    now = datetime.now(UTC)
    early = Lookup(key="op_never", kind="authorize", sent_at=now)
    assert (await gateway.lookup(call, early)).status == "not_found"
    for sent_at in (now - timedelta(hours=25), None):
        late = Lookup(key="op_never", kind="authorize", sent_at=sent_at)
        with pytest.raises(Unreadable, match="than can be read"):
            await gateway.lookup(call, late)


async def test_steps_are_found_by_the_payment_that_they_belong_to(
    gateway: StripeGateway, key: str
) -> None:
    call = call_of(key, multicapture=True, increments=True)
    held = await gateway.authorize(call, payment(capture=False))
    reference = held.provider_reference or ""
    more = Increment(key="inc", provider_reference=reference, amount=euros(200))
    await gateway.increment(call, more)
    fees = {}
    for name, minor in (("cap1", 300), ("cap2", 400)):
        part = Capture(key=name, provider_reference=reference, amount=euros(minor), final=False)
        fees[name] = (await gateway.capture(call, part)).fee_minor
    back = Refund(key="ref", provider_reference=reference, amount=euros(50))
    refund = await gateway.refund(call, back)

    async def found(kind: str, name: str, at: str = reference) -> tuple[str, int | None, int]:
        lookup = Lookup(key=name, kind=kind, provider_reference=at)  # type: ignore[arg-type]
        outcome = await gateway.lookup(call, lookup)
        return outcome.status, outcome.amount.minor if outcome.amount else None, outcome.fee_minor

    assert await found("increment", "inc") == ("succeeded", 200, 0)
    assert await found("capture", "cap1") == ("succeeded", 300, fees["cap1"])
    assert await found("capture", "cap2") == ("succeeded", 400, fees["cap2"])
    assert await found("refund", "ref") == ("succeeded", 50, 0)
    assert await found("refund", "ref", refund.provider_reference or "") == ("succeeded", 50, 0)
    for kind in ("increment", "capture", "refund", "void"):
        assert (await found(kind, "never"))[0] == "not_found"
    await gateway.void(call, Void(key="voi", provider_reference=reference, amount=euros(500)))
    assert (await found("void", "voi"))[0] == "succeeded"
    assert await found("capture", "cap1") == ("succeeded", 300, fees["cap1"])


@pytest.mark.parametrize("kind", ["capture", "increment", "void", "refund"])
async def test_a_step_without_a_payment_cannot_be_looked_up(
    gateway: StripeGateway, key: str, kind: str
) -> None:
    lookup = Lookup(key="k", kind=kind)  # type: ignore[arg-type]
    with pytest.raises(Unreadable):
        await gateway.lookup(call_of(key), lookup)


async def test_another_accounts_payment_is_no_evidence(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    held = await gateway.authorize(call_of(key), payment(capture=False))
    lookup = Lookup(key="k", kind="authorize", provider_reference=held.provider_reference)
    with pytest.raises(Refused):
        await gateway.lookup(call_of("sk_test_somebody_else"), lookup)
    with pytest.raises(Unreadable, match="another key"):
        await gateway.lookup(call_of(key), lookup)


async def test_a_payment_that_is_processing_is_pending_until_it_is_not(
    gateway: StripeGateway, key: str
) -> None:
    call, request = call_of(key), payment(token="pm_fake_processing", capture=False)
    outcome = await gateway.authorize(call, request)
    assert (outcome.status, outcome.amount) == ("pending", euros(1_000))
    reference = outcome.provider_reference
    lookup = Lookup(key=request.key, kind="authorize", provider_reference=reference)
    async with asyncio.timeout(60):
        while (found := await gateway.lookup(call, lookup)).status == "pending":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert found.status == "succeeded"


async def test_a_hold_that_ended_at_stripe_has_run_out(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    call, request = call_of(key), payment(capture=False)
    held = await gateway.authorize(call, request)
    fake.post(f"payment_intents/{held.provider_reference}/cancel", key, {})
    lookup = Lookup(key=request.key, kind="authorize", provider_reference=held.provider_reference)
    found = await gateway.lookup(call, lookup)
    assert (found.status, found.captured) == ("succeeded", False)
    assert found.expires_at is not None
    assert found.expires_at <= datetime.now(UTC)
    waiting = payment(token="pm_card_threeDSecure2Required")
    asked = await gateway.authorize(call, waiting)
    fake.post(f"payment_intents/{asked.provider_reference}/cancel", key, {})
    lookup = Lookup(key=waiting.key, kind="authorize", provider_reference=asked.provider_reference)
    assert (await gateway.lookup(call, lookup)).status == "declined"


@pytest.mark.parametrize(
    ("token", "first", "then"),
    [
        ("pm_card_pendingRefund", "pending", "succeeded"),
        ("pm_card_refundFail", "succeeded", "declined"),
    ],
)
async def test_a_refund_that_takes_its_time_ends_as_stripe_says(
    gateway: StripeGateway, key: str, token: str, first: str, then: str
) -> None:
    call = call_of(key)
    sale = await gateway.authorize(call, payment(token=token))
    request = Refund(key="r", provider_reference=sale.provider_reference or "", amount=euros(70))
    assert (await gateway.refund(call, request)).status == first
    lookup = Lookup(key="r", kind="refund", provider_reference=sale.provider_reference)
    async with asyncio.timeout(60):
        while (found := await gateway.lookup(call, lookup)).status == first:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert found.status == then


@pytest.mark.parametrize(("age", "status"), [(timedelta(hours=1), None), (_LONG, "not_processed")])
async def test_a_payment_that_was_never_tried_is_open_until_nothing_can_try_it_any_more(
    gateway: StripeGateway,
    fake: FakeStripe,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
    age: timedelta,
    status: str | None,
) -> None:
    made = {"amount": "1000", "currency": "eur", "metadata[payengine_key]": "op_1"}
    reference = fake.post("payment_intents", key, made).json()["id"]
    monkeypatch.setattr(lookups, "_SENT_WITHIN", lookups._SENT_WITHIN - age)
    lookup = Lookup(key="op_1", kind="authorize", provider_reference=reference)
    if status is None:
        with pytest.raises(Unreadable, match="nothing is settled"):
            await gateway.lookup(call_of(key), lookup)
        return
    found = await gateway.lookup(call_of(key), lookup)
    assert (found.status, found.raw_status) == (status, "never_confirmed")
    assert found.raw_status in MANIFEST.not_processed_codes
