"""How does a provider's file come in, once, whatever happens meanwhile?

The file's content and each line's own key are taken once. Lines come in a few at a time, each time
with what they book and the work that they leave in one commit, so that a file whose import was cut
short is taken up again where it ended. Two imports of one gateway take turns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

import msgspec

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import InputInvalid, NotFound, RateNotAvailable
from payengine.events import NewEvent
from payengine.events.writing import insert_event
from payengine.fx.book import RateBook
from payengine.fx.models import FxSettings
from payengine.fx.rates import DatedRate
from payengine.fx.settling import SettledAbroad, settle_capture, settle_refund
from payengine.fx.store import (
    converted_before,
    event_of_conversion,
    insert_conversion,
    read_settings,
)
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.ledger import Posting, post
from payengine.plugin import ParserManifest, SettledLine, SettlementContent
from payengine.registry import ParserDesk
from payengine.screen import contains_card_number
from payengine.settlements import store
from payengine.settlements.booking import postings_of_line
from payengine.settlements.matching import Matched, match_lines, seen_amount
from payengine.settlements.models import (
    ImportSettlementFile,
    ItemFinding,
    SettlementFile,
    SettlementItem,
    SettlementLineRow,
)
from payengine.settlements.ours import own_by_reference, own_minor_of, own_missing_there
from payengine.storage import Database, Session
from payengine.texts import check_text

__all__ = ["Importing", "Told"]

_AT_ONCE = 200
_MOST_MISSING = 10_000
_LONGEST_NAME = 200
_ACCOUNT = "merchant_payable:main"
_ENGINE = "engine"

#: `told(done, of)` hears of the progress, in lines.
Told = Callable[[int, int], None]
_Rates = dict[tuple[str, str, date], DatedRate | None]

_TURN = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"

_ARRIVED = f"""
    SELECT {store.ITEM.listed} FROM settlement_item
    WHERE tenant_id = $1 AND operation_id = ANY ($2) AND finding = 'missing_there'
      AND settled_at IS NULL
    ORDER BY id FOR UPDATE
