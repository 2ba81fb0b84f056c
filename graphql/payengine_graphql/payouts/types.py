"""How are payouts, their destinations, schedules and holds shown?"""

from __future__ import annotations

import strawberry
from payengine.marketplace.treasury import Destination as DestinationRow
from payengine.marketplace.treasury import Payout as PayoutRow
from payengine.marketplace.treasury import PayoutBatch as BatchRow
from payengine.marketplace.treasury import PayoutEvidence as EvidenceRow
from payengine.marketplace.treasury import PayoutHold as HoldRow
from payengine.marketplace.treasury import StoredSchedule
from payengine.registry import LoadedRail

from payengine_graphql.context import RequestContext, Wire
from payengine_graphql.payouts.enums import (
    PayoutDestinationStatus,
    PayoutFinding,
    PayoutHeldBecause,
    PayoutInterval,
    PayoutOrigin,
    PayoutSource,
    PayoutStatus,
    PayoutWeekday,
)
from payengine_graphql.scalars import Currency, DateTime
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.money import Money, money
from payengine_graphql.types.nodes import Node

__all__ = [
    "Payout",
    "PayoutBatch",
    "PayoutDestination",
    "PayoutEvidence",
    "PayoutHold",
    "PayoutRail",
    "PayoutSchedule",
    "read_payout",
    "show_payout",
]


@strawberry.type(description="A way by which money can leave.")
class PayoutRail:
    """See the description."""

    row: strawberry.Private[LoadedRail]
    name: str = column("Its name: `rail` of savePayoutDestination.")

    @computed("Its name for people.")
    def title(self) -> str:
        """From the manifest."""
        return self.row.manifest.title

    @computed("The currencies that it carries; empty for all.")
    def currencies(self) -> list[Currency]:
        """From the manifest."""
        return [Currency(code) for code in self.row.manifest.currencies]

    @computed("The kinds of destination that it pays to.")
    def destinations(self) -> list[str]:
        """From the manifest."""
        return list(self.row.manifest.destinations)

    @computed("How many payouts it takes at once.")
    def max_batch(self) -> int:
        """From the manifest."""
        return self.row.manifest.max_batch


@strawberry.type(description="Where an account's money of one currency goes.")
class PayoutDestination:
    """See the description."""

    row: strawberry.Private[DestinationRow]
    id: strawberry.ID = column("The destination's id, pds_….")
    account_id: strawberry.ID = column("Whose it is.")
    currency: Currency = column("Of which currency.")
    rail: str = column("By which rail.")
    kind: str = column("What it is: `iban`, or a token of the rail's.")
    country: str = column("In which country; empty where nobody said.")
    label: str = column("What may be shown of its number.")
    created_at: DateTime = column("When it was saved.")

    @computed("Whether money can go there.")
    def status(self) -> PayoutDestinationStatus:
        """From the row."""
        return PayoutDestinationStatus(self.row.status)


@strawberry.type(description="Payouts that were sent as one.")
class PayoutBatch:
    """See the description."""

    row: strawberry.Private[BatchRow]
    id: strawberry.ID = column("The batch's id, pob_…: the key that the rail got.")
    rail: str = column("By which rail.")
    payouts: int = column("How many payouts.")
    sent_at: DateTime = column("When it was sent.")

    @computed("What they add up to.")
    def amount(self) -> Money:
        """In its currency."""
        return money(self.row.amount_minor, self.row.currency)


@strawberry.type(description="Why something is believed of a payout. Kept for ever.")
class PayoutEvidence:
    """See the description."""

    row: strawberry.Private[EvidenceRow]
    id: strawberry.ID = column("The evidence's id.")
    actor: str = column("Who told it: the rail, or a person's name.")
    raw_code: str | None = column("The rail's own code.")
    detail: str = column("What was said, in words.")
    provider_reference: str | None = column("The rail's own name for the payout.")
    created_at: DateTime = column("When.")

    @computed("Who told it.")
    def source(self) -> PayoutSource:
        """From the row."""
        return PayoutSource(self.row.source)

    @computed("What was told.")
    def finding(self) -> PayoutFinding:
        """From the row."""
        return PayoutFinding(self.row.finding)


