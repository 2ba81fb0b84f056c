"""Is only Stripe believed, and is each of its events read as the facts that it tells?"""

from __future__ import annotations

import json
import os
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from fake_stripe_mailbox import Mailbox
from fake_stripe_process import FakeStripe, call_of, payment
from fake_stripe_shop import WEBHOOK_SECRET, StripeShop
from fake_stripe_webhooks import signature
from payengine.plugin import (
    Amount,
    Call,
    Capture,
    DisputeEvent,
    Increment,
    Refund,
    WebhookEvent,
    WebhookRefused,
    WebhookRequest,
)
from payengine_stripe.gateway import StripeGateway
from payengine_stripe.webhooks import parse

_HOSTILE = int(os.environ.get("PAYENGINE_HOSTILE_WEBHOOKS", "1000"))
_SECRET = "whsec_test"
_NOW = datetime.now(UTC)


def spelled(event: dict[str, Any]) -> bytes:
    """An event as Stripe would spell it."""
    return json.dumps(event).encode()


def event_of(about: dict[str, Any], kind: str, **more: Any) -> dict[str, Any]:
    """An event about an object."""
    return {
        "id": "evt_1",
        "object": "event",
        "created": int(_NOW.timestamp()),
        "data": {"object": about},
        "livemode": False,
        "type": kind,
        **more,
    }


def intent_of(**more: Any) -> dict[str, Any]:
    """A PaymentIntent that took 10.00 EUR at once."""
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 1_000,
        "amount_received": 1_000,
        "capture_method": "automatic",
        "created": 1,
        "currency": "eur",
        "latest_charge": "ch_1",
        "livemode": False,
        "metadata": {"payengine_key": "op_1"},
        "status": "succeeded",
        **more,
    }


def sent(
    body: bytes, *secrets: str, at: datetime = _NOW, received_at: datetime | None = None
) -> WebhookRequest:
    """A signed call of Stripe's."""
    header = signature(body, secrets or (_SECRET,), int(at.timestamp()))
    return WebhookRequest(
        headers={"stripe-signature": header}, body=body, received_at=received_at or at
    )


PAID = spelled(event_of(intent_of(), "payment_intent.succeeded"))
CALL = call_of("sk_test_x")


def facts(call: Call, event: dict[str, Any]) -> list[tuple[str, str | None, str, int | None]]:
    """(kind, key, status, amount) of each fact in an event."""
    told: list[tuple[str, str | None, str, int | None]] = []
    for one in parse(call, sent(spelled(event))):
        assert isinstance(one, WebhookEvent)
        minor = one.outcome.amount.minor if one.outcome.amount else None
        told.append((one.kind, one.key, one.outcome.status, minor))
    return told


def test_a_genuine_event_tells_of_the_payment() -> None:
    (event,) = parse(CALL, sent(PAID))
    assert isinstance(event, WebhookEvent)
    assert (event.event_id, event.key, event.provider_reference) == ("evt_1", "op_1", "pi_1")
    assert event.outcome.amount == Amount(1_000, "EUR")
    assert event.incomplete  # the fee is in no webhook
    assert event.occurred_at == _NOW.replace(microsecond=0)


@pytest.mark.parametrize(
    "name", ["webhook_secret", "next_webhook_secret", "connect_webhook_secret"]
)
def test_each_of_the_live_secrets_is_enough(name: str) -> None:
    secrets: dict[str, Any] = {"webhook_secret": "whsec_other", name: "whsec_this"}
    call = call_of("sk_test_x", **secrets)
    assert parse(call, sent(PAID, "whsec_this"))
    assert parse(call, sent(PAID, "whsec_gone", "whsec_this"))
    with pytest.raises(WebhookRefused):
        parse(call, sent(PAID, "whsec_gone"))


def test_without_a_secret_nothing_is_believed() -> None:
    for secret in ("", "  "):
        with pytest.raises(WebhookRefused):
            parse(call_of("sk_test_x", webhook_secret=secret), sent(PAID, secret or "x"))


