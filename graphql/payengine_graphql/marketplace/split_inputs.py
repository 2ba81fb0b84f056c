"""How does a client say how a payment is to be divided?"""

from __future__ import annotations

from typing import Any

import strawberry
from payengine.marketplace.commission import CommissionRule, Tier
from payengine.marketplace.meant import EscrowInput, ShareInput, SplitInput

from payengine_graphql.marketplace.enums import EscrowCondition, FeePolicy, Liability
from payengine_graphql.scalars import MinorUnits

__all__ = [
    "CommissionInput",
    "CommissionTierInput",
    "EscrowTermsInput",
    "SplitPaymentInput",
    "SplitShareInput",
    "shares_of",
]


def _optional(description: str) -> Any:
    return strawberry.field(description=description, default=None)


@strawberry.input(
    description="One owner's share: exactly one of amountMinor, percentBps and remainder."
)
class SplitShareInput:
    """See the description."""

    account_id: strawberry.ID | None = _optional(
        "The connected account, acc_…; left out, it is the platform's own share."
    )
    amount_minor: MinorUnits | None = _optional("A fixed part, in minor units.")
    percent_bps: int | None = _optional("Basis points of the whole: 250 are 2.5 %.")
    remainder: bool = strawberry.field(
        description="Whether it is what the others leave; at most one share is.", default=False
    )

    def to_core(self) -> ShareInput:
        """For the engine."""
        return ShareInput(
            account_id=self.account_id,
            amount_minor=self.amount_minor,
            percent_bps=self.percent_bps,
            remainder=self.remainder,
        )


def shares_of(given: list[SplitShareInput] | None) -> tuple[ShareInput, ...]:
    """For the engine; none where left out."""
    return tuple(share.to_core() for share in given or ())


@strawberry.input(description="Basis points for the month's volume up to and including `upTo`.")
class CommissionTierInput:
    """See the description."""

    up_to: MinorUnits | None = _optional("In minor units; the last tier has no end.")
    percent_bps: int = strawberry.field(description="Basis points of what falls into it.")


@strawberry.input(
    description="What the platform keeps: a percentage or tiers, a fixed part, and limits."
)
class CommissionInput:
    """See the description."""

    percent_bps: int = strawberry.field(description="Basis points of the base.", default=0)
    fixed_minor: MinorUnits | None = _optional("Added once, in minor units.")
    min_minor: MinorUnits | None = _optional("At least so much, in minor units.")
    max_minor: MinorUnits | None = _optional("At most so much, in minor units.")
    tiers: list[CommissionTierInput] | None = _optional(
        "Marginal on what the vendor sold this month before, in UTC; instead of percentBps."
    )

    def to_core(self) -> CommissionRule:
        """For the engine."""
        return CommissionRule(
            percent_bps=self.percent_bps,
            fixed=self.fixed_minor or 0,
            min=self.min_minor,
            max=self.max_minor,
            tiers=tuple(
                Tier(up_to=tier.up_to, percent_bps=tier.percent_bps) for tier in self.tiers or ()
            ),
        )


@strawberry.input(
    description="Keep what is captured until all conditions are met, or the timeout has run out."
)
class EscrowTermsInput:
    """See the description."""

    conditions: list[EscrowCondition] | None = _optional("What must have happened.")
    inspection_days: int = strawberry.field(
        description="How long the buyer may look at what was delivered.", default=0
    )
    timeout_days: int | None = _optional(
        "After so many days it is released by itself; left out, never."
    )
    milestones_bps: list[int] | None = _optional(
        "With the condition MILESTONE alone: what each pays, together 10,000 basis points."
    )

    def to_core(self) -> EscrowInput:
        """For the engine."""
        return EscrowInput(
            conditions=tuple(each.value for each in self.conditions or ()),
            inspection_days=self.inspection_days,
            timeout_days=self.timeout_days,
            milestones_bps=tuple(self.milestones_bps or ()),
        )


@strawberry.input(description="How a payment is divided: exactly one of shares and vendorId.")
class SplitPaymentInput:
    """See the description."""

    shares: list[SplitShareInput] | None = _optional("The owners' shares of the whole.")
    vendor_id: strawberry.ID | None = _optional(
        "The connected account that sells, acc_…; the platform keeps the agreed commission."
    )
    product: str | None = _optional("With vendorId: what is sold, for the rule of a product.")
    category: str | None = _optional("With vendorId: its category, for the rule of a category.")
    commission: CommissionInput | None = _optional("With vendorId: agreed for this payment alone.")
    base_minor: MinorUnits | None = _optional(
        "With vendorId: what the percentage is taken of, such as the price without shipping."
    )
    fee_policy: FeePolicy = strawberry.field(
        description="Who gives back of a refund.", default=FeePolicy.PROPORTIONAL
    )
    liability: Liability = strawberry.field(
        description="Who bears a dispute.", default=Liability.SPLIT_RATIO
    )
    fee_bearer: Liability = strawberry.field(
        description="Who bears the processor's fee of what was refunded.",
        default=Liability.PLATFORM,
    )
    escrow: EscrowTermsInput | None = _optional("Keep it first.")

    def to_core(self) -> SplitInput:
        """For the engine."""
        return SplitInput(
            shares=shares_of(self.shares),
            vendor_id=self.vendor_id,
            product=self.product,
            category=self.category,
            commission=self.commission.to_core() if self.commission else None,
            base_minor=self.base_minor,
            fee_policy=self.fee_policy.value,
            liability=self.liability.value,
            fee_bearer=self.fee_bearer.value,
            escrow=self.escrow.to_core() if self.escrow else None,
        )
