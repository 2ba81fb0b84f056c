"""How does a request become an answer?

A prepared document is executed by graphql-core on the schema that Strawberry compiled. Reading is
cancelled at its deadline; a mutation is not: it goes on, whoever still listens, and its outcome is
found by its idempotency key.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

import msgspec
from payengine import faults
from payengine.context import TenantContext
from payengine.errors import PayengineError, QueryRefused
from payengine.events import Event, Resync
from payengine.payments import goes_to_its_end

import graphql
from graphql import (
    ExecutionResult,
    GraphQLSchema,
    OperationType,
    create_source_event_stream,
    execute,
    execute_subscription_event,
)
from payengine_graphql.answers import (
    encode,
    plain_error,
    plain_result,
    shown_errors,
)
from payengine_graphql.context import RequestContext
from payengine_graphql.documents import DocumentInvalid, Documents, Prepared
from payengine_graphql.lean import Done, OutOfPlan
from payengine_graphql.refusals import DeadlineExceeded
from payengine_graphql.watching import Watch, name_of

__all__ = ["Ask", "Executor", "LiveSource"]

_READ_DEADLINE_S = 10.0
_MAX_COERCION_ERRORS = 10


class Ask(msgspec.Struct, frozen=True):
    """What a client sends, over HTTP as the body and over a socket as a payload."""

    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # the protocol's own spelling
    extensions: dict[str, Any] | None = None


class Executor:
    """Runs the requests of one process."""

    def __init__(
        self, schema: GraphQLSchema, *, is_development: bool, mutation_deadline_s: float
    ) -> None:
        self._schema = schema
        self._documents = Documents(schema, is_development=is_development)
        self._hide = not is_development
        self._mutation_deadline_s = mutation_deadline_s
        self._mutations: set[asyncio.Task[ExecutionResult | dict[str, Any]]] = set()

    async def drain(self, *, timeout_s: float) -> None:
        """Wait for the mutations whose callers have gone."""
        if self._mutations:
            await asyncio.wait(self._mutations, timeout=timeout_s)

    async def answer(self, ask: Ask, context: RequestContext) -> tuple[dict[str, Any], bool]:
        """The answer to a query or a mutation, and whether anything was executed."""
        try:
            prepared = self._documents.prepare(ask.query)
            operation = prepared.operation(ask.operationName, ask.variables or {})
            if operation.operation is OperationType.SUBSCRIPTION:
                raise QueryRefused(
                    "Send a subscription over a WebSocket (graphql-transport-ws), or accept "
                    "text/event-stream."
                )
        except DocumentInvalid as invalid:
            reference = context.request_id
            return {"errors": shown_errors(invalid.errors, reference=reference)}, False
        except PayengineError as error:
            return {"errors": [plain_error(error)]}, False
        work = self._run(prepared, operation, ask, context)
        try:
            if operation.operation is OperationType.MUTATION:
                result = await self._to_its_end(work)
                faults.point("before_response")
            else:
                async with asyncio.timeout(_READ_DEADLINE_S):
                    result = await work
        except TimeoutError:
            return {"errors": [plain_error(DeadlineExceeded())]}, False
        if isinstance(result, dict):
            return {"data": result}, True
        answer = plain_result(result, reference=context.request_id)
        return answer, result.data is not None or _has_path(result)

    async def _run(
        self, prepared: Prepared, operation: Any, ask: Ask, context: RequestContext
    ) -> ExecutionResult | dict[str, Any]:
        """The data by plan, or graphql-core's result."""
        plan = prepared.plan(operation)
        done = None
        if plan is not None:
            try:
                if operation.operation is OperationType.QUERY:
                    return await plan.read(context, ask.variables or {})
                found = await plan.change(context, ask.variables or {})
                if isinstance(found, dict):
                    return found
                done = found
            except OutOfPlan:
                pass
        return await self._execute(prepared.document, operation, ask, context, done)

    async def _execute(
        self,
        document: Any,
        operation: Any,
        ask: Ask,
        context: RequestContext,
        done: Done | None = None,
    ) -> ExecutionResult:
        result = execute(
            self._schema,
            document,
            root_value=done,
            context_value=context,
            variable_values=ask.variables,
            operation_name=operation.name.value if operation.name else None,
            max_coercion_errors=_MAX_COERCION_ERRORS,
            hide_suggestions=self._hide,
        )
        if isawaitable(result):
            return await result
        assert isinstance(result, ExecutionResult)
        return result

    async def _to_its_end(self, work: Any) -> ExecutionResult | dict[str, Any]:
        task: asyncio.Task[ExecutionResult | dict[str, Any]] = asyncio.create_task(
            goes_to_its_end(work)
        )
        self._mutations.add(task)
        task.add_done_callback(self._mutations.discard)
        await asyncio.wait((task,), timeout=self._mutation_deadline_s)
        if not task.done():
            raise TimeoutError
        return task.result()

    def is_subscription(self, ask: Ask) -> bool:
        """Whether a subscription is asked for; False also for what is refused later."""
        try:
            prepared = self._documents.prepare(ask.query)
            operation = prepared.operation(ask.operationName, ask.variables or {})
        except (DocumentInvalid, PayengineError):
            return False
        return operation.operation is OperationType.SUBSCRIPTION

    async def watch(self, ask: Ask, context: RequestContext) -> LiveSource | list[dict[str, Any]]:
        """What a subscription watches, or the errors that forbid it."""
        try:
            prepared = self._documents.prepare(ask.query)
            operation = prepared.operation(ask.operationName, ask.variables or {})
            if operation.operation is not OperationType.SUBSCRIPTION:
                raise QueryRefused("Only subscriptions are taken here: send this by HTTP POST.")
        except DocumentInvalid as invalid:
            return shown_errors(invalid.errors, reference=context.request_id)
        except PayengineError as error:
            return [plain_error(error)]
        executor = graphql.Executor.build(
            self._schema,
            prepared.document,
            context_value=context,
            raw_variable_values=ask.variables,
            operation_name=operation.name.value if operation.name else None,
            max_coercion_errors=_MAX_COERCION_ERRORS,
            hide_suggestions=self._hide,
        )
        if isinstance(executor, list):
            return shown_errors(executor, reference=context.request_id, code="INPUT_INVALID")
        found = create_source_event_stream(executor)
        watch: Any = await found if isawaitable(found) else found
        if isinstance(watch, ExecutionResult):
            errors = watch.errors or []
            return shown_errors(errors, reference=context.request_id, code="INPUT_INVALID")
        assert isinstance(watch, Watch)
        name = name_of(context.tenant, ask.query, prepared.document, operation, ask.variables or {})
        return LiveSource(name, context, watch, executor)


@dataclass(frozen=True)
class LiveSource:
    """A subscription that may be executed, event by event, for everyone who asks the same."""

    name: bytes
    context: RequestContext
    watch: Watch[Any]
    executor: graphql.Executor[Any]

    @property
    def tenant(self) -> TenantContext:
        """Whose events these are."""
        return self.context.tenant

    def fresh_context(self) -> RequestContext:
        """A context that reads afresh, and shares no reading that another may cancel."""
        return RequestContext(self.context.services, self.tenant, self.context.request_id)

    async def answer(self, item: Event | Resync, context: RequestContext) -> bytes:
        """The answer for one event, as JSON."""
        executor = self.executor.build_per_event_executor(self.watch.show(item))
        executor.context_value = context
        result = execute_subscription_event(executor)
        if isawaitable(result):
            result = await result
        return encode(plain_result(result, reference=self.context.request_id))


def _has_path(result: ExecutionResult) -> bool:
    """An error with a path was met while executing; one without kept it from beginning."""
    return any(error.path for error in result.errors or ())
