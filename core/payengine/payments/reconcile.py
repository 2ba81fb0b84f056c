"""What became of the operations that nobody answered for?

The reconciler takes an operation whose time has come, under a lease that is the operation's own
version: it looks up before it sends again, with the same key, and only while the provider
remembers keys. What it learns is recorded as evidence; where evidence cannot be had any more, a
person is asked.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from payengine import faults
from payengine.context import TenantContext
from payengine.ids import new_id
from payengine.payments import store
from payengine.payments.findings import Finding, finding_of
from payengine.payments.fold import HOLD_EXPIRED, made_after
from payengine.payments.means import Means
from payengine.payments.models import Operation, Payment
from payengine.payments.plans import settled_hold
from payengine.payments.record import Recorder
from payengine.payments.service import GRACE_MS
from payengine.payments.settle import event_of, next_look

__all__ = ["BATCH", "Reconciler"]

#: How many due operations one round takes.
BATCH = 100
#: How many of them are worked on at once: a gateway that hangs keeps the others waiting less.
_AT_ONCE = 8
_GIVE_UP_AFTER = timedelta(days=7)

_log = structlog.get_logger(__name__)

_DUE = "SELECT tenant_id, id FROM operation WHERE due_at <= $1 ORDER BY due_at LIMIT $2"

_EXPIRED = """
    SELECT tenant_id, id FROM payment
    WHERE hold_expires_at <= $1 ORDER BY hold_expires_at LIMIT $2
"""

#: The lease: whoever raises the version may work until `due_at` comes again.
_CLAIM = f"""
    UPDATE operation SET due_at = $3, tries = tries + 1, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND due_at <= $4
    RETURNING {store.OPERATION.listed}
"""

_GIVE_UP = f"""
    WITH stopped AS (
        UPDATE operation SET due_at = NULL, version = version + 1
        WHERE tenant_id = $1 AND id = $2 AND version = $3
        RETURNING payment_id
    )
    UPDATE payment SET needs_review = true, version = version + 1, updated_at = $4
    FROM stopped
    WHERE payment.tenant_id = $1 AND payment.id = stopped.payment_id AND NOT needs_review
    RETURNING {store.PAYMENT.listed}