@strawberry.type(description="Money that leaves the platform for an account's owner.")
class Payout(Node):
    """See the description."""

    row: strawberry.Private[PayoutRow]
    account_id: strawberry.ID = column("Whose money it is.")
    rail: str = column("By which rail it goes.")
    statement: str = column("What the receiver reads.")
    failure_code: str | None = column(
        "Why it failed, came back or was refused: `account_closed`, `account_invalid`, "
        "`account_blocked`, `beneficiary_mismatch`, `insufficient_funds`, `limit_exceeded`, "
        "`not_allowed`, `not_sent` or `unspecified`."
    )
    failure_text: str | None = column("The same in words.")
    provider_reference: str | None = column("The rail's own name for it.")
    needs_review: bool = column("Whether a person must find out what became of it.")
    created_at: DateTime = column("When it was made, and its money taken.")
    sent_at: DateTime | None = column("When it was sent.")
    ended_at: DateTime | None = column("When it arrived, failed, came back or was called off.")

    @computed("How much.")
    def amount(self) -> Money:
        """In its currency."""
        return money(self.row.amount_minor, self.row.currency)

    @computed("What the account paid the platform for it; it is back where it did not arrive.")
    def fee(self) -> Money:
        """In its currency."""
        return money(self.row.fee_minor, self.row.currency)

    @computed("Where it stands.")
    def status(self) -> PayoutStatus:
        """From the row."""
        return PayoutStatus(self.row.status)

    @computed("Who wanted it.")
    def origin(self) -> PayoutOrigin:
        """From the row."""
        return PayoutOrigin(self.row.origin)

    @computed("Why it is held; none where it is not.")
    def held_because(self) -> PayoutHeldBecause | None:
        """From the row."""
        return PayoutHeldBecause(self.row.held_because) if self.row.held_because else None

    @computed("Where it goes.")
    async def destination(self, info: Wire) -> PayoutDestination | None:
        """By the loader."""
        row = await info.context.loaders.payout_destinations.load(self.row.destination_id)
        return PayoutDestination(row=row) if row else None

    @computed("With what it was sent; none before.")
    async def batch(self, info: Wire) -> PayoutBatch | None:
        """By the loader."""
        if self.row.batch_id is None:
            return None
        row = await info.context.loaders.payout_batches.load(self.row.batch_id)
        return PayoutBatch(row=row) if row else None

    @computed("Why its state is believed, the oldest first.")
    async def evidence(self, info: Wire) -> list[PayoutEvidence]:
        """By the loader."""
        rows = await info.context.loaders.payout_evidence.load(self.row.id)
        return [PayoutEvidence(row=row) for row in rows]


@strawberry.type(description="When an account's balance of one currency is paid out by itself.")
class PayoutSchedule:
    """See the description."""

    row: strawberry.Private[StoredSchedule]
    id: strawberry.ID = column("The schedule's id, psc_….")
    account_id: strawberry.ID = column("Whose balance.")
    currency: Currency = column("Of which currency.")
    anchor_day: int = column("The day of the month of a monthly one.")
    zone: str = column("The time zone whose days these are.")
    due_at: DateTime | None = column("The next day of payout; none for a manual one.")
    last_outcome: str | None = column(
        "What came of the last day: `paid_out`, `below_minimum`, or the code of the error."
    )
    last_run_at: DateTime | None = column("When that was.")

    @computed("How often.")
    def interval(self) -> PayoutInterval:
        """From the row."""
        return PayoutInterval(self.row.cadence)

    @computed("The day of a weekly one.")
    def weekday(self) -> PayoutWeekday:
        """From the row."""
        return PayoutWeekday(self.row.weekday)

    @computed("Below this everything waits for the next day.")
    def minimum(self) -> Money:
        """In its currency."""
        return money(self.row.minimum_minor, self.row.currency)

    @computed("What the account pays the platform for each payout of this currency.")
    def fee(self) -> Money:
        """In its currency."""
        return money(self.row.fee_minor, self.row.currency)


@strawberry.type(description="A person's word that an account's payouts must wait.")
class PayoutHold:
    """See the description."""

    row: strawberry.Private[HoldRow]
    id: strawberry.ID = column("The hold's id, phd_….")
    account_id: strawberry.ID = column("Whose payouts.")
    reason: str = column("Why, in the person's words.")
    placed_by: str = column("Who placed it.")
    created_at: DateTime = column("When.")
    released_by: str | None = column("Who lifted it.")
    release_reason: str | None = column("Why it was lifted.")
    released_at: DateTime | None = column("When it was lifted; none while it stands.")


def show_payout(row: PayoutRow) -> Payout:
    """The payout for the wire."""
    return Payout(id=strawberry.ID(row.id), row=row)


async def read_payout(context: RequestContext, payout_id: str) -> Payout | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.payouts.load(payout_id)
    return show_payout(row) if row else None
