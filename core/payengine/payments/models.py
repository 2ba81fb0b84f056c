"""What are a payment, an attempt and an operation?

A payment is what the buyer owes; an attempt is one try at one gateway; an operation is one
authorize, increment, capture, void or refund. Amounts are integers in minor units of the
payment's currency. A payment's status and amounts are a pure fold of its operations
(`payengine.payments.fold`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

__all__ = [
    "BLOCKED",
    "Attempt",
    "CaptureMethod",
    "Evidence",
    "Operation",
    "OperationKind",
    "OperationStatus",
    "Payment",
    "PaymentStatus",
]

PaymentStatus = Literal[
    "CREATED",
    "PROCESSING",
    "REQUIRES_ACTION",
    "IN_REVIEW",
    "AUTHORIZED",
    "CAPTURED",
    "DECLINED",
    "CANCELED",
    "EXPIRED",
]
OperationKind = Literal["authorize", "increment", "capture", "void", "refund", "dispute"]
OperationStatus = Literal[
    "created",
    "sending",
    "unknown",
    "pending",
    "requires_action",
    "succeeded",
    "declined",
    "not_sent",
    "canceled",
    "expired",
]
CaptureMethod = Literal["AUTOMATIC", "MANUAL"]

#: The decline code of what our own fraud rules stopped.
BLOCKED = "highest_risk_level"


class Payment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the buyer owes, as one row."""

    id: str
    status: PaymentStatus
    amount_minor: int
    currency: str
    capture_method: CaptureMethod
    created_at: datetime
    updated_at: datetime
    customer_id: str | None = None
    authorized_minor: int = 0
    captured_minor: int = 0
    voided_minor: int = 0
    refunded_minor: int = 0
    charged_back_minor: int = 0
    capture_reserved_minor: int = 0
    void_reserved_minor: int = 0
    refund_reserved_minor: int = 0
    method_kind: str | None = None
    saved_payment_method_id: str | None = None
    off_session: bool = False
    return_url: str | None = None
    description: str | None = None
    metadata: dict[str, str] = {}
    gateway: str | None = None
    next_action_url: str | None = None
    decline_code: str | None = None
    anomalies: tuple[str, ...] = ()
    needs_review: bool = False
    conflicted: bool = False
    hold_expires_at: datetime | None = None
    version: int = 1

    @property
    def capturable_minor(self) -> int:
        """What may still be captured: held, and not captured, voided or reserved."""
        taken = self.captured_minor + self.voided_minor
        reserved = self.capture_reserved_minor + self.void_reserved_minor
        return max(self.authorized_minor - taken - reserved, 0)

    @property
    def refundable_minor(self) -> int:
        """What may still be refunded: captured, and not refunded, charged back or reserved."""
        gone = self.refunded_minor + self.charged_back_minor + self.refund_reserved_minor
        return max(self.captured_minor - gone, 0)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try at one gateway; `routing` says why this gateway."""

    id: str
    payment_id: str
    number: int
    gateway: str
    method: dict[str, Any]
    routing: dict[str, Any]
    created_at: datetime


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request to a gateway and what became of it.

    `provider_key` is the idempotency key that the provider got: the operation's id. `due_at` is
    when the reconciler should look; None where nothing is awaited. `released_minor` is what a
    final capture or a void lets go of. `final` on an authorization: its money is held until
    somebody has reviewed the payment.
    """

    id: str
    payment_id: str
    attempt_id: str
    kind: OperationKind
    status: OperationStatus
    amount_minor: int
    currency: str
    gateway: str
    provider_key: str
    request: dict[str, Any]
    sent_at: datetime
    created_at: datetime
    updated_at: datetime
    capture: bool = False
    final: bool = False
    released_minor: int = 0
    provider_reference: str | None = None
    resendable: bool = True
    decline_code: str | None = None
    raw_code: str | None = None
    raw_text: str | None = None
    raw_status: str | None = None
    next_action_url: str | None = None
    bank_details: dict[str, Any] | None = None
    fee_minor: int = 0
    hold_expires_at: datetime | None = None
    anomaly: str | None = None
    due_at: datetime | None = None
    tries: int = 0
    version: int = 1


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Why an outcome is believed: where it was found and what was said, as a row."""

    id: str
    payment_id: str
    operation_id: str
    source: Literal["answer", "lookup", "resend", "webhook", "settlement", "person", "engine"]
    finding: str
    data: dict[str, Any]
    created_at: datetime
