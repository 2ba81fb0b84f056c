"""What is a connected account, and what may be asked of it?

A connected account is a vendor of the platform. Amounts are integers in minor units; days are
calendar days in UTC, or business days from Monday to Friday.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from payengine.marketplace.accounts import OnboardingStatus, capabilities
from payengine.plugin import KycResult

__all__ = [
    "AccountCheck",
    "AccountStanding",
    "ConnectedAccount",
    "CreateConnectedAccount",
    "DecideOnboarding",
    "MoveConnectedAccount",
    "UpdateConnectedAccount",
]


class ConnectedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor, as one row; `reference` is the platform's own name for it.

    A sale is available `delay_days` after it; `reserve_bps` of it are kept `reserve_days`.
    """

    id: str
    reference: str
    status: OnboardingStatus
    country: str
    default_currency: str
    created_at: datetime
    updated_at: datetime
    requirements: tuple[str, ...] = ()
    delay_days: int = 0
    business_days: bool = False
    reserve_bps: int = 0
    reserve_days: int = 0
    metadata: dict[str, str] = {}
    version: int = 1

    @property
    def charges_enabled(self) -> bool:
        """Whether payments may be split in its favour."""
        return capabilities(self.status).charges_enabled

    @property
    def payouts_enabled(self) -> bool:
        """Whether it may be paid out."""
        return capabilities(self.status).payouts_enabled


class AccountCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody found of an account; `actor` is `plugin:NAME` or a named person."""

    id: str
    account_id: str
    actor: str
    verdict: KycResult
    created_at: datetime
    requirements: tuple[str, ...] = ()
    reason: str | None = None


class AccountStanding(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has in one currency.

    `available_minor` may be below zero after a refund, a dispute or a fee; `pending_minor` of its
    sales is not available yet.
    """

    currency: str
    available_minor: int = 0
    pending_minor: int = 0
    reserved_minor: int = 0
    in_escrow_minor: int = 0


class CreateConnectedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A new account, whose onboarding begins."""

    idempotency_key: str
    reference: str
    country: str
    default_currency: str
    delay_days: int = 0
    business_days: bool = False
    reserve_bps: int = 0
    reserve_days: int = 0
    metadata: dict[str, str] = {}


class UpdateConnectedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What is None stays as it is; the terms hold for sales from now on."""

    idempotency_key: str
    account_id: str
    country: str | None = None
    default_currency: str | None = None
    delay_days: int | None = None
    business_days: bool | None = None
    reserve_bps: int | None = None
    reserve_days: int | None = None
    metadata: dict[str, str] | None = None


class MoveConnectedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Submit, suspend, resume or close it; `reason` in the platform's own words."""

    idempotency_key: str
    account_id: str
    reason: str | None = None


class DecideOnboarding(msgspec.Struct, frozen=True, kw_only=True):
    """A named person's word on an account; `requirements` are what the vendor has to tell."""

    idempotency_key: str
    account_id: str
    verdict: KycResult
    person: str
    requirements: tuple[str, ...] = ()
    reason: str | None = None
