"""What may be done about settlements?"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import strawberry
from payengine.settlements import SettlementFile as FileRow
from payengine.settlements import SettlementItem as ItemRow

from payengine_graphql.context import Wire
from payengine_graphql.guarded import guarded
from payengine_graphql.settlements import inputs, payloads
from payengine_graphql.settlements.types import show_file, show_item
from payengine_graphql.types.fields import mutation

__all__ = ["Mutation"]

_INPUT = strawberry.argument(description="What is asked.")
_SCOPE = "settlements:write"


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation:
    """See the description."""

    @mutation("Take a provider's file in. Needs the scope `settlements:write`.")
    async def import_settlement_file(
        self, info: Wire, input: Annotated[inputs.ImportSettlementFileInput, _INPUT]
    ) -> payloads.ImportSettlementFilePayload:
        """See `payengine.settlements`; of the content only what is read is kept, and screened."""
        context = info.context

        async def work() -> FileRow:
            return await context.engine.settlements.import_file(context.tenant, input.to_core())

        screened = dataclasses.replace(input, content="")
        row, errors = await guarded(info, "importSettlementFile", screened, work, scope=_SCOPE)
        return payloads.ImportSettlementFilePayload(
            settlement_file=show_file(row) if row else None, errors=errors
        )

    @mutation("Say whose work an item is. Needs the scope `settlements:write`.")
    async def assign_settlement_item(
        self, info: Wire, input: Annotated[inputs.AssignSettlementItemInput, _INPUT]
    ) -> payloads.AssignSettlementItemPayload:
        """See `payengine.settlements`."""
        context = info.context

        async def work() -> ItemRow:
            return await context.engine.settlements.assign(context.tenant, input.to_core())

        row, errors = await guarded(info, "assignSettlementItem", input, work, scope=_SCOPE)
        return payloads.AssignSettlementItemPayload(
            settlement_item=show_item(row) if row else None, errors=errors
        )

    @mutation("Close an item with a reason. Needs the scope `settlements:write`.")
    async def settle_settlement_item(
        self, info: Wire, input: Annotated[inputs.SettleSettlementItemInput, _INPUT]
    ) -> payloads.SettleSettlementItemPayload:
        """See `payengine.settlements`."""
        context = info.context

        async def work() -> ItemRow:
            return await context.engine.settlements.settle(context.tenant, input.to_core())

        row, errors = await guarded(info, "settleSettlementItem", input, work, scope=_SCOPE)
        return payloads.SettleSettlementItemPayload(
            settlement_item=show_item(row) if row else None, errors=errors
        )
