"""How are many payments written by one message?

`PaymentBatches` gathers what is to be written at the same moment, of any tenants, and writes it by
the functions `open_payments` and `settle_payments`, which set each tenant's scope before they
touch its rows. What a batch does not write is written alone, by `payengine.payments.store`, whose
statements say why.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from payengine import faults
from payengine.events.models import NewEvent
from payengine.fraud.decisions import DecisionRow
from payengine.fraud.past import Reading, Recalled, read_past
from payengine.ledger import TransferRow, transfer_rows
from payengine.marketplace.meant import SplitInput
from payengine.payments.models import Attempt, Operation, Payment
from payengine.payments.settle import Change
from payengine.payments.turns import Name, Turns
from payengine.storage import Database
from payengine.storage.batches import Batches, BatchRefused

__all__ = ["Opening", "PaymentBatches", "Screened"]

_LARGEST = 64
_AT_ONCE = 2

#: Where the past is read first, the database waits in the middle of the transaction for what is
#: made of it: meanwhile it has time for another batch.
_READING_CROWD = 8
_READING_SHARED = 12


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A payment with its first attempt, to be written under a new idempotency key.

    One that fraud rules stopped has no attempt; `decision` is why. One with a `split` is written
    alone.
    """

    tenant_id: uuid.UUID
    key: str
    fingerprint: bytes
    payment: Payment
    attempt: Attempt | None
    operation: Operation | None
    event: NewEvent
    events: tuple[NewEvent, ...] = ()
    decision: DecisionRow | None = None
    past: Recalled | None = None
    split: SplitInput | None = None


class Screened(msgspec.Struct, frozen=True, kw_only=True):
    """A payment whose opening depends on its past; `finish` makes it of that, at once.

    Without a `reading` it depends on none.
    """

    tenant_id: uuid.UUID
    key: str
    reading: Reading | None
    finish: Callable[[Recalled | None], Opening]


