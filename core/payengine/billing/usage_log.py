"""What did customers use, and what does it come to?

Events are told in batches of many, again and again if need be: (tenant, meter, id) is their key.
A few statements serve a batch, whatever its size. Sums are computed in the database, exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeAlias

import msgspec

from payengine.billing.decimals import spell_decimal
from payengine.billing.models import Meter, ToldUsage, UsageReceipt
from payengine.billing.periods import Period
from payengine.billing.usage import (
    EARLIEST,
    Formula,
    UsageEvent,
    check_event,
    check_timestamp,
    receive,
)
from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import (
    EventPeriodFinalized,
    IdempotencyConflict,
    InputInvalid,
    NotFound,
    PayengineError,
)
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import is_id, new_id
from payengine.storage import Database, Session
from payengine.storage.columns import Columns
from payengine.texts import check_text

__all__ = ["FORMULAS", "MOST_EVENTS", "RecordUsage", "UsageLog", "quantities"]

#: How many events one batch holds at most.
MOST_EVENTS = 1_000

_METER = Columns(Meter)
_Place: TypeAlias = tuple[str, str]

_METERS = f"SELECT {_METER.listed} FROM meter WHERE tenant_id = $1 AND name = ANY ($2)"
_CUSTOMERS = "SELECT id FROM customer WHERE tenant_id = $1 AND id = ANY ($2)"

#: In the order of their keys, so that two batches of the same events wait for each other one way.
_INSERT = """
    INSERT INTO usage_event
        (tenant_id, meter_id, id, customer_id, at, value, key, told_at, batch_id, place)
    SELECT $1, meter_id, id, customer_id, at, value, key, $2, $3, place
    FROM unnest($4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::text[], $9::text[],
                $10::integer[]) AS told (meter_id, id, customer_id, at, value, key, place)
    ORDER BY meter_id COLLATE "C", id COLLATE "C"
    ON CONFLICT DO NOTHING
    RETURNING meter_id, place
"""

#: Of the meters that take no late events: the invoiced periods in which these events lie.
_BILLED = """
    SELECT DISTINCT place FROM unnest($2::integer[], $3::text[], $4::text[], $5::timestamptz[])
        AS told (place, meter_id, customer_id, at)
    JOIN billed_usage AS billed
        ON billed.tenant_id = $1 AND billed.customer_id = told.customer_id
       AND billed.meter_id = told.meter_id AND billed.period_end > told.at
       AND billed.period_start <= told.at
"""

#: A subscription that has ended has no next invoice: when no event of its time can be told any
#: more, what came late is put on one of its own.
_REOPEN = """
    WITH ended AS (
        SELECT id FROM subscription
        WHERE tenant_id = $1 AND status = 'canceled' AND due_at IS NULL AND ended_at IS NOT NULL
          AND id IN (
            SELECT billed.subscription_id
            FROM unnest($2::text[], $3::text[], $4::timestamptz[])
                AS told (meter_id, customer_id, at)
            JOIN billed_usage AS billed
                ON billed.tenant_id = $1 AND billed.customer_id = told.customer_id
               AND billed.meter_id = told.meter_id AND billed.period_end > told.at
               AND billed.period_start <= told.at
        )
        ORDER BY id FOR UPDATE
    )
    UPDATE subscription SET due_at = ended_at + $5::interval
    FROM ended WHERE tenant_id = $1 AND subscription.id = ended.id
"""

_KEPT = """
    SELECT meter_id, id, customer_id, at, value, key
    FROM usage_event JOIN unnest($2::text[], $3::text[]) AS told (meter_id, id)
        USING (meter_id, id)
    WHERE tenant_id = $1
"""

#: Of two events at the latest instant the one that arrived last is the last.
FORMULAS: dict[Formula, str] = {
    "sum": "sum(value::numeric)",
    "count": "count(*)",
    "max": "max(value::numeric)",
    "last": "(array_agg(value::numeric ORDER BY at DESC, batch_id DESC, place DESC))[1]",
    "unique": "count(DISTINCT key)",
}

_QUANTITIES = """
    SELECT customer_id, greatest({formula}, 0)::text AS quantity FROM usage_event
    WHERE tenant_id = $1 AND meter_id = $2 AND customer_id = ANY ($3) AND at >= $4 AND at < $5
    GROUP BY customer_id
