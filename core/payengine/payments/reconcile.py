"""What became of the operations that nobody answered for?

The reconciler takes an operation whose time has come, under a lease that is the operation's own
version and covers one call to the gateway: it looks up before it sends again, with the same key,
and only while the provider remembers keys. What it learns is recorded as evidence; where evidence
cannot be had any more, a person is asked. What was given up is looked at again for a day, and money
that nobody can use is given back. All of this goes by the wall's time, whatever a test clock says.
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
from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.ids import new_id
from payengine.payments import store
from payengine.payments.findings import UNMODELLED, Finding, finding_of
from payengine.payments.fold import HOLD_EXPIRED, made_after
from payengine.payments.hopeless import Hopeless, cannot_be_known, give_up, takes_too_long
from payengine.payments.means import Means
from payengine.payments.models import Operation, Payment
from payengine.payments.plans import settled_hold
from payengine.payments.record import Recorder
from payengine.payments.release import Release
from payengine.payments.service import GRACE_MS
from payengine.payments.settle import next_look, recheck_at
from payengine.payments.transitions import GIVEN_UP
from payengine.plugin import Manifest
from payengine.registry import Answer

__all__ = ["BATCH", "Reconciler"]

#: How many due operations one round takes.
BATCH = 100
#: How many of them are worked on at once: a gateway that hangs keeps the others waiting less.
_AT_ONCE = 16
#: How long a look-up waits for one of the gateway's places: within the grace of its lease.
_PATIENCE = timedelta(milliseconds=GRACE_MS // 2)
_NAP_S = 0.02
#: The answers of our own house, which say nothing of the gateway and will be another one soon.
_TURNED_AWAY = frozenset({"breaker_open", "bulkhead_full", "deadline_passed"})

_log = structlog.get_logger(__name__)

_DUE = "SELECT tenant_id, id FROM operation WHERE due_at <= $1 ORDER BY due_at LIMIT $2"

_EXPIRED = """
    SELECT tenant_id, id FROM payment
    WHERE hold_expires_at <= $1 ORDER BY hold_expires_at LIMIT $2
"""

#: The lease: whoever raises the version may make one call to the gateway until `due_at` comes.
_CLAIM = f"""
    UPDATE operation SET due_at = $3, tries = tries + 1, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND due_at <= $4
    RETURNING {store.OPERATION.listed}
"""

#: Before the next call the lease must still be ours: whoever took it meanwhile has raised it.
_RENEW = f"""
    UPDATE operation SET due_at = $4, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND version = $3
    RETURNING {store.OPERATION.listed}
"""

_SET_DUE = """
    UPDATE operation SET due_at = $4, tries = $5
    WHERE tenant_id = $1 AND id = $2 AND version = $3
