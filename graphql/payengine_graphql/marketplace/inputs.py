"""What may a client send about accounts, rules, escrows and transfers?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import strawberry
from payengine.errors import InputInvalid
from payengine.marketplace.connected_models import (
    CreateConnectedAccount,
    DecideOnboarding,
    MoveConnectedAccount,
    UpdateConnectedAccount,
)
from payengine.marketplace.escrows import AcceptMilestone, RecordDelivery, ReleaseEscrow
from payengine.marketplace.rules import ArchiveSplitRule, CreateSplitRule
from payengine.marketplace.transferring import CreateAccountTransfer

from payengine_graphql.marketplace.enums import SplitScope, VendorVerdict
from payengine_graphql.marketplace.split_inputs import CommissionInput
from payengine_graphql.scalars import JSON, Currency, DateTime, MinorUnits
from payengine_graphql.types.money import MoneyInput

__all__ = [
    "AcceptMilestoneInput",
    "ArchiveSplitRuleInput",
    "CloseConnectedAccountInput",
    "CreateAccountTransferInput",
    "CreateConnectedAccountInput",
    "CreateSplitRuleInput",
    "DecideOnboardingInput",
    "RecordDeliveryInput",
    "ReleaseEscrowInput",
    "ResumeConnectedAccountInput",
    "SubmitConnectedAccountInput",
    "SuspendConnectedAccountInput",
    "UpdateConnectedAccountInput",
]

_KEY = "1 to 255 printable characters of your own: the same key never does it twice."
_ACCOUNT = "The account's id, acc_…."
_ESCROW = "The escrow's id, esc_…."
_REASON = "Why, in your own words."


def _key() -> Any:
    return strawberry.field(description=_KEY)


def _given(description: str) -> Any:
    return strawberry.field(description=description)


def _optional(description: str) -> Any:
    return strawberry.field(description=description, default=None)


def _metadata(given: object) -> dict[str, str] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise InputInvalid("Metadata is an object whose values are texts.", path=("metadata",))
    return dict(given)


@strawberry.input(description="A new connected account, whose onboarding begins.")
class CreateConnectedAccountInput:
    """See the description."""

    idempotency_key: str = _key()
    reference: str = _given("Your own name for the vendor, unique in the tenant.")
    country: str = _given("Where it is: an ISO 3166 code of two capital letters.")
    default_currency: Currency = _given("The currency that it is usually paid in.")
    delay_days: int = strawberry.field(
        description="A sale is available so many days after it, 0 to 365.", default=0
    )
    business_days: bool = strawberry.field(
        description="Whether only days from Monday to Friday count.", default=False
    )
    reserve_bps: int = strawberry.field(
        description="What is kept back of each sale, in basis points.", default=0
    )
    reserve_days: int = strawberry.field(description="For how many days.", default=0)
    metadata: JSON | None = _optional("Your own notes: an object whose values are texts.")

    def to_core(self) -> CreateConnectedAccount:
        """For the engine."""
        return CreateConnectedAccount(
            idempotency_key=self.idempotency_key,
            reference=self.reference,
            country=self.country,
            default_currency=self.default_currency,
            delay_days=self.delay_days,
            business_days=self.business_days,
            reserve_bps=self.reserve_bps,
            reserve_days=self.reserve_days,
            metadata=_metadata(self.metadata) or {},
        )


@strawberry.input(description="What is left out stays as it is; terms hold for sales from now on.")
class UpdateConnectedAccountInput:
    """See the description."""

    idempotency_key: str = _key()
    account_id: strawberry.ID = _given(_ACCOUNT)
    country: str | None = _optional("Where it is.")
    default_currency: Currency | None = _optional("The currency that it is usually paid in.")
    delay_days: int | None = _optional("A sale is available so many days after it.")
    business_days: bool | None = _optional("Whether only days from Monday to Friday count.")
    reserve_bps: int | None = _optional("What is kept back of each sale, in basis points.")
    reserve_days: int | None = _optional("For how many days.")
    metadata: JSON | None = _optional("Replaces all notes.")

    def to_core(self) -> UpdateConnectedAccount:
        """For the engine."""
        return UpdateConnectedAccount(
            idempotency_key=self.idempotency_key,
            account_id=self.account_id,
            country=self.country,
            default_currency=self.default_currency,
            delay_days=self.delay_days,
            business_days=self.business_days,
            reserve_bps=self.reserve_bps,
            reserve_days=self.reserve_days,
            metadata=_metadata(self.metadata),
        )


@strawberry.input(
    description="Hand an account in to be verified; again, to have it looked at anew."
)
class SubmitConnectedAccountInput:
    """See the description."""

    idempotency_key: str = _key()
    account_id: strawberry.ID = _given(_ACCOUNT)

    def to_core(self) -> MoveConnectedAccount:
        """For the engine."""
        return MoveConnectedAccount(
            idempotency_key=self.idempotency_key, account_id=self.account_id
        )


@strawberry.input(description="Stop an account's charges and payouts.")
class SuspendConnectedAccountInput:
    """See the description."""

    idempotency_key: str = _key()
    account_id: strawberry.ID = _given(_ACCOUNT)
    reason: str | None = _optional(_REASON)

    def to_core(self) -> MoveConnectedAccount:
        """For the engine."""
        return MoveConnectedAccount(
            idempotency_key=self.idempotency_key, account_id=self.account_id, reason=self.reason
        )


@strawberry.input(description="Let a suspended account go on.")
class ResumeConnectedAccountInput(SuspendConnectedAccountInput):
    """See the description."""


@strawberry.input(description="End an account for ever, once nothing is left in it.")
class CloseConnectedAccountInput(SuspendConnectedAccountInput):
    """See the description."""


@strawberry.input(description="A named person's word on an account.")
class DecideOnboardingInput:
    """See the description."""

    idempotency_key: str = _key()
    account_id: strawberry.ID = _given(_ACCOUNT)
    verdict: VendorVerdict = _given("What was found.")
    person: str = _given("Who says so.")
    requirements: list[str] | None = _optional("What the vendor has to tell, up to 50 texts.")
    reason: str | None = _optional(_REASON)

    def to_core(self) -> DecideOnboarding:
        """For the engine."""
        return DecideOnboarding(
            idempotency_key=self.idempotency_key,
            account_id=self.account_id,
            verdict=self.verdict.value,
            person=self.person,
            requirements=tuple(self.requirements or ()),
            reason=self.reason,
        )


@strawberry.input(description="Agree on a commission.")
class CreateSplitRuleInput:
    """See the description."""

    idempotency_key: str = _key()
    scope: SplitScope = _given("For what it is agreed.")
    subject: str = strawberry.field(
        description="The product, the category or the account's id; empty for the tenant.",
        default="",
    )
    currency: Currency | None = _optional(
        "The currency of its amounts; left out, it has percentages alone and holds in every one."
    )
    commission: CommissionInput = _given("What the platform keeps.")

    def to_core(self) -> CreateSplitRule:
        """For the engine."""
        return CreateSplitRule(
            idempotency_key=self.idempotency_key,
            scope=self.scope.value,
            subject=self.subject,
            currency=self.currency,
            commission=self.commission.to_core(),
        )


@strawberry.input(description="End a rule for new payments.")
class ArchiveSplitRuleInput:
    """See the description."""

    idempotency_key: str = _key()
    rule_id: strawberry.ID = _given("The rule's id, spr_….")

    def to_core(self) -> ArchiveSplitRule:
        """For the engine."""
        return ArchiveSplitRule(idempotency_key=self.idempotency_key, rule_id=self.rule_id)


@strawberry.input(description="Let go what is held in escrow, or a part of it.")
class ReleaseEscrowInput:
    """See the description."""

    idempotency_key: str = _key()
    escrow_id: strawberry.ID = _given(_ESCROW)
    amount_minor: MinorUnits | None = _optional("How much; all that is held where left out.")
    reason: str | None = _optional(_REASON)

    def to_core(self) -> ReleaseEscrow:
        """For the engine."""
        return ReleaseEscrow(
            idempotency_key=self.idempotency_key,
            escrow_id=self.escrow_id,
            amount_minor=self.amount_minor,
            reason=self.reason,
        )


@strawberry.input(description="Tell that the goods came.")
class RecordDeliveryInput:
    """See the description."""

    idempotency_key: str = _key()
    escrow_id: strawberry.ID = _given(_ESCROW)
    delivered_at: DateTime | None = _optional("When; now where left out.")

    def to_core(self) -> RecordDelivery:
        """For the engine."""
        return RecordDelivery(
            idempotency_key=self.idempotency_key,
            escrow_id=self.escrow_id,
            delivered_at=self.delivered_at,
        )


@strawberry.input(description="Accept a part of the work; what it pays is released.")
class AcceptMilestoneInput:
    """See the description."""

    idempotency_key: str = _key()
    escrow_id: strawberry.ID = _given(_ESCROW)
    number: int = strawberry.field(description="Which milestone, from 0.", default=0)

    def to_core(self) -> AcceptMilestone:
        """For the engine."""
        return AcceptMilestone(
            idempotency_key=self.idempotency_key, escrow_id=self.escrow_id, number=self.number
        )


@strawberry.input(description="Move what is available from one account to another, at once.")
class CreateAccountTransferInput:
    """See the description."""

    idempotency_key: str = _key()
    amount: MoneyInput = _given("How much.")
    source_id: strawberry.ID | None = _optional("The account it leaves; the platform's, left out.")
    target_id: strawberry.ID | None = _optional("The account it goes to; the platform's, left out.")
    description: str | None = _optional("Your own words, up to 500 characters.")

    def to_core(self) -> CreateAccountTransfer:
        """For the engine."""
        return CreateAccountTransfer(
            idempotency_key=self.idempotency_key,
            amount_minor=self.amount.amount_minor,
            currency=self.amount.currency,
            source_id=self.source_id,
            target_id=self.target_id,
            description=self.description,
        )
