"""The quick way from an input to its dataclass gives what Strawberry's own gives."""

from __future__ import annotations

from typing import Any

import pytest
from payengine_graphql.lean import _filler
from payengine_graphql.schema import SCHEMA, core_schema
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_argument
from strawberry.types.base import StrawberryObjectDefinition

from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLList, get_nullable_type


def _inputs() -> list[str]:
    mutation = core_schema().mutation_type
    assert mutation is not None
    kinds = [get_nullable_type(field.args["input"].type) for field in mutation.fields.values()]
    return sorted(str(kind) for kind in kinds)


def _example(kind: Any) -> Any:
    kind = get_nullable_type(kind)
    if isinstance(kind, GraphQLInputObjectType):
        return {name: _example(field.type) for name, field in kind.fields.items()}
    if isinstance(kind, GraphQLList):
        return [_example(kind.of_type)]
    if isinstance(kind, GraphQLEnumType):
        return kind.parse_value(next(iter(kind.values)))
    return {"Boolean": True, "MinorUnits": 7}.get(kind.name, f"a {kind.name}")


@pytest.mark.parametrize("name", _inputs())
@pytest.mark.parametrize("only_what_is_needed", [False, True])
def test_an_input_is_filled_as_strawberry_fills_it(name: str, only_what_is_needed: bool) -> None:
    kind = core_schema().type_map[name]
    assert isinstance(kind, GraphQLInputObjectType)
    value = {
        key: _example(field.type)
        for key, field in kind.fields.items()
        if not only_what_is_needed or str(field.type).endswith("!")
    }
    definition: StrawberryObjectDefinition = kind.extensions[
        GraphQLCoreConverter.DEFINITION_BACKREF
    ]
    expected = convert_argument(
        value,
        type_=definition.origin,
        scalar_registry=SCHEMA.schema_converter.scalar_registry,
        config=SCHEMA.config,
    )
    assert _filler(kind)(value) == expected
