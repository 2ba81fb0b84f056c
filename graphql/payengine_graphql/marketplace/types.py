"""How are connected accounts, splits and escrows shown?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.errors import CursorInvalid
from payengine.ids import is_id
from payengine.marketplace.connected_models import AccountCheck as AccountCheckRow
from payengine.marketplace.connected_models import AccountStanding
from payengine.marketplace.connected_models import ConnectedAccount as AccountRow
from payengine.marketplace.escrows import EscrowRelease as ReleaseRow
from payengine.marketplace.sharing_models import EscrowHold
from payengine.marketplace.sharing_models import Reserve as ReserveRow
from payengine.marketplace.sharing_models import SplitRule as RuleRow
from payengine.marketplace.transferring import AccountTransfer as TransferRow

from payengine_graphql.context import RequestContext, Wire
from payengine_graphql.marketplace.enums import (
    AccountStatus,
    EscrowCondition,
    EscrowStatus,
    SplitScope,
    VendorVerdict,
)
from payengine_graphql.scalars import JSON, Currency, DateTime, MinorUnits
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.money import Money, money
from payengine_graphql.types.nodes import (
    DEFAULT_PAGE,
    MAX_PAGE,
    Connection,
    Node,
    check_first,
    connect,
)

__all__ = [
    "AccountBalance",
    "AccountReserve",
    "AccountTransfer",
    "CommissionTier",
    "ConnectedAccount",
    "Escrow",
    "EscrowRelease",
    "SplitRule",
    "VendorCheck",
    "read_account",
    "read_account_transfer",
    "read_escrow",
    "read_split_rule",
    "show_account",
    "show_account_transfer",
    "show_escrow",
    "show_split_rule",
]

_First = Annotated[int, strawberry.argument(description=f"The size of the page, 1 to {MAX_PAGE}.")]
_After = Annotated[
    str | None, strawberry.argument(description="A cursor: the page begins behind it.")
]


@strawberry.type(description="What an account has in one currency.")
class AccountBalance:
    """See the description."""

    row: strawberry.Private[AccountStanding]
    currency: Currency = column("The currency.")

    @computed("What may be paid out; below zero after a refund, a dispute or a fee.")
    def available(self) -> Money:
        """Less what is pending."""
        return money(self.row.available_minor, self.row.currency)

    @computed("What it has of sales that are not available yet.")
    def pending(self) -> Money:
        """By the account's delay."""
        return money(self.row.pending_minor, self.row.currency)

    @computed("What is kept back of sales for a while.")
    def reserved(self) -> Money:
        """Its rolling reserve."""
        return money(self.row.reserved_minor, self.row.currency)

    @computed("What would be its own if the escrows that hold it were released now.")
    def in_escrow(self) -> Money:
        """Its parts of escrows."""
        return money(self.row.in_escrow_minor, self.row.currency)


@strawberry.type(description="What somebody found of an account, once.")
class VendorCheck:
    """See the description."""

    row: strawberry.Private[AccountCheckRow]
    actor: str = column("`plugin:NAME`, or the person's name.")
    verdict: VendorVerdict = column("What was found.")
    requirements: list[str] = column("What the vendor had to tell.")
    reason: str | None = column("Why.")
    created_at: DateTime = column("When.")


@strawberry.type(description="What is kept back of one sale.")
class AccountReserve:
    """See the description."""

    row: strawberry.Private[ReserveRow]
    payment_id: strawberry.ID = column("The payment of the sale.")
    release_at: DateTime = column("When it returns.")
    released_at: DateTime | None = column("When it returned.")
    created_at: DateTime = column("When it was kept.")

    @computed("How much.")
    def amount(self) -> Money:
        """Exactly this returns."""
        return money(self.row.amount_minor, self.row.currency)