"""


class _Told(msgspec.Struct, frozen=True):
    """An event that may be taken, with its place in the batch."""

    place: int
    meter: Meter
    customer_id: str
    event: UsageEvent

    @property
    def key(self) -> _Place:
        return (self.meter.id, self.event.id)


class RecordUsage(msgspec.Struct, frozen=True, kw_only=True):
    """A batch of usage events, at most `MOST_EVENTS`."""

    idempotency_key: str
    events: tuple[ToldUsage, ...]


class UsageLog:
    """The usage events of all tenants."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def record(self, context: TenantContext, request: RecordUsage) -> list[UsageReceipt]:
        """As `tell`, under a key: the same key with other events is an `IdempotencyConflict`.

        The same batch again finds its events taken.
        """
        context.require("billing:write")
        check_key(request.idempotency_key)
        return await self._tell(context, request.events, request)

    async def tell(self, context: TenantContext, events: Sequence[ToldUsage]) -> list[UsageReceipt]:
        """Take a batch; one receipt for each event, in their order.

        An event that is refused keeps no other one out. One that was taken before is a duplicate,
        however old it is by now. Raises `InputInvalid` for an empty batch and for a larger one than
        `MOST_EVENTS`.
        """
        context.require("billing:write")
        return await self._tell(context, events, None)

    async def _tell(
        self, context: TenantContext, events: Sequence[ToldUsage], request: RecordUsage | None
    ) -> list[UsageReceipt]:
        if not 1 <= len(events) <= MOST_EVENTS:
            raise InputInvalid(f"A batch has 1 to {MOST_EVENTS} events.", path=("events",))
        now = self._clock.now(context.tenant_id)
        receipts: dict[int, UsageReceipt] = {}
        async with self._database.tenant(context.tenant_id) as session:
            if request is not None:
                await claim(
                    session,
                    context.tenant_id,
                    key=request.idempotency_key,
                    mutation="recordUsage",
                    fingerprint=fingerprint("recordUsage", request),
                    resource_id=new_id("ubt"),
                    at=now,
                )
            meters = await _meters(session, context, {event.meter for event in events})
            customers = await _customers(session, context, {each.customer_id for each in events})
            told: list[_Told] = []
            for place, event in enumerate(events):
                try:
                    told.append(_checked(place, event, meters=meters, customers=customers))
                except PayengineError as refused:
                    receipts[place] = _refused(event, refused)
            receipts |= await _take(session, context, told, now=now)
        return [receipts[place] for place in range(len(events))]

    async def quantity(
        self, context: TenantContext, *, meter_id: str, customer_id: str, period: Period
    ) -> Fraction:
        """What a customer used of a meter in the period; raises `NotFound` for another's meter."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            row = await session.fetchrow(
                f"SELECT {_METER.listed} FROM meter WHERE tenant_id = $1 AND id = $2",
                context.tenant_id,
                meter_id,
            )
            if row is None:
                raise NotFound("There is no such meter.", path=("meterId",))
            found = await quantities(
                session, context, meter=_METER.read(row), customer_ids=[customer_id], period=period
            )
        return found.get(customer_id, Fraction(0))


async def quantities(
    session: Session,
    context: TenantContext,
    *,
    meter: Meter,
    customer_ids: Sequence[str],
    period: Period,
) -> dict[str, Fraction]:
    """What each customer used in the period, as `aggregate` would have it; nothing is left out."""
    rows = await session.fetch(
        _QUANTITIES.format(formula=FORMULAS[meter.formula]),
        context.tenant_id,
        meter.id,
        list(customer_ids),
        period.start,
        period.end,
    )
    return {row["customer_id"]: Fraction(row["quantity"]) for row in rows}


def _checked(
    place: int, told: ToldUsage, *, meters: Mapping[str, Meter], customers: Iterable[str]
) -> _Told:
    event = UsageEvent(id=told.id, at=told.at, value=told.value, key=told.key)
    check_text(told.id, field="id")
    check_text(told.key, field="key")
    if told.meter not in meters:
        raise NotFound("There is no such meter.", path=("meter",))
    meter = meters[told.meter]
    check_event(event, formula=meter.formula)
    if told.customer_id not in customers:
        raise NotFound("There is no such customer.", path=("customerId",))
    return _Told(place, meter, told.customer_id, event)


async def _take(
    session: Session, context: TenantContext, told: Sequence[_Told], *, now: datetime
) -> dict[int, UsageReceipt]:
    """Insert what is new and in time; compare the rest with what was taken before."""
    late: dict[int, PayengineError] = {}
    for each in told:
        try:
            check_timestamp(each.event.at, now=now)
        except PayengineError as refused:
            late[each.place] = refused
    late |= await _final(session, context, told)
    first: dict[_Place, _Told] = {}
    for each in told:
        if each.place not in late:
            first.setdefault(each.key, each)
    taken = await _insert(session, context, list(first.values()), now=now)
    rest = [each for each in told if each.place not in taken]
    kept = await _kept(session, context, {each.key for each in rest})
    receipts = {each.place: _receipt(each) for each in told if each.place in taken}
    for each in rest:
        before = kept.get(each.key)
        if before is None:
            receipts[each.place] = _refused_told(each, late[each.place])
            continue
        try:
            if before[0] != each.customer_id:
                raise IdempotencyConflict("This usage event was told before of another customer.")
            receive(each.event, before=before[1])
        except PayengineError as refused:
            receipts[each.place] = _refused_told(each, refused)
        else:
            receipts[each.place] = _receipt(each, duplicate=True)
    return receipts


async def _final(
    session: Session, context: TenantContext, told: Sequence[_Told]
) -> dict[int, PayengineError]:
    """Events whose period is invoiced, of meters that take none then, by their places."""
    asked = [each for each in told if each.meter.late_policy == "reject"]
    if not asked:
        return {}
    rows = await session.fetch(
        _BILLED,
        context.tenant_id,
        [each.place for each in asked],
        [each.meter.id for each in asked],
        [each.customer_id for each in asked],
        [each.event.at for each in asked],
    )
    return {row["place"]: EventPeriodFinalized(path=("at",)) for row in rows}


async def _insert(
    session: Session, context: TenantContext, told: Sequence[_Told], *, now: datetime
) -> set[int]:
    if not told:
        return set()
    rows = await session.fetch(
        _INSERT,
        context.tenant_id,
        now,
        new_id("ubt"),
        [each.meter.id for each in told],
        [each.event.id for each in told],
        [each.customer_id for each in told],
        [each.event.at for each in told],
        [_spelled(each.event.value) for each in told],
        [each.event.key for each in told],
        [each.place for each in told],
    )
    taken = {row["place"] for row in rows}
    await session.execute(
        _REOPEN,
        context.tenant_id,
        [each.meter.id for each in told],
        [each.customer_id for each in told],
        [each.event.at for each in told],
        EARLIEST,
    )
    return taken


async def _kept(
    session: Session, context: TenantContext, places: set[_Place]
) -> dict[_Place, tuple[str, UsageEvent]]:
    """Whose the events are that were taken before, and what they say."""
    if not places:
        return {}
    wanted = sorted(places)
    rows = await session.fetch(
        _KEPT, context.tenant_id, [meter for meter, _ in wanted], [name for _, name in wanted]
    )
    return {(row["meter_id"], row["id"]): (row["customer_id"], _event(row)) for row in rows}


async def _meters(session: Session, context: TenantContext, names: set[str]) -> dict[str, Meter]:
    known = [name for name in names if name.isprintable()]
    rows = await session.fetch(_METERS, context.tenant_id, known)
    return {row["name"]: _METER.read(row) for row in rows}


async def _customers(session: Session, context: TenantContext, ids: set[str]) -> set[str]:
    known = [each for each in ids if is_id(each, "cus")]
    return {row["id"] for row in await session.fetch(_CUSTOMERS, context.tenant_id, known)}


def _event(row: Mapping[str, Any]) -> UsageEvent:
    value = row["value"]
    return UsageEvent(
        id=row["id"],
        at=row["at"],
        value=None if value is None else Decimal(value),
        key=row["key"],
    )


def _spelled(value: Decimal | None) -> str | None:
    return None if value is None else spell_decimal(Fraction(value))


def _receipt(told: _Told, *, duplicate: bool = False) -> UsageReceipt:
    return UsageReceipt(
        meter=told.meter.name,
        id=told.event.id,
        outcome="duplicate" if duplicate else "accepted",
    )


def _refused_told(told: _Told, error: PayengineError) -> UsageReceipt:
    return UsageReceipt(
        meter=told.meter.name,
        id=told.event.id,
        outcome="refused",
        code=error.code,
        message=error.message,
    )


def _refused(told: ToldUsage, error: PayengineError) -> UsageReceipt:
    return UsageReceipt(
        meter=told.meter, id=told.id, outcome="refused", code=error.code, message=error.message
    )
