"""Amounts and instants on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from payengine.errors import AmountTooLarge, InputInvalid
from payengine_graphql.schema import core_schema

from graphql import GraphQLScalarType


def _scalar(name: str) -> GraphQLScalarType:
    found = core_schema().type_map[name]
    assert isinstance(found, GraphQLScalarType)
    return found


@pytest.mark.parametrize(
    ("given", "read"),
    [(0, 0), (1, 1), ("12", 12), ("-3", -3), (2**63 - 1, 2**63 - 1), (str(-(2**63)), -(2**63))],
)
def test_an_amount_is_an_integer_or_its_digits(given: Any, read: int) -> None:
    assert _scalar("MinorUnits").parse_value(given) == read


@pytest.mark.parametrize("given", [True, False, 1.0, 1.5, "1.0", "1e3", "", " 1", "0x1", None, []])
def test_nothing_else_is_an_amount(given: Any) -> None:
    with pytest.raises(InputInvalid):
        _scalar("MinorUnits").parse_value(given)


@pytest.mark.parametrize("given", [2**63, -(2**63) - 1, str(2**63), "9" * 40, 1e30])
def test_an_amount_beyond_64_bits_is_too_large(given: Any) -> None:
    with pytest.raises(AmountTooLarge):
        _scalar("MinorUnits").parse_value(given)


@pytest.mark.parametrize("given", [1.0, True, "1", 2**63])
def test_nothing_but_a_64_bit_integer_is_written_as_an_amount(given: Any) -> None:
    with pytest.raises(TypeError):
        _scalar("MinorUnits").serialize(given)


def test_an_instant_is_read_with_its_offset_and_written_in_utc() -> None:
    scalar = _scalar("DateTime")
    read = scalar.parse_value("2026-03-01T13:00:00+01:00")
    assert read == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert scalar.serialize(read) == "2026-03-01T12:00:00.000000Z"


@pytest.mark.parametrize(
    "given", ["2026-03-01T13:00:00", "yesterday", 0, None, "2026-13-01T00:00:00Z", "9" * 100]
)
def test_an_instant_without_an_offset_is_refused(given: Any) -> None:
    with pytest.raises(InputInvalid):
        _scalar("DateTime").parse_value(given)
