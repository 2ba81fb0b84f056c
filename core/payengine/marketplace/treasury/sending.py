"""How does money leave, once?

What is sent is written down before: payouts become a batch, whose id is the key that the rail gets
for ever. Whoever raises the batch's version holds it until `due_at`, and may call the rail. What
nobody answered for is looked up before it is sent again, with the same key and only while the rail
remembers keys; where neither can tell, a person is asked. All of this goes by the wall's time.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from payengine import faults
from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.marketplace.treasury import store
from payengine.marketplace.treasury.batching import ready_batches
from payengine.marketplace.treasury.destinations import open_destination
from payengine.marketplace.treasury.means import Means, worker_context
from payengine.marketplace.treasury.models import BatchStatus, EvidenceSource, Payout, PayoutBatch
from payengine.marketplace.treasury.pace import GRACE, first_look, is_hopeless, next_look
from payengine.marketplace.treasury.recording import Learnt, learn, move, tell
from payengine.marketplace.treasury.screening import screen
from payengine.marketplace.treasury.states import OPEN, Finding
from payengine.plugin import (
    Amount,
    LookUpPayouts,
    PayoutOrder,
    PayoutResult,
    RailManifest,
    SendPayouts,
)
from payengine.registry.rails import RailAnswer
from payengine.storage import Session

__all__ = ["BATCH", "Sender"]

#: How many waiting payouts, and how many batches, one round takes.
BATCH = 200
_AT_ONCE = 8
_LOOKED: EvidenceSource = "lookup"

_log = structlog.get_logger(__name__)

_WAITING = "SELECT tenant_id, id FROM payout WHERE due_at <= $1 ORDER BY due_at LIMIT $2"
_DUE = "SELECT tenant_id, id FROM payout_batch WHERE due_at <= $1 ORDER BY due_at LIMIT $2"

_UNSCREENED = f"""
    SELECT {store.PAYOUT.listed} FROM payout
    WHERE tenant_id = $1 AND id = ANY ($2) AND status = 'pending' AND NOT screened
"""

#: The lease: whoever raises the version may call the rail until `due_at` comes.
_CLAIM = f"""
    UPDATE payout_batch SET due_at = $3, tries = tries + 1, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND due_at <= $4
    RETURNING {store.BATCH.listed}
