"""What does a verified webhook tell?

Our keys come back in it: `custom_id` is the authorization's or the refund's, `invoice_id` that of
a capture of a hold. What tells nothing of an operation gives no event.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace
from payengine.plugin import (
    DisputeEvent,
    DisputeReport,
    DisputeStatus,
    Outcome,
    WebhookEvent,
    WebhookRefused,
)

from payengine_paypal.outcomes import (
    CANCELED_MARK,
    authorization_outcome,
    capture_outcome,
    minor_of,
    order_outcome,
    refund_outcome,
)
from payengine_paypal.records import Authorization, Capture, Money, Order, Refund, Unclear, read
from payengine_paypal.steps import approval_page

__all__ = ["events_of"]

_LONGEST_ID = 128
_LONGEST_KEY = 127


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    create_time: datetime
    event_type: str
    resource: msgspec.Raw


class _Transaction(msgspec.Struct, frozen=True):
    seller_transaction_id: str | None = None
    custom: str | None = None


class _Result(msgspec.Struct, frozen=True):
    outcome_code: str = ""


class _Dispute(msgspec.Struct, frozen=True, kw_only=True):
    dispute_id: str
    status: str
    dispute_amount: Money
    reason: str = ""
    disputed_transactions: list[_Transaction] = msgspec.field(default_factory=list)
    dispute_outcome: _Result = msgspec.field(default_factory=_Result)
    seller_response_due_date: datetime | None = None


#: Read here, once: webhooks are read in threads, and two first readers break the process.
_READY = msgspec.json.Decoder(WebhookEvent)

#: The status of an open dispute → whose turn it is.
_TURNS: dict[str, DisputeStatus] = {
    "OPEN": "needs_response",
    "WAITING_FOR_SELLER_RESPONSE": "needs_response",
    "WAITING_FOR_BUYER_RESPONSE": "under_review",
    "UNDER_REVIEW": "under_review",
    "OTHER": "under_review",
}
#: How a resolved one ended. With a payout, PayPal pays the buyer itself.
_ENDS: dict[str, DisputeStatus] = {
    "ACCEPTED": "lost",
    "CANCELED_BY_BUYER": "won",
    "DENIED": "won",
    "RESOLVED_BUYER_FAVOUR": "lost",
    "RESOLVED_SELLER_FAVOUR": "won",
    "RESOLVED_WITH_PAYOUT": "won",
}

_Told = WebhookEvent | DisputeEvent | None


def events_of(body: bytes, *, base: str) -> list[WebhookEvent | DisputeEvent]:
    """The facts of a verified body; raises `WebhookRefused` where it cannot be read.

    `base` is the API's address, which the buyer's page goes with.
    """
    try:
        event = read(body, _Event)
        if not 0 < len(event.id) <= _LONGEST_ID:
            raise WebhookRefused("The event has no usable id.")
        if event.event_type.startswith("CUSTOMER.DISPUTE."):
            told: _Told = _dispute(event)
        else:
            make = _READERS.get(event.event_type)
            told = make(event, base) if make is not None else None
    except WebhookRefused:
        raise
    except Unclear as problem:
        raise WebhookRefused(f"The event cannot be read: {problem}"[:300]) from None
    except Exception:
        # Times without a zone, addresses that are none: what is signed may still be absurd.
        raise WebhookRefused("The event cannot be read.") from None
    return [] if told is None else [told]


def _order(event: _Event, base: str) -> _Told:
    order = read(bytes(event.resource), Order)
    key = order.unit.custom_id or ""
    if key.startswith(CANCELED_MARK):
        return None
    outcome = order_outcome(order, page=approval_page(base, order.id))
    # An approved order waits for us: the engine's lookup completes it.
    waits = outcome.status == "requires_action"
    return _event(event, "authorize", key, order.id, outcome, incomplete=waits)


def _authorization(event: _Event, base: str) -> _Told:
    hold = read(bytes(event.resource), Authorization)
    if hold.related.authorization_id is not None:
        return None  # it renews another one
    order_id = hold.related.order_id
    outcome = authorization_outcome(hold, reference=order_id or hold.id)
    if order_id is None:
        outcome = replace(outcome, provider_reference=None)
    return _event(event, "authorize", hold.custom_id, order_id, outcome)


def _voided(event: _Event, base: str) -> _Told:
    hold = read(bytes(event.resource), Authorization)
    order_id = hold.related.order_id
    if order_id is None:
        return None
    outcome = Outcome(status="succeeded", provider_reference=order_id, raw_status=hold.status)
    return _event(event, "void", None, order_id, outcome)


def _capture(event: _Event, base: str) -> _Told:
    taken = read(bytes(event.resource), Capture)
    if taken.of_hold:
        outcome = capture_outcome(taken, reference=taken.id, captured=True)
        return _event(event, "capture", taken.invoice_id, taken.id, outcome)
    order_id = taken.related.order_id
    outcome = capture_outcome(taken, reference=order_id or taken.id, captured=True)
    if order_id is None:
        outcome = replace(outcome, provider_reference=None)
    return _event(event, "authorize", taken.custom_id, order_id, outcome)


def _refund(event: _Event, base: str) -> _Told:
    given = read(bytes(event.resource), Refund)
    if given.custom_id and (given.invoice_id or "").startswith(f"{given.custom_id}-"):
        return None  # a part of a divided refund tells nothing of the whole
    outcome = refund_outcome(given, reference=given.id)
    return _event(event, "refund", given.custom_id, given.id, outcome)


def _dispute(event: _Event) -> DisputeEvent:
    told = read(bytes(event.resource), _Dispute)
    ending = told.dispute_outcome.outcome_code
    first = told.disputed_transactions[0] if told.disputed_transactions else _Transaction()
    due = told.seller_response_due_date
    return DisputeEvent(
        event_id=event.id,
        key=_key(first.custom),
        provider_reference=first.seller_transaction_id,
        dispute=DisputeReport(
            reference=told.dispute_id,
            status=_dispute_status(told),
            raw_status=" ".join(word for word in (told.status, ending) if word)[:100],
            amount=minor_of(told.dispute_amount),
            reason=told.reason,
            evidence_due_at=_aware(due) if due is not None else None,
        ),
        occurred_at=_aware(event.create_time),
    )


def _dispute_status(told: _Dispute) -> DisputeStatus:
    if told.status == "RESOLVED":
        return _ENDS.get(told.dispute_outcome.outcome_code, "unmodelled")
    return _TURNS.get(told.status, "unmodelled")


def _event(
    event: _Event,
    kind: str,
    key: str | None,
    reference: str | None,
    outcome: Outcome,
    *,
    incomplete: bool = False,
) -> WebhookEvent:
    return msgspec.convert(
        {
            "event_id": event.id,
            "kind": kind,
            "key": _key(key),
            "provider_reference": reference,
            "outcome": msgspec.to_builtins(outcome),
            "occurred_at": _aware(event.create_time),
            "incomplete": incomplete,
        },
        WebhookEvent,
    )


def _key(text: str | None) -> str | None:
    return text if text and len(text) <= _LONGEST_KEY else None


def _aware(instant: datetime) -> datetime:
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


_READERS: dict[str, Callable[[_Event, str], _Told]] = {
    "CHECKOUT.ORDER.APPROVED": _order,
    "CHECKOUT.ORDER.COMPLETED": _order,
    "PAYMENT.AUTHORIZATION.CREATED": _authorization,
    "PAYMENT.AUTHORIZATION.VOIDED": _voided,
    "PAYMENT.CAPTURE.COMPLETED": _capture,
    "PAYMENT.CAPTURE.DECLINED": _capture,
    "PAYMENT.CAPTURE.DENIED": _capture,
    "PAYMENT.CAPTURE.PENDING": _capture,
    "PAYMENT.CAPTURE.REFUNDED": _refund,
    "PAYMENT.REFUND.FAILED": _refund,
    "PAYMENT.REFUND.PENDING": _refund,
}
