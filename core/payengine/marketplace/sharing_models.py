"""What is kept of a payment's division?"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from payengine.marketplace.commission import CommissionRule, RuleScope
from payengine.marketplace.disputes import FeeBearer, Liability
from payengine.marketplace.splits import FeePolicy

__all__ = [
    "EscrowHold",
    "EscrowStatus",
    "Movement",
    "Part",
    "Phase",
    "Reserve",
    "Source",
    "Split",
    "SplitRule",
    "Step",
]

EscrowStatus = Literal["awaited", "held", "released", "refunded"]

#: What a step of a payment did to its parts.
Phase = Literal[
    "captured",
    "refunded",
    "refund_failed",
    "disputed",
    "dispute_won",
    "dispute_fee",
    "dispute_fee_returned",
]


class SplitRule(msgspec.Struct, frozen=True, kw_only=True):
    """A commission as it was agreed; `subject` is empty for the whole tenant.

    `currency` is empty where the rule has percentages alone and holds in every currency.
    """

    id: str
    scope: RuleScope
    subject: str
    currency: str
    terms: dict[str, Any]
    created_at: datetime
    archived_at: datetime | None = None

    @property
    def commission(self) -> CommissionRule:
        """The terms as a rule."""
        return msgspec.convert(self.terms, CommissionRule)


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """How a payment is divided, as one row.

    `settled_minor` of it was captured and shared; `fee_minor` is the processor's, of which
    `fee_shared` was passed on. `due_at`: when somebody should look for steps not shared yet.
    """

    payment_id: str
    currency: str
    amount_minor: int
    created_at: datetime
    vendor_id: str | None = None
    commission: dict[str, Any] | None = None
    base_minor: int | None = None
    fee_policy: FeePolicy = "proportional"
    liability: Liability = "split_ratio"
    fee_bearer: FeeBearer = "platform"
    escrow_id: str | None = None
    settled_minor: int = 0
    fee_minor: int = 0
    fee_shared: int = 0
    sold_at: datetime | None = None
    due_at: datetime | None = None
    tries: int = 0


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One owner's; `account_id` None: the platform's.

    Of `planned_minor`, `captured_minor` came, `refundable_minor` of that may still go back, and
    `escrowed_minor` is nobody's yet.
    """

    payment_id: str
    number: int
    account_id: str | None
    planned_minor: int = 0
    captured_minor: int = 0
    refundable_minor: int = 0
    escrowed_minor: int = 0


class Movement(msgspec.Struct, frozen=True, array_like=True):
    """`amount_minor` into (above zero) or out of an owner's ledger account, against another."""

    number: int
    account: str
    counter: str
    amount_minor: int


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What was shared of one operation or dispute, once for ever.

    `refundable` is, for each part by its number, what stood there before and what this changed.
    `captured_at` is told of a capture that is shared now, and not kept.
    """

    operation_id: str
    phase: Phase
    round: int
    payment_id: str
    attempt_id: str
    amount_minor: int
    refundable: tuple[tuple[int, int], ...]
    moved: tuple[Movement, ...]
    created_at: datetime
    captured_at: datetime | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an operation, or of a dispute's fee, whose money is to be shared.

    `amount_minor` is what should by now have been shared of it; `captured_at`, of a capture, when
    it was booked: the instant of the sale, however late it is shared.
    """

    operation_id: str
    attempt_id: str
    kind: Literal["capture", "refund", "dispute", "dispute_fee"]
    amount_minor: int
    fee_minor: int = 0
    asked: dict[int, int] = {}
    disputed_minor: int = 0
    captured_at: datetime | None = None


class EscrowHold(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a payment until its conditions are met."""

    id: str
    payment_id: str
    currency: str
    status: EscrowStatus
    terms: dict[str, Any]
    progress: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    captured_at: datetime | None = None
    delivered_at: datetime | None = None
    approved_at: datetime | None = None
    milestone_at: datetime | None = None
    captured_minor: int = 0
    held_minor: int = 0
    released_minor: int = 0
    is_frozen: bool = False
    due_at: datetime | None = None
    version: int = 1


class Reserve(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept back of one sale."""

    id: str
    account_id: str
    payment_id: str
    currency: str
    amount_minor: int
    release_at: datetime
    created_at: datetime
    released_at: datetime | None = None
