"""What became of an operation, as Stripe's object tells?

Pure, and the same for an answer, a lookup and a webhook. A state that tells nothing yet raises
`Unreadable`; one that nobody here knows is `unmodelled`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from payengine.plugin import Amount, Decline, NextAction, Outcome

from payengine_stripe.declines import decline_of
from payengine_stripe.marks import CAPTURE, INCREMENT, KEY, marked
from payengine_stripe.objects import (
    BalanceTransaction,
    Charge,
    Intent,
    RefundObject,
    amount_in,
    fee_in,
    read,
)
from payengine_stripe.problems import Unreadable

__all__ = [
    "authorization",
    "authorization_key",
    "capture",
    "challenge_url",
    "increment",
    "refund",
    "void",
]

_PENDING_REFUND = frozenset({"pending", "requires_action"})
_FAILED_REFUND = frozenset({"failed", "canceled"})
#: Between two steps of Stripe's own: nothing can be said yet.
_MOVING = frozenset({"requires_confirmation"})


def authorization_key(intent: Intent) -> str | None:
    """The key with which the PaymentIntent was made; None for one that is not ours."""
    return intent.metadata.get(KEY)


def authorization(intent: Intent) -> Outcome:
    """What became of the authorization; raises `Unreadable` while Stripe is still at it."""
    status = intent.status
    if status == "requires_action":
        return _challenge(intent)
    if status == "processing":
        return _said(intent, "pending", amount=_authorized(intent))
    if status == "requires_capture":
        return _held(intent)
    if status == "succeeded":
        return _held(intent) if intent.capture_method == "manual" else _taken(intent)
    if status == "canceled":
        return _canceled(intent)
    if status == "requires_payment_method" and intent.last_payment_error is not None:
        return _said(intent, "declined", decline=decline_of(intent.last_payment_error))
    if status in _MOVING or status == "requires_payment_method":
        raise Unreadable(f"{intent.id} is {status}: nothing is settled yet")
    return Outcome(status="unmodelled", provider_reference=intent.id, raw_status=status)


def capture(intent: Intent, key: str) -> Outcome:
    """What became of the capture sent with `key`; `not_found` where Stripe took nothing for it."""
    captures = marked(CAPTURE, intent.metadata)
    if key not in captures:
        return Outcome(status="not_found", provider_reference=intent.id)
    minor = captures[key]
    if sum(captures.values()) != intent.amount_received:
        if len(captures) > 1:
            raise Unreadable(f"{intent.id} received {intent.amount_received}, not what was marked")
        minor = intent.amount_received
    return _said(
        intent,
        "succeeded",
        amount=amount_in(minor, intent.currency),
        captured=True,
        fee_minor=_fee(intent, minor),
    )


def increment(intent: Intent, key: str) -> Outcome:
    """What became of the increment sent with `key`; `not_found` where the hold was not raised."""
    minor = marked(INCREMENT, intent.metadata).get(key)
    if minor is None:
        return Outcome(status="not_found", provider_reference=intent.id)
    amount = amount_in(minor, intent.currency)
    return _said(intent, "succeeded", amount=amount, expires_at=_hold_end(intent))


def void(intent: Intent) -> Outcome:
    """Whether the hold, or what was left of it, is released; `not_found` while it is not."""
    part_released = (
        intent.status == "succeeded"
        and intent.capture_method == "manual"
        and intent.amount_received < intent.amount
    )
    if intent.status == "canceled" or part_released:
        return _said(intent, "succeeded")
    return Outcome(status="not_found", provider_reference=intent.id, raw_status=intent.status)


def refund(found: RefundObject) -> Outcome:
    """What became of a refund."""
    status = found.status or ""
    amount = amount_in(found.amount, found.currency)
    if status == "succeeded" or status in _PENDING_REFUND:
        return Outcome(
            status="succeeded" if status == "succeeded" else "pending",
            provider_reference=found.id,
            amount=amount,
            raw_status=status,
        )
    if status in _FAILED_REFUND:
        reason = found.failure_reason or status
        return Outcome(
            status="declined",
            provider_reference=found.id,
            decline=Decline(code=reason[:64], raw_code=reason, raw_text=f"The refund {status}."),
            raw_status=status,
        )
    return Outcome(status="unmodelled", provider_reference=found.id, raw_status=status or "none")


def challenge_url(next_action: dict[str, Any] | None) -> str | None:
    """Where the buyer can act; None where only Stripe's own program in a page could."""
    action = next_action or {}
    target = action.get("redirect_to_url")
    url = target.get("url") if isinstance(target, dict) else None
    if action.get("type") != "redirect_to_url" or not isinstance(url, str):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.netloc else None


def _challenge(intent: Intent) -> Outcome:
    url = challenge_url(intent.next_action)
    if url is None:
        kind = (intent.next_action or {}).get("type")
        raw = f"requires_action: {kind}"
        return Outcome(status="unmodelled", provider_reference=intent.id, raw_status=raw)
    return _said(
        intent, "requires_action", amount=_authorized(intent), next_action=NextAction(url=url)
    )


def _held(intent: Intent) -> Outcome:
    return _said(intent, "succeeded", amount=_authorized(intent), expires_at=_hold_end(intent))


def _taken(intent: Intent) -> Outcome:
    minor = intent.amount_received
    return _said(
        intent,
        "succeeded",
        amount=amount_in(minor, intent.currency),
        captured=True,
        fee_minor=_fee(intent, minor),
    )


def _canceled(intent: Intent) -> Outcome:
    """A hold that was released is an authorization that succeeded and has run out."""
    if intent.capture_method == "manual" and intent.latest_charge is not None:
        charge = intent.charge
        if charge is None:
            raise Unreadable(f"{intent.id} was canceled, and its charge was not shown")
        if charge.paid:
            ended = _instant(intent.canceled_at or intent.created)
            return _said(intent, "succeeded", amount=_authorized(intent), expires_at=ended)
    reason = intent.cancellation_reason or "canceled"
    decline = Decline(
        code="payment_intent_canceled", raw_code=reason, raw_text="It was canceled at Stripe."
    )
    return _said(intent, "declined", decline=decline)


def _said(intent: Intent, status: Any, **more: Any) -> Outcome:
    return Outcome(status=status, provider_reference=intent.id, raw_status=intent.status, **more)


def _authorized(intent: Intent) -> Amount:
    """What was authorized at first: the amount without the increments that came later."""
    later = sum(marked(INCREMENT, intent.metadata).values())
    return amount_in(intent.amount - later, intent.currency)


def _fee(intent: Intent, minor: int) -> int:
    """Stripe's fee for taking `minor`, where it is known and in the payment's currency."""
    charge = intent.charge
    if charge is None or not isinstance(charge.balance_transaction, dict):
        return 0
    line = read(charge.balance_transaction, BalanceTransaction)
    return fee_in(line.fee, line.currency, of=intent.currency) if line.amount == minor else 0


def _hold_end(intent: Intent) -> datetime | None:
    charge = intent.charge
    before = _capture_before(charge) if charge is not None else None
    return _instant(before) if before is not None else None


def _capture_before(charge: Charge) -> int | None:
    details = charge.payment_method_details or {}
    method = details.get(str(details.get("type")))
    before = method.get("capture_before") if isinstance(method, dict) else None
    return before if isinstance(before, int) else None


def _instant(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        raise Unreadable(f"{seconds} is no instant") from None
