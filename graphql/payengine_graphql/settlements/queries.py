"""What may be read of settlements?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.errors import CursorInvalid, NotFound
from payengine.ids import is_id

from payengine_graphql.context import Wire
from payengine_graphql.inputs import check_id
from payengine_graphql.settlements.inputs import SettlementItemFilterInput
from payengine_graphql.settlements.types import (
    SettlementFile,
    SettlementFinding,
    SettlementFormat,
    SettlementItem,
    SettlementLine,
    read_file,
    read_item,
    show_file,
    show_item,
)
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
_FileId = Annotated[strawberry.ID, strawberry.argument(description="The file's id, stf_….")]
_ItemId = Annotated[strawberry.ID, strawberry.argument(description="The item's id, sti_….")]
_PaymentId = Annotated[strawberry.ID, strawberry.argument(description="The payment's id, pay_….")]
_Filter = Annotated[
    SettlementItemFilterInput | None, strawberry.argument(description="Which items to list.")
]
_Finding = Annotated[
    SettlementFinding | None, strawberry.argument(description="Only lines where this is so.")
]


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed("The kinds of providers' files that can be read. Needs `settlements:read`.")
    def settlement_formats(self, info: Wire) -> list[SettlementFormat]:
        """By name."""
        info.context.require("settlements:read")
        return [SettlementFormat(row=each) for each in info.context.engine.settlements.formats()]

    @computed("One imported file. Needs the scope `settlements:read`.")
    async def settlement_file(self, info: Wire, id: _FileId) -> SettlementFile | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("settlements:read")
        check_id(id, "stf", field="id")
        found = await read_file(info.context, id)
        if found is None:
            raise NotFound("There is no such file.", path=("id",))
        return found

    @computed("Imported files, the newest first. Needs the scope `settlements:read`.")
    async def settlement_files(
        self, info: Wire, first: _First = DEFAULT_PAGE, after: _After = None
    ) -> Connection[SettlementFile]:
        """A page."""
        rows = await info.context.engine.settlements.files(
            info.context.tenant, first=check_first(first), after=_cursor(after, "stf")
        )
        return connect(rows, first=first, after=after, show=show_file, cursor=lambda row: row.id)

    @computed("A file's lines that no earlier file had. Needs the scope `settlements:read`.")
    async def settlement_lines(
        self,
        info: Wire,
        file_id: _FileId,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        finding: _Finding = None,
    ) -> Connection[SettlementLine]:
        """A page."""
        check_id(file_id, "stf", field="fileId")
        rows = await info.context.engine.settlements.lines(
            info.context.tenant,
            file_id,
            first=check_first(first),
            after=_cursor(after, "stl"),
            finding=finding.value if finding else None,
        )
        return connect(
            rows,
            first=first,
            after=after,
            show=lambda row: SettlementLine(row=row),
            cursor=lambda row: row.id,
        )

    @computed("What providers told of a payment's money. Needs the scope `settlements:read`.")
    async def settlements_of_payment(
        self, info: Wire, payment_id: _PaymentId
    ) -> list[SettlementLine]:
        """Oldest first; none for a payment that is not this tenant's."""
        check_id(payment_id, "pay", field="paymentId")
        found = await info.context.engine.settlements.lines_of_payments(
            info.context.tenant, [payment_id]
        )
        return [SettlementLine(row=row) for row in found.get(payment_id, [])]

    @computed("One item of work. Needs the scope `settlements:read`.")
    async def settlement_item(self, info: Wire, id: _ItemId) -> SettlementItem | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("settlements:read")
        check_id(id, "sti", field="id")
        found = await read_item(info.context, id)
        if found is None:
            raise NotFound("There is no such item.", path=("id",))
        return found

    @computed("What does not agree, the oldest first. Needs the scope `settlements:read`.")
    async def settlement_items(
        self,
        info: Wire,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        filter: _Filter = None,
    ) -> Connection[SettlementItem]:
        """A page."""
        rows = await info.context.engine.settlements.items(
            info.context.tenant,
            (filter or SettlementItemFilterInput()).to_core(),
            first=check_first(first),
            after=_cursor(after, "sti"),
        )
        return connect(rows, first=first, after=after, show=show_item, cursor=lambda row: row.id)


def _cursor(after: str | None, prefix: str) -> str | None:
    if after is not None and not is_id(after, prefix):
        raise CursorInvalid(path=("after",))
    return after
