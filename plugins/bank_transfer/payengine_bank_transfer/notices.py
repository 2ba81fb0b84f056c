"""How is a fact told to the engine, and how is that proved?

The same words whether a bank's API pushes them or an import found them, signed as Standard Webhooks
describes it: HMAC-SHA256 over `id.timestamp.body`, in base64, behind `v1,`. Verification fails
closed: what is missing, old, early, malformed or addressed to another account is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec
from msgspec.structs import replace
from payengine.plugin import (
    Amount,
    DisputeEvent,
    DisputeReport,
    Outcome,
    WebhookEvent,
    WebhookRefused,
    WebhookRequest,
)

from payengine_bank_transfer.amounts import CURRENCY, LARGEST_MINOR
from payengine_bank_transfer.reasons import decline_of
from payengine_bank_transfer.records import Notice, Operation

__all__ = ["Fact", "Told", "headers_of", "notice_of", "parse", "part_of", "sign"]

_OLDEST_S = 300
_EARLIEST_S = 60
_LARGEST_BODY = 64 * 1024
_LONGEST_SIGNATURES = 1024
_LONGEST_NAME = 255
_PREFIX = "whsec_"
_MOST_PARTS = 10_000

What = Literal["booked", "rejected", "returned"]


class Fact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of one operation; `reference` is its EndToEndId or its virtual reference.

    What was paid in several transfers may come back in several: `part` counts them.
    """

    reference: str
    kind: Literal["authorize", "refund"]
    what: What
    amount_minor: int
    currency: str = CURRENCY
    key: str | None = None
    fee_minor: int = 0
    reason: str = ""
    text: str = ""
    part: int = 1


