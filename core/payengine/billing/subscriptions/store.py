"""How does a subscription stand in the database, and how is a plan written?

A plan is written in the transaction that locked the subscription's row; the invoice comes last, as
it takes the tenant's counter.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

import msgspec

from payengine.billing.collection.entitled import tell_entitlements
from payengine.billing.collection.hearing import subscription_canceled
from payengine.billing.collection.standing import subscription_event
from payengine.billing.coupons import Coupon
from payengine.billing.decimals import spell_decimal
from payengine.billing.invoices.drafting import load_terms
from payengine.billing.invoices.issuing import issue
from payengine.billing.invoices.models import StoredInvoice
from payengine.billing.invoices.terms import ItemTerms, PendingLine, TaxAnswers, UsedPeriod
from payengine.billing.subscriptions.held import Given, Held, Plan
from payengine.billing.subscriptions.models import (
    ItemRow,
    KeptCoupon,
    ScheduledChange,
    Subscription,
)
from payengine.errors import Conflict, NotFound
from payengine.events.writing import insert_event
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = [
    "CHANGE",
    "COUPON",
    "ITEM",
    "SUBSCRIPTION",
    "check_method",
    "given_coupons",
    "insert_change",
    "load_held",
    "lock_row",
    "read_row",
    "settle_change",
    "waiting_changes",
    "write_plan",
    "write_row",
    "write_told",
]

SUBSCRIPTION = Columns(Subscription)
ITEM = Columns(ItemRow)
CHANGE = Columns(ScheduledChange)
COUPON = Columns(KeptCoupon)

_LOCK = f"""
    SELECT {SUBSCRIPTION.listed} FROM subscription WHERE tenant_id = $1 AND id = $2 FOR UPDATE
"""
_READ = f"SELECT {SUBSCRIPTION.listed} FROM subscription WHERE tenant_id = $1 AND id = $2"
_INSERT = f"""
    INSERT INTO subscription (tenant_id, {SUBSCRIPTION.listed})
    VALUES ($1, {SUBSCRIPTION.parameters(2)})
"""
_MOVES = tuple(
    name
    for name in SUBSCRIPTION.names
    if name not in ("id", "customer_id", "currency", "time_zone", "created_at", "trial_end")
)
_UPDATE = f"""
    UPDATE subscription SET {SUBSCRIPTION.assignments(_MOVES, 4)}
    WHERE tenant_id = $1 AND id = $2 AND version = $3
"""
_INSERT_ITEMS = """
    INSERT INTO subscription_item
        (tenant_id, id, subscription_id, price_id, quantity, starts_at, ended_at)
    SELECT $1, id, $2, price_id, quantity, starts_at, ended_at
    FROM unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[])
        AS given (id, price_id, quantity, starts_at, ended_at)
"""
_END_ITEMS = """
    UPDATE subscription_item SET ended_at = $3
    WHERE tenant_id = $1 AND id = ANY ($2) AND ended_at IS NULL
"""
_INSERT_LINES = """
    INSERT INTO pending_line
        (tenant_id, id, customer_id, subscription_id, currency, line, created_at)
    SELECT $1, id, $2, $3, $4, line, $5 FROM unnest($6::text[], $7::jsonb[]) AS given (id, line)
"""
_WAITING = f"""
    SELECT {CHANGE.listed} FROM scheduled_change
    WHERE tenant_id = $1 AND subscription_id = $2 AND status = 'waiting' ORDER BY at, id
"""
_INSERT_CHANGE = f"""
    INSERT INTO scheduled_change (tenant_id, {CHANGE.listed}) VALUES ($1, {CHANGE.parameters(2)})
"""
_SETTLE_CHANGE = """
    UPDATE scheduled_change SET status = $3, failure = $4
    WHERE tenant_id = $1 AND id = $2 AND status = 'waiting'
"""
_WITHDRAW_ALL = """
    UPDATE scheduled_change SET status = 'withdrawn'
    WHERE tenant_id = $1 AND subscription_id = $2 AND status = 'waiting'
