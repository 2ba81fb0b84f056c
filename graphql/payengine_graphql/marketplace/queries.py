"""What may be read of accounts, rules, escrows and transfers?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.errors import CursorInvalid, NotFound
from payengine.ids import is_id

from payengine_graphql.context import Wire
from payengine_graphql.inputs import check_id
from payengine_graphql.marketplace.enums import AccountStatus, EscrowStatus
from payengine_graphql.marketplace.types import (
    AccountTransfer,
    ConnectedAccount,
    Escrow,
    SplitRule,
    read_account,
    read_escrow,
    show_account,
    show_account_transfer,
    show_escrow,
    show_split_rule,
)
from payengine_graphql.types.fields import computed
from payengine_graphql.types.nodes import DEFAULT_PAGE, MAX_PAGE, Connection, check_first, connect

__all__ = ["Query"]

_SCOPE = "accounts:read"
_First = Annotated[int, strawberry.argument(description=f"The size of the page, 1 to {MAX_PAGE}.")]
_After = Annotated[
    str | None, strawberry.argument(description="A cursor: the page begins behind it.")
]
_AccountId = Annotated[strawberry.ID, strawberry.argument(description="The account's id, acc_….")]
_EscrowId = Annotated[strawberry.ID, strawberry.argument(description="The escrow's id, esc_….")]
_AccountIn = Annotated[
    AccountStatus | None, strawberry.argument(description="Only those in this state.")
]
_EscrowIn = Annotated[
    EscrowStatus | None, strawberry.argument(description="Only those in this state.")
]


def _check_after(after: str | None, prefix: str) -> None:
    if after is not None and not is_id(after, prefix):
        raise CursorInvalid(path=("after",))


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed("One connected account. Needs the scope `accounts:read`.")
    async def connected_account(self, info: Wire, id: _AccountId) -> ConnectedAccount | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require(_SCOPE)
        check_id(id, "acc", field="id")
        found = await read_account(info.context, id)
        if found is None:
            raise NotFound("There is no such account.", path=("id",))
        return found

    @computed("Connected accounts, the newest first. Needs the scope `accounts:read`.")
    async def connected_accounts(
        self,
        info: Wire,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        status: _AccountIn = None,
    ) -> Connection[ConnectedAccount]:
        """A page."""
        info.context.require(_SCOPE)
        _check_after(after, "acc")
        rows = await info.context.engine.marketplace.accounts.page(
            info.context.tenant,
            first=check_first(first),
            after=after,
            status=status.value if status else None,
        )
        return connect(rows, first=first, after=after, show=show_account, cursor=lambda row: row.id)

    @computed("The agreed commissions, the newest first. Needs the scope `accounts:read`.")
    async def split_rules(
        self, info: Wire, first: _First = DEFAULT_PAGE, after: _After = None
    ) -> Connection[SplitRule]:
        """A page."""
        info.context.require(_SCOPE)
        _check_after(after, "spr")
        rows = await info.context.engine.marketplace.rules.page(
            info.context.tenant, first=check_first(first), after=after
        )
        return connect(
            rows, first=first, after=after, show=show_split_rule, cursor=lambda row: row.id
        )

    @computed("One escrow. Needs the scope `accounts:read`.")
    async def escrow(self, info: Wire, id: _EscrowId) -> Escrow | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require(_SCOPE)
        check_id(id, "esc", field="id")
        found = await read_escrow(info.context, id)
        if found is None:
            raise NotFound("There is no such escrow.", path=("id",))
        return found

    @computed("Escrows, the newest first. Needs the scope `accounts:read`.")
    async def escrows(
        self,
        info: Wire,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        status: _EscrowIn = None,
    ) -> Connection[Escrow]:
        """A page."""
        info.context.require(_SCOPE)
        _check_after(after, "esc")
        rows = await info.context.engine.marketplace.escrows.page(
            info.context.tenant,
            first=check_first(first),
            after=after,
            status=status.value if status else None,
        )
        return connect(rows, first=first, after=after, show=show_escrow, cursor=lambda row: row.id)

    @computed("Transfers between accounts, the newest first. Needs the scope `accounts:read`.")
    async def account_transfers(
        self, info: Wire, first: _First = DEFAULT_PAGE, after: _After = None
    ) -> Connection[AccountTransfer]:
        """A page."""
        info.context.require(_SCOPE)
        _check_after(after, "atr")
        rows = await info.context.engine.marketplace.transfers.page(
            info.context.tenant, first=check_first(first), after=after
        )
        return connect(
            rows, first=first, after=after, show=show_account_transfer, cursor=lambda row: row.id
        )
