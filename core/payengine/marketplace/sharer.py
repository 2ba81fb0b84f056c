"""Has every owner got, or given, its part of what happened to a payment?

What happens to a payment is booked against the platform's one account; here it is shared among the
owners, each step once, in a transaction of its own: until then it is simply not theirs yet. The
tenant's event log says which payments to look at. Losing this loop delays, and loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog

from payengine import faults
from payengine.clock import Clock, wall_now
from payengine.events.models import NewEvent
from payengine.events.writing import insert_event
from payengine.ids import new_id
from payengine.ledger import post
from payengine.marketplace import sharing_store as store
from payengine.marketplace.commission import CommissionRule, commission
from payengine.marketplace.crediting import Credit, credited, debited
from payengine.marketplace.freezing import freeze
from payengine.marketplace.holding import escrow_event, refreshed
from payengine.marketplace.sharing import Shared, share, step_posting
from payengine.marketplace.sharing_models import Part, Split, Step
from payengine.storage import Database, Session

__all__ = ["BATCH", "Sharer", "share_now"]

#: How many payments one round looks at, and how many events of one tenant.
BATCH = 200
_EVENTS = 1_000
_MOST_TENANTS = 1_000
_LONGEST_WAIT_S = 600
_LOOKS_EVERY = timedelta(milliseconds=500)
_MOST_FOLLOWED = 100_000

_log = structlog.get_logger(__name__)

_BEHIND = """
    SELECT c.tenant_id FROM split_cursor c JOIN event_stream s USING (tenant_id)
    WHERE s.position > c.position ORDER BY c.tenant_id LIMIT $1
"""

_LOCK_CURSOR = "SELECT position FROM split_cursor WHERE tenant_id = $1 FOR UPDATE SKIP LOCKED"

#: What is marked is looked at later, in a transaction of its own; only then the cursor moves on.
_MARK = """
    WITH batch AS MATERIALIZED (
        SELECT position, payment_id, type FROM event
        WHERE tenant_id = $1 AND position > $2 ORDER BY position LIMIT $3
    ), marked AS (
        UPDATE payment_split SET due_at = coalesce(due_at, $4)
        WHERE tenant_id = $1 AND payment_id IN (
            SELECT payment_id FROM batch
            WHERE split_part(type, '.', 1) IN ('payment', 'refund', 'dispute'))
    )
    UPDATE split_cursor SET position = (SELECT max(position) FROM batch)
    WHERE tenant_id = $1 AND EXISTS (SELECT FROM batch)
"""

_DUE = """
    SELECT tenant_id, payment_id FROM payment_split WHERE due_at <= $1 ORDER BY due_at LIMIT $2
"""
#: The tenant's divided payments of which it has events behind its cursor, placed or not.
_UNSHARED = """
    SELECT DISTINCT s.payment_id
    FROM split_cursor c
    JOIN event e ON e.tenant_id = c.tenant_id AND (e.position IS NULL OR e.position > c.position)
    JOIN payment_split s ON s.tenant_id = e.tenant_id AND s.payment_id = e.payment_id
    WHERE c.tenant_id = $1 AND split_part(e.type, '.', 1) IN ('payment', 'refund', 'dispute')
    UNION
    SELECT payment_id FROM payment_split WHERE tenant_id = $1 AND due_at IS NOT NULL AND tries = 0
    LIMIT $2
"""
_POSTPONE = """
    UPDATE payment_split SET due_at = $3, tries = tries + 1
    WHERE tenant_id = $1 AND payment_id = $2
"""

#: The vendor's row is the lock under which its volume is told: two first sales of a month do not
#: both take the first tier.
_LOCK_VENDOR = """
    SELECT id FROM connected_account WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE
"""
_VOLUME = """
    SELECT coalesce(sum(amount_minor), 0)::bigint FROM payment_split
    WHERE tenant_id = $1 AND vendor_id = $2 AND currency = $3 AND sold_at >= $4 AND sold_at < $5
      AND payment_id <> $6