"""
_OWES = """
    SELECT EXISTS (SELECT FROM invoice
                   WHERE tenant_id = $1 AND subscription_id = $2 AND status = 'open')
"""
_METHOD = """
    SELECT 1 FROM payment_method
    WHERE tenant_id = $1 AND id = $2 AND customer_id = $3 AND detached_at IS NULL
"""
_COUPONS = f"SELECT {COUPON.listed} FROM coupon WHERE tenant_id = $1 AND id = ANY ($2)"


async def lock_row(session: Session, tenant_id: uuid.UUID, subscription_id: str) -> Subscription:
    """The row, which nobody else may change until the commit; raises `NotFound`."""
    row = await session.fetchrow(_LOCK, tenant_id, subscription_id)
    if row is None:
        raise NotFound("There is no such subscription.", path=("subscriptionId",))
    return SUBSCRIPTION.read(row)


async def read_row(session: Session, tenant_id: uuid.UUID, subscription_id: str) -> Subscription:
    """The row as it is; raises `NotFound`."""
    row = await session.fetchrow(_READ, tenant_id, subscription_id)
    if row is None:
        raise NotFound("There is no such subscription.", path=("subscriptionId",))
    return SUBSCRIPTION.read(row)


async def waiting_changes(
    session: Session, tenant_id: uuid.UUID, subscription_id: str
) -> tuple[ScheduledChange, ...]:
    """Its scheduled changes that wait, the first one first."""
    rows = await session.fetch(_WAITING, tenant_id, subscription_id)
    return tuple(CHANGE.read(row) for row in rows)


async def load_held(
    session: Session,
    tenant_id: uuid.UUID,
    row: Subscription,
    *,
    at: datetime,
    taxes: TaxAnswers,
    for_update: bool,
) -> Held:
    """The subscription with its terms, its usage if the period ended now, and what waits."""
    found = await load_terms(
        session, tenant_id, [row.id], at=min(at, row.period_end), taxes=taxes, for_update=for_update
    )
    terms = found[row.id]
    closing: tuple[UsedPeriod, ...] = ()
    if any(item.price.meter_id for item in terms.items):
        closed = await load_terms(
            session,
            tenant_id,
            [row.id],
            at=at,
            taxes=taxes,
            for_update=for_update,
            closing={row.id: at},
        )
        closing = closed[row.id].used
    waiting = await waiting_changes(session, tenant_id, row.id)
    owes = await session.fetchval(_OWES, tenant_id, row.id)
    return Held(row=row, terms=terms, owes=owes, closing=closing, waiting=waiting)


async def given_coupons(
    session: Session,
    tenant_id: uuid.UUID,
    ids: Sequence[str],
    *,
    held: Iterable[str] = (),
) -> tuple[Given, ...]:
    """The coupons in their order; raises `NotFound`, and `Conflict` for archived ones.

    Archived ones that are `held` already may be kept.
    """
    if not ids:
        return ()
    rows = {row["id"]: row for row in await session.fetch(_COUPONS, tenant_id, list(ids))}
    kept = set(held)
    found = []
    for each in ids:
        row = rows.get(each)
        if row is None:
            raise NotFound("There is no such coupon.", path=("couponIds",))
        if row["archived_at"] is not None and each not in kept:
            raise Conflict("The coupon is archived.", path=("couponIds",))
        coupon = msgspec.structs.replace(msgspec.convert(row["terms"], Coupon), id=each)
        found.append(Given(coupon=coupon, periods=row["terms"].get("periods")))
    return tuple(found)


async def check_method(
    session: Session, tenant_id: uuid.UUID, *, method_id: str | None, customer_id: str
) -> None:
    """Raise `NotFound` unless the saved method, if one is named, is the customer's."""
    if method_id is not None and not await session.fetchval(
        _METHOD, tenant_id, method_id, customer_id
    ):
        raise NotFound("There is no such payment method.", path=("paymentMethodId",))


