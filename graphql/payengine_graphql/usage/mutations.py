"""How is usage told?"""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import strawberry
from payengine.billing.models import UsageReceipt as ReceiptRow

from payengine_graphql.context import Wire
from payengine_graphql.guarded import guarded
from payengine_graphql.types.fields import mutation
from payengine_graphql.usage.inputs import RecordUsageInput
from payengine_graphql.usage.types import RecordUsagePayload, UsageReceipt

__all__ = ["Mutation"]

_INPUT = strawberry.argument(description="What is asked.")


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation:
    """See the description."""

    @mutation(
        "Tell what customers used, up to 1,000 events at once. An event that is refused keeps no "
        "other one out. Needs the scope `billing:write`."
    )
    async def record_usage(
        self, info: Wire, input: Annotated[RecordUsageInput, _INPUT]
    ) -> RecordUsagePayload:
        """See `payengine.billing.usage_log`."""

        async def work() -> list[ReceiptRow]:
            context = info.context
            return await context.engine.usage.record(context.tenant, input.to_core())

        receipts, errors = await guarded(info, "recordUsage", input, work, scope="billing:write")
        outcomes = Counter(each.outcome for each in receipts or ())
        return RecordUsagePayload(
            errors=errors,
            receipts=[UsageReceipt(row=row) for row in receipts or ()],
            accepted=outcomes["accepted"],
            duplicates=outcomes["duplicate"],
            refused=outcomes["refused"],
        )
