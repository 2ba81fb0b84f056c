"""How is a payment's division shown?"""

from __future__ import annotations

import strawberry
from payengine.marketplace.divided import Divided
from payengine.marketplace.sharing_models import Part, Step

from payengine_graphql.context import Wire
from payengine_graphql.marketplace.enums import FeePolicy, Liability, SplitPhase
from payengine_graphql.marketplace.types import ConnectedAccount, Escrow, read_account, read_escrow
from payengine_graphql.scalars import DateTime
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.money import Money, money

__all__ = ["PaymentPart", "PaymentSplit", "SplitMovement", "SplitStep"]


@strawberry.type(description="Money that went to an account or came from it.")
class SplitMovement:
    """See the description."""

    account: str = strawberry.field(description="The ledger's account.")
    amount: Money = strawberry.field(description="Below zero where it came from there.")


@strawberry.type(description="What was shared of one step of the payment.")
class SplitStep:
    """See the description."""

    row: strawberry.Private[Step]
    currency: strawberry.Private[str]
    operation_id: strawberry.ID = column("The operation, or the dispute.")
    phase: SplitPhase = column("What it did.")
    created_at: DateTime = column("When it was shared.")

    @computed("How much of the payment.")
    def amount(self) -> Money:
        """Of the operation or the dispute."""
        return money(self.row.amount_minor, self.currency)

    @computed("What moved.")
    def movements(self) -> list[SplitMovement]:
        """By account."""
        return [
            SplitMovement(account=each.account, amount=money(each.amount_minor, self.currency))
            for each in self.row.moved
        ]


@strawberry.type(description="One owner's part of a payment.")
class PaymentPart:
    """See the description."""

    row: strawberry.Private[Part]
    currency: strawberry.Private[str]
    is_planned: strawberry.Private[bool]
    account_id: strawberry.ID | None = column("The connected account; none: the platform.")

    @computed(
        "What it is to get of the whole payment; none until the capture of a sale whose commission "
        "depends on what the vendor sold this month before."
    )
    def planned_amount(self) -> Money | None:
        """By the split."""
        return money(self.row.planned_minor, self.currency) if self.is_planned else None

    @computed("What it has got.")
    def captured_amount(self) -> Money:
        """Sum of its parts of captures."""
        return money(self.row.captured_minor, self.currency)

    @computed("What may still be taken of that by refunds.")
    def refundable_amount(self) -> Money:
        """Less refunds and disputes."""
        return money(self.row.refundable_minor, self.currency)

    @computed("What of that is in escrow.")
    def escrowed_amount(self) -> Money:
        """Nobody's yet."""
        return money(self.row.escrowed_minor, self.currency)

    @computed("The account itself. Needs the scope `accounts:read`.")
    async def account(self, info: Wire) -> ConnectedAccount | None:
        """By the loader."""
        info.context.require("accounts:read")
        if self.row.account_id is None:
            return None
        return await read_account(info.context, self.row.account_id)


@strawberry.type(description="How a payment is divided.")
class PaymentSplit:
    """See the description."""

    divided: strawberry.Private[Divided]

    @computed("Who gives back of a refund.")
    def fee_policy(self) -> FeePolicy:
        """As it was said."""
        return FeePolicy(self.divided.split.fee_policy)

    @computed("Who bears a dispute.")
    def liability(self) -> Liability:
        """As it was said."""
        return Liability(self.divided.split.liability)

    @computed("Who bears the processor's fee of what was refunded.")
    def fee_bearer(self) -> Liability:
        """As it was said."""
        return Liability(self.divided.split.fee_bearer)

    @computed("The owners' parts.")
    def parts(self) -> list[PaymentPart]:
        """In the order in which they were named; a vendor before the platform."""
        split, parts = self.divided.split, self.divided.parts
        known = split.vendor_id is None or any(part.planned_minor for part in parts)
        return [PaymentPart(row=part, currency=split.currency, is_planned=known) for part in parts]

    @computed("What was shared, the oldest first.")
    def steps(self) -> list[SplitStep]:
        """Each once."""
        currency = self.divided.split.currency
        return [SplitStep(row=step, currency=currency) for step in self.divided.steps]

    @computed("The escrow that keeps it. Needs the scope `accounts:read`.")
    async def escrow(self, info: Wire) -> Escrow | None:
        """By the loader."""
        info.context.require("accounts:read")
        escrow_id = self.divided.split.escrow_id
        return None if escrow_id is None else await read_escrow(info.context, escrow_id)
