"""How does a mutation's input become its dataclass quickly?

Strawberry works out the types of an input's fields anew for each request, a tenth of a millisecond
for `createPayment`. Here they are worked out once. `quicken` gives each mutation a resolver that
fills the same dataclasses from what graphql-core has already checked and coerced; `input_reader`
reads them from the client's own JSON, for plans, and leaves what does not fit to graphql-core.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import strawberry
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLResolveInfo,
    GraphQLSchema,
    Undefined,
    get_nullable_type,
)

__all__ = ["Done", "OutOfPlan", "input_reader", "quicken", "work_of"]

_Fill = Callable[[Any], Any]
_SIMPLE: dict[str, type] = {"String": str, "ID": str, "Boolean": bool}


class OutOfPlan(Exception):
    """Something is out of order: let graphql-core execute the request."""


class Done:
    """What the mutations of a request have given, by their keys in the answer; or have raised."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given


def quicken(schema: GraphQLSchema) -> None:
    """Give each mutation its quick resolver; each takes one argument, `input`."""
    mutation = schema.mutation_type
    assert mutation is not None
    for field in mutation.fields.values():
        field.resolve = _resolver(field)


def work_of(field: GraphQLField) -> Any:
    """The function that does what a mutation says: of the root, the info and the input."""
    definition: StrawberryField = field.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
    resolver = definition.base_resolver
    assert resolver is not None
    return resolver.wrapped_func


def _resolver(field: GraphQLField) -> Callable[..., Any]:
    definition: StrawberryField = field.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
    work = work_of(field)
    fill = _filler(_input_of(field))

    def resolve(
        root: Any, info: GraphQLResolveInfo[Any], input: Mapping[str, Any]
    ) -> Awaitable[Any] | Any:
        if isinstance(root, Done):
            given = root.given[str(info.path.key)]
            if isinstance(given, BaseException):
                raise given
            return given
        made: Awaitable[Any] = work(
            root, strawberry.Info(_raw_info=info, _field=definition), fill(input)
        )
        return made

    return resolve


def _input_of(field: GraphQLField) -> GraphQLInputObjectType:
    kind = get_nullable_type(field.args["input"].type)
    assert isinstance(kind, GraphQLInputObjectType)
    return kind


def _fields_of(kind: GraphQLInputObjectType) -> tuple[type, dict[str, str]]:
    """The dataclass of an input type, and the names of its fields there by those on the wire."""
    definition = kind.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
    names = {
        field.graphql_name or _camel(field.python_name): field.python_name
        for field in definition.fields
    }
    return definition.origin, names


def _filler(kind: GraphQLInputObjectType) -> _Fill:
    """What makes the dataclass of an input type; what the client left out keeps its default."""
    origin, names = _fields_of(kind)
    steps = [
        (name, python_name, _nested(kind.fields[name].type)) for name, python_name in names.items()
    ]

    def fill(value: Mapping[str, Any]) -> Any:
        filled = {
            python_name: value[name] if nested is None else nested(value[name])
            for name, python_name, nested in steps
            if name in value
        }
        return origin(**filled)

    return fill


def _nested(kind: Any) -> _Fill | None:
    """What fills an input inside an input, or a list of inputs; None for anything else."""
    inner = get_nullable_type(kind)
    if isinstance(inner, GraphQLInputObjectType):
        fill = _filler(inner)
        return lambda value: None if value is None else fill(value)
    if isinstance(inner, GraphQLList):
        each = _nested(inner.of_type)
        if each is not None:
            return lambda value: None if value is None else [each(one) for one in value]
    return None


def input_reader(field: GraphQLField) -> _Fill:
    """What makes a mutation's input from the JSON of its variable; it raises `OutOfPlan`."""
    return _reader(field.args["input"].type)


def _reader(kind: Any) -> _Fill:
    if isinstance(kind, GraphQLNonNull):
        inner = _present_reader(kind.of_type)

        def read_required(value: Any) -> Any:
            if value is None:
                raise OutOfPlan
            return inner(value)

        return read_required
    present = _present_reader(kind)
    return lambda value: None if value is None else present(value)


def _present_reader(kind: Any) -> _Fill:
    if isinstance(kind, GraphQLInputObjectType):
        return _object_reader(kind)
    if isinstance(kind, GraphQLList):
        each = _reader(kind.of_type)

        def read_list(values: Any) -> list[Any]:
            if not isinstance(values, list):
                raise OutOfPlan
            return [each(value) for value in values]

        return read_list
    simple = _SIMPLE.get(kind.name)
    coerce = kind.coerce_input_value

    def read_leaf(value: Any) -> Any:
        if type(value) is simple:
            return value
        if isinstance(value, list) or (isinstance(value, dict) and not _is_flat(value)):
            raise OutOfPlan  # how deep it may be is graphql-core's rule
        try:
            return coerce(value)
        except Exception:
            raise OutOfPlan from None

    return read_leaf


def _is_flat(value: Mapping[str, Any]) -> bool:
    return all(type(each) is str for each in value.values())


def _object_reader(kind: GraphQLInputObjectType) -> _Fill:
    origin, names = _fields_of(kind)
    steps = {
        name: (python_name, _reader(kind.fields[name].type)) for name, python_name in names.items()
    }
    required = frozenset(
        name
        for name, field in kind.fields.items()
        if isinstance(field.type, GraphQLNonNull) and _has_no_default(field)
    )
    is_one_of = kind.is_one_of

    def read_object(value: Any) -> Any:
        if type(value) is not dict or is_one_of or not required <= value.keys():
            raise OutOfPlan
        filled = {}
        for name, given in value.items():
            step = steps.get(name)
            if step is None:
                raise OutOfPlan
            filled[step[0]] = step[1](given)
        return origin(**filled)

    return read_object


def _has_no_default(field: Any) -> bool:
    return field.default_value is Undefined and getattr(field, "default", None) is None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
