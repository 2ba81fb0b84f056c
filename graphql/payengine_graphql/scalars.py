"""How do amounts, instants and currencies look on the wire?

GraphQL's `Int` has 32 bits and its `Float` rounds, so amounts have a scalar of their own.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, NewType

import strawberry
from payengine.errors import AmountTooLarge, InputInvalid
from strawberry.types.scalar import ScalarDefinition

__all__ = ["JSON", "SCALAR_MAP", "BigInt", "Currency", "DateTime", "MinorUnits"]

MinorUnits = NewType("MinorUnits", int)
BigInt = NewType("BigInt", int)
DateTime = NewType("DateTime", datetime)
Currency = NewType("Currency", str)
JSON = NewType("JSON", object)

_INT64 = 2**63
_INTEGER = re.compile(r"-?[0-9]{1,40}")
_MAX_INSTANT_TEXT = 40


def _read_minor_units(value: Any) -> int:
    """An integer, or its decimal digits in a text, within 64 bits."""
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and abs(value) >= _INT64:
        raise AmountTooLarge  # JSON integers beyond 64 bits are decoded as floats
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputInvalid("An amount is an integer in minor units, never a decimal.")
    if not -_INT64 <= value < _INT64:
        raise AmountTooLarge
    return value


def _write_minor_units(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise TypeError("an amount on the wire is a 64-bit integer")
    return value


def _read_instant(value: Any) -> datetime:
    if not isinstance(value, str) or len(value) > _MAX_INSTANT_TEXT:
        raise InputInvalid("An instant is a text in ISO 8601, such as 2026-03-01T12:00:00Z.")
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise InputInvalid("This is not an instant in ISO 8601.") from None
    if instant.tzinfo is None:
        raise InputInvalid("An instant names its offset from UTC, such as Z or +02:00.")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise InputInvalid("This instant is out of range.") from None


def _write_instant(value: Any) -> str:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise TypeError("an instant on the wire is aware")
    text = value.astimezone(UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


def _read_currency(value: Any) -> str:
    if not isinstance(value, str):
        raise InputInvalid("A currency is a text of three letters.")
    return value


SCALAR_MAP: dict[object, ScalarDefinition] = {
    MinorUnits: strawberry.scalar(
        name="MinorUnits",
        description=(
            "A signed 64-bit integer: an amount in the currency's minor unit (cents, yen, fils). "
            "A JSON integer; inputs take its decimal digits in a text too. Never a decimal."
        ),
        serialize=_write_minor_units,
        parse_value=_read_minor_units,
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="A signed 64-bit integer that counts something.",
        serialize=_write_minor_units,
        parse_value=_read_minor_units,
    ),
    DateTime: strawberry.scalar(
        name="DateTime",
        description=(
            "An instant in ISO 8601 with its offset; written in UTC, such as "
            "2026-03-01T12:00:00.000000Z."
        ),
        serialize=_write_instant,
        parse_value=_read_instant,
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
    ),
    Currency: strawberry.scalar(
        name="Currency",
        description="An active ISO 4217 code of three capital letters, such as EUR.",
        serialize=str,
        parse_value=_read_currency,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value. Metadata is an object whose values are texts.",
        serialize=lambda value: value,
        parse_value=lambda value: value,
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
    ),
}