@strawberry.type(description="A vendor of the platform.")
class ConnectedAccount(Node):
    """See the description."""

    row: strawberry.Private[AccountRow]
    reference: str = column("Your own name for the vendor.")
    status: AccountStatus = column("Where its onboarding stands.")
    charges_enabled: bool = column("Whether payments may be split in its favour.")
    payouts_enabled: bool = column("Whether it may be paid out.")
    requirements: list[str] = column("What the vendor has to tell.")
    country: str = column("Where it is.")
    default_currency: Currency = column("The currency that it is usually paid in.")
    delay_days: int = column("A sale is available so many days after it.")
    business_days: bool = column("Whether only days from Monday to Friday count.")
    reserve_bps: int = column("What is kept back of each sale, in basis points.")
    reserve_days: int = column("For how many days.")
    metadata: JSON = column("Your own notes.")
    created_at: DateTime = column("When it was created.")
    updated_at: DateTime = column("When it last changed.")

    @computed("What it has, in each currency. Needs the scope `accounts:read`.")
    async def balances(self, info: Wire) -> list[AccountBalance]:
        """From the ledger, now."""
        info.context.require("accounts:read")
        rows = await info.context.engine.marketplace.accounts.balances(
            info.context.tenant, self.row.id
        )
        return [AccountBalance(row=row) for row in rows]

    @computed("What was found of it, the oldest first. Needs the scope `accounts:read`.")
    async def checks(self, info: Wire) -> list[VendorCheck]:
        """By the loader."""
        info.context.require("accounts:read")
        rows = await info.context.loaders.account_checks.load(self.row.id)
        return [VendorCheck(row=row) for row in rows]

    @computed("What is kept back of its sales, the newest first. Needs `accounts:read`.")
    async def reserves(
        self, info: Wire, first: _First = DEFAULT_PAGE, after: _After = None
    ) -> Connection[AccountReserve]:
        """A page."""
        info.context.require("accounts:read")
        if after is not None and not is_id(after, "rsv"):
            raise CursorInvalid(path=("after",))
        rows = await info.context.engine.marketplace.reserves.page(
            info.context.tenant, self.row.id, first=check_first(first), after=after
        )
        return connect(
            rows,
            first=first,
            after=after,
            show=lambda row: AccountReserve(row=row),
            cursor=lambda row: row.id,
        )


@strawberry.type(description="Basis points for a volume.")
class CommissionTier:
    """See the description."""

    up_to: MinorUnits | None = strawberry.field(description="Up to and including; none: no end.")
    percent_bps: int = strawberry.field(description="Basis points of what falls into it.")


@strawberry.type(description="A commission as it was agreed.")
class SplitRule(Node):
    """See the description."""

    row: strawberry.Private[RuleRow]
    scope: SplitScope = column("For what it is agreed.")
    subject: str = column("The product, the category or the account's id; empty for the tenant.")
    created_at: DateTime = column("When it was agreed.")
    archived_at: DateTime | None = column("When it ended.")

    @computed("The currency of its amounts; none where it holds in every one.")
    def currency(self) -> Currency | None:
        """None for an empty one."""
        return Currency(self.row.currency) if self.row.currency else None

    @computed("Basis points of the base.")
    def percent_bps(self) -> int:
        """0 where it has tiers."""
        return self.row.commission.percent_bps

    @computed("Added once, in minor units.")
    def fixed_minor(self) -> MinorUnits:
        """0 where there is none."""
        return MinorUnits(self.row.commission.fixed)

    @computed("At least so much, in minor units.")
    def min_minor(self) -> MinorUnits | None:
        """None: no such limit."""
        least = self.row.commission.min
        return None if least is None else MinorUnits(least)

    @computed("At most so much, in minor units.")
    def max_minor(self) -> MinorUnits | None:
        """None: no such limit."""
        most = self.row.commission.max
        return None if most is None else MinorUnits(most)

    @computed("The tiers, by the vendor's volume of the month.")
    def tiers(self) -> list[CommissionTier]:
        """Empty where it has a percentage."""
        return [
            CommissionTier(
                up_to=None if tier.up_to is None else MinorUnits(tier.up_to),
                percent_bps=tier.percent_bps,
            )
            for tier in self.row.commission.tiers
        ]


