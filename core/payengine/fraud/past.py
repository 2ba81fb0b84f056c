"""What did a payment's past look like, as PostgreSQL knows it?

One message locks the entities of a whole batch of payments, of any tenants, and shows the newest
payments of each. What the features say of those is worked out here, payment by payment: each is
part of the past of those that follow it. Where an entity has more payments than were shown, and a
feature looks further back, the database counts them.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from payengine.fraud.compiled import CROWD, CompiledPlan, Seen, compiled
from payengine.fraud.memory import Value, microseconds
from payengine.fraud.plan import FACTS, FeaturePlan
from payengine.plugin.fraud import FraudContext
from payengine.storage import Session

__all__ = ["Claim", "Reading", "Recalled", "entity_lock", "read_past", "record_past"]

_READ = "SELECT what, q, at, base_minor, told, facts FROM fraud_features($1)"
_RECORD = "SELECT fraud_record($1, $2)"
_COUNT = "SELECT fraud_crowded($1, $2, $3, $4, $5)"
_EVER = -(1 << 62)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The key under which a payment is to be opened; where it is taken, nothing is recorded."""

    key: str
    resource_id: str
    customer_id: str | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt whose past is to be read, and which is to become part of it.

    `listed_as` holds the (kind, name) pairs under which the tenant's lists may have it. `kept` are
    the names and facts that its row keeps, None for those that the plan reads.
    """

    tenant_id: uuid.UUID
    plan: FeaturePlan
    context: FraudContext
    number: int = 1
    claim: Claim | None = None
    listed_as: tuple[tuple[str, str], ...] = ()
    kept: frozenset[str] | None = None


class Recalled(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of one attempt, by name, and where it was placed among those of its entities.

    `event` is the row by which it becomes part of the past; `recorded`: that row stands already.
    """

    facts: dict[str, Value]
    placed_at: int
    event: dict[str, Any]
    recorded: bool = False


class _Entity:
    """What the database showed of one entity, the oldest first, with what the batch adds."""

    __slots__ = ("ats", "first", "labels", "labels_cut", "oldest", "rows")

    def __init__(self) -> None:
        self.rows: list[Seen] = []
        self.ats: list[int] = []
        self.labels: list[tuple[int, int, bool, list[str | None]]] = []
        self.labels_cut = False
        #: Where there are older payments than those shown: from when on all are.
        self.oldest = _EVER
        self.first: int | None = None