class Told(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a webhook."""

    id: str
    account: str
    created_at: datetime
    fact: Fact
    type: Literal["bank.operation"] = "bank.operation"


_decoder = msgspec.json.Decoder(Told)


def part_of(operation: Operation, minor: int, *, part: int, at_us: int) -> Notice:
    """That one more part of what was received came back; `minor` is that part alone."""
    returned = replace(operation, returned_minor=minor, return_fee_minor=0)
    return _notice(returned, "returned", at_us=at_us, fee=0, part=part)


def notice_of(operation: Operation, what: str, *, at_us: int) -> Notice:
    """What the engine must hear of an operation; the same fact always has the same id."""
    fees = {"booked": operation.missing_minor, "returned": operation.return_fee_minor}
    return _notice(operation, what, at_us=at_us, fee=fees.get(what, 0), part=1)


def _notice(operation: Operation, what: str, *, at_us: int, fee: int, part: int) -> Notice:
    event_id = f"{what}_{operation.reference}"
    if what == "returned" and fee:
        event_id += f"_{fee}"
    if part > 1:
        event_id += f"_part_{part}"
    fact = Fact(
        reference=operation.reference,
        kind="authorize" if operation.kind == "authorize" else "refund",
        what=msgspec.convert(what, What),
        amount_minor=operation.returned_minor if what == "returned" else operation.amount_minor,
        key=operation.key,
        fee_minor=fee,
        reason=operation.return_reason if what == "returned" else operation.reason,
        text=operation.reason_text,
        part=part,
    )
    told = Told(
        id=event_id,
        account=operation.account,
        created_at=datetime.fromtimestamp(at_us // 1_000_000, UTC),
        fact=fact,
    )
    body = msgspec.json.encode(told)
    return Notice(account=operation.account, event_id=event_id, body=body, created_us=at_us)


def sign(*, secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """The value of the header `webhook-signature`; `timestamp` is in seconds since 1970."""
    message = b".".join((event_id.encode(), str(timestamp).encode(), body))
    digest = hmac.new(_key(secret), message, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def headers_of(*, event_id: str, body: bytes, secret: str, timestamp: int) -> dict[str, str]:
    """The headers of a call that tells `body`."""
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret=secret, event_id=event_id, timestamp=timestamp, body=body),
    }


def parse(
    request: WebhookRequest, *, secret: str, account: str
) -> Sequence[WebhookEvent | DisputeEvent]:
    """The verified facts of a webhook; raises `WebhookRefused` for anything doubtful."""
    _verify(request, secret=secret)
    try:
        told = _decoder.decode(request.body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise WebhookRefused("The body cannot be read.") from None
    if told.id != request.headers["webhook-id"] or told.account != account:
        raise WebhookRefused("The notice is not meant for this account.")
    fact = told.fact
    names = [told.id, fact.reference, *([] if fact.key is None else [fact.key])]
    if not all(0 < len(one) <= _LONGEST_NAME and one.isprintable() for one in names):
        raise WebhookRefused("A name in the notice cannot be read.")
    most = fact.amount_minor - 1 if fact.what == "booked" else LARGEST_MINOR
    moved = 0 < fact.amount_minor <= LARGEST_MINOR and 0 <= fact.fee_minor <= most
    moved = moved and 0 < fact.part <= _MOST_PARTS
    if not moved or fact.currency != CURRENCY or told.created_at.tzinfo is None:
        raise WebhookRefused("The notice tells what cannot be.")
    return [_event(told)]


def _event(told: Told) -> WebhookEvent | DisputeEvent:
    fact = told.fact
    amount = Amount(fact.amount_minor, fact.currency)
    if fact.what == "returned" and fact.kind == "authorize":
        return DisputeEvent(
            event_id=told.id,
            key=fact.key,
            provider_reference=fact.reference,
            dispute=DisputeReport(
                reference=f"return_{fact.reference}" + (f"_{fact.part}" if fact.part > 1 else ""),
                status="lost",
                amount=amount,
                fee_minor=fact.fee_minor,
                reason=fact.reason or "MS03",
            ),
            occurred_at=told.created_at,
        )
    if fact.what == "booked":
        outcome = Outcome(
            status="succeeded",
            provider_reference=fact.reference,
            amount=amount,
            captured=fact.kind == "authorize",
            fee_minor=fact.fee_minor,
        )
    else:
        outcome = Outcome(
            status="declined",
            provider_reference=fact.reference,
            decline=decline_of(fact.reason or "MS03", fact.text),
        )
    return WebhookEvent(
        event_id=told.id,
        kind=fact.kind,
        key=fact.key,
        provider_reference=fact.reference,
        outcome=outcome,
        occurred_at=told.created_at,
    )


def _verify(request: WebhookRequest, *, secret: str) -> None:
    headers, body = request.headers, request.body
    event_id = headers.get("webhook-id", "")
    given = headers.get("webhook-signature", "")
    if not secret or not event_id or len(body) > _LARGEST_BODY or len(given) > _LONGEST_SIGNATURES:
        raise WebhookRefused("A header or the secret is missing, or the body is too large.")
    timestamp = _timestamp(headers.get("webhook-timestamp", ""))
    age_s = request.received_at.timestamp() - timestamp
    if age_s > _OLDEST_S or age_s < -_EARLIEST_S:
        raise WebhookRefused("The timestamp is too old or too early.")
    try:
        right = sign(secret=secret, event_id=event_id, timestamp=timestamp, body=body).encode()
        signatures = [one.encode("ascii") for one in given.split(" ")]
    except (UnicodeError, ValueError):
        raise WebhookRefused("The signature cannot be read.") from None
    # Each is compared, so that the time taken does not tell which one was close.
    if not sum(hmac.compare_digest(right, one) for one in signatures):
        raise WebhookRefused("The signature does not match.")


def _timestamp(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise WebhookRefused("The timestamp cannot be read.")
    return int(text)


def _key(secret: str) -> bytes:
    """The bytes of a secret: base64 behind `whsec_`, else the text itself."""
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            return secret.encode()
    return secret.encode()
