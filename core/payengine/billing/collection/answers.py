"""What does a charge's payment say to the machine?

Pure: from the payment as it now stands come the event to be heard, if any, and what is kept of the
charge. A payment that is pending says nothing; one whose outcome is unknown is never taken for one
that failed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from payengine.billing.collection.preparing import is_present
from payengine.billing.collection.rows import ChargeRow
from payengine.billing.dunning_words import (
    ChargeDeclined,
    ChargeFailed,
    ChargeSucceeded,
    ChargeUnknown,
    DunningEvent,
)
from payengine.payments.service import PaymentResult
from payengine.plugin.declines import decline_rule

__all__ = ["AUTHENTICATE", "Heard", "hear_payment", "next_look", "waits_for_customer"]

#: The taxonomy's word for a buyer who has to do something before the money moves.
AUTHENTICATE = "authentication_required"

_UNKNOWN = frozenset({"created", "sending", "unknown"})
#: How long a customer who is there may take to authenticate before it counts as a refusal.
_PRESENT_FOR = timedelta(minutes=30)

_FIRST_LOOK = timedelta(seconds=2)
_LONGEST_WAIT = timedelta(minutes=5)


class Heard(msgspec.Struct, frozen=True):
    """The charge with what is known of it, and what the machine is to hear; None: nothing new.

    `is_over`: nothing can become of the payment any more.
    """

    charge: ChargeRow
    event: DunningEvent | None
    is_over: bool


def waits_for_customer(result: PaymentResult) -> bool:
    """Whether the customer may still pay it, at the payment's own page."""
    return result.payment.status == "REQUIRES_ACTION"


def next_look(charge: ChargeRow, *, wall: datetime) -> datetime:
    """When to look at the payment again: in 2 s, 4 s … and every 5 minutes in the end."""
    doubled: int = 2 ** min(charge.looks, 20)
    return wall + min(_FIRST_LOOK * doubled, _LONGEST_WAIT)


def hear_payment(
    charge: ChargeRow, result: PaymentResult, *, at: datetime, others_open: int
) -> Heard:
    """What the payment says of the charge at the tenant's instant `at`."""
    payment, operation = result.payment, result.operation
    gateway = operation.gateway if operation is not None else payment.gateway
    named = msgspec.structs.replace(charge, payment_id=payment.id, gateway=gateway)
    match payment.status:
        case "CAPTURED" if payment.captured_minor >= payment.amount_minor:
            answered = _answered(named, "succeeded", at)
            event = ChargeSucceeded(charge=charge.charge, others_open=others_open)
            return Heard(answered, event, is_over=True)
        case "DECLINED":
            code = payment.decline_code or "generic_decline"
            return _declined(named, code, gateway, at=at, is_over=True)
        case "CANCELED" | "EXPIRED":
            # Nobody came who could have paid it, or somebody called it off.
            if charge.outcome is not None:
                return Heard(named, None, is_over=True)
            return _declined(named, AUTHENTICATE, None, at=at, is_over=True)
        case "CREATED":
            failed = _answered(named, "failed", at)
            return Heard(failed, ChargeFailed(charge.charge, gateway=gateway), is_over=True)
        case "REQUIRES_ACTION":
            if charge.outcome is not None or (
                is_present(charge) and at < payment.created_at + _PRESENT_FOR
            ):
                return Heard(named, None, is_over=False)
            return _declined(named, AUTHENTICATE, None, at=at, is_over=False)
        case "PROCESSING" if operation is None or operation.status in _UNKNOWN:
            return Heard(named, ChargeUnknown(charge=charge.charge), is_over=False)
        case _:
            return Heard(named, None, is_over=False)


def _declined(
    charge: ChargeRow, code: str, gateway: str | None, *, at: datetime, is_over: bool
) -> Heard:
    if charge.outcome == "declined":
        return Heard(charge, None, is_over=is_over)
    answered = msgspec.structs.replace(
        _answered(charge, "declined", at),
        decline_code=code,
        decline_class=decline_rule(code).decline_class,
    )
    event = ChargeDeclined(charge=charge.charge, code=code, gateway=gateway)
    return Heard(answered, event, is_over=is_over)


def _answered(charge: ChargeRow, outcome: str, at: datetime) -> ChargeRow:
    return msgspec.structs.replace(charge, outcome=outcome, answered_at=at)