"""


class Sender:
    """Sends what waits and looks after what was sent."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def run_once(self, *, at: datetime, limit: int = BATCH) -> int:
        """Send up to `limit` payouts and look after as many batches; how many were taken.

        `at` is the wall's instant.
        """
        async with self._means.database.worker() as session:
            waiting = await session.fetch(_WAITING, at, limit)
            due = await session.fetch(_DUE, at, limit)
        places = asyncio.Semaphore(_AT_ONCE)
        tenants: dict[uuid.UUID, list[str]] = {}
        for row in waiting:
            tenants.setdefault(row["tenant_id"], []).append(row["id"])

        async def one(work: Awaitable[None], subject: str) -> None:
            async with places:
                try:
                    await work
                except Exception as failure:
                    _log.warning("payout_failed", subject=subject, error=repr(failure))

        await asyncio.gather(
            *(one(self._send_waiting(each, ids, at), str(each)) for each, ids in tenants.items()),
            *(one(self._look_after(row["tenant_id"], row["id"], at), row["id"]) for row in due),
        )
        return len(waiting) + len(due)

    async def _send_waiting(self, tenant_id: uuid.UUID, ids: Sequence[str], at: datetime) -> None:
        async with self._means.database.tenant(tenant_id) as session:
            context = await worker_context(session, tenant_id)
            rows = await session.fetch(_UNSCREENED, tenant_id, list(ids))
        for row in rows:
            with contextlib.suppress(Exception):  # nobody has judged it yet: it waits
                await screen(self._means, context, store.PAYOUT.read(row))
        lease = self._lease(at)
        batches = await ready_batches(self._means, context, wall=max(at, wall_now()), lease=lease)
        faults.point("payout_batched")
        for batch in batches:
            await self._send(context, batch, source="answer", at=at)

    def _lease(self, at: datetime) -> datetime:
        return at + timedelta(milliseconds=2 * self._means.deadline_ms) + GRACE

    async def _look_after(self, tenant_id: uuid.UUID, batch_id: str, at: datetime) -> None:
        async with self._means.database.tenant(tenant_id) as session:
            context = await worker_context(session, tenant_id)
            row = await session.fetchrow(_CLAIM, tenant_id, batch_id, self._lease(at), at)
            if row is None:
                return
            batch = store.BATCH.read(row)
            payouts = await store.of_batch(session, tenant_id, batch_id)
        rail = self._means.rails.find(batch.rail)
        if rail is None:
            return  # it was uninstalled: the lease runs out until it is back
        if batch.status == "unsent":
            await self._begin_again(context, batch, at=at)
            return
        answer = await self._look_up(context, batch, payouts)
        is_open = any(payout.status in OPEN for payout in payouts)
        tells_nothing = answer.kind != "told" and not rail.manifest.lookup
        is_silent = tells_nothing or _is_absent(answer, payouts)
        if is_open and is_silent and self._may_resend(batch, payouts, rail.manifest, at=at):
            await self._send_again(context, batch, at=at)
            return
        late_ms = rail.manifest.lookup_consistent_after_ms + self._means.deadline_ms
        if at - batch.sent_at <= timedelta(milliseconds=late_ms):
            answer = _without_absence(answer)
        await self._record(context, batch, answer, source=_LOOKED, at=at)

    async def _send_again(
        self, context: TenantContext, batch: PayoutBatch, *, at: datetime
    ) -> None:
        """With the same key, unless the lease has gone to another while the rail was asked."""
        renewed = msgspec.structs.replace(batch, due_at=self._lease(max(at, wall_now())))
        async with self._means.database.tenant(context.tenant_id) as session:
            leased = await store.rewrite_batch(session, context.tenant_id, renewed)
        if leased is not None:
            await self._send(context, leased, source="resend", at=at)

    async def _begin_again(
        self, context: TenantContext, batch: PayoutBatch, *, at: datetime
    ) -> None:
        """Nothing has ever left: the sending begins now."""
        begun = msgspec.structs.replace(batch, status="sending", sent_at=at)
        async with self._means.database.tenant(context.tenant_id) as session:
            leased = await store.rewrite_batch(session, context.tenant_id, begun)
        if leased is not None:
            await self._send(context, leased, source="answer", at=at)

    async def _look_up(
        self, context: TenantContext, batch: PayoutBatch, payouts: Sequence[Payout]
    ) -> RailAnswer:
        orders = await self._orders(context, payouts)
        return await self._means.rails.look_up(
            context,
            batch.rail,
            LookUpPayouts(key=batch.id, orders=orders),
            deadline_ms=self._means.deadline_ms,
        )

    def _may_resend(
        self,
        batch: PayoutBatch,
        payouts: Sequence[Payout],
        manifest: RailManifest,
        *,
        at: datetime,
    ) -> bool:
        """Whether the rail will still know the key, and no person has decided meanwhile."""
        arrives = at - batch.sent_at + timedelta(milliseconds=self._means.deadline_ms)
        untouched = all(one.status in OPEN and not one.needs_review for one in payouts)
        return untouched and arrives < timedelta(seconds=manifest.key_window_s)

    async def _send(
        self, context: TenantContext, batch: PayoutBatch, *, source: EvidenceSource, at: datetime
    ) -> None:
        """Send under the lease that the batch's version is, and record what was said."""
        async with self._means.database.tenant(context.tenant_id) as session:
            payouts = await store.of_batch(session, context.tenant_id, batch.id)
        request = SendPayouts(key=batch.id, orders=await self._orders(context, payouts))
        answer = await self._means.rails.send(
            context, batch.rail, request, deadline_ms=self._means.deadline_ms
        )
        faults.point("payout_sent")
        await self._record(context, batch, answer, source=source, at=at)
        faults.point("payout_recorded")

    async def _orders(
        self, context: TenantContext, payouts: Sequence[Payout]
    ) -> tuple[PayoutOrder, ...]:
        orders = []
        async with self._means.database.tenant(context.tenant_id) as session:
            for payout in payouts:
                destination = await open_destination(
                    session, self._means.vault, context.tenant_id, payout.destination_id
                )
                orders.append(
                    PayoutOrder(
                        key=payout.id,
                        amount=Amount(payout.amount_minor, payout.currency),
                        destination=destination,
                        statement=payout.statement,
                        provider_reference=payout.provider_reference,
                    )
                )
        return tuple(orders)

    async def _record(
        self,
        context: TenantContext,
        batch: PayoutBatch,
        answer: RailAnswer,
        *,
        source: EvidenceSource,
        at: datetime,
    ) -> None:
        """Write what was learnt, unless the lease has gone to another."""
        now = self._means.clock.now(context.tenant_id)
        rail = self._means.rails.find(batch.rail)
        manifest = rail.manifest if rail else None
        async with self._means.database.tenant(context.tenant_id) as session:
            if answer.kind == "not_sent" and source == "answer":
                unsent = msgspec.structs.replace(
                    batch, status="unsent", due_at=next_look(batch.tries, at=at)
                )
                await store.rewrite_batch(session, context.tenant_id, unsent)
                return
            # Taken before anything is written: a lease that was lost writes nothing.
            kept = await store.rewrite_batch(session, context.tenant_id, batch)
            if kept is None:
                return
            payouts = await store.of_batch(session, context.tenant_id, batch.id)
            before = {payout.id: payout.status for payout in payouts}
            hopeless = is_hopeless(kept, manifest, at=at)
            after = [
                await self._learn(session, context, one, answer, source, now, hopeless=hopeless)
                for one in payouts
            ]
            has_moved = any(before[one.id] != one.status for one in after)
            status = _status(after)
            tries = 0 if has_moved and status == "sent" else kept.tries
            due_at = first_look(after, manifest, tries=tries, sent_at=kept.sent_at, at=at)
            ended = msgspec.structs.replace(
                kept, status=status if due_at else "ended", tries=tries, due_at=due_at
            )
            await store.rewrite_batch(session, context.tenant_id, ended)
        self._means.nudge()

    async def _learn(
        self,
        session: Session,
        context: TenantContext,
        payout: Payout,
        answer: RailAnswer,
        source: EvidenceSource,
        now: datetime,
        *,
        hopeless: bool,
    ) -> Payout:
        learnt = _learnt(payout, answer, source)
        if learnt is not None:
            payout = await learn(session, context, payout, learnt, at=now)
        if hopeless and payout.status in OPEN and not payout.needs_review:
            payout = await move(session, context.tenant_id, payout, at=now, needs_review=True)
            await tell(session, context.tenant_id, payout, "payout.needs_review", at=now)
        return payout


