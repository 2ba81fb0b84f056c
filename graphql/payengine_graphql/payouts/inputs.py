"""What may a client send about payouts?"""

from __future__ import annotations

import strawberry
from payengine.errors import InputInvalid
from payengine.marketplace.treasury import (
    CancelPayout,
    CreatePayout,
    PayoutFilter,
    PlacePayoutHold,
    ReleasePayout,
    ReleasePayoutHold,
    SavePayoutDestination,
    SavePayoutSchedule,
    SettlePayout,
)

from payengine_graphql.inputs import check_id
from payengine_graphql.payouts.enums import (
    PayoutInterval,
    PayoutOutcome,
    PayoutStatus,
    PayoutWeekday,
)
from payengine_graphql.scalars import Currency
from payengine_graphql.types.money import MoneyInput

__all__ = [
    "CancelPayoutInput",
    "CreatePayoutInput",
    "PayoutFilterInput",
    "PlacePayoutHoldInput",
    "ReleasePayoutHoldInput",
    "ReleasePayoutInput",
    "SavePayoutDestinationInput",
    "SavePayoutScheduleInput",
    "SettlePayoutInput",
]

_KEY = "1 to 255 printable characters of your own: the same key never does it twice."
_ACCOUNT = "The connected account's id, acc_…."
_PAYOUT = "The payout's id, po_…."
_PERSON = "Who acts: the name of a person, kept with what they do."
_REASON = "Why, in words that an auditor understands."


@strawberry.input(description="Pay an account out.")
class CreatePayoutInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    account_id: strawberry.ID = strawberry.field(description=_ACCOUNT)
    currency: Currency = strawberry.field(description="Which of its balances.")
    amount: MoneyInput | None = strawberry.field(
        description="How much; left out, all that is available and that the rail can send.",
        default=None,
    )
    statement: str = strawberry.field(
        description="What the receiver reads, at most 140 characters.", default=""
    )

    def to_core(self) -> CreatePayout:
        """For the engine."""
        if self.amount is not None and self.amount.currency != self.currency:
            raise InputInvalid("The amount is of another currency.", path=("amount", "currency"))
        return CreatePayout(
            idempotency_key=self.idempotency_key,
            account_id=self.account_id,
            currency=self.currency,
            amount_minor=self.amount.amount_minor if self.amount else None,
            statement=self.statement,
        )


@strawberry.input(description="Call off a payout that was not sent.")
class CancelPayoutInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    payout_id: strawberry.ID = strawberry.field(description=_PAYOUT)
    reason: str = strawberry.field(description=_REASON)

    def to_core(self) -> CancelPayout:
        """For the engine."""
        return CancelPayout(
            idempotency_key=self.idempotency_key, payout_id=self.payout_id, reason=self.reason
        )


@strawberry.input(description="Let a held payout go on.")
class ReleasePayoutInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    payout_id: strawberry.ID = strawberry.field(description=_PAYOUT)
    person: str = strawberry.field(description=_PERSON)
    reason: str = strawberry.field(description=_REASON)

    def to_core(self) -> ReleasePayout:
        """For the engine."""
        return ReleasePayout(
            idempotency_key=self.idempotency_key,
            payout_id=self.payout_id,
            person=self.person,
            reason=self.reason,
        )


@strawberry.input(description="Say what became of a payout, as the bank shows it to you.")
class SettlePayoutInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    payout_id: strawberry.ID = strawberry.field(description=_PAYOUT)
    outcome: PayoutOutcome = strawberry.field(description="What became of it.")
    person: str = strawberry.field(description=_PERSON)
    reason: str = strawberry.field(description=_REASON)
    reference: str | None = strawberry.field(
        description="The bank's own name for it.", default=None
    )

    def to_core(self) -> SettlePayout:
        """For the engine."""
        return SettlePayout(
            idempotency_key=self.idempotency_key,
            payout_id=self.payout_id,
            outcome=self.outcome.value,
            person=self.person,
            reason=self.reason,
            reference=self.reference,
        )


