"""What does usage come to?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.billing.decimals import spell_decimal
from payengine.billing.periods import Period
from payengine.errors import InputInvalid

from payengine_graphql.context import Wire
from payengine_graphql.inputs import check_id
from payengine_graphql.scalars import DateTime
from payengine_graphql.types.fields import computed

__all__ = ["Query"]

_MeterId = Annotated[strawberry.ID, strawberry.argument(description="The meter's id, mtr_….")]
_CustomerId = Annotated[strawberry.ID, strawberry.argument(description="The customer's id, cus_….")]
_Since = Annotated[DateTime, strawberry.argument(description="The first instant that counts.")]
_Until = Annotated[
    DateTime, strawberry.argument(description="The first instant that does not count.")
]


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed(
        "What a customer used of a meter in a period, as a decimal in a text. Needs the scope "
        "`billing:read`."
    )
    async def usage_quantity(
        self, info: Wire, meter_id: _MeterId, customer_id: _CustomerId, since: _Since, until: _Until
    ) -> str:
        """See `payengine.billing.usage_log`."""
        info.context.require("billing:read")
        check_id(meter_id, "mtr", field="meterId")
        check_id(customer_id, "cus", field="customerId")
        if since >= until:
            raise InputInvalid("The period ends before it begins.", path=("until",))
        quantity = await info.context.engine.usage.quantity(
            info.context.tenant,
            meter_id=meter_id,
            customer_id=customer_id,
            period=Period(start=since, end=until),
        )
        return spell_decimal(quantity)
