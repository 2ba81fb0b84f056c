"""What is kept of a payout, of its sending and of where it goes?"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from payengine.marketplace.payouts import Interval, Weekday
from payengine.marketplace.treasury.states import PayoutStatus

__all__ = [
    "BatchStatus",
    "Destination",
    "DestinationStatus",
    "EvidenceSource",
    "HeldBecause",
    "Payout",
    "PayoutBatch",
    "PayoutEvidence",
    "PayoutFilter",
    "PayoutHold",
    "PayoutOrigin",
    "StoredSchedule",
]

PayoutOrigin = Literal["manual", "schedule"]

#: `unsent`: proven that nothing left this house yet. `sending`: it may have left. `unknown`: the
#: rail gave no answer that tells. `sent`: the rail has told of every payout. `ended`: nothing more
#: can come.
BatchStatus = Literal["unsent", "sending", "unknown", "sent", "ended"]

DestinationStatus = Literal["usable", "requires_update", "replaced"]

EvidenceSource = Literal["answer", "resend", "lookup", "person"]

#: Why a payout waits for a person.
HeldBecause = Literal[
    "fraud_review", "hold", "account_not_active", "destination", "rail_unavailable"
]


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units that leave the platform for an account's owner.

    They were taken from the account's balance when this row was written. `paid_from` is the ledger
    account that they leave; `due_at` (wall time) is when a pending one is sent.
    """

    id: str
    account_id: str
    destination_id: str
    amount_minor: int
    currency: str
    status: PayoutStatus
    origin: PayoutOrigin
    rail: str
    paid_from: str
    statement: str
    created_at: datetime
    updated_at: datetime
    batch_id: str | None = None
    held_because: HeldBecause | None = None
    failure_code: str | None = None
    failure_text: str | None = None
    provider_reference: str | None = None
    screened: bool = False
    needs_review: bool = False
    due_at: datetime | None = None
    sent_at: datetime | None = None
    ended_at: datetime | None = None
    fee_minor: int = 0
    version: int = 1


class PayoutBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One sending under one key, which is its id.

    Its version is a lease: whoever raises it may call the rail until `due_at` comes (wall time).
    """

    id: str
    rail: str
    currency: str
    amount_minor: int
    payouts: int
    status: BatchStatus
    created_at: datetime
    sent_at: datetime
    due_at: datetime | None = None
    tries: int = 0
    version: int = 1


class PayoutEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Why something is believed of a payout."""

    id: str
    payout_id: str
    source: EvidenceSource
    finding: str
    detail: str
    actor: str
    created_at: datetime
    raw_code: str | None = None
    provider_reference: str | None = None


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """Where an account's money of one currency goes; `label` is what may be shown of it."""

    id: str
    account_id: str
    currency: str
    rail: str
    kind: str
    country: str
    label: str
    status: DestinationStatus
    created_at: datetime
    updated_at: datetime


class StoredSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """When an account's balance of one currency is paid out; `due_at` is the next time.

    Days are of `zone`. `fee_minor` is what the account pays for each of its payouts in this
    currency, by a schedule or not. `last_outcome` says what came of the last day: `paid_out`,
    `below_minimum` or the code of the error that refused it.
    """

    id: str
    account_id: str
    currency: str
    cadence: Interval
    weekday: Weekday
    anchor_day: int
    minimum_minor: int
    zone: str
    created_at: datetime
    updated_at: datetime
    due_at: datetime | None = None
    last_outcome: str | None = None
    last_run_at: datetime | None = None
    fee_minor: int = 0
    version: int = 1


class PayoutHold(msgspec.Struct, frozen=True, kw_only=True):
    """No payout of the account leaves while this stands."""

    id: str
    account_id: str
    reason: str
    placed_by: str
    created_at: datetime
    released_by: str | None = None
    release_reason: str | None = None
    released_at: datetime | None = None


class PayoutFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which payouts to list; an empty filter lists all."""

    account_id: str | None = None
    status: PayoutStatus | None = None
    batch_id: str | None = None
    needs_review: bool | None = None
