"""How does a dispute's step reach its gateway, and what if nobody answers?

A step that nobody answered for is sent again with the same key and the same evidence, under a lease
that is the step's own version, as long as the provider remembers keys; then a person is asked.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from payengine import faults
from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.events.writing import insert_event
from payengine.payments import store as payment_store
from payengine.payments.disputes import store
from payengine.payments.disputes.models import Dispute, Step, StepStatus
from payengine.payments.disputes.reading import open_evidence
from payengine.payments.disputes.recording import Ground, dispute_event, refold, stand
from payengine.payments.findings import Source
from payengine.payments.means import Means
from payengine.payments.service import GRACE_MS
from payengine.payments.settle import next_look
from payengine.plugin import AcceptDispute, DisputeEvidence, EvidenceFile, EvidenceText
from payengine.registry import Answer
from payengine.storage import Session

__all__ = ["BATCH", "StepSender"]

#: How many due steps, and how many reminders, one round takes.
BATCH = 100
_AT_ONCE = 4
_TRIES = 5

_log = structlog.get_logger(__name__)

_DUE = "SELECT tenant_id, id FROM dispute_step WHERE due_at <= $1 ORDER BY due_at LIMIT $2"
_REMIND = "SELECT tenant_id, id FROM dispute WHERE remind_at <= $1 ORDER BY remind_at LIMIT $2"

_CLAIM = f"""
    UPDATE dispute_step SET due_at = $3, tries = tries + 1, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND due_at <= $4
    RETURNING {store.STEP.listed}
"""

_REMINDED = """
    UPDATE dispute SET remind_at = NULL, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND remind_at <= $3
    RETURNING status
"""

_FLAG = f"""
    UPDATE payment SET needs_review = true, version = version + 1, updated_at = $3
    WHERE tenant_id = $1 AND id = $2 AND NOT needs_review
    RETURNING {payment_store.PAYMENT.listed}