@strawberry.input(description="Where an account's money of a currency goes from now on.")
class SavePayoutDestinationInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    account_id: strawberry.ID = strawberry.field(description=_ACCOUNT)
    currency: Currency = strawberry.field(description="Of which currency.")
    rail: str = strawberry.field(description="By which of `payoutRails`.")
    kind: str = strawberry.field(description="One of the rail's `destinations`.")
    number: str = strawberry.field(
        description="The IBAN, or the provider's token. It is sealed and never shown again."
    )
    holder: str = strawberry.field(description="The name of the bank account's owner.", default="")
    country: str = strawberry.field(
        description="The country of the bank account: `DE`.", default=""
    )

    def to_core(self) -> SavePayoutDestination:
        """For the engine."""
        return SavePayoutDestination(
            idempotency_key=self.idempotency_key,
            account_id=self.account_id,
            currency=self.currency,
            rail=self.rail,
            kind=self.kind,
            number=self.number,
            holder=self.holder,
            country=self.country,
        )


@strawberry.input(description="When an account's balance of a currency is paid out by itself.")
class SavePayoutScheduleInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    account_id: strawberry.ID = strawberry.field(description=_ACCOUNT)
    currency: Currency = strawberry.field(description="Of which currency.")
    interval: PayoutInterval = strawberry.field(description="How often.")
    weekday: PayoutWeekday = strawberry.field(
        description="The day of a weekly one.", default=PayoutWeekday.MONDAY
    )
    anchor_day: int = strawberry.field(
        description="The day of a monthly one, 1 to 31; the last of a shorter month.", default=1
    )
    minimum: MoneyInput | None = strawberry.field(
        description="Below this everything waits for the next day.", default=None
    )
    zone: str = strawberry.field(
        description="The time zone whose days these are: `Europe/Berlin`.", default="UTC"
    )
    fee: MoneyInput | None = strawberry.field(
        description="What the account pays the platform for each payout of this currency; it "
        "returns where the payout does not arrive.",
        default=None,
    )

    def to_core(self) -> SavePayoutSchedule:
        """For the engine."""
        if self.minimum is not None and self.minimum.currency != self.currency:
            raise InputInvalid("The minimum is of another currency.", path=("minimum", "currency"))
        if self.fee is not None and self.fee.currency != self.currency:
            raise InputInvalid("The fee is of another currency.", path=("fee", "currency"))
        return SavePayoutSchedule(
            idempotency_key=self.idempotency_key,
            account_id=self.account_id,
            currency=self.currency,
            interval=self.interval.value,
            weekday=self.weekday.value,
            anchor_day=self.anchor_day,
            minimum_minor=self.minimum.amount_minor if self.minimum else 0,
            zone=self.zone,
            fee_minor=self.fee.amount_minor if self.fee else 0,
        )


@strawberry.input(description="Let no payout of an account leave.")
class PlacePayoutHoldInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    account_id: strawberry.ID = strawberry.field(description=_ACCOUNT)
    person: str = strawberry.field(description=_PERSON)
    reason: str = strawberry.field(description=_REASON)

    def to_core(self) -> PlacePayoutHold:
        """For the engine."""
        return PlacePayoutHold(
            idempotency_key=self.idempotency_key,
            account_id=self.account_id,
            person=self.person,
            reason=self.reason,
        )


@strawberry.input(description="Lift a hold; what it has kept goes on.")
class ReleasePayoutHoldInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    hold_id: strawberry.ID = strawberry.field(description="The hold's id, phd_….")
    person: str = strawberry.field(description=_PERSON)
    reason: str = strawberry.field(description=_REASON)

    def to_core(self) -> ReleasePayoutHold:
        """For the engine."""
        return ReleasePayoutHold(
            idempotency_key=self.idempotency_key,
            hold_id=self.hold_id,
            person=self.person,
            reason=self.reason,
        )


@strawberry.input(description="Which payouts to list.")
class PayoutFilterInput:
    """See the description."""

    account_id: strawberry.ID | None = strawberry.field(
        description="Of this connected account.", default=None
    )
    status: PayoutStatus | None = strawberry.field(description="In this state.", default=None)
    batch_id: strawberry.ID | None = strawberry.field(
        description="Of this batch, pob_….", default=None
    )
    needs_review: bool | None = strawberry.field(
        description="Those that wait for a person to find out.", default=None
    )

    def to_core(self) -> PayoutFilter:
        """For the engine."""
        if self.account_id is not None:
            check_id(self.account_id, "acc", field="accountId")
        if self.batch_id is not None:
            check_id(self.batch_id, "pob", field="batchId")
        return PayoutFilter(
            account_id=self.account_id,
            status=self.status.value if self.status else None,
            batch_id=self.batch_id,
            needs_review=self.needs_review,
        )
