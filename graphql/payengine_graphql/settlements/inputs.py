"""What may a client send about settlements?"""

from __future__ import annotations

import strawberry
from payengine.settlements import (
    AssignSettlementItem,
    ImportSettlementFile,
    SettlementFilter,
    SettleSettlementItem,
)

from payengine_graphql.inputs import check_id
from payengine_graphql.settlements.types import SettlementFinding, SettlementResolution

__all__ = [
    "AssignSettlementItemInput",
    "ImportSettlementFileInput",
    "SettleSettlementItemInput",
    "SettlementItemFilterInput",
]

_KEY = "1 to 255 printable characters of your own: the same key never does it twice."
_ITEM = "The item's id, sti_…."
_PERSON = "Who acts: the name of a person, kept with what they do."


@strawberry.input(description="A provider's file. Larger ones come in by the command line.")
class ImportSettlementFileInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    format: str = strawberry.field(description="One of `settlementFormats`.")
    content: str = strawberry.field(description="The file's text, as it is.")
    name: str = strawberry.field(description="What people call the file.", default="")

    def to_core(self) -> ImportSettlementFile:
        """For the engine."""
        return ImportSettlementFile(
            idempotency_key=self.idempotency_key,
            format=self.format,
            content=self.content.encode(errors="surrogatepass"),
            name=self.name,
        )


@strawberry.input(description="Say whose work an item is.")
class AssignSettlementItemInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    item_id: strawberry.ID = strawberry.field(description=_ITEM)
    person: str = strawberry.field(description=_PERSON)
    assigned_to: str | None = strawberry.field(
        description="Whose work it is; null: nobody's.", default=None
    )
    reason: str = strawberry.field(description="Why.", default="")

    def to_core(self) -> AssignSettlementItem:
        """For the engine."""
        check_id(self.item_id, "sti", field="itemId")
        return AssignSettlementItem(
            idempotency_key=self.idempotency_key,
            item_id=self.item_id,
            person=self.person,
            assigned_to=self.assigned_to,
            reason=self.reason,
        )


@strawberry.input(description="Close an item.")
class SettleSettlementItemInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    item_id: strawberry.ID = strawberry.field(description=_ITEM)
    person: str = strawberry.field(description=_PERSON)
    reason: str = strawberry.field(description="Why, in words that an auditor understands.")
    resolution: SettlementResolution = strawberry.field(
        description="EXPLAINED, or FEE_BOOKED to book the difference of the fees too.",
        default=SettlementResolution.EXPLAINED,
    )

    def to_core(self) -> SettleSettlementItem:
        """For the engine."""
        check_id(self.item_id, "sti", field="itemId")
        return SettleSettlementItem(
            idempotency_key=self.idempotency_key,
            item_id=self.item_id,
            person=self.person,
            reason=self.reason,
            resolution=self.resolution.value,
        )


@strawberry.input(description="Which items to list.")
class SettlementItemFilterInput:
    """See the description."""

    is_open: bool = strawberry.field(description="Open items, or closed ones.", default=True)
    finding: SettlementFinding | None = strawberry.field(
        description="Only those where this is so.", default=None
    )
    gateway: str | None = strawberry.field(description="Only of this gateway.", default=None)
    assigned_to: str | None = strawberry.field(
        description="Only those that are this person's work.", default=None
    )
    file_id: strawberry.ID | None = strawberry.field(
        description="Only those that this file showed, stf_….", default=None
    )

    def to_core(self) -> SettlementFilter:
        """For the engine."""
        if self.file_id is not None:
            check_id(self.file_id, "stf", field="fileId")
        return SettlementFilter(
            is_open=self.is_open,
            finding=self.finding.value if self.finding else None,
            gateway=self.gateway,
            assigned_to=self.assigned_to,
            file_id=self.file_id,
        )
