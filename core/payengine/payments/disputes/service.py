"""What becomes of a dispute?

The provider tells (`record_report`) and the merchant answers (`add_evidence`, `submit`, `accept`).
What is asked of the provider follows the same three phases as a payment's operations: the step is
committed, the gateway is called with no transaction open, the outcome is committed; one that nobody
answered for is sent again with the same key.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeVar

import asyncpg
import msgspec

from payengine import faults, idempotency
from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.errors import (
    EvidenceDeadlinePassed,
    EvidenceRefused,
    NotFound,
    OperationInFlight,
    TransitionRefused,
)
from payengine.events.writing import insert_event
from payengine.idempotency import check_key, fingerprint
from payengine.ids import new_id
from payengine.payments.disputes import store
from payengine.payments.disputes.inputs import (
    LARGEST_SUM,
    MOST_PIECES,
    AcceptDispute,
    AddDisputeEvidence,
    SubmitDisputeEvidence,
    check_evidence,
)
from payengine.payments.disputes.models import Dispute, Evidence, OpenedEvidence, Step, StepKind
from payengine.payments.disputes.reading import DisputeReader
from payengine.payments.disputes.recording import (
    dispute_event,
    lock,
    open_dispute,
    refold,
    report_of,
    stand,
)
from payengine.payments.disputes.sending import StepSender
from payengine.payments.means import Means
from payengine.payments.service import GRACE_MS
from payengine.plugin import DisputeEvent
from payengine.storage import Session
from payengine.texts import check_id

__all__ = ["Disputes"]

_TRIES = 5
_ASKED = {
    "submit_evidence": "dispute.submission_requested",
    "accept_dispute": "dispute.acceptance_requested",
}

_INSERT_EVIDENCE = f"""
    INSERT INTO dispute_evidence (tenant_id, {store.EVIDENCE.listed}, sealed)
    VALUES ($1, {store.EVIDENCE.parameters(2)}, ${2 + len(store.EVIDENCE.names)})
