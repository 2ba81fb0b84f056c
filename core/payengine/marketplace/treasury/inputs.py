"""What is asked of the treasury? Each request carries the client's idempotency key."""

from __future__ import annotations

from typing import Literal

import msgspec

from payengine.marketplace.payouts import Interval, Weekday

__all__ = [
    "CancelPayout",
    "CreatePayout",
    "PlacePayoutHold",
    "ReleasePayout",
    "ReleasePayoutHold",
    "SavePayoutDestination",
    "SavePayoutSchedule",
    "SettlePayout",
]


class CreatePayout(msgspec.Struct, frozen=True, kw_only=True):
    """Pay out `amount_minor`, or where it is None all that is available, in the rail's steps."""

    idempotency_key: str
    account_id: str
    currency: str
    amount_minor: int | None = None
    statement: str = ""


class CancelPayout(msgspec.Struct, frozen=True, kw_only=True):
    """Call off a payout that was not sent; its money returns to the balance."""

    idempotency_key: str
    payout_id: str
    reason: str


class ReleasePayout(msgspec.Struct, frozen=True, kw_only=True):
    """Let a held payout go on, in a person's name."""

    idempotency_key: str
    payout_id: str
    person: str
    reason: str


class SettlePayout(msgspec.Struct, frozen=True, kw_only=True):
    """Say what became of a payout, as the bank or the provider shows it to a person."""

    idempotency_key: str
    payout_id: str
    outcome: Literal["paid", "failed", "returned"]
    person: str
    reason: str
    reference: str | None = None


class SavePayoutDestination(msgspec.Struct, frozen=True, kw_only=True):
    """Where the account's money of a currency goes from now on; replaces the one before.

    `number` is an IBAN or the provider's token, after `kind`.
    """

    idempotency_key: str
    account_id: str
    currency: str
    rail: str
    kind: str
    number: str
    holder: str = ""
    country: str = ""


class SavePayoutSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """When the account's balance of a currency is paid out; replaces the schedule before.

    `fee_minor` is taken from the balance for each payout, whoever asks for it.
    """

    idempotency_key: str
    account_id: str
    currency: str
    interval: Interval
    weekday: Weekday = "monday"
    anchor_day: int = 1
    minimum_minor: int = 0
    zone: str = "UTC"
    fee_minor: int = 0


class PlacePayoutHold(msgspec.Struct, frozen=True, kw_only=True):
    """Let no payout of the account leave."""

    idempotency_key: str
    account_id: str
    person: str
    reason: str


class ReleasePayoutHold(msgspec.Struct, frozen=True, kw_only=True):
    """Lift a hold; what it has kept goes on."""

    idempotency_key: str
    hold_id: str
    person: str
    reason: str
