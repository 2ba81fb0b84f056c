"""The API's shape: committed, described, and in the words of the house."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from payengine_graphql.schema import core_schema, sdl

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLScalarType,
    get_named_type,
)

_COMMITTED = Path(__file__).parents[2] / "graphql" / "schema.graphql"


def _elements() -> Iterator[tuple[str, str | None]]:
    """Everything that may carry a description, with its own."""
    for name, kind in core_schema().type_map.items():
        if name.startswith("__") or name in ("Int", "Float", "String", "Boolean", "ID"):
            continue
        assert isinstance(
            kind,
            GraphQLObjectType
            | GraphQLInterfaceType
            | GraphQLInputObjectType
            | GraphQLEnumType
            | GraphQLScalarType,
        )
        yield name, kind.description
        if isinstance(kind, GraphQLEnumType):
            yield from ((f"{name}.{key}", value.description) for key, value in kind.values.items())
        if isinstance(kind, GraphQLInputObjectType):
            yield from ((f"{name}.{key}", field.description) for key, field in kind.fields.items())
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for key, field in kind.fields.items():
                yield f"{name}.{key}", field.description
                for argument, shape in field.args.items():
                    yield f"{name}.{key}({argument})", shape.description


def test_the_committed_schema_is_the_served_one() -> None:
    assert _COMMITTED.read_text() == sdl(), (
        "run: python -m payengine_graphql.schema > graphql/schema.graphql"
    )


def test_everything_has_a_description() -> None:
    elements = list(_elements())
    assert len(elements) > 300
    assert [name for name, description in elements if not (description or "").strip()] == []


def _mutations() -> list[str]:
    mutation = core_schema().mutation_type
    assert mutation is not None
    return sorted(mutation.fields)


@pytest.mark.parametrize("name", _mutations())
def test_each_mutation_takes_a_key_and_answers_with_a_payload(name: str) -> None:
    mutation = core_schema().mutation_type
    assert mutation is not None
    field = mutation.fields[name]
    title = name[0].upper() + name[1:]
    assert list(field.args) == ["input"]
    given = get_named_type(field.args["input"].type)
    assert isinstance(given, GraphQLInputObjectType)
    assert given.name == f"{title}Input"
    assert str(given.fields["idempotencyKey"].type) == "String!"
    payload = get_named_type(field.type)
    assert isinstance(payload, GraphQLObjectType)
    assert payload.name == f"{title}Payload"
    assert str(payload.fields["errors"].type) == "[UserError!]!"


def test_no_float_and_no_32_bit_amount_is_in_the_schema() -> None:
    for name, kind in core_schema().type_map.items():
        if isinstance(kind, GraphQLObjectType | GraphQLInputObjectType):
            for key, field in kind.fields.items():
                assert "Float" not in str(field.type), f"{name}.{key}"
                if "minor" in key.lower():
                    assert "MinorUnits" in str(field.type), f"{name}.{key}"