@pytest.mark.parametrize(
    ("age_s", "is_believed"), [(-61, False), (-59, True), (0, True), (299, True), (301, False)]
)
def test_the_timestamp_is_judged_by_when_it_was_received(age_s: int, is_believed: bool) -> None:
    for long_ago in (timedelta(), timedelta(days=400)):  # stored, and parsed much later
        at = _NOW.replace(microsecond=0) - long_ago
        request = sent(PAID, at=at, received_at=at + timedelta(seconds=age_s))
        if is_believed:
            assert parse(CALL, request)
        else:
            with pytest.raises(WebhookRefused):
                parse(CALL, request)


@pytest.mark.parametrize(
    "change",
    [
        {"livemode": True},
        {"account": "acct_other"},
        {"object": "v2.core.event"},
        {"id": ""},
        {"id": "e" * 300},
        {"created": "yesterday"},
        {"created": 10**18},
        {"data": {"object": [1]}},
        {"data": None},
        {"data": {"object": intent_of(livemode=True)}},
        {"data": {"object": intent_of(amount="1000")}},
        {"data": {"object": intent_of(metadata={"payengine_key": 5})}},
    ],
)
def test_an_event_that_is_not_meant_for_this_world_or_malformed_is_refused(
    change: dict[str, Any],
) -> None:
    event = event_of(intent_of(), "payment_intent.succeeded") | change
    with pytest.raises(WebhookRefused):
        parse(CALL, sent(spelled(event)))


def test_a_live_refund_is_not_believed_in_a_test_world() -> None:
    refund = {"id": "re_1", "object": "refund", "amount": 5, "currency": "eur"}
    refund |= {"status": "succeeded", "metadata": {"payengine_key": "ref_1"}}
    event = event_of(refund, "refund.created")
    assert facts(CALL, event) == [("refund", "ref_1", "succeeded", 5)]
    with pytest.raises(WebhookRefused):
        facts(CALL, event | {"livemode": True})


def test_a_connected_accounts_events_are_its_own() -> None:
    event = spelled(event_of(intent_of(), "payment_intent.succeeded", account="acct_1"))
    assert parse(call_of("sk_test_x", connected_account="acct_1"), sent(event))
    with pytest.raises(WebhookRefused):
        parse(call_of("sk_test_x", connected_account="acct_2"), sent(event))
    live = spelled(event_of(intent_of(livemode=True), "payment_intent.succeeded", livemode=True))
    assert parse(msgspec.structs.replace(CALL, mode="live"), sent(live))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1",
        "v1=aa",
        "t=,v1=aa",
        "t=-1,v1=aa",
        "t=1_0,v1=aa",
        "t=１２,v1=aa",
        "t=1e5,v1=aa",
        "t=99999999999999999999,v1=aa",
        "t=1,v1=" + "a" * 5_000,
        "t=1,t=2,v1=aa",
        "v1=aa,t=1",
        "t=1,v1=é",
        "\x00",
        "t=1;v1=aa",
        ",,,",
    ],
)
def test_a_header_that_is_not_stripes_is_refused(header: str) -> None:
    request = WebhookRequest(headers={"stripe-signature": header}, body=PAID, received_at=_NOW)
    with pytest.raises(WebhookRefused):
        parse(CALL, request)


_BODIES: list[bytes] = [
    b"",
    b"\x00",
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b"null",
    b"[]",
    b"{}",
    b'"evt_1"',
    b"1e999",
    b"NaN",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'"\\ud800"',
    b'{"id": "\\ud800", "object": "event"}',
    b"9" * 50_000,
    b'{"object": "event", "data": {"object": null}}',
    b'{"object": "v2.core.event"}',
    b'{"detail": {"object": "event"}}',
    b'{"id": 1, "object": {"object": "event"}}',
    spelled(event_of({"object": "payment_intent"}, "payment_intent.succeeded"))[:-1],
    b" " * 600_000,
]