"""


class _Request(NamedTuple):
    """All that the lines of one file are taken in with."""

    manifest: ParserManifest
    content: SettlementContent
    file_id: str
    settings: FxSettings
    rates: _Rates


class Importing:
    """Takes files in."""

    def __init__(
        self,
        database: Database,
        parsers: ParserDesk,
        book: RateBook,
        *,
        clock: Clock,
        nudge: Callable[[], None],
    ) -> None:
        self._database = database
        self._parsers = parsers
        self._book = book
        self._clock = clock
        self._nudge = nudge

    async def run(
        self, context: TenantContext, request: ImportSettlementFile, *, told: Told | None = None
    ) -> SettlementFile:
        """Take the file in; the same content again is the same file.

        Raises `PluginNotFound` for a format that nobody reads, `InputInvalid` for a content that is
        none of it, and `IdempotencyConflict`.
        """
        context.require("settlements:write")
        check_key(request.idempotency_key)
        check_text(request.name, field="name", most=_LONGEST_NAME)
        manifest = self._parsers.manifest(request.format)
        content = await self._parsers.parse(request.format, request.content)
        lines = [_screened(line) for line in _each_once(content.lines)]
        file = await self._begin(context, request, manifest, content)
        if file.finished_at is not None:
            return file
        async with self._database.tenant(context.tenant_id) as session:
            settings = await read_settings(session, context.tenant_id)
        asked = _Request(
            manifest=manifest,
            content=content,
            file_id=file.id,
            settings=settings,
            rates=await self._rates(context, content.lines, settings),
        )
        for done in range(0, len(lines), _AT_ONCE):
            if told is not None:
                told(done, len(lines))
            await self._take(context, asked, lines[done : done + _AT_ONCE])
        if told is not None:
            told(len(lines), len(lines))
        file = await self._finish(context, asked, file)
        self._nudge()
        return file

    async def _begin(
        self,
        context: TenantContext,
        request: ImportSettlementFile,
        manifest: ParserManifest,
        content: SettlementContent,
    ) -> SettlementFile:
        instants = [line.at for line in content.lines]
        file = SettlementFile(
            id=new_id("stf"),
            format=request.format,
            gateway=manifest.gateway,
            name=request.name,
            digest=hashlib.sha256(request.content).digest(),
            line_count=len(content.lines),
            problems=content.problems,
            imported_by=context.actor,
            created_at=self._clock.now(context.tenant_id),
            begins_at=min(instants, default=None),
            ends_at=max(instants, default=None),
        )
        async with self._database.tenant(context.tenant_id) as session:
            earlier = await claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation="importSettlementFile",
                fingerprint=fingerprint("importSettlementFile", request),
                resource_id=file.id,
                at=file.created_at,
            )
            if earlier is not None:
                found = await store.get_file(session, context.tenant_id, earlier)
                # The key may name a file that turned out to be one that was there already.
                found = found or await store.find_file(
                    session, context.tenant_id, file.format, file.digest
                )
                if found is None:
                    raise NotFound("There is no such file.")
                return found
            if await store.insert_file(session, context.tenant_id, file):
                return file
            same = await store.find_file(session, context.tenant_id, file.format, file.digest)
            if same is None:
                raise NotFound("There is no such file.")
            return same

    async def _rates(
        self, context: TenantContext, lines: Sequence[SettledLine], settings: FxSettings
    ) -> _Rates:
        """The rates of the days on which money was settled in another currency."""
        found: _Rates = {}
        for line in lines:
            if not _is_abroad(line):
                continue
            key = _pair(line)
            if key not in found:
                found[key] = await self._rate(context, key, settings)
        return found

    async def _rate(
        self, context: TenantContext, key: tuple[str, str, date], settings: FxSettings
    ) -> DatedRate | None:
        source, target, day = key
        try:
            return await self._book.rate(
                context, source=source, target=target, sources=settings.sources, day=day
            )
        except RateNotAvailable:
            return None

    async def _take(
        self, context: TenantContext, asked: _Request, lines: Sequence[SettledLine]
    ) -> None:
        gateway, tenant_id = asked.manifest.gateway, context.tenant_id
        now = self._clock.now(tenant_id)
        async with self._database.tenant(tenant_id) as session:
            await session.execute(_TURN, f"settlement {tenant_id} {gateway}")
            known = await store.known_keys(
                session, tenant_id, gateway=gateway, keys=[line.key for line in lines]
            )
            new = [line for line in lines if line.key not in known]
            references = sorted({each for line in new for each in line.references})
            own = await own_by_reference(session, tenant_id, gateway=gateway, references=references)
            matched = match_lines(new, own)
            rows = [_row(each, asked) for each in matched]
            items = [
                _item(each, row, at=now)
                for each, row in zip(matched, rows, strict=True)
                if each.finding != "matched"
            ]
            await store.insert_lines(session, tenant_id, rows)
            await store.insert_items(session, tenant_id, items)
            await _say_opened(session, context, items, at=now)
            await self._book_lines(session, context, asked, matched, rows, at=now)
            await _close_arrived(session, context, asked, rows, at=now)

    async def _book_lines(
        self,
        session: Session,
        context: TenantContext,
        asked: _Request,
        matched: Sequence[Matched],
        rows: Sequence[SettlementLineRow],
        *,
        at: datetime,
    ) -> None:
        postings: list[Posting] = []
        for each, row in zip(matched, rows, strict=True):
            abroad = each.own is not None and _is_abroad(each.line)
            if abroad and each.finding in ("matched", "fee_differs"):
                postings += await _abroad(session, context, asked, each, row, at=at)
            postings += postings_of_line(
                each, line_id=row.id, gateway=row.gateway, payment_id=row.payment_id
            )
        if postings:
            await post(session, context.tenant_id, postings, at=at)

    async def _finish(
        self, context: TenantContext, asked: _Request, file: SettlementFile
    ) -> SettlementFile:
        now = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            await session.execute(_TURN, f"settlement {context.tenant_id} {file.gateway}")
            current = await store.get_file(session, context.tenant_id, file.id)
            if current is not None and current.finished_at is not None:
                return current
            if asked.content.complete and file.begins_at and file.ends_at:
                await _say_missing(session, context, file, at=now)
            done = await store.finish_file(session, context.tenant_id, file.id, at=now)
            data = {
                "settlement_file_id": done.id,
                "gateway": done.gateway,
                "format": done.format,
                "line_count": done.line_count,
                "new_count": done.new_count,
                "work_count": done.work_count,
            }
            await insert_event(
                session,
                context.tenant_id,
                NewEvent(id=new_id("evt"), type="settlement.imported", data=data, occurred_at=now),
            )
        return done


def _each_once(lines: Sequence[SettledLine]) -> list[SettledLine]:
    """Without lines that the file repeats; raises where one key stands for two different lines."""
    found: dict[str, SettledLine] = {}
    for line in lines:
        if found.setdefault(line.key, line) != line:
            raise InputInvalid(
                f"The file has two different lines named {line.key[:60]!r}.", path=("content",)
            )
    return list(found.values())


def _screened(line: SettledLine) -> SettledLine:
    """Without texts that hold a card number: of a key stays a name that is made of it."""
    references = tuple(each for each in line.references if not contains_card_number(each))
    clean = {
        name: "" if contains_card_number(getattr(line, name)) else getattr(line, name)
        for name in ("category", "payout")
    }
    key = line.key
    if contains_card_number(key):
        key = f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    return msgspec.structs.replace(line, key=key, references=references, **clean)


def _is_abroad(line: SettledLine) -> bool:
    return (
        line.kind in ("capture", "refund")
        and line.presentment is not None
        and line.presentment.currency != line.amount.currency
        and line.presentment.minor * line.amount.minor > 0
    )


def _pair(line: SettledLine) -> tuple[str, str, date]:
    assert line.presentment is not None
    return line.presentment.currency, line.amount.currency, line.at.date()


def _row(matched: Matched, asked: _Request) -> SettlementLineRow:
    line, own = matched.line, matched.own
    return SettlementLineRow(
        id=new_id("stl"),
        file_id=asked.file_id,
        gateway=asked.manifest.gateway,
        line_key=line.key,
        kind=own.kind if own else line.kind,
        reference=own.reference if own else (*line.references, "")[0],
        amount_minor=line.amount.minor,
        currency=line.amount.currency,
        fee_minor=line.fee_minor,
        category=line.category,
        payout_reference=line.payout,
        occurred_at=line.at,
        finding=matched.finding,
        presentment_minor=line.presentment.minor if line.presentment else None,
        presentment_currency=line.presentment.currency if line.presentment else None,
        payment_id=own.payment_id if own else None,
        operation_id=own.operation_id if own else None,
        payout_id=own.payout_id if own else None,
    )


def _item(matched: Matched, row: SettlementLineRow, *, at: datetime) -> SettlementItem:
    minor, currency = seen_amount(matched.line)
    finding: ItemFinding = matched.finding if matched.finding != "matched" else "missing_here"
    own = matched.own
    return SettlementItem(
        id=new_id("sti"),
        finding=finding,
        gateway=row.gateway,
        file_id=row.file_id,
        opened_at=at,
        line_id=row.id,
        payment_id=row.payment_id,
        operation_id=row.operation_id,
        payout_id=row.payout_id,
        ours_minor=own.amount_minor if own else None,
        ours_currency=own.currency if own else None,
        theirs_minor=minor,
        theirs_currency=currency,
        amount_difference=matched.amount_difference,
        fee_difference=matched.fee_difference,
    )


async def _abroad(
    session: Session,
    context: TenantContext,
    asked: _Request,
    matched: Matched,
    row: SettlementLineRow,
    *,
    at: datetime,
) -> tuple[Posting, ...]:
    """Book that the provider settled in another currency; keep the conversion that this makes."""
    line = matched.line
    assert line.presentment is not None
    assert row.payment_id is not None
    assert row.operation_id is not None
    before = await converted_before(session, context.tenant_id, row.payment_id)
    own_minor = await own_minor_of(
        session,
        context.tenant_id,
        payment_id=row.payment_id,
        account=_ACCOUNT,
        currency=line.presentment.currency,
    )
    told = SettledAbroad(
        line_id=row.id,
        gateway=row.gateway,
        account=_ACCOUNT,
        payment_id=row.payment_id,
        operation_id=row.operation_id,
        presentment_minor=abs(line.presentment.minor),
        presentment_currency=line.presentment.currency,
        settlement_minor=abs(line.amount.minor),
        settlement_currency=line.amount.currency,
        own_minor=max(own_minor - before.source_minor, 0),
        at=at,
    )
    settle = settle_capture if line.kind == "capture" else settle_refund
    found = settle(told, asked.settings, before, rate=asked.rates.get(_pair(line)))
    if found.conversion is not None:
        await insert_conversion(session, context.tenant_id, found.conversion)
        await insert_event(session, context.tenant_id, event_of_conversion(found.conversion, at=at))
    return found.postings


async def _say_missing(
    session: Session, context: TenantContext, file: SettlementFile, *, at: datetime
) -> None:
    """Open an item for all that was done in the file's days and that it does not tell."""
    assert file.begins_at is not None
    assert file.ends_at is not None
    own = await own_missing_there(
        session,
        context.tenant_id,
        gateway=file.gateway,
        since=_day_of(file.begins_at),
        until=_day_of(file.ends_at) + timedelta(days=1),
        limit=_MOST_MISSING,
    )
    items = [
        SettlementItem(
            id=new_id("sti"),
            finding="missing_there",
            gateway=file.gateway,
            file_id=file.id,
            opened_at=at,
            payment_id=each.payment_id,
            operation_id=each.operation_id,
            ours_minor=each.amount_minor,
            ours_currency=each.currency,
        )
        for each in own
    ]
    await store.insert_items(session, context.tenant_id, items)
    await _say_opened(session, context, items, at=at)


def _day_of(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


async def _say_opened(
    session: Session, context: TenantContext, items: Sequence[SettlementItem], *, at: datetime
) -> None:
    opened = [
        store.act(context, item.id, kind="opened", person=_ENGINE, reason="", at=at)
        for item in items
    ]
    await store.insert_actions(session, context.tenant_id, opened)


async def _close_arrived(
    session: Session,
    context: TenantContext,
    asked: _Request,
    rows: Sequence[SettlementLineRow],
    *,
    at: datetime,
) -> None:
    """What was missing there and is told now is no work any more."""
    told = [row.operation_id for row in rows if row.operation_id is not None]
    if not told:
        return
    arrived = await session.fetch(_ARRIVED, context.tenant_id, told)
    actions = []
    for found in arrived:
        item = store.ITEM.read(found)
        settled = msgspec.structs.replace(
            item, resolution="arrived", settled_by=_ENGINE, settled_at=at
        )
        await store.rewrite_item(session, context.tenant_id, settled)
        reason = f"The provider told of it in {asked.file_id}."
        actions.append(
            store.act(context, item.id, kind="settled", person=_ENGINE, reason=reason, at=at)
        )
    await store.insert_actions(session, context.tenant_id, actions)