"""


class Sharer:
    """Shares what is due, of all tenants."""

    def __init__(self, database: Database, *, clock: Clock, nudge: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._nudge = nudge
        #: Tenants that had something to share: of the others nobody need wake this loop.
        self._followed: set[uuid.UUID] = set()
        self._woken = asyncio.Event()

    def wake(self, tenant_id: uuid.UUID) -> None:
        """There are new events of the tenant: look at once if it divides payments."""
        if tenant_id in self._followed:
            self._woken.set()

    async def run_when_woken(self, *, within: timedelta = _LOOKS_EVERY) -> int:
        """Wait until somebody wakes this loop, or so long, then do as `run_once`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds()):
                await self._woken.wait()
        self._woken.clear()
        return await self.run_once(at=wall_now())

    async def run_tenant(self, tenant_id: uuid.UUID, *, at: datetime) -> int:
        """Share what happened so far in a world whose clock stands at `at`; how many steps.

        What the relay has not placed yet is shared too: once the clock has moved on, it would be
        told of another day.
        """
        async with self._database.tenant(tenant_id) as session:
            rows = await session.fetch(_UNSHARED, tenant_id, BATCH)
        done = 0
        for row in rows:
            async with self._database.tenant(tenant_id) as session:
                shared = await share_now(session, tenant_id, row["payment_id"], at=at)
            done += len(shared.steps) if shared is not None else 0
        if done:
            self._nudge()
        return done

    async def run_once(self, *, at: datetime, limit: int = BATCH) -> int:
        """Look for payments that moved and share what happened to them; how many were looked at.

        `at` is the wall's instant. Harmless where other processes do the same.
        """
        await self._follow(at)
        async with self._database.worker() as session:
            due = await session.fetch(_DUE, at, limit)
        for row in due:
            await self._share(row["tenant_id"], row["payment_id"], at=at)
        if due:
            self._nudge()
        return len(due)

    async def _follow(self, at: datetime) -> None:
        """Mark the payments of which the tenants' events tell."""
        async with self._database.worker() as session:
            tenants = await session.fetch(_BEHIND, _MOST_TENANTS)
        for row in tenants:
            tenant_id = row["tenant_id"]
            if len(self._followed) < _MOST_FOLLOWED:
                self._followed.add(tenant_id)
            async with self._database.tenant(tenant_id) as session:
                position = await session.fetchval(_LOCK_CURSOR, tenant_id)
                if position is not None:
                    await session.execute(_MARK, tenant_id, position, _EVENTS, at)

    async def _share(self, tenant_id: uuid.UUID, payment_id: str, *, at: datetime) -> None:
        """Share one payment's steps; where that fails, others are not kept waiting."""
        try:
            async with self._database.tenant(tenant_id) as session:
                await share_now(
                    session, tenant_id, payment_id, at=self._clock.now(tenant_id), wait=False
                )
        except Exception as failure:
            _log.warning("share_failed", payment_id=payment_id, error=repr(failure))
            async with self._database.tenant(tenant_id) as session:
                found = await store.lock_split(session, tenant_id, payment_id)
                tries = 0 if found is None else found.tries
                wait = timedelta(seconds=min(2 ** min(tries, 20), _LONGEST_WAIT_S))
                await session.execute(_POSTPONE, tenant_id, payment_id, at + wait)


async def share_now(
    session: Session,
    tenant_id: uuid.UUID,
    payment_id: str,
    *,
    at: datetime,
    wait: bool = True,
    but: str | None = None,
) -> Shared | None:
    """Share everything of the payment that has not been shared yet, in this transaction, `but`
    one operation of it.

    None where the payment has no split, or, without `wait`, where somebody else is at it.
    """
    split = await store.lock_split(session, tenant_id, payment_id, wait=wait)
    if split is None:
        return None
    parts = (await store.parts_of(session, tenant_id, [payment_id])).get(payment_id, [])
    done = (await store.steps_of(session, tenant_id, [payment_id])).get(payment_id, [])
    sources = await store.sources_of(session, tenant_id, split)
    sources = [each for each in sources if each.operation_id != but]
    sold = [each for each in sources if each.kind == "capture" and each.amount_minor]
    if sold:
        parts = await _planned(session, tenant_id, split, parts, sold_at=sold[0].captured_at or at)
    shared = share(split, parts, done, sources, at=at)
    await _write(session, tenant_id, shared, at=at)
    after = msgspec.structs.replace(shared.split, due_at=None, tries=0)
    if shared.steps or split.due_at is not None:
        await store.update_split(session, tenant_id, after)
    faults.point("split_posted")
    return shared