class _Claim(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    mutation: str
    fingerprint: str
    resource_id: str
    created_at: datetime
    customer_id: str | None


class _Part(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The rows of one tenant, by table; tables without any are left out."""

    tenant_id: uuid.UUID
    claims: list[_Claim] = msgspec.field(default_factory=list)
    payments: list[Payment] = msgspec.field(default_factory=list)
    attempts: list[Attempt] = msgspec.field(default_factory=list)
    operations: list[Operation] = msgspec.field(default_factory=list)
    events: list[NewEvent] = msgspec.field(default_factory=list)
    transfers: list[TransferRow] = msgspec.field(default_factory=list)
    decisions: list[DecisionRow] = msgspec.field(default_factory=list)
    past: list[dict[str, Any]] = msgspec.field(default_factory=list)
    recorded: list[str] = msgspec.field(default_factory=list)


class PaymentBatches:
    """The two writes of a payment's own path."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.turns = Turns()
        self._openings = Batches(self._open, largest=_LARGEST, at_once=_AT_ONCE)
        self._screened = Batches(self._screen, largest=_LARGEST, at_once=_AT_ONCE)
        self._recalling = Batches(
            self._screen,
            largest=_LARGEST,
            at_once=_AT_ONCE,
            crowd=_READING_CROWD,
            shared=_READING_SHARED,
        )
        self._changes = Batches(self._settle, largest=_LARGEST, at_once=_AT_ONCE)

    async def open(self, opening: Opening) -> bool:
        """Claim the key and write the payment with its intent; False, and nothing, otherwise.

        Raises `DatabaseUnavailable`.
        """
        try:
            return await self._openings.add(opening)
        except BatchRefused:
            return False

    async def screen(self, screened: Screened) -> bool:
        """The same, for a payment that fraud rules have a say in: its past is read and it becomes
        part of that in the transaction that writes it. Raises `DatabaseUnavailable`."""
        try:
            batches = self._screened if screened.reading is None else self._recalling
            return await batches.add(screened)
        except BatchRefused:
            return False

    async def settle(self, tenant_id: uuid.UUID, change: Change) -> bool:
        """Write the change; False, and nothing, where a row has moved on or a batch may not.

        Raises `DatabaseUnavailable`.
        """
        if change.canceled is not None or change.evidence is not None:
            return False
        try:
            return await self._changes.add((tenant_id, change))
        except BatchRefused:
            return False

    async def _open(self, openings: Sequence[Opening]) -> list[bool]:
        opened = await self._write("open_payments", _parts_of(openings))
        return [each.payment.id in opened for each in openings]

    async def _screen(self, screened: Sequence[Screened]) -> list[bool]:
        # Of two with one key, the second is told by the first's rows, alone.
        first = {(each.tenant_id, each.key): each for each in reversed(screened)}
        taken = list(first.values())
        readings = [each.reading for each in taken if each.reading is not None]
        if not readings:
            openings = [each.finish(None) for each in taken]
            opened = await self._write("open_screened_payments", _parts_of(openings))
            done = dict(zip(map(id, taken), openings, strict=True))
        else:
            async with self.turns.of(_known_by(readings)), self._database.batch() as session:
                faults.point("before_commit")
                past = await read_past(session, readings)
                done = {
                    id(each): each.finish(past.get(_payment_of(each)))
                    for each in taken
                    if each.reading is None or _payment_of(each) in past
                }
                rows = await session.fetch(_OPEN_SCREENED, _parts_of(done.values()))
            opened = {row["written"] for row in rows}
        return [id(each) in done and done[id(each)].payment.id in opened for each in screened]

    async def _settle(self, changes: Sequence[tuple[uuid.UUID, Change]]) -> list[bool]:
        parts: dict[uuid.UUID, _Part] = {}
        # Of two changes of one payment, the second finds what the first has made of it, alone.
        first = {change.payment.id: change for _, change in reversed(changes)}
        for tenant_id, change in changes:
            if first[change.payment.id] is not change:
                continue
            part = _part_of(parts, tenant_id)
            part.payments.append(change.payment)
            part.operations.append(msgspec.structs.replace(change.operation, request={}))
            part.events.extend(change.events)
            if change.decision is not None:
                part.decisions.append(change.decision)
            part.transfers.extend(transfer_rows(change.postings, at=change.payment.updated_at))
        settled = await self._write("settle_payments", parts.values())
        return [
            change.payment.id in settled and first[change.payment.id] is change
            for _, change in changes
        ]

    async def _write(self, function: str, parts: Iterable[_Part]) -> set[str]:
        faults.point("before_commit")  # one message writes and commits
        return {row["written"] for row in await self._database.call(function, list(parts))}


_OPEN_SCREENED = "SELECT written FROM open_screened_payments($1)"


def _known_by(readings: Iterable[Reading]) -> set[Name]:
    return {
        (each.tenant_id, kind, name)
        for each in readings
        for kind in each.plan.entities
        if (name := getattr(each.context, kind)) is not None
    }


def _payment_of(screened: Screened) -> str:
    return screened.reading.context.payment_id if screened.reading is not None else ""


def _parts_of(openings: Iterable[Opening]) -> list[_Part]:
    parts: dict[uuid.UUID, _Part] = {}
    for each in openings:
        part = _part_of(parts, each.tenant_id)
        part.claims.append(_claim(each))
        part.payments.append(each.payment)
        if each.attempt is not None:
            part.attempts.append(each.attempt)
        if each.operation is not None:
            part.operations.append(each.operation)
        part.events.append(each.event)
        part.events.extend(each.events)
        if each.decision is not None:
            part.decisions.append(each.decision)
        if each.past is not None and each.past.recorded:
            part.recorded.append(each.payment.id)
        elif each.past is not None:
            part.past.append(each.past.event)
    return list(parts.values())


def _part_of(parts: dict[uuid.UUID, _Part], tenant_id: uuid.UUID) -> _Part:
    part = parts.get(tenant_id)
    if part is None:
        part = parts[tenant_id] = _Part(tenant_id=tenant_id)
    return part


def _claim(opening: Opening) -> _Claim:
    return _Claim(
        key=opening.key,
        mutation="createPayment",
        fingerprint="\\x" + opening.fingerprint.hex(),
        resource_id=opening.payment.id,
        created_at=opening.payment.created_at,
        customer_id=opening.payment.customer_id,
    )
