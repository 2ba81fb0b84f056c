"""Who puts whom on a list, and who takes them off?

What is personal is kept by the same keyed hashes by which payments are compared, so that a list
that is read tells nobody's address. An entry and what the engine looks for change in one commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import Conflict, InputInvalid, NotFound
from payengine.events.models import NewEvent
from payengine.events.writing import insert_event
from payengine.fraud.desk.words import check_person, check_reason
from payengine.fraud.lists import (
    KINDS,
    AddListEntry,
    ListEntry,
    ListFilter,
    RemoveListEntry,
    spelled,
)
from payengine.fraud.tokens import PERSONAL, Namer, Tokens
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.storage import Database, Session
from payengine.storage.columns import Columns
from payengine.texts import check_id, check_text

__all__ = ["MOST_ENTRIES", "Lists"]

#: How many entries of a tenant may hold at a time.
MOST_ENTRIES = 100_000

_ENTRY = Columns(ListEntry)

_INSERT = f"""
    INSERT INTO fraud_list_entry (tenant_id, {_ENTRY.listed})
    VALUES ($1, {_ENTRY.parameters(2)})
    ON CONFLICT (tenant_id, list, key) WHERE removed_at IS NULL DO NOTHING
    RETURNING id
"""

_INSERT_KEYS = """
    INSERT INTO fraud_list_key (tenant_id, kind, value, list, entry_id, expires_at)
    SELECT $1, $2, unnest($3::text[]), $4, $5, $6
"""

_BY_ID = f"SELECT {_ENTRY.listed} FROM fraud_list_entry WHERE tenant_id = $1 AND id = ANY ($2)"

#: `removed_at` and `expires_at` end an entry; the page shows either what holds or what does not.
_PAGE = f"""
    SELECT {_ENTRY.listed} FROM fraud_list_entry
    WHERE tenant_id = $1 AND id < coalesce($2, '~')
      AND ($3::text IS NULL OR list = $3) AND ($4::text IS NULL OR kind = $4)
      AND (removed_at IS NULL AND (expires_at IS NULL OR expires_at > $5)) = $6
    ORDER BY id DESC LIMIT $7
"""

_HELD = """
    SELECT count(*) FROM (
        SELECT FROM fraud_list_entry WHERE tenant_id = $1 AND removed_at IS NULL LIMIT $2
    ) AS held
"""

_REMOVE = f"""
    UPDATE fraud_list_entry
    SET removed_at = $3, removed_by = $4, removed_actor = $5, removed_reason = $6
    WHERE tenant_id = $1 AND id = $2 AND removed_at IS NULL
    RETURNING {_ENTRY.listed}
"""

_REMOVE_KEYS = "DELETE FROM fraud_list_key WHERE tenant_id = $1 AND entry_id = $2"

#: The entry that stands in the way of a new one, where its time is up.
_EXPIRED = """
    SELECT id FROM fraud_list_entry
    WHERE tenant_id = $1 AND list = $2 AND key = $3 AND removed_at IS NULL AND expires_at <= $4
    FOR UPDATE
"""

_MADE_WITH = """
    SELECT document -> 'context' FROM fraud_decision
    WHERE tenant_id = $1 AND payment_id = $2 ORDER BY number DESC, decided_at DESC LIMIT 1
