"""How are imported files, their lines and the work that they leave shown?"""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry
from payengine.plugin import ParserManifest
from payengine.settlements import SettlementAction as ActionRow
from payengine.settlements import SettlementFile as FileRow
from payengine.settlements import SettlementItem as ItemRow
from payengine.settlements import SettlementLineRow as LineRow

from payengine_graphql.context import RequestContext, Wire
from payengine_graphql.scalars import BigInt, DateTime, MinorUnits
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.money import Money, money
from payengine_graphql.types.nodes import Node
from payengine_graphql.types.payments import Payment, show_payment

__all__ = [
    "SettlementAction",
    "SettlementFile",
    "SettlementFinding",
    "SettlementFormat",
    "SettlementItem",
    "SettlementLine",
    "SettlementResolution",
    "read_file",
    "read_item",
    "show_file",
    "show_item",
]


def _value(value: str, description: str) -> Any:
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="Whether a provider's line and ours agree.")
class SettlementFinding(Enum):
    """See the description."""

    MATCHED = _value("matched", "They agree, or the line needs none of ours.")
    MISSING_HERE = _value("missing_here", "The provider has it and we do not.")
    MISSING_THERE = _value("missing_there", "We have it and the provider tells nothing of it.")
    AMOUNT_DIFFERS = _value("amount_differs", "The amounts or the currencies differ.")
    FEE_DIFFERS = _value("fee_differs", "The fees differ.")


@strawberry.enum(description="How an item was closed.")
class SettlementResolution(Enum):
    """See the description."""

    EXPLAINED = _value("explained", "A person said why it is so.")
    FEE_BOOKED = _value("fee_booked", "The provider's fee was taken over.")
    ARRIVED = _value("arrived", "A later file told of it.")


@strawberry.type(description="A kind of file that can be read.")
class SettlementFormat:
    """See the description."""

    row: strawberry.Private[ParserManifest]
    name: str = column("The format's name, such as `acme.balance`.")
    title: str = column("What people call it.")
    gateway: str = column("The gateway whose payments it tells of.")


@strawberry.type(description="One line of a provider's file, kept once.")
class SettlementLine:
    """See the description."""

    row: strawberry.Private[LineRow]
    id: strawberry.ID = column("The line's id.")
    line_key: str = column("The provider's name of the line.")
    kind: str = column("What it is: `capture`, `refund`, `fee`, `payout` and the like.")
    category: str = column("The provider's own word for it.")
    reference: str = column("The provider's name of what was done.")
    fee_minor: MinorUnits = column("What the provider kept, in the amount's currency.")
    payout_reference: str = column("The payout in which it left, where that is told.")
    occurred_at: DateTime = column("When it happened at the provider.")
    finding: SettlementFinding = column("Whether it agrees with ours.")
    payment_id: strawberry.ID | None = column("The payment that it is about.")
    operation_id: strawberry.ID | None = column("The operation that it is about.")
    payout_id: strawberry.ID | None = column("The payout of ours that it is about.")

    @computed("What it did to the balance there, before the fee; below zero where money went.")
    def amount(self) -> Money:
        """In the currency of settlement."""
        return money(self.row.amount_minor, self.row.currency)

    @computed("What the buyer saw, where that was another currency.")
    def presentment(self) -> Money | None:
        """In the currency of presentment."""
        row = self.row
        if row.presentment_minor is None or row.presentment_currency is None:
            return None
        return money(row.presentment_minor, row.presentment_currency)


@strawberry.type(description="A provider's file that was taken in.")
class SettlementFile(Node):
    """See the description."""

    row: strawberry.Private[FileRow]
    format: str = column("The format.")
    gateway: str = column("The gateway whose payments it tells of.")
    name: str = column("What people call the file.")
    line_count: BigInt = column("How many lines it has.")
    new_count: BigInt = column("How many of them no earlier file had.")
    work_count: BigInt = column("How many items it opened.")
    problems: list[str] = column("What of it could not be read, and was left out.")
    begins_at: DateTime | None = column("The instant of its first line.")
    ends_at: DateTime | None = column("The instant of its last line.")
    imported_by: str = column("The API key in whose name it came in.")
    created_at: DateTime = column("When it came in.")
    finished_at: DateTime | None = column("When all of it was taken in; null: send it again.")


@strawberry.type(description="What was done about an item; it is never changed.")
class SettlementAction:
    """See the description."""

    row: strawberry.Private[ActionRow]
    id: strawberry.ID = column("The action's id.")
    kind: str = column("`opened`, `assigned` or `settled`.")
    person: str = column("Who did it.")
    reason: str = column("Why.")
    created_at: DateTime = column("When.")


@strawberry.type(description="What does not agree, for a person to look at.")
class SettlementItem(Node):
    """See the description."""

    row: strawberry.Private[ItemRow]
    finding: SettlementFinding = column("What does not agree.")
    gateway: str = column("The gateway.")
    file_id: strawberry.ID = column("The file that showed it.")
    payment_id: strawberry.ID | None = column("The payment that it is about.")
    operation_id: strawberry.ID | None = column("The operation that it is about.")
    payout_id: strawberry.ID | None = column("The payout that it is about.")
    amount_difference: MinorUnits | None = column("Theirs less ours; null where it has no meaning.")
    fee_difference: MinorUnits | None = column("Their fee less ours; null where it has none.")
    opened_at: DateTime = column("Since when it waits.")
    assigned_to: str | None = column("Whose work it is.")
    resolution: SettlementResolution | None = column("How it was closed.")
    settled_by: str | None = column("Who closed it.")
    settled_at: DateTime | None = column("When it was closed; null while it is open.")

    @computed("What our books say.")
    def ours(self) -> Money | None:
        """Above zero."""
        minor, currency = self.row.ours_minor, self.row.ours_currency
        return None if minor is None or currency is None else money(minor, currency)

    @computed("What the provider says.")
    def theirs(self) -> Money | None:
        """Above zero where it went the way of its kind."""
        minor, currency = self.row.theirs_minor, self.row.theirs_currency
        return None if minor is None or currency is None else money(minor, currency)

    @computed("The provider's line; null where there is none.")
    async def line(self, info: Wire) -> SettlementLine | None:
        """By the loader."""
        if self.row.line_id is None:
            return None
        row = await info.context.loaders.settlement_lines.load(self.row.line_id)
        return SettlementLine(row=row) if row else None

    @computed("The payment that it is about. Needs the scope `payments:read`.")
    async def payment(self, info: Wire) -> Payment | None:
        """By the loader."""
        info.context.require("payments:read")
        if self.row.payment_id is None:
            return None
        found = await info.context.loaders.payments.load(self.row.payment_id)
        return show_payment(found) if found else None

    @computed("What was done about it, the oldest first.")
    async def actions(self, info: Wire) -> list[SettlementAction]:
        """By the loader."""
        rows = await info.context.loaders.settlement_actions.load(self.row.id)
        return [SettlementAction(row=row) for row in rows]


def show_file(row: FileRow) -> SettlementFile:
    """The file for the wire."""
    return SettlementFile(id=strawberry.ID(row.id), row=row)


def show_item(row: ItemRow) -> SettlementItem:
    """The item for the wire."""
    return SettlementItem(id=strawberry.ID(row.id), row=row)


async def read_file(context: RequestContext, file_id: str) -> SettlementFile | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.settlement_files.load(file_id)
    return show_file(row) if row else None


async def read_item(context: RequestContext, item_id: str) -> SettlementItem | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.settlement_items.load(item_id)
    return show_item(row) if row else None
