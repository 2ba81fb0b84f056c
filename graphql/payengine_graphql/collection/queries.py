"""What may be read of collections and entitlements?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.errors import NotFound

from payengine_graphql.collection.types import (
    Entitlement,
    InvoiceCollection,
    RecoveryPart,
    show_collection,
)
from payengine_graphql.context import Wire
from payengine_graphql.inputs import check_id
from payengine_graphql.scalars import DateTime
from payengine_graphql.types.fields import computed

__all__ = ["Query"]

_InvoiceId = Annotated[strawberry.ID, strawberry.argument(description="The invoice's id, inv_….")]
_CustomerId = Annotated[strawberry.ID, strawberry.argument(description="The customer's id, cus_….")]
_Since = Annotated[DateTime, strawberry.argument(description="The first instant that counts.")]
_Until = Annotated[
    DateTime, strawberry.argument(description="The first instant that does not count.")
]


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed("How an invoice is collected. Needs the scope `billing:read`.")
    async def invoice_collection(
        self, info: Wire, invoice_id: _InvoiceId
    ) -> InvoiceCollection | None:
        """By the invoice; NOT_FOUND where none is collected in this tenant."""
        info.context.require("billing:read")
        check_id(invoice_id, "inv", field="invoiceId")
        found = await info.context.loaders.collections.load(invoice_id)
        if found is None:
            raise NotFound("There is no such collection.", path=("invoiceId",))
        return show_collection(found)

    @computed(
        "What a customer may use now, by feature. Needs the scope `billing:read`. The event "
        "`entitlement.changed` tells of each change."
    )
    async def entitlements(self, info: Wire, customer_id: _CustomerId) -> list[Entitlement]:
        """See `payengine.billing.entitlements`."""
        info.context.require("billing:read")
        check_id(customer_id, "cus", field="customerId")
        rows = await info.context.engine.collection.entitlements.of(
            info.context.tenant, customer_id
        )
        return [Entitlement(row=row) for row in rows]

    @computed(
        "What first failed in a period, and by which attempt it was got in. Needs the scope "
        "`billing:read`."
    )
    async def recovery_report(self, info: Wire, since: _Since, until: _Until) -> list[RecoveryPart]:
        """See `payengine.billing.collection.report`."""
        info.context.require("billing:read")
        rows = await info.context.engine.collection.report.between(
            info.context.tenant, since=since, until=until
        )
        return [RecoveryPart(row=row) for row in rows]