async def _planned(
    session: Session,
    tenant_id: uuid.UUID,
    split: Split,
    parts: Sequence[Part],
    *,
    sold_at: datetime,
) -> list[Part]:
    """The parts of a vendor's sale, once it is one: what the platform keeps depends on how much
    the vendor sold this month before it (in UTC, refunds not counted)."""
    if split.vendor_id is None or any(part.planned_minor for part in parts):
        return list(parts)
    rule = msgspec.convert(split.commission or {}, CommissionRule)
    volume = 0
    if rule.tiers:
        await session.fetch(_LOCK_VENDOR, tenant_id, split.vendor_id)
        month = sold_at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        following = (month + timedelta(days=31)).replace(day=1)
        volume = await session.fetchval(
            *(_VOLUME, tenant_id, split.vendor_id, split.currency),
            *(month, following, split.payment_id),
        )
    kept = commission(split.amount_minor, rule, volume_before=volume, base_minor=split.base_minor)
    return [
        msgspec.structs.replace(
            part, planned_minor=kept.commission if part.account_id is None else kept.vendor_net
        )
        for part in parts
    ]


async def _write(session: Session, tenant_id: uuid.UUID, shared: Shared, *, at: datetime) -> None:
    split = shared.split
    if shared.steps:
        await store.update_parts(session, tenant_id, split.payment_id, shared.parts)
        await store.insert_steps(session, tenant_id, shared.steps)
    postings = []
    for step in shared.steps:
        posting = step_posting(step, currency=split.currency)
        if posting is not None:
            postings.append(posting)
    if postings:
        await post(session, tenant_id, postings, at=at)
    for step in shared.steps:
        await _availability(session, tenant_id, shared, step, at=at)
        await insert_event(session, tenant_id, _event(split, step, at=at))
    if split.escrow_id is not None:
        await _escrow(session, tenant_id, shared, at=at)


async def _availability(
    session: Session, tenant_id: uuid.UUID, shared: Shared, step: Step, *, at: datetime
) -> None:
    """What of the step's money is not to be taken yet."""
    split = shared.split
    owners = {part.number: part.account_id for part in shared.parts}
    step_id = f"{step.operation_id}:{step.phase}:{step.round}"
    net: dict[str, int] = {}
    for each in step.moved:
        owner = owners[each.number]
        if owner is not None and each.account.startswith("vendor_payable:"):
            net[owner] = net.get(owner, 0) + each.amount_minor
    if step.phase == "captured":
        credits = [
            Credit(
                account_id=owner,
                sale_minor=step.amount_minor if owner == split.vendor_id else minor,
                net_minor=minor,
            )
            for owner, minor in net.items()
            if minor > 0
        ]
        held = await credited(
            session,
            tenant_id,
            credits,
            payment_id=split.payment_id,
            step_id=step_id,
            currency=split.currency,
            sold_at=step.captured_at or at,
            at=at,
        )
        if held:
            await post(session, tenant_id, held, at=at)
    elif taken := {owner: -minor for owner, minor in net.items() if minor < 0}:
        await debited(
            session,
            tenant_id,
            taken,
            payment_id=split.payment_id,
            step_id=step_id,
            currency=split.currency,
            at=at,
        )


async def _escrow(session: Session, tenant_id: uuid.UUID, shared: Shared, *, at: datetime) -> None:
    """Bring the escrow to what the payment's steps and disputes have made of it."""
    before = await store.escrow_of(session, tenant_id, shared.split.payment_id)
    if before is None:
        return
    freezes = await freeze(session, tenant_id, before)
    captured_at = before.captured_at or shared.split.sold_at
    known = msgspec.structs.replace(before, captured_at=captured_at)
    after = refreshed(known, shared.parts, freezes, at=at)
    if after == before:
        return
    await store.write_escrow(session, tenant_id, after, at=at)
    if after.status != before.status:
        await insert_event(session, tenant_id, escrow_event(f"escrow.{after.status}", after, at=at))
    if after.is_frozen != before.is_frozen:
        kind = "escrow.frozen" if after.is_frozen else "escrow.thawed"
        await insert_event(session, tenant_id, escrow_event(kind, after, at=at))


def _event(split: Split, step: Step, *, at: datetime) -> NewEvent:
    data: dict[str, Any] = {
        "operation_id": step.operation_id,
        "amount_minor": step.amount_minor,
        "currency": split.currency,
        "parts": [
            {"account": each.account, "amount_minor": each.amount_minor} for each in step.moved
        ],
    }
    return NewEvent(
        id=new_id("evt"),
        type=f"split.{step.phase}",
        payment_id=split.payment_id,
        operation_id=step.operation_id,
        data=data,
        occurred_at=at,
    )
