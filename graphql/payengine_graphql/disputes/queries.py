"""What may be read of disputes?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.errors import CursorInvalid, NotFound
from payengine.ids import is_id

from payengine_graphql.context import Wire
from payengine_graphql.disputes.inputs import DisputeFilterInput
from payengine_graphql.disputes.types import Dispute, read_dispute, show_dispute
from payengine_graphql.inputs import check_id
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
    DisputeFilterInput | None, strawberry.argument(description="Which disputes to list.")
]
_DisputeId = Annotated[strawberry.ID, strawberry.argument(description="The dispute's id, dsp_….")]


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed("One dispute. Needs the scope `disputes:read`.")
    async def dispute(self, info: Wire, id: _DisputeId) -> Dispute | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("disputes:read")
        check_id(id, "dsp", field="id")
        found = await read_dispute(info.context, id)
        if found is None:
            raise NotFound("There is no such dispute.", path=("id",))
        return found

    @computed("Disputes, the newest first. Needs the scope `disputes:read`.")
    async def disputes(
        self,
        info: Wire,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        filter: _Filter = None,
    ) -> Connection[Dispute]:
        """A page."""
        info.context.require("disputes:read")
        if after is not None and not is_id(after, "dsp"):
            raise CursorInvalid(path=("after",))
        rows = await info.context.engine.disputes.page(
            info.context.tenant,
            (filter or DisputeFilterInput()).to_core(),
            first=check_first(first),
            after=after,
        )
        return connect(rows, first=first, after=after, show=show_dispute, cursor=lambda row: row.id)