"""


class Lists:
    """The block lists and allow lists of all tenants."""

    def __init__(
        self, database: Database, *, clock: Clock, tokens: Tokens, nudge: Callable[[], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._tokens = tokens
        self._nudge = nudge

    async def page(
        self,
        context: TenantContext,
        wanted: ListFilter,
        *,
        first: int,
        after: str | None = None,
    ) -> list[ListEntry]:
        """The newest first, behind the entry `after`; one more than `first` where there is."""
        context.require("fraud:read")
        now = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(
                _PAGE,
                context.tenant_id,
                after,
                wanted.list,
                wanted.kind,
                now,
                wanted.holds,
                first + 1,
            )
        return [_ENTRY.read(row) for row in rows]

    async def get_many(self, context: TenantContext, ids: Sequence[str]) -> dict[str, ListEntry]:
        """The entries that exist, by id, those that have ended too."""
        context.require("fraud:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_BY_ID, context.tenant_id, list(ids))
        return {row["id"]: _ENTRY.read(row) for row in rows}

    async def add(self, context: TenantContext, request: AddListEntry) -> ListEntry:
        """Put a value on a list, from the next payment on.

        Raises `Conflict` where it is on that list already, `InputInvalid`, and `NotFound` where
        nothing is known of the payment that it is to be taken from.
        """
        _check(context, request)
        # Before the transaction, as the tenant's first name needs one of its own.
        namer = await self._tokens.of(context.tenant_id)
        now = self._clock.now(context.tenant_id)
        if request.expires_at is not None and request.expires_at <= now:
            raise InputInvalid("The entry would have ended already.", path=("expiresAt",))
        entry_id = new_id("fle")
        async with self._database.tenant(context.tenant_id) as session:
            earlier = await claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation="addFraudListEntry",
                fingerprint=fingerprint("addFraudListEntry", request),
                resource_id=entry_id,
                at=now,
            )
            if earlier is not None:
                return await _get(session, context, earlier)
            label, values = await _values(session, context, request, namer)
            entry = ListEntry(
                id=entry_id,
                list=request.list,
                kind=request.kind,
                label=label,
                key=_key(request.kind, values),
                reason=request.reason,
                person=request.person,
                actor=context.actor,
                created_at=now,
                expires_at=request.expires_at,
            )
            await self._insert(session, context, entry, values, at=now)
        self._nudge()
        return entry

    async def remove(self, context: TenantContext, request: RemoveListEntry) -> ListEntry:
        """Take it off the list, from the next payment on; one that has ended stays as it is."""
        context.require("fraud:write")
        check_key(request.idempotency_key)
        check_id(request.entry_id, "fle", field="fraudListEntryId")
        check_person(request.person)
        check_reason(request.reason)
        now = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            await claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation="removeFraudListEntry",
                fingerprint=fingerprint("removeFraudListEntry", request),
                resource_id=request.entry_id,
                at=now,
            )
            entry = await _get(session, context, request.entry_id)
            if entry.removed_at is None:
                entry = await _end(
                    session,
                    context,
                    entry,
                    person=request.person,
                    actor=context.actor,
                    reason=request.reason,
                    at=now,
                )
        self._nudge()
        return entry

    async def _insert(
        self,
        session: Session,
        context: TenantContext,
        entry: ListEntry,
        values: Sequence[str],
        *,
        at: datetime,
    ) -> None:
        tenant_id = context.tenant_id
        over = await session.fetchval(_EXPIRED, tenant_id, entry.list, entry.key, at)
        if over is not None:
            ended = await _get(session, context, over)
            await _end(
                session, context, ended, person="engine", actor="engine", reason="expired", at=at
            )
        if await session.fetchval(_HELD, tenant_id, MOST_ENTRIES) >= MOST_ENTRIES:
            raise Conflict(f"A tenant's lists have at most {MOST_ENTRIES} entries.")
        if await session.fetchval(_INSERT, tenant_id, *_ENTRY.values(entry)) is None:
            raise Conflict("This is on the list already.", path=("value",))
        await session.execute(
            _INSERT_KEYS,
            tenant_id,
            entry.kind,
            list(values),
            entry.list,
            entry.id,
            entry.expires_at,
        )
        await insert_event(session, tenant_id, _told("fraud.list_entry_added", entry, at=at))


async def _values(
    session: Session, context: TenantContext, request: AddListEntry, namer: Namer
) -> tuple[str, list[str]]:
    """What is shown, and what the engine looks for."""
    if request.value is not None:
        plain = spelled(request.kind, request.value)
        return plain.label, [namer.name(request.kind, each) for each in plain.values]
    known = await session.fetchval(_MADE_WITH, context.tenant_id, request.payment_id)
    if known is None:
        raise NotFound("Nothing is known of this payment.", path=("paymentId",))
    field = "issuer_country" if request.kind == "country" else request.kind
    value = known.get(field)
    if not value:
        raise NotFound(f"This payment was made with no {request.kind}.", path=("paymentId",))
    label = f"of {request.payment_id}" if request.kind in PERSONAL else value
    return label, [value]


def _check(context: TenantContext, request: AddListEntry) -> None:
    """Refuse what cannot be accepted before any row is written."""
    context.require("fraud:write")
    check_key(request.idempotency_key)
    check_person(request.person)
    check_reason(request.reason)
    if request.list not in ("block", "allow") or request.kind not in KINDS:
        raise InputInvalid("There is no such list.", path=("list",))
    if (request.value is None) == (request.payment_id is None):
        raise InputInvalid("Give exactly one of value and paymentId.", path=("value",))
    if request.payment_id is not None:
        check_id(request.payment_id, "pay", field="paymentId")
    check_text(request.value, field="value")


def _key(kind: str, values: Sequence[str]) -> str:
    """Equal for equal entries, of one length however many values there are."""
    spelled_out = "\n".join((kind, *values))
    return hashlib.sha256(spelled_out.encode()).hexdigest()


async def _get(session: Session, context: TenantContext, entry_id: str) -> ListEntry:
    rows = await session.fetch(_BY_ID, context.tenant_id, [entry_id])
    if not rows:
        raise NotFound("There is no such entry.", path=("fraudListEntryId",))
    return _ENTRY.read(rows[0])


async def _end(
    session: Session,
    context: TenantContext,
    entry: ListEntry,
    *,
    person: str,
    actor: str,
    reason: str,
    at: datetime,
) -> ListEntry:
    row = await session.fetchrow(_REMOVE, context.tenant_id, entry.id, at, person, actor, reason)
    if row is None:  # somebody else was quicker
        return await _get(session, context, entry.id)
    await session.execute(_REMOVE_KEYS, context.tenant_id, entry.id)
    ended = _ENTRY.read(row)
    told = _told("fraud.list_entry_removed", ended, at=at)
    await insert_event(session, context.tenant_id, told)
    return ended


def _told(kind: str, entry: ListEntry, *, at: datetime) -> NewEvent:
    return NewEvent(
        id=new_id("evt"),
        type=kind,
        occurred_at=at,
        data={
            "id": entry.id,
            "list": entry.list,
            "kind": entry.kind,
            "label": entry.label,
            "person": entry.removed_by or entry.person,
            "reason": entry.removed_reason or entry.reason,
            "expires_at": None if entry.expires_at is None else entry.expires_at.isoformat(),
        },
    )
