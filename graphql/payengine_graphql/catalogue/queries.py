"""What may be read of the catalogue?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.errors import CursorInvalid, NotFound
from payengine.ids import is_id

from payengine_graphql.catalogue.types import (
    Meter,
    Price,
    Product,
    read_meter,
    read_price,
    read_product,
    show_meter,
    show_product,
)
from payengine_graphql.context import Wire
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
_ProductId = Annotated[strawberry.ID, strawberry.argument(description="The product's id, prd_….")]
_PriceId = Annotated[strawberry.ID, strawberry.argument(description="The price's id, prc_….")]
_MeterId = Annotated[strawberry.ID, strawberry.argument(description="The meter's id, mtr_….")]


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed("One product. Needs the scope `billing:read`.")
    async def product(self, info: Wire, id: _ProductId) -> Product | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("billing:read")
        check_id(id, "prd", field="id")
        found = await read_product(info.context, id)
        if found is None:
            raise NotFound("There is no such product.", path=("id",))
        return found

    @computed("One price. Needs the scope `billing:read`.")
    async def price(self, info: Wire, id: _PriceId) -> Price | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("billing:read")
        check_id(id, "prc", field="id")
        found = await read_price(info.context, id)
        if found is None:
            raise NotFound("There is no such price.", path=("id",))
        return found

    @computed("One meter. Needs the scope `billing:read`.")
    async def meter(self, info: Wire, id: _MeterId) -> Meter | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("billing:read")
        check_id(id, "mtr", field="id")
        found = await read_meter(info.context, id)
        if found is None:
            raise NotFound("There is no such meter.", path=("id",))
        return found

    @computed("The tenant's products, the newest first. Needs the scope `billing:read`.")
    async def products(
        self, info: Wire, first: _First = DEFAULT_PAGE, after: _After = None
    ) -> Connection[Product]:
        """A page."""
        info.context.require("billing:read")
        if after is not None and not is_id(after, "prd"):
            raise CursorInvalid(path=("after",))
        rows = await info.context.engine.catalogue.products(
            info.context.tenant, first=check_first(first), after=after
        )
        return connect(rows, first=first, after=after, show=show_product, cursor=lambda row: row.id)

    @computed("The tenant's meters, the newest first. Needs the scope `billing:read`.")
    async def meters(
        self, info: Wire, first: _First = DEFAULT_PAGE, after: _After = None
    ) -> Connection[Meter]:
        """A page."""
        info.context.require("billing:read")
        if after is not None and not is_id(after, "mtr"):
            raise CursorInvalid(path=("after",))
        rows = await info.context.engine.catalogue.meters(
            info.context.tenant, first=check_first(first), after=after
        )
        return connect(rows, first=first, after=after, show=show_meter, cursor=lambda row: row.id)