@pytest.mark.parametrize("body", _BODIES, ids=lambda body: repr(body[:20]))
def test_a_hostile_body_is_refused_even_when_it_is_signed(body: bytes) -> None:
    for request in (sent(body), WebhookRequest(headers={}, body=body, received_at=_NOW)):
        with pytest.raises(WebhookRefused):
            parse(CALL, request)


_ABSURD: list[tuple[dict[str, Any], str]] = [
    (
        intent_of(
            status="requires_action",
            next_action={"type": "redirect_to_url", "redirect_to_url": {"url": "http://[::1"}},
        ),
        "payment_intent.requires_action",
    ),
    (
        {
            "id": "dp_1",
            "object": "dispute",
            "amount": 1_000,
            "currency": "eur",
            "status": "needs_response",
            "reason": "fraudulent",
            "charge": "ch_1",
            "evidence_details": {"due_by": 10**15},
        },
        "charge.dispute.created",
    ),
]


@pytest.mark.parametrize(("thing", "kind"), _ABSURD)
def test_signed_content_that_cannot_be_raises_nothing_but_a_refusal(
    thing: dict[str, Any], kind: str
) -> None:
    try:
        told = parse(CALL, sent(spelled(event_of(thing, kind))))
    except WebhookRefused:
        return
    assert all(isinstance(e, WebhookEvent) and e.outcome.status == "unmodelled" for e in told)


