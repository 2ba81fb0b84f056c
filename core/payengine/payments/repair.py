"""What if something is asked of a payment while an earlier operation has no known outcome?

Then the gateway is asked first what became of that one; only where this tells nothing is the
request refused. Nothing is sent again from here: that is the reconciler's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.errors import OperationInFlight
from payengine.payments import store
from payengine.payments.findings import finding_of
from payengine.payments.means import Means
from payengine.payments.models import Operation
from payengine.payments.record import Recorder

__all__ = ["Repair"]

#: How many operations of a payment one request looks up.
_MOST = 4


class _OfPayment(Protocol):
    """A request about one payment."""

    @property
    def payment_id(self) -> str:
        """The payment's id."""
        ...


RequestT = TypeVar("RequestT", bound=_OfPayment)
T = TypeVar("T")


class Repair:
    """Puts a look-up before steps that would be refused because of an open operation."""

    def __init__(self, means: Means, recorder: Recorder) -> None:
        self._means = means
        self._recorder = recorder

    def first(
        self, step: Callable[[TenantContext, RequestT], Awaitable[T]]
    ) -> Callable[[TenantContext, RequestT], Awaitable[T]]:
        """The step, which is tried once more where a look-up has told something new."""

        async def repaired(context: TenantContext, request: RequestT) -> T:
            try:
                return await step(context, request)
            except OperationInFlight:
                work = self._look_up(context, request.payment_id)
                if not await self._means.to_its_end(work):
                    raise
            return await step(context, request)

        return repaired

    async def _look_up(self, context: TenantContext, payment_id: str) -> bool:
        """Whether the gateway told something new of an operation that nobody is working on."""
        now = wall_now()
        async with self._means.database.tenant(context.tenant_id) as session:
            operations = await store.operations_of(session, context.tenant_id, payment_id)
        waiting = [
            each
            for each in operations
            if each.status == "unknown"
            or (each.status == "sending" and each.due_at is not None and each.due_at <= now)
        ]
        news = False
        for operation in waiting[:_MOST]:
            news = await self._record(context, operation) or news
        return news

    async def _record(self, context: TenantContext, operation: Operation) -> bool:
        answer = await self._recorder.look_up(context, operation)
        told = answer.outcome is not None and answer.outcome.status != "not_found"
        if not told or answer.kind == "not_sent":
            return False
        _, recorded = await self._recorder.record(
            context,
            payment_id=operation.payment_id,
            operation_id=operation.id,
            finding=finding_of(answer, operation, source="lookup"),
        )
        return recorded.version != operation.version
