"""Who takes files in, and who settles what does not agree?

Every change of an item is a named person's, with the reason, in one commit with its action, its
event and its idempotency key. Nothing is settled by itself, except what a later file tells.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import InputInvalid, NotFound, ReviewSettled, TransitionRefused
from payengine.events import NewEvent
from payengine.events.writing import insert_event
from payengine.fx.book import RateBook
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.ledger import post
from payengine.plugin import ParserManifest
from payengine.registry import ParserDesk
from payengine.settlements import store
from payengine.settlements.booking import fee_posting
from payengine.settlements.importing import Importing, Told
from payengine.settlements.models import (
    AssignSettlementItem,
    ImportSettlementFile,
    SettlementAction,
    SettlementFile,
    SettlementFilter,
    SettlementItem,
    SettlementLineRow,
    SettleSettlementItem,
)
from payengine.storage import Database, Session
from payengine.texts import check_id, check_text

__all__ = ["Settlements"]

_LONGEST_PERSON = 120
_LONGEST_REASON = 2_000

_FILES = f"""
    SELECT {store.FILE.listed} FROM settlement_file WHERE tenant_id = $1 AND id = ANY ($2)
"""
_FILE_PAGE = f"""
    SELECT {store.FILE.listed} FROM settlement_file
    WHERE tenant_id = $1 AND id < coalesce($2, '~') ORDER BY id DESC LIMIT $3
"""
_ITEMS = f"""
    SELECT {store.ITEM.listed} FROM settlement_item WHERE tenant_id = $1 AND id = ANY ($2)
"""
_ITEM_PAGE = f"""
    SELECT {store.ITEM.listed} FROM settlement_item
    WHERE tenant_id = $1 AND id > coalesce($2, '') AND (settled_at IS NULL) = $3
      AND ($4::text IS NULL OR finding = $4) AND ($5::text IS NULL OR gateway = $5)
      AND ($6::text IS NULL OR assigned_to = $6) AND ($7::text IS NULL OR file_id = $7)
    ORDER BY id LIMIT $8
"""
_LINES = f"""
    SELECT {store.LINE.listed} FROM settlement_line WHERE tenant_id = $1 AND id = ANY ($2)
"""
_LINE_PAGE = f"""
    SELECT {store.LINE.listed} FROM settlement_line
    WHERE tenant_id = $1 AND file_id = $2 AND id > coalesce($3, '')
      AND ($4::text IS NULL OR finding = $4)
    ORDER BY id LIMIT $5
"""
_LINES_OF_PAYMENT = f"""
    SELECT {store.LINE.listed} FROM settlement_line l
    WHERE tenant_id = $1 AND operation_id IN (
        SELECT id FROM operation WHERE tenant_id = $1 AND payment_id = ANY ($2))
    ORDER BY occurred_at, id
"""
_ACTIONS = f"""
    SELECT {store.ACTION.listed} FROM settlement_action
    WHERE tenant_id = $1 AND item_id = ANY ($2) ORDER BY id