def _mangled(dice: random.Random, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(dice.randint(1, 6)):
        place = dice.randrange(len(changed)) if changed else 0
        act = dice.randrange(4)
        if act == 0 and changed:
            changed[place] = dice.randrange(256)
        elif act == 1:
            changed[place:place] = bytes(dice.randrange(256) for _ in range(dice.randint(1, 9)))
        elif act == 2:
            del changed[place : place + dice.randint(1, 40)]
        else:
            words = [b"null", b"[]", b"{}", b"-1", b'""', b"1e400", b"NaN", b"\\ud83d", b"true"]
            changed[place : place + dice.randint(0, 12)] = dice.choice(words)
    return bytes(changed)


def test_ten_thousand_hostile_webhooks_raise_nothing_but_a_refusal() -> None:
    """Signed ones too: whoever has the secret may still send nonsense."""
    dice = random.Random(20)
    kinds = ("payment_intent.succeeded", "refund.updated", "charge.dispute.created", "x")
    refused = read = 0
    for number in range(_HOSTILE):
        body = _mangled(dice, spelled(event_of(intent_of(object="refund"), dice.choice(kinds))))
        request = sent(body)
        if number % 3 == 0:
            header = _mangled(dice, request.headers["stripe-signature"].encode())
            headers = {"stripe-signature": header.decode("latin-1")}
            request = msgspec.structs.replace(request, headers=headers)
        try:
            events = parse(CALL, request)
        except WebhookRefused:
            refused += 1
            continue
        read += 1
        assert all(isinstance(event, WebhookEvent | DisputeEvent) for event in events)
    assert refused > _HOSTILE // 2
    assert refused + read == _HOSTILE


def test_what_is_not_ours_or_not_modelled_tells_nothing() -> None:
    assert facts(CALL, event_of(intent_of(metadata={}), "payment_intent.succeeded")) == []
    assert facts(CALL, event_of({"id": "x"}, "customer.created")) == []
    moving = intent_of(status="requires_confirmation")
    assert facts(CALL, event_of(moving, "payment_intent.processing")) == []
    canceled = intent_of(status="canceled", capture_method="manual")
    assert facts(CALL, event_of(canceled, "payment_intent.canceled")) == []
    strange = intent_of(status="meditating")
    assert facts(CALL, event_of(strange, "payment_intent.succeeded")) == [
        ("authorize", "op_1", "unmodelled", None)
    ]


def test_one_object_tells_of_the_hold_its_increments_and_its_captures() -> None:
    marks = {
        "payengine_key": "op_1",
        "payengine_increment_a": "500 op_2",
        "payengine_capture_b": "300 op_3",
        "payengine_capture_c": "400 op_4",
    }
    intent = intent_of(
        amount=1_500,
        amount_received=700,
        capture_method="manual",
        metadata=marks,
        status="requires_capture",
    )
    event = event_of(intent, "payment_intent.amount_capturable_updated")
    assert facts(CALL, event) == [
        ("authorize", "op_1", "succeeded", 1_000),
        ("increment", "op_2", "succeeded", 500),
        ("capture", "op_3", "succeeded", 300),
        ("capture", "op_4", "succeeded", 400),
    ]
    ids = [one.event_id for one in parse(CALL, sent(spelled(event)))]
    assert len(set(ids)) == 4
    assert ids[0] == "evt_1"


def test_a_capture_whose_sum_does_not_fit_is_told_as_stripe_took_it() -> None:
    marks = {"payengine_key": "op_1", "payengine_capture_b": "300 op_3"}
    intent = intent_of(amount_received=299, capture_method="manual", metadata=marks)
    told = facts(CALL, event_of(intent, "payment_intent.succeeded"))
    assert told[1] == ("capture", "op_3", "succeeded", 299)
    marks |= {"payengine_capture_c": "1 op_4"}
    intent |= {"metadata": marks}
    with pytest.raises(WebhookRefused):
        facts(CALL, event_of(intent, "payment_intent.succeeded"))


async def test_the_fakes_webhooks_tell_what_the_answers_told(
    gateway: StripeGateway, fake: FakeStripe, key: str, mailbox: Mailbox
) -> None:
    fake.endpoint(key, mailbox.url, _SECRET, doubled=100, late=50, seed=3)
    mailbox.fails = 2
    call = call_of(key, multicapture=True, increments=True)
    held = payment(capture=False)
    reference = (await gateway.authorize(call, held)).provider_reference or ""
    await gateway.increment(
        call, Increment(key="inc", provider_reference=reference, amount=Amount(500, "EUR"))
    )
    await gateway.capture(
        call,
        Capture(key="cap", provider_reference=reference, amount=Amount(600, "EUR"), final=True),
    )
    await gateway.refund(
        call, Refund(key="ref", provider_reference=reference, amount=Amount(60, "EUR"))
    )
    declined = payment(token="pm_card_chargeDeclined")
    await gateway.authorize(call, declined)
    await mailbox.until_quiet(fake, key)
    told: dict[tuple[str, str | None], set[tuple[str, int | None]]] = {}
    ids = []
    for request in mailbox.requests:
        for event in parse(call, request):
            assert isinstance(event, WebhookEvent)
            minor = event.outcome.amount.minor if event.outcome.amount else None
            told.setdefault((event.kind, event.key), set()).add((event.outcome.status, minor))
            ids.append(event.event_id)
    assert told == {
        ("authorize", held.key): {("succeeded", 1_000)},
        ("increment", "inc"): {("succeeded", 500)},
        ("capture", "cap"): {("succeeded", 600)},
        ("refund", "ref"): {("succeeded", 60)},
        ("authorize", declined.key): {("declined", None)},
    }
    assert len(ids) > len(set(ids))  # they came twice, under the same id


async def test_the_engine_accepts_what_the_plugin_reads(
    stripe_shop: StripeShop, mailbox: Mailbox
) -> None:
    fake, key = stripe_shop.fake, stripe_shop.key
    fake.endpoint(key, mailbox.url, WEBHOOK_SECRET)
    paid = await stripe_shop.charge(1_000)
    await mailbox.until_quiet(fake, key)
    registry = stripe_shop.engine.registry
    events = [
        event
        for request in mailbox.requests
        for event in await registry.parse_webhook(stripe_shop.context, "stripe", request)
    ]
    (operation,) = await stripe_shop.operations(paid.id)
    assert [event.key for event in events] == [operation.provider_key]
    forged = msgspec.structs.replace(mailbox.requests[0], body=b"{}")
    with pytest.raises(WebhookRefused):
        await registry.parse_webhook(stripe_shop.context, "stripe", forged)