@strawberry.type(description="What left an escrow at once.")
class EscrowRelease:
    """See the description."""

    row: strawberry.Private[ReleaseRow]
    currency: strawberry.Private[str]
    actor: str = column("Who let it go; `engine` where it was due.")
    reason: str | None = column("Why.")
    created_at: DateTime = column("When.")

    @computed("How much.")
    def amount(self) -> Money:
        """To all owners together."""
        return money(self.row.amount_minor, self.currency)


@strawberry.type(description="What is kept of a payment until its conditions are met.")
class Escrow(Node):
    """See the description."""

    row: strawberry.Private[EscrowHold]
    payment_id: strawberry.ID = column("The payment.")
    status: EscrowStatus = column("Where it stands.")
    is_frozen: bool = column("Whether a dispute keeps it where it is.")
    captured_at: DateTime | None = column("When something first came in.")
    delivered_at: DateTime | None = column("When it was delivered.")
    approved_at: DateTime | None = column("When a person released it.")
    due_at: DateTime | None = column("When it is released by itself, as far as known now.")
    created_at: DateTime = column("When it was agreed.")
    updated_at: DateTime = column("When it last changed.")

    @computed("What must have happened.")
    def conditions(self) -> list[EscrowCondition]:
        """All of them."""
        return [EscrowCondition(each) for each in self.row.terms.get("conditions", ())]

    @computed("The milestones that were accepted, from 0.")
    def accepted_milestones(self) -> list[int]:
        """In the order in which they were."""
        return list(self.row.progress.get("accepted", ()))

    @computed("What came in.")
    def captured_amount(self) -> Money:
        """Refunds not counted."""
        return money(self.row.captured_minor, self.row.currency)

    @computed("What is held now.")
    def held_amount(self) -> Money:
        """Nobody's yet."""
        return money(self.row.held_minor, self.row.currency)

    @computed("What went to its owners.")
    def released_amount(self) -> Money:
        """Sum of releases."""
        return money(self.row.released_minor, self.row.currency)

    @computed("What left it, the oldest first. Needs the scope `accounts:read`.")
    async def releases(self, info: Wire) -> list[EscrowRelease]:
        """By the loader."""
        info.context.require("accounts:read")
        rows = await info.context.loaders.escrow_releases.load(self.row.id)
        return [EscrowRelease(row=row, currency=self.row.currency) for row in rows]


@strawberry.type(description="Money that went from one account to another; none: the platform.")
class AccountTransfer(Node):
    """See the description."""

    row: strawberry.Private[TransferRow]
    source_id: strawberry.ID | None = column("The account that it left.")
    target_id: strawberry.ID | None = column("The account that it went to.")
    description: str | None = column("Your own words.")
    created_at: DateTime = column("When.")

    @computed("How much.")
    def amount(self) -> Money:
        """Exactly."""
        return money(self.row.amount_minor, self.row.currency)


def show_account(row: AccountRow) -> ConnectedAccount:
    """The account for the wire."""
    return ConnectedAccount(id=strawberry.ID(row.id), row=row)


def show_split_rule(row: RuleRow) -> SplitRule:
    """The rule for the wire."""
    return SplitRule(id=strawberry.ID(row.id), row=row)


def show_escrow(row: EscrowHold) -> Escrow:
    """The escrow for the wire."""
    return Escrow(id=strawberry.ID(row.id), row=row)


def show_account_transfer(row: TransferRow) -> AccountTransfer:
    """The transfer for the wire."""
    return AccountTransfer(id=strawberry.ID(row.id), row=row)


async def read_account(context: RequestContext, account_id: str) -> ConnectedAccount | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.accounts.load(account_id)
    return show_account(row) if row else None


async def read_split_rule(context: RequestContext, rule_id: str) -> SplitRule | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.split_rules.load(rule_id)
    return show_split_rule(row) if row else None


async def read_escrow(context: RequestContext, escrow_id: str) -> Escrow | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.escrows.load(escrow_id)
    return show_escrow(row) if row else None


async def read_account_transfer(
    context: RequestContext, transfer_id: str
) -> AccountTransfer | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.account_transfers.load(transfer_id)
    return show_account_transfer(row) if row else None