"""

_MODE = "SELECT mode FROM tenant WHERE id = $1"


class StepSender:
    """Sends steps, records their outcomes and reminds of deadlines."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def send(
        self, context: TenantContext, dispute: Dispute, step: Step, *, source: Source = "answer"
    ) -> Dispute:
        """Send the step and record what becomes of it; the dispute as it then stands."""
        request = await self._request(context, dispute, step)
        faults.point("before_gateway")
        answer = await self._means.registry.call(
            context, dispute.gateway, step.kind, request, deadline_ms=self._means.deadline_ms
        )
        faults.point("after_gateway")
        if source == "resend" and answer.kind == "not_sent":
            # This sending did nothing; what the first one did is still unknown.
            answer = Answer(kind="unknown", reason=answer.reason)
        return await self._record(context, step, answer, source=source)

    async def run_once(self, *, at: datetime, limit: int = BATCH) -> int:
        """Take up to `limit` due steps and reminders; how many were taken."""
        async with self._means.database.worker() as session:
            due = await session.fetch(_DUE, at, limit)
            near = await session.fetch(_REMIND, at, limit)
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(work: Any, row: Any) -> None:
            async with places:
                try:
                    await work(row["tenant_id"], row["id"], at)
                except Exception as failure:
                    _log.warning("dispute_failed", subject=row["id"], error=repr(failure))

        await asyncio.gather(
            *(one(self._again, row) for row in due), *(one(self._remind, row) for row in near)
        )
        return len(due) + len(near)

    async def _again(self, tenant_id: uuid.UUID, step_id: str, at: datetime) -> None:
        lease = at + timedelta(milliseconds=self._means.deadline_ms + GRACE_MS)
        async with self._means.database.tenant(tenant_id) as session:
            context = await _context(session, tenant_id)
            row = await session.fetchrow(_CLAIM, tenant_id, step_id, lease, at)
            if row is None:
                return
            step = store.STEP.read(row)
            dispute = await store.get(session, tenant_id, step.dispute_id)
        faults.point("reconciler_claimed")
        gateway = self._means.registry.installed.gateways.get(dispute.gateway if dispute else "")
        if dispute is None or gateway is None:
            return  # it was uninstalled: the lease runs out until it is back
        arrives = at - step.sent_at + timedelta(milliseconds=self._means.deadline_ms)
        manifest = gateway.manifest
        remembered = arrives < timedelta(seconds=manifest.key_window_s)
        if manifest.supports_idempotency and remembered:
            await self.send(context, dispute, step, source="resend")
        else:
            await self._give_up(context, step)

    async def _give_up(self, context: TenantContext, step: Step) -> None:
        """Nobody can be asked any more: a person must look."""
        at = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            ground, dispute = await stand(session, context, step.dispute_id)
            ended = msgspec.structs.replace(
                step, due_at=None, version=step.version + 1, updated_at=at
            )
            if not await store.rewrite_step(session, context.tenant_id, ended, before=step.version):
                return
            row = await session.fetchrow(_FLAG, context.tenant_id, dispute.payment_id, at)
            if row is not None:
                payment = payment_store.PAYMENT.read(row)
                ground = Ground(payment=payment, operations=ground.operations)
                event = dispute_event("payment.needs_review", ground, dispute, at=at, step=ended)
                await insert_event(session, context.tenant_id, event)
        self._means.nudge()

    async def _remind(self, tenant_id: uuid.UUID, dispute_id: str, at: datetime) -> None:
        """Say once that the evidence's deadline is near, by the tenant's own clock."""
        now = self._means.clock.now(tenant_id)
        async with self._means.database.tenant(tenant_id) as session:
            context = await _context(session, tenant_id)
            ground, _ = await stand(session, context, dispute_id)
            status = await session.fetchval(_REMINDED, tenant_id, dispute_id, now)
            if status != "NEEDS_RESPONSE":
                return
            _, dispute = await stand(session, context, dispute_id)
            event = dispute_event("dispute.evidence_due", ground, dispute, at=now)
            await insert_event(session, tenant_id, event)
        self._means.nudge()

    async def _request(
        self, context: TenantContext, dispute: Dispute, step: Step
    ) -> DisputeEvidence | AcceptDispute:
        """The same key always carries the same evidence, which is never changed."""
        if step.kind == "accept_dispute":
            return AcceptDispute(key=step.id, provider_reference=dispute.provider_reference)
        texts, files = [], []
        async with self._means.database.tenant(context.tenant_id) as session:
            for piece in await store.evidence_of(session, context.tenant_id, dispute.id):
                if piece.id not in step.evidence_ids:
                    continue
                opened = await open_evidence(session, self._means.vault, context, piece.id)
                if opened.name:
                    files.append(
                        EvidenceFile(
                            category=piece.category,
                            name=opened.name,
                            media_type=piece.media_type,
                            content=opened.content,
                        )
                    )
                else:
                    text = opened.content.decode()
                    texts.append(EvidenceText(category=piece.category, text=text))
        return DisputeEvidence(
            key=step.id,
            provider_reference=dispute.provider_reference,
            texts=tuple(texts),
            files=tuple(files),
        )

    async def _record(
        self, context: TenantContext, step: Step, answer: Answer, *, source: Source
    ) -> Dispute:
        at = self._means.clock.now(context.tenant_id)
        after = _after(step, answer, at=at, wall=wall_now())
        async with self._means.database.tenant(context.tenant_id) as session:
            ground, dispute = await stand(session, context, step.dispute_id)
            if not await store.rewrite_step(session, context.tenant_id, after, before=step.version):
                return dispute
            if after.status == "succeeded":
                ground, dispute = await refold(
                    session, context, ground, dispute, source=source, at=at
                )
            elif after.status in ("declined", "not_sent"):
                event = dispute_event("dispute.step_failed", ground, dispute, at=at, step=after)
                await insert_event(session, context.tenant_id, event)
            faults.point("before_commit")
        faults.point("after_commit")
        self._means.nudge()
        return dispute


def _after(step: Step, answer: Answer, *, at: datetime, wall: datetime) -> Step:
    """The step as the answer leaves it; `pending` says that the provider has it.

    `at` is business time; the next try counts from the wall's.
    """
    outcome = answer.outcome if answer.kind == "outcome" else None
    status: StepStatus = "unknown"
    if answer.kind == "not_sent":
        status = "not_sent"
    elif outcome is not None and outcome.status in ("succeeded", "pending"):
        status = "succeeded"
    elif outcome is not None and outcome.status == "declined":
        status = "declined"
    decline = outcome.decline if outcome is not None else None
    return msgspec.structs.replace(
        step,
        status=status,
        raw_code=decline.raw_code if decline else answer.reason or None,
        raw_text=decline.raw_text if decline else answer.detail or None,
        due_at=next_look(step.tries, at=wall) if status == "unknown" else None,
        version=step.version + 1,
        updated_at=at,
    )


async def _context(session: Session, tenant_id: uuid.UUID) -> TenantContext:
    mode = await session.fetchval(_MODE, tenant_id)
    return TenantContext(tenant_id, mode, "disputes", frozenset())
