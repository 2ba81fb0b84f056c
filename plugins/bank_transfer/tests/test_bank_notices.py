"""Is only a proved and sensible webhook believed?"""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from fake_bank import SECRET, frame
from payengine.plugin import DisputeEvent, WebhookEvent, WebhookRefused, WebhookRequest
from payengine_bank_transfer.gateway import BankTransferGateway
from payengine_bank_transfer.notices import Fact, Told, headers_of, sign

_HOSTILE = int(os.environ.get("PAYENGINE_HOSTILE_WEBHOOKS", "1000"))
_NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def _told(**changes: Any) -> dict[str, Any]:
    fact = Fact(reference="PE1", kind="authorize", what="booked", amount_minor=1_200, key="k1")
    told = Told(id="booked_PE1", account="acct_1", created_at=_NOW, fact=fact)
    plain: dict[str, Any] = msgspec.to_builtins(told)
    plain["fact"] |= changes.pop("fact", {})
    return plain | changes


def _request(body: bytes, *, event_id: str = "booked_PE1", secret: str = SECRET) -> WebhookRequest:
    headers = headers_of(
        event_id=event_id, body=body, secret=secret, timestamp=int(_NOW.timestamp())
    )
    return WebhookRequest(headers=headers, body=body, received_at=_NOW)


def _parse(request: WebhookRequest, **more: Any) -> Any:
    (event,) = BankTransferGateway().parse_webhook(frame(**more), request)
    return event


def _signed(**changes: Any) -> WebhookRequest:
    return _request(msgspec.json.encode(_told(**changes)))


def test_a_booking_is_a_success() -> None:
    event = _parse(_signed(fact={"fee_minor": 3}))
    assert isinstance(event, WebhookEvent)
    assert (event.kind, event.key, event.provider_reference) == ("authorize", "k1", "PE1")
    outcome = event.outcome
    assert (outcome.status, outcome.captured, outcome.fee_minor) == ("succeeded", True, 3)


def test_a_bank_that_knows_no_key_names_the_reference() -> None:
    event = _parse(_signed(fact={"key": None, "what": "rejected", "reason": "AM04"}))
    assert (event.key, event.provider_reference) == (None, "PE1")
    assert (event.outcome.status, event.outcome.decline.code) == ("declined", "insufficient_funds")


def test_a_returned_payment_is_a_dispute_that_is_lost() -> None:
    event = _parse(_signed(fact={"what": "returned", "reason": "MD06"}))
    assert isinstance(event, DisputeEvent)
    dispute = event.dispute
    assert (dispute.status, dispute.amount.minor, dispute.reason) == ("lost", 1_200, "MD06")


def test_each_part_that_comes_back_is_a_dispute_of_its_own() -> None:
    fact = {"reference": "RF1", "kind": "authorize", "what": "returned", "amount_minor": 500}
    told = [_parse(_signed(fact=fact | {"part": part})).dispute for part in (1, 2)]
    assert [one.reference for one in told] == ["return_RF1", "return_RF1_2"]


def test_a_returned_refund_is_a_refund_that_did_not_arrive() -> None:
    event = _parse(_signed(fact={"what": "returned", "kind": "refund", "reason": "AC04"}))
    assert (event.kind, event.outcome.status) == ("refund", "declined")


@pytest.mark.parametrize(
    "changes",
    [
        {"account": "acct_2"},
        {"id": "booked_PE2"},
        {"created_at": "2026-11-23T09:00:00"},
        {"type": "bank.other"},
        {"more": 1},
        {"fact": {"amount_minor": 0}},
        {"fact": {"amount_minor": -5}},
        {"fact": {"amount_minor": 2**62}},
        {"fact": {"amount_minor": 12.5}},
        {"fact": {"amount_minor": "1200"}},
        {"fact": {"currency": "USD"}},
        {"fact": {"fee_minor": -1}},
        {"fact": {"fee_minor": 1_200}},
        {"fact": {"kind": "capture"}},
        {"fact": {"what": "stolen"}},
        {"fact": {"reference": ""}},
        {"fact": {"reference": "x" * 256}},
        {"fact": {"key": "a\nb"}},
        {"fact": None},
    ],
)
def test_what_is_signed_and_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    plain = _told()
    if changes.get("fact", 0) is None:
        plain["fact"] = None
    else:
        plain = _told(**{k: (dict(v) if isinstance(v, dict) else v) for k, v in changes.items()})
    with pytest.raises(WebhookRefused):
        _parse(_request(msgspec.json.encode(plain)))


def test_without_a_secret_nothing_is_believed() -> None:
    for secret in ("", "whsec_"):
        body = msgspec.json.encode(_told())
        request = _request(body, secret="")
        with pytest.raises(WebhookRefused):
            _parse(request, webhook_secret=secret if not secret else "another")


@pytest.mark.parametrize("late_s", [-61, 301, 10**9])
def test_what_is_too_old_or_too_early_is_refused(late_s: int) -> None:
    request = _signed()
    moved = msgspec.structs.replace(request, received_at=_NOW + timedelta(seconds=late_s))
    with pytest.raises(WebhookRefused):
        _parse(moved)


def test_hostile_webhooks_raise_nothing_but_a_refusal() -> None:
    chance = random.Random(11)
    genuine = _signed()
    for number in range(_HOSTILE):
        headers, body = dict(genuine.headers), genuine.body
        how = number % 6
        if how == 0:
            body = chance.randbytes(chance.randint(0, 200))
        elif how == 1:
            place = chance.randrange(len(body))
            body = body[:place] + bytes([body[place] ^ chance.randint(1, 255)]) + body[place + 1 :]
        elif how == 2:
            name = chance.choice(list(headers)[1:])
            headers[name] = chance.choice(["", "v1,", "é", "\x00", "9" * 300, "-1", "v1,AAAA v2,x"])
        elif how == 3:
            headers.pop(chance.choice(list(headers)[1:]))
        else:
            # Signed, and still nonsense.
            body = b'{"id":"booked_PE1",' + chance.randbytes(chance.randint(0, 60)) + b"}"
            body = body if how == 4 else b"[" * chance.randint(1, 60_000)
            headers |= {
                "webhook-signature": sign(
                    secret=SECRET,
                    event_id="booked_PE1",
                    timestamp=int(_NOW.timestamp()),
                    body=body,
                )
            }
        request = WebhookRequest(headers=headers, body=body, received_at=_NOW)
        with pytest.raises(WebhookRefused):
            _parse(request)