"""

_MODE = "SELECT mode FROM tenant WHERE id = $1"

_NOT_FOUND = Finding(status="not_sent", source="lookup", reason="not_found")
#: Found nowhere, which proves nothing and never will.
_UNKNOWABLE = Finding(status="unknown", source="lookup", reason="not_found")


class _Round:
    """The instant of a round, and how much later it has become: a lease counts from its call.

    It has so many places for work; who sleeps gives theirs to others.
    """

    def __init__(self, at: datetime) -> None:
        self._at = at
        self._time = asyncio.get_running_loop().time
        self._began = self._time()
        self.places = asyncio.Semaphore(_AT_ONCE)

    def now(self) -> datetime:
        """The instant at which the round stands now."""
        return self._at + timedelta(seconds=self._time() - self._began)

    async def nap(self) -> None:
        """Wait a moment, from within a place of the round."""
        self.places.release()
        try:
            await asyncio.sleep(_NAP_S)
        finally:
            await self.places.acquire()


_Work = Callable[[uuid.UUID, str, _Round], Awaitable[None]]


class Reconciler:
    """Ends what is open, on evidence only."""

    def __init__(self, means: Means, recorder: Recorder) -> None:
        self._means = means
        self._recorder = recorder
        self._release = Release(means, recorder)

    async def run_once(self, *, at: datetime, limit: int = BATCH) -> int:
        """Take up to `limit` due operations and expired holds; how many were taken.

        `at` is the wall's instant.
        """
        async with self._means.database.worker() as session:
            due = await session.fetch(_DUE, at, limit)
            ended = await session.fetch(_EXPIRED, at, limit)
        clock = _Round(at)

        async def take(work: _Work, rows: Sequence[Any]) -> None:
            async def one(row: Any) -> None:
                async with clock.places:
                    await self._guarded(work, row["tenant_id"], row["id"], clock)

            await asyncio.gather(*map(one, rows))

        await take(self._look_after, due)
        await take(self._expire, ended)
        return len(due) + len(ended)

    async def _guarded(
        self,
        work: _Work,
        tenant_id: uuid.UUID,
        subject: str,
        clock: _Round,
    ) -> None:
        """One object that cannot be worked on does not keep the others waiting."""
        try:
            await work(tenant_id, subject, clock)
        except Exception as failure:
            _log.warning("reconcile_failed", subject=subject, error=repr(failure))

    async def _context(self, tenant_id: uuid.UUID) -> TenantContext:
        async with self._means.database.tenant(tenant_id) as session:
            mode = await session.fetchval(_MODE, tenant_id)
        return TenantContext(tenant_id, mode, "reconciler", frozenset({"payments:write"}))

    def _lease(self, *, at: datetime) -> datetime:
        return at + timedelta(milliseconds=self._means.deadline_ms + GRACE_MS)

    async def _look_after(self, tenant_id: uuid.UUID, operation_id: str, clock: _Round) -> None:
        context = await self._context(tenant_id)
        at = clock.now()
        async with self._means.database.tenant(tenant_id) as session:
            row = await session.fetchrow(_CLAIM, tenant_id, operation_id, self._lease(at=at), at)
        if row is None:
            return
        operation = store.OPERATION.read(row)
        faults.point("reconciler_claimed")
        if operation.status == "succeeded":
            again = await self._release.run(context, operation)
            due = next_look(operation.tries, at=at) if again else None
            await self._look_again(context, operation, due)
            return
        finding, operation = await self._find(context, operation, clock)
        if finding is None:
            await self._wait(context, operation, at=clock.now())
            return
        if finding is _UNKNOWABLE:
            await self._give_up(context, operation, "key_window_closed")
            return
        _, recorded = await self._recorder.record(
            context,
            payment_id=operation.payment_id,
            operation_id=operation.id,
            finding=finding,
            version=operation.version,
        )
        if recorded.version == operation.version:
            await self._wait(context, operation, at=clock.now())
        elif recorded.status in GIVEN_UP and recorded.due_at is not None:
            # From here on its tries count the looks at what was given up.
            given_up = msgspec.structs.replace(recorded, tries=0)
            await self._look_again(context, given_up, recorded.due_at)

    async def _ask(self, context: TenantContext, operation: Operation, clock: _Round) -> Answer:
        """Look it up; a gateway whose places are taken by others is waited for."""
        until = clock.now() + _PATIENCE
        while True:
            answer = await self._recorder.look_up(context, operation)
            if answer.reason != "bulkhead_full" or clock.now() >= until:
                return answer
            await clock.nap()

    async def _find(
        self, context: TenantContext, operation: Operation, clock: _Round
    ) -> tuple[Finding | None, Operation]:
        """Look up, then send again with the same key; None where neither tells anything.

        The operation comes back with the version under which it may be written, and its tries
        without this one where nobody was asked.
        """
        answer = await self._ask(context, operation, clock)
        found = answer.outcome if answer.kind == "outcome" else None
        is_told = found is not None and found.status != "not_found"
        if answer.mismatch or answer.reason == UNMODELLED or is_told:
            return finding_of(answer, operation, source="lookup"), operation
        if answer.reason in _TURNED_AWAY:
            return None, msgspec.structs.replace(operation, tries=operation.tries - 1)
        manifest = self._manifest(operation)
        # Without a manifest it was uninstalled: nobody can be asked until it is back.
        if operation.status not in ("sending", "unknown") or manifest is None:
            return None, operation
        age = clock.now() - operation.sent_at
        consistent = age > timedelta(
            milliseconds=manifest.lookup_consistent_after_ms + self._means.deadline_ms
        )
        is_absent = found is not None and consistent
        if self._may_resend(operation, manifest, age=age):
            if found is None and manifest.lookup:
                # The lookup itself failed: ask again before anything is sent.
                return None, operation
            return await self._send_again(context, operation, clock, is_absent=is_absent)
        if is_absent:
            return _NOT_FOUND, operation
        is_lost = found is not None and cannot_be_known(manifest, age=age)
        return _UNKNOWABLE if is_lost else None, operation

    def _manifest(self, operation: Operation) -> Manifest | None:
        gateway = self._means.registry.installed.gateways.get(operation.gateway)
        return None if gateway is None else gateway.manifest

    def _may_resend(self, operation: Operation, manifest: Manifest, *, age: timedelta) -> bool:
        """Whether the provider will still know the key when the request arrives."""
        arrives = age + timedelta(milliseconds=self._means.deadline_ms)
        in_window = arrives < timedelta(seconds=manifest.key_window_s)
        return operation.resendable and manifest.supports_idempotency and in_window

    async def _send_again(
        self, context: TenantContext, operation: Operation, clock: _Round, *, is_absent: bool
    ) -> tuple[Finding | None, Operation]:
        """Send the same request with the same key, unless the lease has gone to another.

        `is_absent`: the provider, asked late enough, knows of no operation with this key.
        """
        lease = self._lease(at=clock.now())
        async with self._means.database.tenant(context.tenant_id) as session:
            row = await session.fetchrow(
                _RENEW, context.tenant_id, operation.id, operation.version, lease
            )
        if row is None:
            return None, operation
        operation = store.OPERATION.read(row)
        answer = await self._recorder.send(context, operation)
        if answer.kind == "not_sent" and answer.reason != "not_processed":
            # It did not go out. Where that may be otherwise in a moment, it was no try: nothing
            # has been learnt that calls for patience.
            is_soon = answer.reason in _TURNED_AWAY or answer.reason == "refused_connection"
            tries = 0 if is_soon else operation.tries
            return None, msgspec.structs.replace(operation, tries=tries)
        if answer.kind == "not_sent":
            # This sending did nothing; what the first one did is still unknown, unless the provider
            # itself knows of nothing and will not do it now: asking for ever would not end it.
            return _NOT_FOUND if is_absent else None, operation
        call = timedelta(milliseconds=self._means.deadline_ms)
        if answer.kind == "unknown" and not answer.mismatch and clock.now() + call < lease:
            # Done and not told, as often as not: the same lease suffices to ask at once.
            answer_of_look = await self._recorder.look_up(context, operation)
            found = answer_of_look.outcome
            if found is not None and found.status != "not_found":
                return finding_of(answer_of_look, operation, source="lookup"), operation
        return finding_of(answer, operation, source="resend"), operation

    async def _wait(self, context: TenantContext, operation: Operation, *, at: datetime) -> None:
        """Look again later; a person must decide where it takes too long or cannot be known."""
        manifest = self._manifest(operation)
        if operation.status in GIVEN_UP:
            may_ask = manifest is not None and manifest.lookup
            due = recheck_at(operation.tries, at=at) if may_ask else None
            await self._look_again(context, operation, due)
            return
        age = at - operation.sent_at
        may_resend = manifest is not None and self._may_resend(operation, manifest, age=age)
        reason = takes_too_long(operation, manifest, age=age, may_resend=may_resend)
        if reason is not None:
            await self._give_up(context, operation, reason)
        else:
            await self._look_again(context, operation, next_look(operation.tries, at=at))

    async def _look_again(
        self, context: TenantContext, operation: Operation, due_at: datetime | None
    ) -> None:
        async with self._means.database.tenant(context.tenant_id) as session:
            await session.execute(
                _SET_DUE,
                context.tenant_id,
                operation.id,
                operation.version,
                due_at,
                max(operation.tries, 0),
            )

    async def _give_up(
        self, context: TenantContext, operation: Operation, reason: Hopeless
    ) -> None:
        at = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            await give_up(session, context, operation, reason, at=at)

    async def _expire(self, tenant_id: uuid.UUID, payment_id: str, clock: _Round) -> None:
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
        sent_at=wall_now(),
        created_at=at,
        updated_at=at,
    )
