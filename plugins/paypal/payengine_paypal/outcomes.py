"""What does an order, a hold, a capture or a refund mean for the operation that asked for it?

Pure. A status that is not known is `unmodelled`: nothing is guessed.
"""

from __future__ import annotations

from payengine.plugin import Amount, NextAction, Outcome, OutcomeStatus

from payengine_paypal.amounts import InexpressibleAmount, amount_of
from payengine_paypal.declines import (
    IN_PROGRESS,
    NOT_PROCESSED,
    decline_of_code,
    decline_of_problem,
)
from payengine_paypal.records import (
    Authorization,
    Capture,
    Link,
    Money,
    Order,
    Problem,
    Refund,
    Unclear,
)

__all__ = [
    "CANCELED_MARK",
    "authorization_outcome",
    "capture_outcome",
    "is_canceled",
    "link_to_buyer",
    "minor_of",
    "not_processed",
    "order_outcome",
    "refund_outcome",
    "refusal_outcome",
]

#: Before the `custom_id` of an order that was canceled while it waited for the buyer.
CANCELED_MARK = "void-"

_TAKEN = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")
_HELD = ("CREATED", "PARTIALLY_CAPTURED", "CAPTURED")
_WAITING = ("CREATED", "SAVED", "APPROVED", "PAYER_ACTION_REQUIRED")
_BUYER_LINKS = ("payer-action", "approve")
_REFUSED_HTTP = (400, 401, 403, 404, 405, 406, 415, 422, 429)


def minor_of(money: Money) -> Amount:
    """The amount in minor units; raises `Unclear` where it is none."""
    try:
        return amount_of(money.value, money.currency_code)
    except InexpressibleAmount as problem:
        raise Unclear(str(problem)) from None


def not_processed(code: str) -> Outcome:
    """Proof that nothing was done; `code` is one that the manifest lists."""
    return Outcome(status="not_processed", raw_status=code)


def refusal_outcome(status: int, problem: Problem) -> Outcome:
    """What a 4xx answer means: a decline, or proof of nothing; raises `Unclear` for all else."""
    if status not in _REFUSED_HTTP or not problem.code or problem.has(*IN_PROGRESS):
        raise Unclear(f"HTTP {status} {problem.code}: {problem.text}"[:300])
    if problem.code in NOT_PROCESSED:
        return not_processed(problem.code)
    if problem.name in NOT_PROCESSED and status != 422:
        return not_processed(problem.name)
    if status in (403, 422):
        return Outcome(
            status="declined", decline=decline_of_problem(problem), raw_status=problem.code
        )
    raise Unclear(f"HTTP {status} {problem.code}: {problem.text}"[:300])


def order_outcome(order: Order, *, page: str | None = None) -> Outcome:
    """What has become of the authorization that made this order.

    `page` is where the buyer approves when the order itself does not say it.
    """
    captures, holds = order.payments.captures, order.holds
    if captures and not holds:
        return capture_outcome(captures[-1], reference=order.id, captured=True)
    if holds:
        return authorization_outcome(holds[0], reference=order.id)
    if order.status in _WAITING:
        url = link_to_buyer(order.links) or page
        if url is None:
            raise Unclear(f"the order {order.id} is {order.status} and leads nowhere")
        return Outcome(
            status="requires_action",
            provider_reference=order.id,
            next_action=NextAction(url=url),
            raw_status=order.status,
        )
    if order.status == "VOIDED":
        decline = decline_of_code(processor="", reason="", status=order.status)
        return Outcome(
            status="declined",
            provider_reference=order.id,
            decline=decline,
            raw_status=order.status,
        )
    if order.status == "COMPLETED":
        raise Unclear(f"the order {order.id} is COMPLETED and tells of no payment")
    return _unmodelled(order.status, order.id)


def authorization_outcome(hold: Authorization, *, reference: str) -> Outcome:
    """What a hold means for the authorization that asked for it."""
    status: OutcomeStatus
    if hold.status in _HELD:
        status = "succeeded"
    elif hold.status == "PENDING":
        status = "pending"
    elif hold.status in ("DENIED", "VOIDED"):
        return _declined(hold, reference)
    else:
        return _unmodelled(hold.status, reference)
    return Outcome(
        status=status,
        provider_reference=reference,
        amount=minor_of(hold.amount),
        expires_at=hold.expiration_time,
        raw_status=hold.status,
    )


def capture_outcome(taken: Capture, *, reference: str, captured: bool) -> Outcome:
    """What a capture means for the operation that asked for it."""
    status: OutcomeStatus
    if taken.status in _TAKEN:
        status = "succeeded"
    elif taken.status == "PENDING":
        status = "pending"
    elif taken.status in ("DECLINED", "FAILED"):
        return _declined(taken, reference)
    else:
        return _unmodelled(taken.status, reference)
    amount = minor_of(taken.amount)
    fee = taken.seller_receivable_breakdown.paypal_fee
    is_in_kind = fee is not None and fee.currency_code == amount.currency
    return Outcome(
        status=status,
        provider_reference=reference,
        amount=amount,
        captured=captured,
        fee_minor=minor_of(fee).minor if fee is not None and is_in_kind else 0,
        raw_status=taken.status,
    )


def refund_outcome(given: Refund, *, reference: str) -> Outcome:
    """What a refund means for the operation that asked for it."""
    status: OutcomeStatus
    if given.status == "COMPLETED":
        status = "succeeded"
    elif given.status == "PENDING":
        status = "pending"
    elif given.status in ("CANCELLED", "FAILED"):
        return _declined(given, reference)
    else:
        return _unmodelled(given.status, reference)
    return Outcome(
        status=status,
        provider_reference=reference,
        amount=minor_of(given.amount),
        raw_status=given.status,
    )


def is_canceled(order: Order) -> bool:
    """Whether we canceled the order while it waited: it is never to be taken further."""
    return (order.unit.custom_id or "").startswith(CANCELED_MARK)


def link_to_buyer(links: list[Link]) -> str | None:
    """The address at which the buyer approves."""
    return next((link.href for link in links if link.rel in _BUYER_LINKS), None)


def _unmodelled(status: str, reference: str) -> Outcome:
    return Outcome(status="unmodelled", provider_reference=reference, raw_status=status[:100])


def _declined(resource: Authorization | Capture | Refund, reference: str) -> Outcome:
    decline = decline_of_code(
        processor=resource.processor_response.response_code,
        reason=resource.status_details.reason,
        status=resource.status,
    )
    return Outcome(
        status="declined",
        provider_reference=reference,
        decline=decline,
        raw_status=resource.status,
    )