class _Batch:
    """The entities of a batch, numbered, and what the database is to be asked of them."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self.entities: list[_Entity] = []
        self.numbers: dict[tuple[bytes, str, str], int] = {}
        self.listed: dict[tuple[str, str, str], int | None] = {}
        self.passed: set[str] = set()
        self.unrecorded: dict[uuid.UUID, list[Recalled]] = {}
        self._locks: set[int] = set()
        self._wanted: set[str] = set()
        self._parts: dict[uuid.UUID, dict[str, Any]] = {}
        self._asked: dict[int, dict[str, Any]] = {}
        for each in readings:
            self._add(each)

    def spelled(self) -> dict[str, Any]:
        return {
            "locks": [str(lock) for lock in sorted(self._locks)],
            "parts": list(self._parts.values()),
            "wanted": sorted(self._wanted),
        }

    def _add(self, each: Reading) -> None:
        part = self._parts.get(each.tenant_id)
        if part is None:
            part = self._parts[each.tenant_id] = {"tenant_id": each.tenant_id}
        how = compiled(each.plan)
        tenant = each.tenant_id.bytes
        at = microseconds(each.context.as_of)
        for kind in each.plan.entities:
            name = getattr(each.context, kind)
            if name is not None:
                self._ask(part, how, tenant, kind, name, at=at)
        if each.claim is not None:
            self._want(part, "claims").append(each.claim)
            self._locks.add(entity_lock(tenant, "key", each.claim.key))
        if each.listed_as:
            self._want(part, "lists").extend(
                {"k": kind, "v": name} for kind, name in each.listed_as
            )

    def _want(self, part: dict[str, Any], what: str) -> list[Any]:
        self._wanted.add(what)
        found: list[Any] = part.setdefault(what, [])
        return found

    def _ask(
        self,
        part: dict[str, Any],
        how: CompiledPlan,
        tenant: bytes,
        kind: str,
        name: str,
        *,
        at: int,
    ) -> None:
        need = how.needs[kind]
        since = _EVER if need.length is None else at - need.length
        number = self.numbers.get((tenant, kind, name))
        if number is not None:
            asked = self._asked[number]
            asked["s"] = min(asked["s"], since)
            asked["f"] = asked["f"] or need.facts
            return
        number = self.numbers[tenant, kind, name] = len(self.entities)
        self.entities.append(_Entity())
        self._locks.add(entity_lock(tenant, kind, name))
        asked = {"q": number, "v": name, "s": since, "n": CROWD + 1, "f": need.facts}
        self._asked[number] = asked
        self._want(part, kind).append(asked)
        if need.first:
            self._want(part, "firsts").append({"q": number, "k": kind, "v": name})
        if need.labels:
            label_since = _EVER if need.label_length is None else at - need.label_length
            self._want(part, "labels").append(
                {"q": number, "k": kind, "v": name, "s": label_since, "n": CROWD + 1}
            )

    def hear(self, rows: Iterable[Any]) -> None:
        """What the database showed, the newest of each entity first."""
        for what, number, at, base_minor, told, facts in rows:
            if what == b"e":
                entity = self.entities[number]
                if len(entity.rows) == CROWD:
                    entity.oldest = entity.ats[-1]
                else:
                    entity.rows.append((at, base_minor, told, facts))
                    entity.ats.append(at)
            elif what == b"l":
                entity = self.entities[number]
                entity.labels_cut = len(entity.labels) == CROWD
                entity.labels.append((at, base_minor, told, facts))
            elif what == b"f":
                self.entities[number].first = at
            elif what == b"p":
                self.passed.add(facts[0])
            else:
                self.listed[facts[0], facts[1], facts[2]] = at
        for entity in self.entities:
            entity.rows.reverse()
            entity.ats.reverse()


async def read_past(session: Session, readings: Sequence[Reading]) -> dict[str, Recalled]:
    """The facts of each attempt by its payment's id; each is to be recorded in this transaction.

    Left out are those whose key is taken or whose customer is not there. No two may be of one
    payment. The transaction holds the entities until it ends; raises asyncpg's errors, also where
    they cannot be had in 0.2 s.
    """
    batch = _Batch(readings)
    batch.hear(await session.fetch(_READ, batch.spelled()))
    recalled: dict[str, Recalled] = {}
    for each in readings:
        payment_id = each.context.payment_id
        if payment_id not in batch.passed:
            recalled[payment_id] = await _recall(session, batch, each, recalled)
    return recalled


async def record_past(session: Session, tenant_id: uuid.UUID, recalled: Recalled) -> None:
    """Make an attempt part of the past, unless it is."""
    if not recalled.recorded:
        await session.fetchval(_RECORD, str(tenant_id), [recalled.event])


async def _recall(
    session: Session, batch: _Batch, each: Reading, done: dict[str, Recalled]
) -> Recalled:
    how, context = compiled(each.plan), each.context
    tenant = each.tenant_id.bytes
    found: list[tuple[str, str, _Entity]] = []
    at = microseconds(context.as_of)
    for one_kind in each.plan.entities:
        name = getattr(context, one_kind)
        if name is not None:
            entity = batch.entities[batch.numbers[tenant, one_kind, name]]
            found.append((one_kind, name, entity))
            if entity.ats and entity.ats[-1] >= at:
                at = entity.ats[-1] + 1
    facts = how.empty.copy()
    for kind, name, entity in found:
        need = how.needs[kind]
        if (entity.oldest > _EVER and need.looks_behind(entity.oldest, at)) or entity.labels_cut:
            await _flush(session, batch, done)
            counted = await session.fetchval(
                _COUNT, str(each.tenant_id), kind, name, at, how.asked[kind]
            )
            how.read_counted(kind, counted, at, facts)
            continue
        how.read_rows(kind, entity.rows, entity.ats, entity.first, at, facts)
        if need.labels:
            how.read_labels(kind, entity.labels, at, facts)
    if each.plan.lists:
        _look_up(batch, each, at, facts)
    event: dict[str, Any] = {
        "payment_id": context.payment_id,
        "number": each.number,
        "at": at,
        "base_minor": context.base_minor,
    }
    if context.declined is not None:
        event["declined"] = context.declined
    told = [getattr(context, fact) for fact in FACTS]
    kept = how.kept if each.kept is None else each.kept
    event.update(
        (fact, one)
        for fact, one in zip(FACTS, told, strict=True)
        if one is not None and fact in kept
    )
    row: Seen = (at, context.base_minor, context.declined, told)
    for _, _, entity in found:
        entity.rows.append(row)
        entity.ats.append(at)
        if entity.first is None:
            entity.first = at
    one = Recalled(facts=facts, placed_at=at, event=event)
    batch.unrecorded.setdefault(each.tenant_id, []).append(one)
    return one


async def _flush(session: Session, batch: _Batch, done: dict[str, Recalled]) -> None:
    """Record what the batch has made so far, so that the database counts it too."""
    for tenant_id, waiting in batch.unrecorded.items():
        await session.fetchval(_RECORD, str(tenant_id), [one.event for one in waiting])
        for one in waiting:
            payment_id = one.event["payment_id"]
            done[payment_id] = msgspec.structs.replace(one, recorded=True)
    batch.unrecorded.clear()


def _look_up(batch: _Batch, each: Reading, at: int, facts: dict[str, Value]) -> None:
    for name in each.plan.lists:
        on = set()
        for kind, value in each.listed_as:
            if (name, kind, value) in batch.listed:
                ends_at = batch.listed[name, kind, value]
                if ends_at is None or ends_at > at:
                    on.add(kind)
        facts[f"list.listed.{name}"] = ",".join(sorted(on)) or None


def entity_lock(tenant: bytes, kind: str, name: str) -> int:
    """The lock that stands for one entity of one tenant."""
    hashed = hashlib.blake2b(tenant + name.encode(), digest_size=8, person=kind.encode()).digest()
    return int.from_bytes(hashed, "big", signed=True)