"""

_MODE = "SELECT mode FROM tenant WHERE id = $1"


class Reconciler:
    """Ends what is open, on evidence only."""

    def __init__(self, means: Means, recorder: Recorder) -> None:
        self._means = means
        self._recorder = recorder

    async def run_once(self, *, at: datetime, limit: int = BATCH) -> int:
        """Take up to `limit` due operations and expired holds; how many were taken."""
        async with self._means.database.worker() as session:
            due = await session.fetch(_DUE, at, limit)
            ended = await session.fetch(_EXPIRED, at, limit)
        places = asyncio.Semaphore(_AT_ONCE)

        async def take(
            work: Callable[[uuid.UUID, str, datetime], Awaitable[None]], rows: Sequence[Any]
        ) -> None:
            async def one(row: Any) -> None:
                async with places:
                    await self._guarded(work, row["tenant_id"], row["id"], at)

            await asyncio.gather(*map(one, rows))

        await take(self._look_after, due)
        await take(self._expire, ended)
        return len(due) + len(ended)

    async def _guarded(
        self,
        work: Callable[[uuid.UUID, str, datetime], Awaitable[None]],
        tenant_id: uuid.UUID,
        subject: str,
        at: datetime,
    ) -> None:
        """One object that cannot be worked on does not keep the others waiting."""
        try:
            await work(tenant_id, subject, at)
        except Exception as failure:
            _log.warning("reconcile_failed", subject=subject, error=repr(failure))

    async def _context(self, tenant_id: uuid.UUID) -> TenantContext:
        async with self._means.database.tenant(tenant_id) as session:
            mode = await session.fetchval(_MODE, tenant_id)
        return TenantContext(tenant_id, mode, "reconciler", frozenset())

    async def _look_after(self, tenant_id: uuid.UUID, operation_id: str, at: datetime) -> None:
        context = await self._context(tenant_id)
        lease = at + timedelta(milliseconds=2 * self._means.deadline_ms + GRACE_MS)
        async with self._means.database.tenant(tenant_id) as session:
            row = await session.fetchrow(_CLAIM, tenant_id, operation_id, lease, at)
        if row is None:
            return
        operation = store.OPERATION.read(row)
        faults.point("reconciler_claimed")
        finding = await self._find(context, operation, at=at)
        if finding is None:
            await self._wait(context, operation, at=at)
            return
        _, recorded = await self._recorder.record(
            context,
            payment_id=operation.payment_id,
            operation_id=operation.id,
            finding=finding,
            version=operation.version,
        )
        if recorded.version == operation.version:
            await self._wait(context, operation, at=at)

    async def _find(
        self, context: TenantContext, operation: Operation, *, at: datetime
    ) -> Finding | None:
        """Look up, then send again with the same key; None where neither tells anything."""
        answer = await self._recorder.look_up(context, operation)
        found = answer.outcome if answer.kind == "outcome" else None
        if answer.mismatch or (found is not None and found.status != "not_found"):
            return finding_of(answer, operation, source="lookup")
        if operation.status not in ("sending", "unknown"):
            return None
        gateway = self._means.registry.installed.gateways.get(operation.gateway)
        if gateway is None:
            return None  # it was uninstalled: nobody can be asked until it is back
        manifest = gateway.manifest
        age = at - operation.sent_at
        in_window = age < timedelta(seconds=manifest.key_window_s)
        if operation.resendable and manifest.supports_idempotency and in_window:
            if found is None and manifest.lookup:
                return None  # the lookup itself failed: ask again before anything is sent
            answer = await self._recorder.send(context, operation)
            if answer.kind == "not_sent":
                return None  # this sending did nothing; what the first one did is still unknown
            return finding_of(answer, operation, source="resend")
        consistent = age > timedelta(
            milliseconds=manifest.lookup_consistent_after_ms + self._means.deadline_ms
        )
        if found is not None and consistent:
            return Finding(status="not_sent", source="lookup", reason="not_found", outcome=None)
        return None

    async def _wait(self, context: TenantContext, operation: Operation, *, at: datetime) -> None:
        """Look again later; after a week a person must decide."""
        async with self._means.database.tenant(context.tenant_id) as session:
            if at - operation.sent_at > _GIVE_UP_AFTER:
                row = await session.fetchrow(
                    _GIVE_UP, context.tenant_id, operation.id, operation.version, at
                )
                if row is not None:
                    payment = store.PAYMENT.read(row)
                    event = event_of("payment.needs_review", payment, operation, at=at)
                    await store.insert_event(session, context.tenant_id, event)
                return
            await session.execute(
                "UPDATE operation SET due_at = $4"
                " WHERE tenant_id = $1 AND id = $2 AND version = $3",
                context.tenant_id,
                operation.id,
                operation.version,
                next_look(operation.tries, at=at),
            )

    async def _expire(self, tenant_id: uuid.UUID, payment_id: str, at: datetime) -> None:
        """A hold whose time is over is released in the books, as the provider released it."""
        context = await self._context(tenant_id)
        now = self._means.clock.now(tenant_id)
        async with self._means.database.tenant(tenant_id) as session:
            found = await store.load(session, tenant_id, payment_id, lock=True)
            if found is None:
                return
            payment, operations = found
            still = payment.hold_expires_at is not None and payment.hold_expires_at <= now
            reserved = payment.capture_reserved_minor + payment.void_reserved_minor
            hold = settled_hold(operations)
            if not still or reserved or hold is None:
                return
            await self._recorder.record_fact(
                session,
                context,
                payment,
                operations,
                msgspec.structs.replace(
                    _release(payment, hold, at=now), created_at=made_after(operations, at=now)
                ),
                reason=HOLD_EXPIRED,
                at=now,
            )


def _release(payment: Payment, hold: Operation, *, at: datetime) -> Operation:
    operation_id = new_id("op")
    return msgspec.structs.replace(
        hold,
        id=operation_id,
        kind="void",
        status="sending",
        amount_minor=payment.capturable_minor,
        released_minor=payment.capturable_minor,
        capture=False,
        final=True,
        provider_key=operation_id,
        request={},
        resendable=False,
        fee_minor=0,
        hold_expires_at=None,
        anomaly=None,
        due_at=None,
        tries=0,
        version=1,
        sent_at=at,
        created_at=at,
        updated_at=at,
    )
