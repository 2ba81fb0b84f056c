"""What does a person's word make of an operation?

Pure: which operations wait for a person, and the finding that a settlement is.
"""

from __future__ import annotations

from collections.abc import Sequence

from payengine.context import TenantContext
from payengine.errors import CurrencyMismatch, InputInvalid, ReviewSettled
from payengine.money import check_amount
from payengine.payments.findings import Finding
from payengine.payments.models import Operation, OperationStatus, Payment
from payengine.payments.review.models import SettleReview
from payengine.payments.transitions import OPEN_OPERATION
from payengine.plugin import Amount, Decline, Outcome

__all__ = ["reasons_of", "stuck_of", "verdict", "waiting_of"]


def waiting_of(operations: Sequence[Operation]) -> list[Operation]:
    """The operations whose outcome a person may settle, oldest first."""
    return [each for each in operations if each.kind != "dispute" and _is_open(each)]


def stuck_of(operations: Sequence[Operation]) -> list[Operation]:
    """Those of them that nobody but a person looks after any more."""
    return [each for each in waiting_of(operations) if each.due_at is None]


def reasons_of(payment: Payment, operations: Sequence[Operation]) -> list[str]:
    """Why the payment waits: anomalies, a contradiction, what nobody can tell, a suspicion."""
    reasons = list(payment.anomalies)
    if payment.conflicted:
        reasons.append("conflicted")
    stuck = {each.status in ("pending", "requires_action") for each in stuck_of(operations)}
    reasons += ["outcome_unknown"] if False in stuck else []
    reasons += ["pending_too_long"] if True in stuck else []
    if payment.status == "IN_REVIEW":
        reasons.append("suspicious")
    return reasons or ["flagged"]


def verdict(context: TenantContext, operation: Operation, request: SettleReview) -> Finding:
    """The finding that the settlement is; raises typed errors.

    `ReviewSettled` where the operation has its outcome, `CurrencyMismatch` where the money moved in
    another currency than asked: that cannot be booked here.
    """
    if operation.kind == "dispute":
        raise InputInvalid("A dispute ends by its provider's word.", path=("operationId",))
    if not _is_open(operation):
        raise ReviewSettled(f"This operation is {operation.status} already.", path=("operationId",))
    told = {
        "person": request.person,
        "actor": context.actor,
        "reason": request.reason,
        "request": request.idempotency_key,
    }
    status, outcome = _outcome(operation, request)
    return Finding(
        status=status, source="person", reason="settled_by_person", outcome=outcome, told=told
    )


def _is_open(operation: Operation) -> bool:
    return operation.status in OPEN_OPERATION


def _outcome(operation: Operation, request: SettleReview) -> tuple[OperationStatus, Outcome]:
    if request.outcome == "SUCCEEDED":
        amount = _amount(operation, request)
        return "succeeded", Outcome(
            status="succeeded",
            amount=amount,
            captured=operation.capture,
            provider_reference=request.reference,
        )
    if request.amount_minor is not None:
        raise InputInvalid("Only what succeeded moved an amount.", path=("amount",))
    if request.outcome == "DECLINED":
        code = request.decline_code or "generic_decline"
        return "declined", Outcome(
            status="declined",
            decline=Decline(code=code, raw_code=code),
            provider_reference=request.reference,
        )
    waits = operation.status in ("pending", "requires_action")
    return ("canceled" if waits else "not_sent"), Outcome(status="not_processed")


def _amount(operation: Operation, request: SettleReview) -> Amount | None:
    if request.amount_minor is None:
        return None
    if operation.kind == "void":
        raise InputInvalid("A void moves no amount.", path=("amount",))
    if request.currency != operation.currency:
        raise CurrencyMismatch(path=("amount", "currency"))
    try:
        check_amount(request.amount_minor, operation.currency)
    except InputInvalid as refused:
        raise type(refused)(refused.message, path=("amount", "amountMinor")) from None
    return Amount(request.amount_minor, operation.currency)
