"""What are an imported file, its lines, and the work that they leave?

A file and its lines are kept once, as they came. What does not agree with our books is an item of
work, which a named person settles with a reason; its actions are never changed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from payengine.plugin import SettledKind

__all__ = [
    "AssignSettlementItem",
    "ImportSettlementFile",
    "ItemFinding",
    "Resolution",
    "SettleSettlementItem",
    "SettlementAction",
    "SettlementFile",
    "SettlementFilter",
    "SettlementItem",
    "SettlementLineRow",
]

LineFinding = Literal["matched", "missing_here", "amount_differs", "fee_differs"]
#: `missing_here`: the provider has it and we do not; `missing_there`: the other way round.
ItemFinding = Literal["missing_here", "missing_there", "amount_differs", "fee_differs"]
#: `explained`: a person says why it is so; `fee_booked`: the provider's fee is taken over;
#: `arrived`: a later file told of it, and the engine closed the item.
Resolution = Literal["explained", "fee_booked", "arrived"]


class SettlementFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was taken in, once for its content and format.

    `new_count` lines were not known from other files, `work_count` items were opened.
    `finished_at` is None while it is being taken in; the same file again goes on where it ended.
    """

    id: str
    format: str
    gateway: str
    name: str
    digest: bytes
    line_count: int
    problems: tuple[str, ...]
    imported_by: str
    created_at: datetime
    new_count: int = 0
    work_count: int = 0
    begins_at: datetime | None = None
    ends_at: datetime | None = None
    finished_at: datetime | None = None


class SettlementLineRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a provider's, kept once under its own key; amounts in minor units, signed."""

    id: str
    file_id: str
    gateway: str
    line_key: str
    kind: SettledKind
    reference: str
    amount_minor: int
    currency: str
    fee_minor: int
    category: str
    payout_reference: str
    occurred_at: datetime
    finding: LineFinding
    presentment_minor: int | None = None
    presentment_currency: str | None = None
    payment_id: str | None = None
    operation_id: str | None = None
    payout_id: str | None = None


class SettlementItem(msgspec.Struct, frozen=True, kw_only=True):
    """Work for a person. The differences are theirs less ours; None where they have no meaning."""

    id: str
    finding: ItemFinding
    gateway: str
    file_id: str
    opened_at: datetime
    line_id: str | None = None
    payment_id: str | None = None
    operation_id: str | None = None
    payout_id: str | None = None
    ours_minor: int | None = None
    ours_currency: str | None = None
    theirs_minor: int | None = None
    theirs_currency: str | None = None
    amount_difference: int | None = None
    fee_difference: int | None = None
    assigned_to: str | None = None
    resolution: Resolution | None = None
    settled_by: str | None = None
    settled_at: datetime | None = None
    version: int = 1


class SettlementAction(msgspec.Struct, frozen=True, kw_only=True):
    """What a person did about an item: who, in whose name, when and why."""

    id: str
    item_id: str
    kind: Literal["opened", "assigned", "settled"]
    person: str
    actor: str
    reason: str
    created_at: datetime


class SettlementFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which items a list shows; by default those that are open."""

    is_open: bool = True
    finding: ItemFinding | None = None
    gateway: str | None = None
    assigned_to: str | None = None
    file_id: str | None = None


class ImportSettlementFile(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's file; `format` names the parser, `name` is what people call the file."""

    idempotency_key: str
    format: str
    content: bytes
    name: str = ""


class AssignSettlementItem(msgspec.Struct, frozen=True, kw_only=True):
    """Say whose work it is; None: nobody's again."""

    idempotency_key: str
    item_id: str
    person: str
    assigned_to: str | None = None
    reason: str = ""


class SettleSettlementItem(msgspec.Struct, frozen=True, kw_only=True):
    """Close an item with a reason. `fee_booked` also books the difference of the fees."""

    idempotency_key: str
    item_id: str
    person: str
    reason: str
    resolution: Resolution = "explained"
