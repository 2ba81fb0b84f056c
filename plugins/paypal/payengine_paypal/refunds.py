"""How is money given back, when PayPal refunds captures and we refund payments?

A refund goes to the first capture that has room for all of it; only where none has, it is divided
among several. What was given back under the same key is found in the order and counts, so that a
refund that was cut short is carried on and never begun anew.
"""

from __future__ import annotations

from typing import NamedTuple

from payengine.plugin import Amount, Lookup, NotSent, Outcome
from payengine.plugin import Refund as RefundRequest

from payengine_paypal.amounts import InexpressibleAmount, value_of
from payengine_paypal.bodies import refund_body
from payengine_paypal.client import Refused, derived_id
from payengine_paypal.outcomes import minor_of, not_processed, refund_outcome, refusal_outcome
from payengine_paypal.records import Capture, Order, Refund, Unclear
from payengine_paypal.steps import Steps

__all__ = ["give_back", "look_up_refund", "shares"]

_LOST_CAPTURES = ("DECLINED", "FAILED")
_LOST_REFUNDS = ("CANCELLED", "FAILED")


class _Share(NamedTuple):
    """What one capture gives back."""

    capture: Capture
    minor: int


def give_back(steps: Steps, request: RefundRequest) -> Outcome:
    """Refund all or a part of what an order captured."""
    try:
        value_of(request.amount)
    except InexpressibleAmount:
        return not_processed("AMOUNT_NOT_EXPRESSIBLE")
    try:
        order = steps.client.order(steps.until, request.provider_reference)
    except Refused as refused:
        return refusal_outcome(refused.status, refused.problem)
    own = _own(order, request.key)
    rest = request.amount.minor - sum(minor_of(one.amount).minor for one in own)
    if rest < 0:
        raise Unclear(f"more was refunded under {request.key} than was asked")
    plan = shares(order, rest) if rest else []
    if rest and not plan:
        return not_processed("NOTHING_HELD")
    for number, share in enumerate(plan, start=len(own) + 1):
        given = _refund(steps, request, share, number=number, is_divided=bool(own or plan[1:]))
        if isinstance(given, Outcome):
            return given
        own.append(given)
    return _whole(own)


def look_up_refund(steps: Steps, request: Lookup, reference: str) -> Outcome:
    """What became of a refund, by its own id or by that of the order."""
    try:
        given = steps.client.refund_of(steps.until, reference)
        if given.invoice_id == request.key:
            return refund_outcome(given, reference=given.id)
        raise Unclear(f"{given.id} is a part of a refund: the others are not known")
    except Refused as refused:
        if refused.status != 404:
            raise
    try:
        order = steps.client.order(steps.until, reference)
    except Refused as refused:
        if refused.status != 404:
            raise
        return Outcome(status="not_found")
    own = _own(order, request.key)
    if len(own) == 1 and own[0].invoice_id == request.key:
        return refund_outcome(own[0], reference=own[0].id)
    # A part alone does not tell whether the others were sent: the engine sends all again.
    return Outcome(status="not_found")


def shares(order: Order, minor: int) -> list[_Share]:
    """How `minor` is taken from the order's captures: from one if one has room, else in order.

    Where there is no room for all of it, the first capture is asked, so that PayPal says so.
    """
    captures = [one for one in order.payments.captures if one.status not in _LOST_CAPTURES]
    rooms = [(one, _room(order, one, alone=len(captures) == 1)) for one in captures]
    for capture, room in rooms:
        if room >= minor:
            return [_Share(capture, minor)]
    if sum(room for _, room in rooms) < minor:
        return [_Share(captures[0], minor)] if captures else []
    plan = []
    for capture, room in rooms:
        part = min(room, minor)
        if part > 0:
            plan.append(_Share(capture, part))
            minor -= part
    return plan


def _room(order: Order, capture: Capture, *, alone: bool) -> int:
    given = sum(
        minor_of(refund.amount).minor
        for refund in order.payments.refunds
        if refund.status not in _LOST_REFUNDS and (alone or refund.capture_id() == capture.id)
    )
    return minor_of(capture.amount).minor - given


def _own(order: Order, key: str) -> list[Refund]:
    return [
        refund
        for refund in order.payments.refunds
        if refund.custom_id == key and refund.status not in _LOST_REFUNDS
    ]


def _refund(
    steps: Steps, request: RefundRequest, share: _Share, *, number: int, is_divided: bool
) -> Refund | Outcome:
    """One part, or the outcome of a refund that was refused as a whole."""
    invoice_id = f"{request.key}-{number}" if is_divided else request.key
    body = refund_body(
        Amount(share.minor, request.amount.currency),
        key=request.key,
        invoice_id=invoice_id,
        reason=request.reason,
    )
    request_id = derived_id(request.key, str(number) if number > 1 else "")
    try:
        return steps.client.refund(steps.until, share.capture, body, request_id=request_id)
    except NotSent as problem:
        if number > 1:
            raise Unclear(f"a part of the refund was given, this one not: {problem}") from None
        raise
    except Refused as refused:
        if number > 1:
            raise Unclear(f"a part of the refund was given, this one not: {refused}") from None
        return refusal_outcome(refused.status, refused.problem)


def _whole(parts: list[Refund]) -> Outcome:
    outcomes = [refund_outcome(part, reference=parts[0].id) for part in parts]
    if len(outcomes) == 1:
        return outcomes[0]
    slowest = next((one for one in outcomes if one.status != "succeeded"), outcomes[0])
    amounts = [one.amount for one in outcomes]
    if slowest.status not in ("succeeded", "pending") or None in amounts:
        raise Unclear("the parts of the refund came to different ends")
    total = sum(amount.minor for amount in amounts if amount is not None)
    return Outcome(
        status=slowest.status,
        provider_reference=parts[0].id,
        amount=Amount(total, parts[0].amount.currency_code),
        raw_status=slowest.raw_status,
    )