"""

RequestT = TypeVar("RequestT", SubmitDisputeEvidence, AcceptDispute)


class Disputes(DisputeReader):
    """Every mutation and read of disputes; each takes the tenant's context first."""

    def __init__(self, means: Means) -> None:
        super().__init__(means.database, means.vault)
        self._means = means
        self._sender = StepSender(means)
        self.run_once = self._sender.run_once

    async def record_report(
        self, context: TenantContext, *, gateway: str, event: DisputeEvent
    ) -> None:
        """Record what the provider tells of a dispute, in whatever order it arrives.

        The same event again changes nothing. What breaks a sum or contradicts what was told before
        is recorded and opens a review; a status that nobody here knows is recorded, told as
        `dispute.status_unmodelled`, and moves nothing. Raises `NotFound` where the disputed payment
        is not known (yet), `OperationInFlight` where others move it all the time; nothing is
        written then.
        """
        for _ in range(_TRIES):
            try:
                await self._record(context, gateway, event)
            except (asyncpg.DeadlockDetectedError, asyncpg.UniqueViolationError, _MovedOn):
                continue  # another report of the same dispute was quicker
            self._means.nudge()
            return
        raise OperationInFlight

    async def _record(self, context: TenantContext, gateway: str, event: DisputeEvent) -> None:
        at = self._means.clock.now(context.tenant_id)
        tenant_id, reference = context.tenant_id, event.dispute.reference
        async with self._means.database.tenant(tenant_id) as session:
            known = await store.find(session, tenant_id, gateway=gateway, reference=reference)
            disputed = await store.disputed_operation(
                session,
                tenant_id,
                gateway=gateway,
                key=event.key,
                reference=event.provider_reference,
            )
            if known is None and disputed is None:
                raise NotFound("There is no payment of which this dispute could be.")
            payment_id = known.payment_id if known else disputed.payment_id if disputed else ""
            ground = await lock(session, context, payment_id)
            # Whoever held the lock before may have opened it.
            dispute = await store.find(session, tenant_id, gateway=gateway, reference=reference)
            if (dispute is None) != (known is None):
                raise _MovedOn
            if dispute is None and disputed is not None:
                ground, dispute = await open_dispute(
                    session, context, ground, disputed, event, at=at
                )
            assert dispute is not None
            if not await store.insert_report(
                session, tenant_id, report_of(event, dispute.id, at=at)
            ):
                return
            elsewhere = disputed is not None and disputed.payment_id != dispute.payment_id
            try:
                ground, dispute = await refold(
                    session,
                    context,
                    ground,
                    dispute,
                    source="webhook",
                    doubt=elsewhere,
                    is_new=known is None,
                    at=at,
                )
            except OperationInFlight:
                raise _MovedOn from None
            if event.dispute.status == "unmodelled":
                strange = dispute_event("dispute.status_unmodelled", ground, dispute, at=at)
                strange.data["raw_status"] = event.dispute.raw_status
                await insert_event(session, tenant_id, strange)
            faults.point("before_commit")
        faults.point("after_commit")

    async def add_evidence(self, context: TenantContext, request: AddDisputeEvidence) -> Evidence:
        """Keep a piece of evidence, sealed.

        Raises `EvidenceRefused` for its form, `EvidenceDeadlinePassed`, `TransitionRefused` where
        the dispute takes none any more, `NotFound`.
        """
        context.require("disputes:write")
        check_evidence(request)
        tenant_id = context.tenant_id
        now = self._means.clock.now(tenant_id)
        piece = _piece(request, actor=context.actor, at=now)
        async with self._means.database.tenant(tenant_id) as session:
            earlier = await idempotency.claim(
                session,
                tenant_id,
                key=request.idempotency_key,
                mutation="addDisputeEvidence",
                fingerprint=fingerprint("addDisputeEvidence", request),
                resource_id=piece.id,
                at=now,
            )
            ground, dispute = await stand(session, context, request.dispute_id)
            before = await store.evidence_of(session, tenant_id, dispute.id)
            if earlier is not None:
                return next(each for each in before if each.id == earlier)
            _require_response(dispute, at=now)
            size = piece.size_bytes + sum(each.size_bytes for each in before)
            if len(before) >= MOST_PIECES or size > LARGEST_SUM:
                raise EvidenceRefused(
                    f"A dispute has at most {MOST_PIECES} pieces of evidence and "
                    f"{LARGEST_SUM} bytes in all.",
                    path=("file",),
                )
            sealed = await self._means.vault.seal(
                session,
                tenant_id,
                _spelled(request),
                table="dispute_evidence",
                row=piece.id,
                column="sealed",
            )
            await session.execute(
                _INSERT_EVIDENCE, tenant_id, *store.EVIDENCE.values(piece), sealed
            )
            told = dispute_event("dispute.evidence_added", ground, dispute, at=now)
            told.data["evidence"] = {"id": piece.id, "category": piece.category}
            await insert_event(session, tenant_id, told)
        self._means.nudge()
        return piece

    async def submit(self, context: TenantContext, request: SubmitDisputeEvidence) -> Dispute:
        """Hand all evidence in; where the provider does not answer, the step stays open.

        Raises `EvidenceDeadlinePassed`, `EvidenceRefused` where there is none, `TransitionRefused`,
        `OperationInFlight` while an earlier step is open, `NotFound`.
        """
        return await self._ask(context, "submitDisputeEvidence", "submit_evidence", request)

    async def accept(self, context: TenantContext, request: AcceptDispute) -> Dispute:
        """Give the dispute up; it is lost as soon as the provider has taken note.

        Raises `TransitionRefused`, `OperationInFlight` while an earlier step is open, `NotFound`.
        """
        return await self._ask(context, "acceptDispute", "accept_dispute", request)

    async def _ask(
        self, context: TenantContext, mutation: str, kind: StepKind, request: RequestT
    ) -> Dispute:
        context.require("disputes:write")
        check_key(request.idempotency_key)
        check_id(request.dispute_id, "dsp", field="disputeId")
        work = self._run(context, mutation, kind, request)
        return await self._means.to_its_end(work)

    async def _run(
        self, context: TenantContext, mutation: str, kind: StepKind, request: RequestT
    ) -> Dispute:
        now = self._means.clock.now(context.tenant_id)
        step_id = new_id("dss")
        async with self._means.database.tenant(context.tenant_id) as session:
            earlier = await idempotency.claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation=mutation,
                fingerprint=fingerprint(mutation, request),
                resource_id=step_id,
                at=now,
            )
            ground, dispute = await stand(session, context, request.dispute_id)
            if earlier is not None:
                return dispute
            step = await self._plan(session, context, dispute, kind, step_id, at=now)
            await store.insert_step(session, context.tenant_id, step)
            told = dispute_event(_ASKED[kind], ground, dispute, at=now, step=step)
            await insert_event(session, context.tenant_id, told)
        faults.point("after_intent")
        return await self._sender.send(context, dispute, step)

    async def _plan(
        self,
        session: Session,
        context: TenantContext,
        dispute: Dispute,
        kind: StepKind,
        step_id: str,
        *,
        at: datetime,
    ) -> Step:
        """The step to come; raises the typed error that says why there is none."""
        _, steps = await store.told_of(session, context.tenant_id, dispute.id)
        if any(each.status in ("sending", "unknown") for each in steps):
            raise OperationInFlight("What was last asked about this dispute has no answer yet.")
        offered = self._means.registry.gateway(dispute.gateway).manifest.operations
        if kind not in offered:
            raise TransitionRefused(
                "This gateway's plugin cannot do that; answer at the provider's own site."
            )
        pieces: tuple[str, ...] = ()
        if kind == "submit_evidence":
            _require_response(dispute, at=at)
            found = await store.evidence_of(session, context.tenant_id, dispute.id)
            pieces = tuple(each.id for each in found)
            if not pieces:
                raise EvidenceRefused("Add evidence before it is handed in.", path=("disputeId",))
        elif not dispute.is_open:
            raise TransitionRefused(f"A dispute that is {dispute.status} cannot be accepted.")
        sent_at = wall_now()
        return Step(
            id=step_id,
            dispute_id=dispute.id,
            kind=kind,
            status="sending",
            evidence_ids=pieces,
            actor=context.actor,
            sent_at=sent_at,
            due_at=sent_at + timedelta(milliseconds=self._means.deadline_ms + GRACE_MS),
            created_at=at,
            updated_at=at,
        )


class _MovedOn(Exception):
    """Somebody else was quicker; nothing was written."""


def _require_response(dispute: Dispute, *, at: datetime) -> None:
    if dispute.status != "NEEDS_RESPONSE":
        raise TransitionRefused(f"A dispute that is {dispute.status} takes no evidence.")
    if dispute.evidence_due_at is not None and dispute.evidence_due_at < at:
        raise EvidenceDeadlinePassed


def _piece(request: AddDisputeEvidence, *, actor: str, at: datetime) -> Evidence:
    content = request.file.content if request.file else (request.text or "").encode()
    return Evidence(
        id=new_id("dse"),
        dispute_id=request.dispute_id,
        category=request.category,
        media_type=request.file.media_type if request.file else "text/plain",
        size_bytes=len(content),
        actor=actor,
        created_at=at,
    )


def _spelled(request: AddDisputeEvidence) -> str:
    """What is sealed: the name and the content, which may be bytes."""
    content = request.file.content if request.file else (request.text or "").encode()
    name = request.file.name if request.file else ""
    plain = OpenedEvidence(name=name, content=content)
    return msgspec.json.encode(plain).decode()
