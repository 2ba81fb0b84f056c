"""What does a stored webhook change, and when is it tried again?

A row is claimed by a lease that is its own version, applied through the same recorder as the
gateway's answers, and marked. Recording is monotonic: applying a fact twice changes nothing. What
fails is tried again later and later, and then held for a person; each tenant waits for its own.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter as Multiset
from collections.abc import Coroutine, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

import structlog
from msgspec.structs import replace

from payengine import faults
from payengine.context import TenantContext
from payengine.errors import GatewayUnavailable, NotFound, PayengineError
from payengine.payments.disputes.store import disputed_operation
from payengine.payments.findings import Finding, finding_of
from payengine.payments.inbound.matching import match
from payengine.payments.inbound.models import ReceivedWebhook, WebhookState, event_of_row
from payengine.payments.means import Means
from payengine.payments.models import Operation
from payengine.payments.record import Recorder
from payengine.payments.transitions import OPEN_OPERATION
from payengine.plugin import DisputeEvent, WebhookEvent
from payengine.registry import Answer
from payengine.screen import redact
from payengine.storage.columns import Columns

__all__ = ["BATCH", "DisputeRecorder", "WebhookApplier"]

#: How many due webhooks one round takes, and how many of them of one tenant.
BATCH = 400
_BATCH_OF_TENANT = 100
_AT_ONCE = 8
_AT_ONCE_OF_TENANT = 2
#: A round goes on for so long; what is not begun by then is left to the next.
_ROUND_S = 1.0
_APPLY_S = 8.0
_LEASE = timedelta(seconds=10)

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 600.0
#: So often may applying a webhook fail before a person must look.
_MOST_FAILURES = 10
#: So often may it be taken up without any result: whoever took it up was killed.
_MOST_TRIES = 25
#: For so long may the operation that a webhook speaks of be missing.
_MATCH_WITHIN = timedelta(hours=6)

_RECEIVED = Columns(ReceivedWebhook)

_log = structlog.get_logger(__name__)

#: The tenants take turns: each one's first, then each one's second, and so on.
_DUE = """
    SELECT tenant_id, id FROM (
        SELECT tenant_id, id, due_at,
               row_number() OVER (PARTITION BY tenant_id ORDER BY due_at, id) AS turn
        FROM received_webhook WHERE due_at <= $1
    ) AS waiting
    WHERE turn <= $2 ORDER BY turn, due_at LIMIT $3
"""

#: The lease: whoever raises the version may work until `due_at` comes again.
_CLAIM = f"""
    UPDATE received_webhook SET due_at = $3, tries = tries + 1, version = version + 1
    WHERE tenant_id = $1 AND id = (
        SELECT id FROM received_webhook
        WHERE tenant_id = $1 AND id = $2 AND due_at <= $4 FOR UPDATE SKIP LOCKED)
    RETURNING {_RECEIVED.listed}
