"""How does a record become a row?

The fields of a frozen record are the columns of its table, by name; `tenant_id` is apart. The
lists are made once per process, at import.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

__all__ = ["Columns"]

_CASTS: dict[Any, str] = {
    str: "text",
    int: "bigint",
    bool: "boolean",
    datetime: "timestamptz",
    bytes: "bytea",
    dict: "jsonb",
    list: "jsonb",
    tuple: "text[]",
}

StructT = TypeVar("StructT", bound=msgspec.Struct)


class Columns(Generic[StructT]):
    """The columns that a record class fills."""

    def __init__(self, record: type[StructT]) -> None:
        hints = typing.get_type_hints(record)
        self._record = record
        self.names: tuple[str, ...] = record.__struct_fields__
        self._casts = [_cast(hints[name]) for name in self.names]
        self._tuples = [
            name for name, cast in zip(self.names, self._casts, strict=True) if cast == "text[]"
        ]
        self.listed = ", ".join(self.names)

    def parameters(self, first: int) -> str:
        """Typed placeholders for every column, from `$first` on."""
        return ", ".join(f"${first + i}::{cast}" for i, cast in enumerate(self._casts))

    def assignments(self, names: Sequence[str], first: int) -> str:
        """`name = $n::type` for the named columns, from `$first` on."""
        casts = dict(zip(self.names, self._casts, strict=True))
        return ", ".join(f"{name} = ${first + i}::{casts[name]}" for i, name in enumerate(names))

    def values(self, record: StructT) -> tuple[Any, ...]:
        """The record's values in the order of the columns."""
        return msgspec.structs.astuple(record)

    def read(self, row: Mapping[str, Any]) -> StructT:
        """The record that a row spells; the row may have further columns."""
        fields = {name: row[name] for name in self.names}
        for name in self._tuples:
            fields[name] = tuple(fields[name])
        return self._record(**fields)


def _cast(hint: Any) -> str:
    arguments = typing.get_args(hint)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return _cast(next(each for each in arguments if each is not types.NoneType))
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return "text"
    return _CASTS[origin or hint]
