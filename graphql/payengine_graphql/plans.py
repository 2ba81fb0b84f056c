"""How does a kept document run without being read again?

graphql-core walks the document and the schema anew for each request, which costs more than the
payment itself. A plan is that walk, done once: it calls the same resolvers and writes the same
answer. It handles what is well: where anything is out of order (a variable that does not fit, a
resolver that raises, a value that its type forbids) it gives up with `OutOfPlan`, and graphql-core
executes the request and says exactly what is wrong. A mutation is never done twice for it: what
its resolver gave is handed over (`payengine_graphql.lean.Done`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from graphql.execution.values import VariableValues, get_argument_values, get_variable_values
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    is_leaf_type,
)
from payengine_graphql.context import RequestContext
from payengine_graphql.lean import Done, OutOfPlan, input_reader, work_of

__all__ = ["Plan", "plan_of"]

_MOST_DEPTH = 12


class _Unsuited(Exception):
    """The document has something that only graphql-core executes."""


class _Info:
    """What a resolver may ask of the request."""

    __slots__ = ("context",)

    def __init__(self, context: RequestContext) -> None:
        self.context = context


class _Run:
    """One execution of a plan."""

    __slots__ = ("arguments", "info", "later", "variables")

    def __init__(self, context: RequestContext, variables: VariableValues | None) -> None:
        self.info = _Info(context)
        self.variables = variables
        self.arguments: dict[int, dict[str, Any]] = {}
        #: Where a value goes that is still awaited: the object, its key, and how it is shown.
        self.later: list[tuple[dict[str, Any], str, Awaitable[Any], _Show]] = []


_Show = Callable[[Any, _Run], Any]
_Call = Callable[[Any, _Run], Any]


class _Step(NamedTuple):
    """One field of an object: a column's name, or what is called."""

    key: str
    column: str | None
    call: _Call | None
    is_awaited: bool
    show: _Show


class _Root(NamedTuple):
    """One field of a mutation."""

    key: str
    call: Callable[[_Run, Mapping[str, Any]], Awaitable[Any]]
    show: _Show


class Plan:
    """An operation, ready to run."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        *,
        show: _Show | None,
        roots: Sequence[_Root],
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._show = show
        self._roots = roots

    async def read(self, context: RequestContext, given: Mapping[str, Any]) -> dict[str, Any]:
        """The data of a query; raises `OutOfPlan`."""
        assert self._show is not None
        variables = get_variable_values(
            self._schema, self._operation.variable_definitions or (), dict(given)
        )
        if not isinstance(variables, VariableValues):
            raise OutOfPlan
        run = _Run(context, variables)
        try:
            data: dict[str, Any] = self._show(None, run)
            await _finish(run)
        except Exception as failure:
            _forget(run.later)
            raise OutOfPlan from failure
        return data

    async def change(
        self, context: RequestContext, given: Mapping[str, Any]
    ) -> dict[str, Any] | Done:
        """The data of a mutation, or what was done where it cannot be shown by plan.

        Raises `OutOfPlan` before anything is done.
        """
        run = _Run(context, None)
        calls = [(root, root.call(run, given)) for root in self._roots]
        done: dict[str, Any] = {}
        data: dict[str, Any] = {}
        for root, call in calls:
            try:
                done[root.key] = await call
            except Exception as failure:
                done[root.key] = failure
                continue
            if len(data) < len(done) - 1:
                continue
            try:
                data[root.key] = root.show(done[root.key], run)
                await _finish(run)
            except Exception:
                _forget(run.later)
                run.later = []
                data.pop(root.key, None)
        return data if len(data) == len(calls) else Done(done)


async def _finish(run: _Run) -> None:
    """Await what is awaited, level by level, so that loaders gather a level's questions."""
    while run.later:
        level, run.later = run.later, []
        if len(level) == 1:
            values: Sequence[Any] = [await level[0][2]]
        else:
            values = await asyncio.gather(*(each[2] for each in level), return_exceptions=True)
            for value in values:
                if isinstance(value, BaseException):
                    raise value
        for (shown, key, _, show), value in zip(level, values, strict=True):
            shown[key] = show(value, run)


def _forget(later: Iterable[tuple[Any, str, Any, Any]]) -> None:
    for _, _, call, _ in later:
        call.close()


