"""What may be read of payouts?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.errors import CursorInvalid, NotFound
from payengine.ids import is_id
from payengine.marketplace.treasury import PayoutFilter

from payengine_graphql.context import Wire
from payengine_graphql.inputs import check_id
from payengine_graphql.payouts.inputs import PayoutFilterInput
from payengine_graphql.payouts.types import (
    Payout,
    PayoutDestination,
    PayoutHold,
    PayoutRail,
    PayoutSchedule,
    read_payout,
    show_payout,
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
_Filter = Annotated[
    PayoutFilterInput | None, strawberry.argument(description="Which payouts to list.")
]
_PayoutId = Annotated[strawberry.ID, strawberry.argument(description="The payout's id, po_….")]
_AccountId = Annotated[
    strawberry.ID, strawberry.argument(description="The connected account's id, acc_….")
]


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed("One payout. Needs the scope `payouts:read`.")
    async def payout(self, info: Wire, id: _PayoutId) -> Payout | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("payouts:read")
        check_id(id, "po", field="id")
        found = await read_payout(info.context, id)
        if found is None:
            raise NotFound("There is no such payout.", path=("id",))
        return found

    @computed("Payouts, the newest first. Needs the scope `payouts:read`.")
    async def payouts(
        self,
        info: Wire,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        filter: _Filter = None,
    ) -> Connection[Payout]:
        """A page."""
        size = check_first(first)
        if after is not None and not is_id(after, "po"):
            raise CursorInvalid(path=("after",))
        rows = await info.context.engine.treasury.page(
            info.context.tenant,
            filter.to_core() if filter else PayoutFilter(),
            first=size,
            after=after,
        )
        return connect(rows, first=size, after=after, show=show_payout, cursor=lambda row: row.id)

    @computed("The ways by which you can pay out. Needs the scope `payouts:read`.")
    async def payout_rails(self, info: Wire) -> list[PayoutRail]:
        """Those whose plugin is enabled."""
        rows = await info.context.engine.treasury.rails(info.context.tenant)
        return [PayoutRail(row=row) for row in rows]

    @computed("Where an account's money goes, by currency. Needs the scope `payouts:read`.")
    async def payout_destinations(
        self, info: Wire, account_id: _AccountId
    ) -> list[PayoutDestination]:
        """Those that hold now."""
        check_id(account_id, "acc", field="accountId")
        destinations = info.context.engine.treasury.destinations
        rows = await destinations.of_account(info.context.tenant, account_id)
        return [PayoutDestination(row=row) for row in rows]

    @computed("When an account is paid out by itself, by currency. Needs `payouts:read`.")
    async def payout_schedules(self, info: Wire, account_id: _AccountId) -> list[PayoutSchedule]:
        """One for each currency that has one."""
        check_id(account_id, "acc", field="accountId")
        schedules = info.context.engine.treasury.schedules
        rows = await schedules.of_account(info.context.tenant, account_id)
        return [PayoutSchedule(row=row) for row in rows]

    @computed("An account's holds, the newest first. Needs the scope `payouts:read`.")
    async def payout_holds(self, info: Wire, account_id: _AccountId) -> list[PayoutHold]:
        """Lifted ones too."""
        check_id(account_id, "acc", field="accountId")
        holds = info.context.engine.treasury.holds
        rows = await holds.of_account(info.context.tenant, account_id)
        return [PayoutHold(row=row) for row in rows]
