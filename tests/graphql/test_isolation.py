"""Another tenant's ids are nothing special: each gets the answer of an id that nobody has."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from payengine.engine import Engine
from payengine.ids import new_id
from payengine_graphql.schema import core_schema

from graphql import GraphQLInputObjectType, get_named_type

#: Where the schema takes an id → the document, and the variables with the id at `$`.
from tests.graphql.isolation_objects import Objects, filled, objects_of
from tests.graphql.isolation_places import COVERED, COVERED_ELSEWHERE
from tests.graphql.worlds import World, codes, row_counts


def _places() -> Iterator[str]:
    """Every argument and input field of the schema that takes an id or a cursor."""
    for name, kind in core_schema().type_map.items():
        if name.startswith("__"):
            continue
        if isinstance(kind, GraphQLInputObjectType):
            for key, value in kind.fields.items():
                if get_named_type(value.type).name == "ID":
                    yield f"{name}.{key}"
        for key, field in getattr(kind, "fields", {}).items():
            for argument, shape in getattr(field, "args", {}).items():
                if get_named_type(shape.type).name == "ID" or argument == "after":
                    yield f"{name}.{key}({argument})"


def test_each_place_that_takes_an_id_is_tried() -> None:
    assert set(_places()) == set(COVERED) | COVERED_ELSEWHERE


@pytest.mark.parametrize("place", sorted(COVERED))
async def test_a_foreign_id_gets_the_answer_of_a_random_one(
    world: World, foreign: World, engine: Engine, place: str
) -> None:
    mine, theirs = await objects_of(world, engine), await objects_of(foreign, engine)
    document, shape = COVERED[place]
    random = {prefix: new_id("pay" if prefix == "disputed" else prefix) for prefix in theirs.ids}
    before = await row_counts(engine, world.context), await row_counts(engine, foreign.context)
    answers = [
        await world.ask(document, **filled(shape, Objects(ids, ""), mine))
        for ids in (theirs.ids, random)
    ]
    if "after" in place:
        # A cursor is a place in the order: what follows may differ, whose it is may not.
        assert codes(answers[0]) == codes(answers[1]) == []
    else:
        assert answers[0] == answers[1]
    shown = json.dumps(answers)
    assert not [each for each in theirs.ids.values() if f'"{each}"' in shown]
    after = await row_counts(engine, world.context), await row_counts(engine, foreign.context)
    assert after == before


async def test_the_same_places_answer_for_ones_own_ids(world: World, engine: Engine) -> None:
    mine = await objects_of(world, engine)
    for place, (document, shape) in COVERED.items():
        if place.startswith("Query.") and "after" not in place:
            ids = mine.ids | {"ref": mine.ids["op"]}
            answer = await world.ask(document, **filled(shape, Objects(ids, ""), mine))
            assert codes(answer) == [], place
            assert "null" not in json.dumps(answer["data"]), place
