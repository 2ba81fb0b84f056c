"""What does an operation mean to the engine?"""

from __future__ import annotations

import os

from payengine.plugin import Amount, BankDetails, Decline, Movement, NextAction, Outcome

from payengine_bank_transfer.amounts import CURRENCY
from payengine_bank_transfer.books import instant_of
from payengine_bank_transfer.reasons import NOT_PROCESSED, decline_of
from payengine_bank_transfer.records import Operation
from payengine_bank_transfer.settings import BankTransferSettings

__all__ = ["movement_of", "not_processed", "outcome_of", "page_of", "platform_url"]


def platform_url() -> str:
    """Where the platform is served, as it is known from outside."""
    public = os.environ.get("PAYENGINE_PUBLIC_URL")
    return (public or f"http://127.0.0.1:{os.environ.get('PAYENGINE_PORT') or 8000}").rstrip("/")


def page_of(operation: Operation) -> str:
    """The page that tells the buyer where to transfer what."""
    return f"{platform_url()}/plugins/bank_transfer/pay/{operation.reference}"


def not_processed(code: str) -> Outcome:
    """The proof that nothing was done, by a code of the manifest."""
    text = NOT_PROCESSED[code]
    decline = Decline(code="processing_error", raw_code=code, raw_text=text)
    return Outcome(status="not_processed", raw_status=code, decline=decline)


def outcome_of(operation: Operation, settings: BankTransferSettings | None = None) -> Outcome:
    """The outcome as the kept facts tell it; `settings` name the account to transfer to."""
    amount = Amount(operation.amount_minor, CURRENCY)
    if operation.status == "booked":
        return Outcome(
            status="succeeded",
            provider_reference=operation.reference,
            amount=amount,
            captured=operation.kind == "authorize",
            fee_minor=operation.missing_minor,
            raw_status="returned" if operation.returned_us is not None else "booked",
        )
    if operation.status == "awaited":
        return Outcome(
            status="requires_action",
            provider_reference=operation.reference,
            amount=amount,
            next_action=NextAction(
                url=page_of(operation), bank_details=_bank_details(operation, settings)
            ),
            raw_status="partly_paid" if operation.received_minor else "awaited",
        )
    if operation.status in ("ordered", "submitted"):
        return Outcome(
            status="pending",
            provider_reference=operation.reference,
            amount=amount,
            raw_status=f"{operation.status} {operation.day}".strip(),
        )
    if operation.status == "refused":
        return not_processed(operation.reason or "bank_refused")
    return Outcome(
        status="declined",
        provider_reference=operation.reference,
        decline=decline_of(operation.reason or "MS03", operation.reason_text),
        raw_status=operation.status,
    )


def _bank_details(
    operation: Operation, settings: BankTransferSettings | None
) -> BankDetails | None:
    if settings is None or not settings.holder or not settings.iban:
        return None
    missing = operation.amount_minor - operation.received_minor
    return BankDetails(
        holder=settings.holder,
        iban=settings.iban.replace(" ", "").upper(),
        bic=settings.bic,
        reference=operation.reference,
        amount=Amount(max(missing, 1), CURRENCY),
    )


def movement_of(operation: Operation) -> Movement:
    """The money that a booked operation moved, gross; what the way cost is the fee."""
    sign = 1 if operation.kind == "authorize" else -1
    return Movement(
        key=operation.key,
        kind="capture" if operation.kind == "authorize" else "refund",
        provider_reference=operation.reference,
        amount=Amount(sign * operation.amount_minor, CURRENCY),
        fee_minor=operation.missing_minor,
        at=instant_of(operation.booked_us or 0),
    )