def plan_of(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> Plan | None:
    """The plan of a valid operation; None where only graphql-core can execute it."""
    fragments = {
        node.name.value: node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    maker = _Maker(fragments)
    try:
        if operation.directives:
            return None
        if operation.operation is OperationType.MUTATION and schema.mutation_type:
            roots = maker.roots(schema.mutation_type, operation)
            return Plan(schema, operation, show=None, roots=roots)
        if operation.operation is OperationType.QUERY and schema.query_type:
            show = maker.object(schema.query_type, [operation.selection_set], depth=0)
            return Plan(schema, operation, show=show, roots=())
    except _Unsuited:
        pass
    return None


class _Maker:
    """Turns selections into what shows them."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments

    def roots(self, kind: GraphQLObjectType, operation: OperationDefinitionNode) -> list[_Root]:
        """The fields of a mutation whose whole input is a variable each."""
        roots = []
        used = []
        for key, nodes in self._collect(kind, [operation.selection_set], depth=0).items():
            field = kind.fields.get(nodes[0].name.value)
            given = nodes[0].arguments or ()
            if field is None or len(given) != 1 or not isinstance(given[0].value, VariableNode):
                raise _Unsuited
            name = given[0].value.name.value
            used.append(name)
            show = self.value(field.type, [n.selection_set for n in nodes if n.selection_set], 1)
            roots.append(_Root(key, _caller(field, name), show))
        declared = [each.variable.name.value for each in operation.variable_definitions or ()]
        if sorted(used) != sorted(declared) or any(
            each.default_value is not None for each in operation.variable_definitions or ()
        ):
            raise _Unsuited
        return roots

    def object(
        self, kind: GraphQLObjectType, selections: Sequence[SelectionSetNode], *, depth: int
    ) -> _Show:
        """What shows an object of this type."""
        if depth > _MOST_DEPTH:
            raise _Unsuited
        collected = self._collect(kind, selections, depth=depth)
        steps = [self._step(kind, key, nodes, depth) for key, nodes in collected.items()]

        def show(source: Any, run: _Run) -> dict[str, Any]:
            row = getattr(source, "row", source)
            shown: dict[str, Any] = {}
            for key, column, call, is_awaited, show_value in steps:
                if column is not None:
                    shown[key] = show_value(getattr(row, column), run)
                    continue
                assert call is not None
                if is_awaited:
                    shown[key] = None
                    run.later.append((shown, key, call(source, run), show_value))
                else:
                    shown[key] = show_value(call(source, run), run)
            return shown

        return show

    def value(self, kind: Any, selections: Sequence[SelectionSetNode], depth: int) -> _Show:
        """What shows a value of this type."""
        if isinstance(kind, GraphQLNonNull):
            inner = self._present(kind.of_type, selections, depth)

            def required(value: Any, run: _Run) -> Any:
                if value is None:
                    raise OutOfPlan
                return inner(value, run)

            return required
        shown = self._present(kind, selections, depth)
        return lambda value, run: None if value is None else shown(value, run)

    def _present(self, kind: Any, selections: Sequence[SelectionSetNode], depth: int) -> _Show:
        if isinstance(kind, GraphQLList):
            each = self.value(kind.of_type, selections, depth)

            def several(values: Any, run: _Run) -> list[Any]:
                if not isinstance(values, list | tuple):
                    raise OutOfPlan
                return [each(value, run) for value in values]

            return several
        if isinstance(kind, GraphQLObjectType):
            return self.object(kind, selections, depth=depth)
        if is_leaf_type(kind):
            return _leaf(kind)
        raise _Unsuited

    def _collect(
        self, kind: GraphQLObjectType, selections: Iterable[SelectionSetNode], *, depth: int
    ) -> dict[str, list[FieldNode]]:
        """The fields by their keys in the answer, in the order of the document."""
        if depth > _MOST_DEPTH:
            raise _Unsuited
        found: dict[str, list[FieldNode]] = {}
        for selection in selections:
            for node in selection.selections:
                if node.directives:
                    raise _Unsuited
                if isinstance(node, FieldNode):
                    key = node.alias.value if node.alias else node.name.value
                    found.setdefault(key, []).append(node)
                    continue
                inner: Any = node
                if isinstance(node, FragmentSpreadNode):
                    inner = self._fragments[node.name.value]
                assert isinstance(inner, InlineFragmentNode | FragmentDefinitionNode)
                condition = inner.type_condition
                if inner.directives or (condition and condition.name.value != kind.name):
                    raise _Unsuited
                deeper = self._collect(kind, [inner.selection_set], depth=depth + 1)
                for key, nodes in deeper.items():
                    found.setdefault(key, []).extend(nodes)
        return found

    def _step(
        self, kind: GraphQLObjectType, key: str, nodes: Sequence[FieldNode], depth: int
    ) -> _Step:
        name = nodes[0].name.value
        if name == "__typename":
            return _Step(key, None, lambda source, run: kind.name, False, lambda value, run: value)
        field = kind.fields.get(name)
        if field is None:
            raise _Unsuited
        show = self.value(
            field.type, [node.selection_set for node in nodes if node.selection_set], depth + 1
        )
        definition: StrawberryField = field.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
        if definition.extensions or definition.permission_classes:
            raise _Unsuited
        if definition.base_resolver is None:
            return _Step(key, definition.python_name, None, False, show)
        call = _computing(field, definition, nodes[0])
        return _Step(key, None, call, definition.is_async, show)


def _computing(field: GraphQLField, definition: StrawberryField, node: FieldNode) -> _Call:
    """What calls a field's method with its arguments."""
    resolver = definition.base_resolver
    assert resolver is not None
    work: Any = resolver.wrapped_func
    information = resolver.info_parameter
    named = information.name if information is not None else None

    def call(source: Any, run: _Run) -> Any:
        given = {named: run.info} if named else {}
        if not field.args:
            return work(source, **given)
        known = run.arguments.get(id(node))
        if known is None:
            known = run.arguments[id(node)] = _arguments(field, definition, node, run)
        return work(source, **given, **known)

    return call


def _arguments(
    field: GraphQLField, definition: StrawberryField, node: FieldNode, run: _Run
) -> dict[str, Any]:
    from payengine_graphql.schema import SCHEMA

    values = get_argument_values(field, node, run.variables)
    return convert_arguments(
        values,
        definition.arguments,
        scalar_registry=SCHEMA.schema_converter.scalar_registry,
        config=SCHEMA.config,
    )


def _caller(field: GraphQLField, name: str) -> Callable[[_Run, Mapping[str, Any]], Awaitable[Any]]:
    """What reads a mutation's input from the variable `name` and gives the work to do."""
    read = input_reader(field)
    work = work_of(field)

    def call(run: _Run, given: Mapping[str, Any]) -> Awaitable[Any]:
        made: Awaitable[Any] = work(None, run.info, read(given.get(name)))
        return made

    return call


def _leaf(kind: GraphQLLeafType) -> _Show:
    """What shows a scalar or an enum; texts, truths and small numbers are what they are."""
    simple = {"String": str, "ID": str, "Currency": str, "Boolean": bool}.get(kind.name)
    write = kind.coerce_output_value

    def show(value: Any, run: _Run) -> Any:
        return value if type(value) is simple else write(value)

    return show