async def write_row(session: Session, tenant_id: uuid.UUID, row: Subscription) -> None:
    """Write the next version of a locked row; raises `Conflict` where it is not the next."""
    values = [getattr(row, name) for name in _MOVES]
    tag = await session.execute(_UPDATE, tenant_id, row.id, row.version - 1, *values)
    if tag != "UPDATE 1":
        raise Conflict("The subscription was changed meanwhile.")


async def write_plan(
    session: Session, tenant_id: uuid.UUID, plan: Plan, *, at: datetime, now: datetime
) -> StoredInvoice | None:
    """Write what a plan for the instant `at` makes, and issue its invoice `now`.

    The subscription's row is locked, or new. Raises as `issue` does.
    """
    row = plan.row
    if plan.before is None:
        await session.execute(_INSERT, tenant_id, *SUBSCRIPTION.values(row))
    else:
        await write_row(session, tenant_id, row)
    if plan.ended:
        await session.execute(_END_ITEMS, tenant_id, list(plan.ended), at)
    await _insert_items(session, tenant_id, row.id, plan.added)
    await _insert_lines(session, tenant_id, row, plan.lines, at)
    if row.status == "canceled":
        await session.execute(_WITHDRAW_ALL, tenant_id, row.id)
        await subscription_canceled(session, tenant_id, row.id, at=now)
    await _tell(session, tenant_id, row, plan.told, now=now)
    if plan.before is None or _moves_access(plan):
        await tell_entitlements(session, tenant_id, row.customer_id, now)
    issued = await issue(session, tenant_id, now, [plan.planned] if plan.planned else [])
    return issued[0] if issued else None


async def write_told(
    session: Session,
    tenant_id: uuid.UUID,
    row: Subscription,
    told: Sequence[tuple[str, dict[str, Any]]],
    *,
    now: datetime,
) -> None:
    """Write the next version of a locked row, of which nothing but the row changes."""
    await write_row(session, tenant_id, row)
    await _tell(session, tenant_id, row, told, now=now)


async def insert_change(session: Session, tenant_id: uuid.UUID, change: ScheduledChange) -> None:
    """Keep a change that waits."""
    await session.execute(_INSERT_CHANGE, tenant_id, *CHANGE.values(change))


async def settle_change(
    session: Session,
    tenant_id: uuid.UUID,
    change_id: str,
    status: str,
    *,
    failure: str | None = None,
) -> bool:
    """It waits no more; False where it did not."""
    tag = await session.execute(_SETTLE_CHANGE, tenant_id, change_id, status, failure)
    return tag == "UPDATE 1"


async def _tell(
    session: Session,
    tenant_id: uuid.UUID,
    row: Subscription,
    told: Sequence[tuple[str, dict[str, Any]]],
    *,
    now: datetime,
) -> None:
    for kind, more in told:
        words = {"version": row.version, **more}
        event = subscription_event(kind, msgspec.structs.asdict(row), at=now, **words)
        await insert_event(session, tenant_id, event)


def _moves_access(plan: Plan) -> bool:
    before = plan.before
    return bool(
        plan.added
        or plan.ended
        or before is None
        or (before.status, before.access) != (plan.row.status, plan.row.access)
    )


async def _insert_items(
    session: Session, tenant_id: uuid.UUID, subscription_id: str, items: Sequence[ItemTerms]
) -> None:
    if not items:
        return
    await session.execute(
        _INSERT_ITEMS,
        tenant_id,
        subscription_id,
        [item.id for item in items],
        [item.price.id for item in items],
        [spell_decimal(Fraction(item.quantity)) for item in items],
        [item.starts_at for item in items],
        [item.ended_at for item in items],
    )


async def _insert_lines(
    session: Session,
    tenant_id: uuid.UUID,
    row: Subscription,
    lines: Sequence[PendingLine],
    at: datetime,
) -> None:
    if not lines:
        return
    await session.execute(
        _INSERT_LINES,
        tenant_id,
        row.customer_id,
        row.id,
        row.currency,
        at,
        [each.id for each in lines],
        [msgspec.to_builtins(each.line) for each in lines],
    )
