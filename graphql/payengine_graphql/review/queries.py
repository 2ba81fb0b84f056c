"""What may be read of what waits for a person?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.errors import CursorInvalid, NotFound
from payengine.ids import is_id

from payengine_graphql.context import Wire
from payengine_graphql.inputs import check_id
from payengine_graphql.review.inputs import ReviewFilterInput
from payengine_graphql.review.types import Review, read_review, show_review
from payengine_graphql.types.fields import computed
from payengine_graphql.types.nodes import (
    DEFAULT_PAGE,
    MAX_PAGE,
    Connection,
    check_first,
    connect,
)

__all__ = ["Query"]

_First = Annotated[int, strawberry.argument(description=f"The size of the page, 1 to {MAX_PAGE}.")]
_After = Annotated[
    str | None, strawberry.argument(description="A cursor: the page begins behind it.")
]
_Filter = Annotated[
    ReviewFilterInput | None, strawberry.argument(description="Which reviews to list.")
]
_ReviewId = Annotated[strawberry.ID, strawberry.argument(description="The review's id, rev_….")]


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed("One review. Needs the scope `reviews:read`.")
    async def review(self, info: Wire, id: _ReviewId) -> Review | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("reviews:read")
        check_id(id, "rev", field="id")
        found = await read_review(info.context, id)
        if found is None:
            raise NotFound("There is no such review.", path=("id",))
        return found

    @computed(
        "Payments that wait for a person, the oldest payment first. Needs the scope `reviews:read`."
    )
    async def reviews(
        self,
        info: Wire,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        filter: _Filter = None,
    ) -> Connection[Review]:
        """A page."""
        info.context.require("reviews:read")
        if after is not None and not is_id(after, "rev"):
            raise CursorInvalid(path=("after",))
        rows = await info.context.engine.reviews.page(
            info.context.tenant,
            (filter or ReviewFilterInput()).to_core(),
            first=check_first(first),
            after=after,
        )
        return connect(rows, first=first, after=after, show=show_review, cursor=lambda row: row.id)