"""


class Settlements:
    """What providers settled; each method takes the tenant's context first."""

    def __init__(
        self,
        database: Database,
        parsers: ParserDesk,
        book: RateBook,
        *,
        clock: Clock,
        nudge: Callable[[], None],
    ) -> None:
        """`nudge` says that there are events to publish."""
        self._database = database
        self._parsers = parsers
        self._clock = clock
        self._nudge = nudge
        self._importing = Importing(database, parsers, book, clock=clock, nudge=nudge)

    def formats(self) -> tuple[ParserManifest, ...]:
        """Which files can be read."""
        return self._parsers.formats()

    async def import_file(
        self, context: TenantContext, request: ImportSettlementFile, *, told: Told | None = None
    ) -> SettlementFile:
        """Take a file in; see `Importing.run`. `told(done, of)` hears of the progress."""
        return await self._importing.run(context, request, told=told)

    async def files_by_id(
        self, context: TenantContext, ids: Sequence[str]
    ) -> dict[str, SettlementFile]:
        """The files that exist, by id; needs `settlements:read`."""
        rows = await self._fetch(context, _FILES, list(ids))
        return {row["id"]: store.FILE.read(row) for row in rows}

    async def files(
        self, context: TenantContext, *, first: int, after: str | None = None
    ) -> list[SettlementFile]:
        """Newest first; one more than `first` where there is."""
        rows = await self._fetch(context, _FILE_PAGE, after, first + 1)
        return [store.FILE.read(row) for row in rows]

    async def lines(
        self,
        context: TenantContext,
        file_id: str,
        *,
        first: int,
        after: str | None = None,
        finding: str | None = None,
    ) -> list[SettlementLineRow]:
        """A file's lines that no earlier file had; one more than `first` where there is."""
        rows = await self._fetch(context, _LINE_PAGE, file_id, after, finding, first + 1)
        return [store.LINE.read(row) for row in rows]

    async def lines_by_id(
        self, context: TenantContext, ids: Sequence[str]
    ) -> dict[str, SettlementLineRow]:
        """The lines that exist, by id."""
        rows = await self._fetch(context, _LINES, list(ids))
        return {row["id"]: store.LINE.read(row) for row in rows}

    async def lines_of_payments(
        self, context: TenantContext, payment_ids: Sequence[str]
    ) -> dict[str, list[SettlementLineRow]]:
        """What providers told of each payment, oldest first."""
        found: dict[str, list[SettlementLineRow]] = defaultdict(list)
        for row in await self._fetch(context, _LINES_OF_PAYMENT, list(payment_ids)):
            line = store.LINE.read(row)
            if line.payment_id is not None:
                found[line.payment_id].append(line)
        return found

    async def items_by_id(
        self, context: TenantContext, ids: Sequence[str]
    ) -> dict[str, SettlementItem]:
        """The items that exist, by id."""
        rows = await self._fetch(context, _ITEMS, list(ids))
        return {row["id"]: store.ITEM.read(row) for row in rows}

    async def items(
        self,
        context: TenantContext,
        wanted: SettlementFilter,
        *,
        first: int,
        after: str | None = None,
    ) -> list[SettlementItem]:
        """The oldest first; one more than `first` where there is."""
        rows = await self._fetch(
            context,
            _ITEM_PAGE,
            after,
            wanted.is_open,
            wanted.finding,
            wanted.gateway,
            wanted.assigned_to,
            wanted.file_id,
            first + 1,
        )
        return [store.ITEM.read(row) for row in rows]

    async def actions_of(
        self, context: TenantContext, item_ids: Sequence[str]
    ) -> dict[str, list[SettlementAction]]:
        """What was done about each item, oldest first."""
        found: dict[str, list[SettlementAction]] = defaultdict(list)
        for row in await self._fetch(context, _ACTIONS, list(item_ids)):
            found[row["item_id"]].append(store.ACTION.read(row))
        return found

    async def assign(self, context: TenantContext, request: AssignSettlementItem) -> SettlementItem:
        """Say whose work it is; raises `ReviewSettled` where it is closed, and `NotFound`."""
        _check_request(context, request, needs_reason=False)
        check_text(request.assigned_to, field="assignedTo", most=_LONGEST_PERSON)
        now = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            item, is_new = await self._open(session, context, "assignSettlementItem", request)
            if not is_new:
                return item
            wanted = (request.assigned_to or "").strip() or None
            item = await store.rewrite_item(
                session, context.tenant_id, msgspec.structs.replace(item, assigned_to=wanted)
            )
            done = store.act(
                context,
                item.id,
                kind="assigned",
                person=request.person,
                reason=request.reason,
                at=now,
            )
            await store.insert_actions(session, context.tenant_id, [done])
        return item

    async def settle(self, context: TenantContext, request: SettleSettlementItem) -> SettlementItem:
        """Close an item with a reason.

        `fee_booked` books the difference of the fees, and is refused with `TransitionRefused` where
        no fees differ. Raises `ReviewSettled` where it is closed, and `NotFound`.
        """
        _check_request(context, request, needs_reason=True)
        if request.resolution not in ("explained", "fee_booked"):
            raise InputInvalid("An item is explained, or its fee is booked.", path=("resolution",))
        now = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            item, is_new = await self._open(session, context, "settleSettlementItem", request)
            if not is_new:
                return item
            if request.resolution == "fee_booked":
                await _book_fee(session, context, item, at=now)
            item = await store.rewrite_item(
                session,
                context.tenant_id,
                msgspec.structs.replace(
                    item,
                    resolution=request.resolution,
                    settled_by=request.person,
                    settled_at=now,
                ),
            )
            done = store.act(
                context,
                item.id,
                kind="settled",
                person=request.person,
                reason=request.reason,
                at=now,
            )
            await store.insert_actions(session, context.tenant_id, [done])
            await insert_event(session, context.tenant_id, _settled_event(item, at=now))
        self._nudge()
        return item

    async def _open(
        self,
        session: Session,
        context: TenantContext,
        mutation: str,
        request: AssignSettlementItem | SettleSettlementItem,
    ) -> tuple[SettlementItem, bool]:
        """The open item under lock, and whether this request is a new one."""
        earlier = await claim(
            session,
            context.tenant_id,
            key=request.idempotency_key,
            mutation=mutation,
            fingerprint=fingerprint(mutation, request),
            resource_id=request.item_id,
            at=self._clock.now(context.tenant_id),
        )
        item = await _item(session, context.tenant_id, request.item_id)
        if earlier is None and item.settled_at is not None:
            raise ReviewSettled("This item is settled.", path=("itemId",))
        return item, earlier is None

    async def _fetch(self, context: TenantContext, sql: str, *arguments: Any) -> list[Any]:
        context.require("settlements:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await session.fetch(sql, context.tenant_id, *arguments)


async def _item(session: Session, tenant_id: uuid.UUID, item_id: str) -> SettlementItem:
    found = await store.get_item(session, tenant_id, item_id, lock=True)
    if found is None:
        raise NotFound("There is no such item.", path=("itemId",))
    return found


async def _book_fee(
    session: Session, context: TenantContext, item: SettlementItem, *, at: datetime
) -> None:
    if not item.fee_difference or item.theirs_currency is None:
        raise TransitionRefused("No fees differ here.", path=("resolution",))
    posting = fee_posting(
        f"{item.id}:fee",
        gateway=item.gateway,
        fee_minor=item.fee_difference,
        currency=item.theirs_currency,
    )
    await post(session, context.tenant_id, [posting], at=at)


def _check_request(
    context: TenantContext,
    request: AssignSettlementItem | SettleSettlementItem,
    *,
    needs_reason: bool,
) -> None:
    context.require("settlements:write")
    check_key(request.idempotency_key)
    check_id(request.item_id, "sti", field="itemId")
    if not request.person.strip():
        raise InputInvalid("Say who you are.", path=("person",))
    check_text(request.person, field="person", most=_LONGEST_PERSON)
    if needs_reason and not request.reason.strip():
        raise InputInvalid("Say why, in words that an auditor understands.", path=("reason",))
    check_text(request.reason, field="reason", most=_LONGEST_REASON)


def _settled_event(item: SettlementItem, *, at: datetime) -> NewEvent:
    return NewEvent(
        id=new_id("evt"),
        type="settlement.item_settled",
        data={
            "settlement_item_id": item.id,
            "finding": item.finding,
            "gateway": item.gateway,
            "resolution": item.resolution,
            "person": item.settled_by,
        },
        occurred_at=at,
        payment_id=item.payment_id,
        operation_id=item.operation_id,
    )
