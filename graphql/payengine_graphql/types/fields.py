"""How does an API object show a row?

An object of the API holds the engine's row and nothing else; a `column` reads the attribute of
that name from the row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import strawberry

__all__ = ["column", "computed", "mutation", "read_column", "subscription"]

F = TypeVar("F", bound=Callable[..., Any])


def column(description: str, *, name: str | None = None) -> Any:
    """A field that shows the row's attribute of the same name; it is not set on the object."""
    field = strawberry.field(description=description, name=name)
    field.init = field.repr = field.compare = False
    return field


def read_column(source: Any, name: str) -> object:
    """The schema's default resolver: the row's attribute, or the object's own."""
    return getattr(getattr(source, "row", source), name)


def computed(description: str) -> Callable[[F], F]:
    """A field that the decorated method works out."""
    decorate: Callable[[F], F] = strawberry.field(description=description)
    return decorate


def mutation(description: str) -> Callable[[F], F]:
    """A field that does what it says when it is asked for."""
    decorate: Callable[[F], F] = strawberry.mutation(description=description)
    return decorate


def subscription(description: str) -> Callable[[F], F]:
    """A field whose method yields one value after the other."""
    decorate: Callable[[F], F] = strawberry.subscription(description=description)
    return decorate