"""

#: Refused where the lease has passed to somebody else. What was recorded is `applied` where the
#: books were moved by this very webhook, in this try or in one that was cut short; else `stale`.
_MARK = """
    UPDATE received_webhook
    SET state = CASE WHEN $12::boolean AND NOT EXISTS (
            SELECT FROM evidence
            WHERE tenant_id = $1 AND operation_id = $7 AND data #>> '{told,webhook}' = $2)
        THEN 'stale' ELSE $4 END,
        problem = $5, payment_id = coalesce($6, payment_id),
        operation_id = coalesce($7, operation_id), needs_review = $8, due_at = $9,
        failures = $10, settled_at = $11, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND version = $3
"""

#: Whether a newer word of the provider's about this operation has been applied.
_NEWER = """
    SELECT EXISTS (
        SELECT FROM received_webhook
        WHERE tenant_id = $1 AND operation_id = $2 AND state IN ('applied', 'stale')
          AND occurred_at > $3)
"""

_MODE = "SELECT mode FROM tenant WHERE id = $1"
_FINAL = frozenset({"succeeded", "declined", "not_processed"})


class DisputeRecorder(Protocol):
    """Whoever keeps the disputes."""

    async def record_report(
        self, context: TenantContext, *, gateway: str, event: DisputeEvent
    ) -> None:
        """Record what the provider says of a dispute; `NotFound` where the payment is unknown.

        Called again with the same report it changes nothing.
        """
        ...


class _Result(NamedTuple):
    """What became of it in this try; `is_recorded`: the evidence tells whether it was news."""

    state: WebhookState
    problem: str | None = None
    operation: Operation | None = None
    is_recorded: bool = False


class WebhookApplier:
    """Applies what was received."""

    def __init__(
        self, means: Means, recorder: Recorder, *, disputes: DisputeRecorder | None = None
    ) -> None:
        """Without `disputes`, webhooks about disputes are held."""
        self._means = means
        self._recorder = recorder
        self._disputes = disputes
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._busy: Multiset[uuid.UUID] = Multiset()
        self._running: set[asyncio.Task[int]] = set()

    async def run_once(self, *, at: datetime, limit: int = BATCH) -> int:
        """Take up to `limit` due webhooks, the tenants in turns; how many were taken up.

        Ends after about a second. An application that takes longer goes on, at most 8 s, and
        meanwhile keeps its place and its tenant's.
        """
        async with self._means.database.worker() as session:
            due = await session.fetch(_DUE, at, _BATCH_OF_TENANT, limit)
        if not due:
            return 0
        ends_at = asyncio.get_running_loop().time() + _ROUND_S
        lines: dict[uuid.UUID, list[str]] = {}
        for row in due:
            lines.setdefault(row["tenant_id"], []).append(row["id"])
        tasks: list[asyncio.Task[int]] = []
        for tenant_id, ids in lines.items():
            waiting = iter(ids)
            places = min(_AT_ONCE_OF_TENANT - self._busy[tenant_id], len(ids))
            tasks += [
                self._keep(self._work_off(tenant_id, waiting, at=at, ends_at=ends_at))
                for _ in range(places)
            ]
        if not tasks:
            return 0
        done, _ = await asyncio.wait(tasks, timeout=_ROUND_S)
        return sum(task.result() for task in done)

    async def rest(self) -> None:
        """Wait for what outlasted its round, at most 8 s."""
        if self._running:
            await asyncio.wait(self._running)

    def _keep(self, work: Coroutine[Any, Any, int]) -> asyncio.Task[int]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _work_off(
        self, tenant_id: uuid.UUID, waiting: Iterator[str], *, at: datetime, ends_at: float
    ) -> int:
        """Work off a tenant's webhooks one by one until the round is over; how many were."""
        taken = 0
        self._busy[tenant_id] += 1
        try:
            for webhook_id in waiting:
                async with self._places:
                    if asyncio.get_running_loop().time() >= ends_at:
                        break
                    taken += await self._guarded(tenant_id, webhook_id, at=at)
        finally:
            self._busy[tenant_id] -= 1
            if not self._busy[tenant_id]:
                del self._busy[tenant_id]
        return taken

    async def _guarded(self, tenant_id: uuid.UUID, webhook_id: str, *, at: datetime) -> bool:
        """Claim, apply and mark one webhook; whether it was ours to take."""
        try:
            async with self._means.database.tenant(tenant_id) as session:
                row = await session.fetchrow(_CLAIM, tenant_id, webhook_id, at + _LEASE, at)
                mode = await session.fetchval(_MODE, tenant_id)
            if row is None:
                return False
            webhook = _RECEIVED.read(row)
            context = TenantContext(tenant_id, mode, "webhook", frozenset())
            await self._mark(context, webhook, await self._try(context, webhook), at=at)
        except Exception as failure:  # the lease runs out, and it is tried again
            _log.warning("webhook_not_marked", subject=webhook_id, error=type(failure).__name__)
        return True

    async def _try(self, context: TenantContext, webhook: ReceivedWebhook) -> _Result | Exception:
        """Apply one webhook, or what hindered it."""
        if webhook.state == "pending" and webhook.tries > _MOST_TRIES:
            return _Result("held", "it was taken up many times and never brought to an end")
        try:
            async with asyncio.timeout(_APPLY_S):
                event = event_of_row(webhook)
                if isinstance(event, DisputeEvent):
                    return await self._apply_dispute(context, webhook, event)
                return await self._apply(context, webhook, event)
        except Exception as failure:
            _log.warning("webhook_failed", subject=webhook.id, error=type(failure).__name__)
            return failure

    async def _apply(
        self, context: TenantContext, webhook: ReceivedWebhook, event: WebhookEvent
    ) -> _Result:
        tenant_id = context.tenant_id
        async with self._means.database.tenant(tenant_id) as session:
            found = await match(session, tenant_id, event, gateways=self._gateways(webhook))
            operation = found.operation
            if operation is None:
                return _Result("unmatched", found.problem)
            if event.outcome.status not in _FINAL and await session.fetchval(
                _NEWER, tenant_id, operation.id, event.occurred_at
            ):
                return _Result("stale", None, operation)
        finding = await self._finding(context, operation, event)
        told = {"webhook": webhook.id, "event": webhook.event_id}
        _, operation = await self._recorder.record(
            context,
            payment_id=operation.payment_id,
            operation_id=operation.id,
            finding=replace(finding, told=told),
        )
        faults.point("webhook_applied")
        return _Result("applied", None, operation, is_recorded=True)

    async def _finding(
        self, context: TenantContext, operation: Operation, event: WebhookEvent
    ) -> Finding:
        """What the webhook says; where it leaves something out, what the gateway says when asked.

        Raises `GatewayUnavailable` where it must be asked and does not tell.
        """
        if not event.incomplete or operation.status not in OPEN_OPERATION:
            answer = Answer(kind="outcome", outcome=event.outcome)
            return finding_of(answer, operation, source="webhook")
        answer = await self._recorder.look_up(context, operation)
        found = answer.outcome if answer.kind == "outcome" else None
        if not answer.mismatch and (found is None or found.status == "not_found"):
            raise GatewayUnavailable(
                "The webhook is incomplete, and the gateway did not tell more."
            )
        return finding_of(answer, operation, source="lookup")

    async def _apply_dispute(
        self, context: TenantContext, webhook: ReceivedWebhook, event: DisputeEvent
    ) -> _Result:
        if self._disputes is None:
            return _Result("held", "nothing here keeps disputes")
        disputed = await self._disputed(context, webhook, event)
        gateway = disputed.gateway if disputed else webhook.gateway
        try:
            await self._disputes.record_report(context, gateway=gateway, event=event)
        except NotFound as missing:
            return _Result("unmatched", missing.message)
        faults.point("webhook_applied")
        return _Result("applied", None, disputed)

    async def _disputed(
        self, context: TenantContext, webhook: ReceivedWebhook, event: DisputeEvent
    ) -> Operation | None:
        """The operation that is disputed, at whichever of the plugin's gateways it was made."""
        async with self._means.database.tenant(context.tenant_id) as session:
            for gateway in self._gateways(webhook):
                found = await disputed_operation(
                    session,
                    context.tenant_id,
                    gateway=gateway,
                    key=event.key,
                    reference=event.provider_reference,
                )
                if found is not None:
                    return found
        return None

    def _gateways(self, webhook: ReceivedWebhook) -> Sequence[str]:
        """The gateways of the plugin that verified it: they share the tenant's account."""
        plugin = self._means.registry.installed.ready.get(webhook.plugin)
        return [webhook.gateway] if plugin is None else [one.name for one in plugin.gateways]

    async def _mark(
        self,
        context: TenantContext,
        webhook: ReceivedWebhook,
        result: _Result | Exception,
        *,
        at: datetime,
    ) -> None:
        failures, due_at = webhook.failures, None
        if isinstance(result, Exception):
            failures += 1
            held = failures >= _MOST_FAILURES
            due_at = None if held else at + _wait(failures)
            result = _Result("held" if held else "pending", _words(result))
        elif result.state == "unmatched" and at - webhook.received_at < _MATCH_WITHIN:
            due_at = at + _wait(webhook.tries)
        operation = result.operation
        over = due_at is None
        async with self._means.database.tenant(context.tenant_id) as session:
            await session.execute(
                _MARK,
                context.tenant_id,
                webhook.id,
                webhook.version,
                result.state,
                result.problem,
                operation.payment_id if operation else None,
                operation.id if operation else None,
                over and result.state in ("unmatched", "held"),
                due_at,
                failures,
                at if over else None,
                result.is_recorded,
            )


def _wait(tries: int) -> timedelta:
    """How long to wait after so many tries: 1 s, 2 s, 4 s … at most 10 minutes."""
    seconds = _FIRST_WAIT_S * 2 ** min(max(tries - 1, 0), 20)
    return timedelta(seconds=min(seconds, _LONGEST_WAIT_S))


def _words(failure: Exception) -> str:
    """For people: a typed error's words; of anything else the class, which holds no values."""
    if isinstance(failure, PayengineError):
        return redact(f"{failure.code}: {failure.message}")[:500]
    return type(failure).__name__
