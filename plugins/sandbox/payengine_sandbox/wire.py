"""How does one operation look on the wire?

`Shown` is the JSON record of `docs/reference/sandbox-http.md`: answers, webhooks and the
in-process transport all become an `Outcome` through it, so that both transports say the same.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec
from payengine.plugin import Amount, Decline, Movement, NextAction, Outcome

from payengine_sandbox.cards import CHECKS
from payengine_sandbox.declines import DECLINES
from payengine_sandbox.records import Kind, Operation, Status

__all__ = [
    "LIMITS",
    "Problem",
    "Refusal",
    "Shown",
    "instant_of",
    "movement_of",
    "not_processed",
    "outcome_of",
    "show",
    "us_of",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: The provider's own limits: raw code → (code of the taxonomy, what it says).
LIMITS: dict[str, tuple[str, str]] = {
    "canceled": ("no_action_taken", "The payment was canceled before it was made."),
    "capture_exceeds_held": ("invalid_amount", "The capture exceeds what is held."),
    "challenge_failed": ("authentication_required", "The buyer did not authenticate."),
    "currency_differs": ("currency_not_supported", "The currency is not the authorization's."),
    "hold_expired": ("transaction_not_allowed", "The authorization has expired."),
    "not_authorized": ("transaction_not_allowed", "The authorization did not succeed."),
    "nothing_held": ("transaction_not_allowed", "Nothing is held any more."),
    "refund_exceeds_captured": ("invalid_amount", "The refund exceeds what was captured."),
    "unknown_reference": ("transaction_not_allowed", "No authorization has this reference."),
}


class Problem(msgspec.Struct, frozen=True):
    """An error's code and words."""

    code: str
    message: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """The body of an answer that is an error."""

    error: Problem


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One operation as the provider shows it; `address_ok` and `cvc_ok` where the issuer checked
    them."""

    reference: str
    key: str
    kind: Kind
    status: Status
    amount_minor: int
    currency: str
    captured: bool = False
    fee_minor: int = 0
    decline: Problem | None = None
    next_action_url: str | None = None
    expires_at: datetime | None = None
    moved_at: datetime | None = None
    address_ok: bool | None = None
    cvc_ok: bool | None = None


def instant_of(us: int) -> datetime:
    """The aware UTC instant of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=us)


def us_of(instant: datetime) -> int:
    """Microseconds since 1970, exact."""
    return (instant - _EPOCH) // _MICROSECOND


def show(operation: Operation, *, base_url: str) -> Shown:
    """The public face of a record; `base_url` is where the challenge pages are served."""
    o = operation
    problem = None
    if o.status == "declined" and o.raw_code:
        text = LIMITS[o.raw_code][1] if o.raw_code in LIMITS else DECLINES.get(o.raw_code, "")
        problem = Problem(o.raw_code, text)
    waits = o.status == "requires_action"
    checked = CHECKS.get(o.token) if o.kind == "authorize" and o.status == "succeeded" else None
    address_ok, cvc_ok = checked or (None, None)
    return Shown(
        reference=o.reference,
        key=o.key,
        kind=o.kind,
        status=o.status,
        amount_minor=o.amount_minor,
        currency=o.currency,
        captured=o.status == "succeeded" and (o.capture or o.kind == "capture"),
        fee_minor=o.fee_minor if o.moved_us is not None else 0,
        decline=problem,
        next_action_url=f"{base_url}/challenge/{o.reference}" if waits else None,
        expires_at=None if o.expires_us is None else instant_of(o.expires_us),
        moved_at=None if o.moved_us is None else instant_of(o.moved_us),
        address_ok=address_ok,
        cvc_ok=cvc_ok,
    )


def outcome_of(shown: Shown) -> Outcome:
    """The same fact in the words of the plugin contract."""
    moves = shown.status in ("succeeded", "pending")
    url = shown.next_action_url
    return Outcome(
        status=shown.status,
        provider_reference=shown.reference,
        amount=Amount(shown.amount_minor, shown.currency) if moves else None,
        captured=shown.captured,
        decline=_decline(shown.decline) if shown.status == "declined" else None,
        next_action=None if url is None else NextAction(url=url),
        fee_minor=shown.fee_minor,
        expires_at=shown.expires_at if moves else None,
        raw_status=shown.status,
        address_ok=shown.address_ok,
        cvc_ok=shown.cvc_ok,
    )


def not_processed(problem: Problem) -> Outcome:
    """The provider's proof that nothing happened."""
    decline = Decline(code="try_again_later", raw_code=problem.code, raw_text=problem.message)
    return Outcome(status="not_processed", decline=decline, raw_status=problem.code)


def movement_of(shown: Shown) -> Movement:
    """A line of the provider's books; the record must have moved money."""
    if shown.moved_at is None:
        raise ValueError(f"{shown.reference} moved no money")
    refund = shown.kind == "refund"
    return Movement(
        key=shown.key,
        kind="refund" if refund else "capture",
        provider_reference=shown.reference,
        amount=Amount(-shown.amount_minor if refund else shown.amount_minor, shown.currency),
        fee_minor=shown.fee_minor,
        at=shown.moved_at,
    )


def _decline(problem: Problem | None) -> Decline:
    raw = problem.code if problem else ""
    text = problem.message if problem else ""
    if raw in LIMITS:
        return Decline(code=LIMITS[raw][0], raw_code=raw, raw_text=text)
    code = raw if raw in DECLINES else "generic_decline"
    return Decline(code=code, raw_code=raw, raw_text=re.sub(r"\s+", " ", text)[:500])
