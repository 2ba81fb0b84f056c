"""What a document costs, and which never run."""

from __future__ import annotations

import time

import pytest
from payengine.errors import QueryRefused
from payengine_graphql.cost import MAX_COST, cost_with, prices_of
from payengine_graphql.schema import core_schema

from graphql import OperationDefinitionNode, parse
from tests.graphql.hostile import doubling


def _price(text: str) -> int:
    return prices_of(core_schema(), parse(text))[None].cost


def test_a_list_multiplies_what_it_contains() -> None:
    of_one = _price("{ payments(first: 1) { nodes { id status } } }")
    of_ten = _price("{ payments(first: 10) { nodes { id status } } }")
    assert of_ten - of_one == 9 * 3


def test_a_fragment_costs_what_it_would_written_out() -> None:
    whole = _price("{ payments(first: 7) { nodes { id attempts { gateway } } } }")
    split = _price(
        "{ payments(first: 7) { nodes { ...P } } }"
        " fragment P on Payment { id ...A } fragment A on Payment { attempts { gateway } }"
    )
    assert whole == split


def test_each_use_of_a_fragment_counts() -> None:
    once = _price("{ viewer { ...V } } fragment V on Viewer { actor scopes }")
    twice = _price("{ viewer { ...V ...V } } fragment V on Viewer { actor scopes }")
    assert twice - once == 2


def test_doubling_fragments_are_priced_without_being_expanded() -> None:
    began = time.perf_counter()
    assert _price(doubling(20)) > MAX_COST
    assert time.perf_counter() - began < 10  # expanded, this would be a million fields


def test_a_variable_size_counts_as_a_full_page_until_it_is_known() -> None:
    document = parse("query P($n: Int!) { payments(first: $n) { nodes { id } } }")
    price = prices_of(core_schema(), document)["P"]
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    assert price.depends
    assert price.cost == cost_with(core_schema(), document, operation, {"n": 100})
    assert cost_with(core_schema(), document, operation, {"n": 1}) < price.cost


@pytest.mark.parametrize(
    "text",
    [
        "{ ...A } fragment A on Query { ...A }",
        doubling(40),
        "{ viewer {" + "actor " * 60 + "} }",
        "{" + " ".join(f"a{n}: viewer {{ actor }}" for n in range(300)) + "}",
    ],
)
def test_what_would_be_slow_to_validate_is_refused_before(text: str) -> None:
    with pytest.raises(QueryRefused):
        prices_of(core_schema(), parse(text))