def _learnt(payout: Payout, answer: RailAnswer, source: EvidenceSource) -> Learnt | None:
    """What the answer says of the payout; None where it says nothing that may be kept."""
    result = answer.results.get(payout.id) if answer.kind == "told" else None
    if result is None:
        if answer.kind == "not_sent" or payout.status not in OPEN:
            return None  # nobody was asked, or there is nothing to find out
        return Learnt(finding="unknown", source=source, actor="rail", detail=answer.detail)
    finding = _finding(payout, result)
    if finding is None:
        return None
    return Learnt(
        finding=finding,
        source=source,
        actor="rail",
        failure=result.failure,
        raw_code=result.raw_code,
        detail=result.detail,
        provider_reference=result.provider_reference,
    )


def _finding(payout: Payout, result: PayoutResult) -> Finding | None:
    """`not_found` is evidence of what may not have left, and says nothing of all else."""
    if result.status != "not_found":
        return result.status
    return "not_sent" if payout.status in OPEN else None


def _is_absent(answer: RailAnswer, payouts: Sequence[Payout]) -> bool:
    """Whether the rail says that it has none of these."""
    return answer.kind == "told" and all(
        answer.results[one.id].status == "not_found" for one in payouts
    )


def _without_absence(answer: RailAnswer) -> RailAnswer:
    """The answer of a rail that may not know yet what it has: "not found" tells nothing."""
    results = {
        key: msgspec.structs.replace(one, status="unknown") if one.status == "not_found" else one
        for key, one in answer.results.items()
    }
    return msgspec.structs.replace(answer, results=results)


def _status(payouts: Sequence[Payout]) -> BatchStatus:
    return "unknown" if any(one.status in OPEN for one in payouts) else "sent"
