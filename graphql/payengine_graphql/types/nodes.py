"""How are objects named, and how are they paged through?

Ids are the engine's own. A connection's cursor is opaque to clients; what makes it is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import strawberry
from payengine.errors import InputInvalid

from payengine_graphql.types.fields import computed

__all__ = [
    "DEFAULT_PAGE",
    "MAX_PAGE",
    "Connection",
    "Edge",
    "Node",
    "PageInfo",
    "check_first",
    "connect",
]

DEFAULT_PAGE = 20
MAX_PAGE = 100

T = TypeVar("T")
Row = TypeVar("Row")


@strawberry.interface(description="An object that can be read again by its id.")
class Node:
    """See the description."""

    id: strawberry.ID = strawberry.field(description="The object's id; its prefix tells its type.")


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    """See the description."""

    has_next_page: bool = strawberry.field(description="Whether more objects follow.")
    has_previous_page: bool = strawberry.field(description="Whether the page began at a cursor.")
    start_cursor: str | None = strawberry.field(description="The first object's cursor.")
    end_cursor: str | None = strawberry.field(
        description="The last object's cursor: send it as `after` for the next page."
    )


@strawberry.type(description="An object at its place in a list.")
class Edge(Generic[T]):
    """See the description."""

    cursor: str = strawberry.field(description="Send it as `after` to go on behind this object.")
    node: T = strawberry.field(description="The object.")


@strawberry.type(description="One page of a list.")
class Connection(Generic[T]):
    """See the description."""

    edges: list[Edge[T]] = strawberry.field(description="The page's objects with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @computed("The page's objects.")
    def nodes(self) -> list[T]:
        """Without cursors."""
        return [edge.node for edge in self.edges]


def check_first(first: int) -> int:
    """The size of a page; raises `InputInvalid` outside 1 to 100."""
    if not 1 <= first <= MAX_PAGE:
        raise InputInvalid(f"first is 1 to {MAX_PAGE}.", path=("first",))
    return first


def connect(
    rows: Sequence[Row],
    *,
    first: int,
    after: str | None,
    show: Callable[[Row], T],
    cursor: Callable[[Row], str],
) -> Connection[T]:
    """A page of `rows`, of which there may be one more than `first`."""
    page = rows[:first]
    edges = [Edge(cursor=cursor(row), node=show(row)) for row in page]
    info = PageInfo(
        has_next_page=len(rows) > first,
        has_previous_page=after is not None,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
    return Connection(edges=edges, page_info=info)
