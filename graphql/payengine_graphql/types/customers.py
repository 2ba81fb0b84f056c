"""How are customers and their saved payment methods shown?"""

from __future__ import annotations

import strawberry
from payengine.customers import Customer as CustomerRow
from payengine.customers import SavedMethod

from payengine_graphql.context import Wire
from payengine_graphql.scalars import JSON, DateTime
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.nodes import Node

__all__ = ["Customer", "SavedPaymentMethod", "show_customer", "show_method"]


@strawberry.type(description="A provider's token that is kept, sealed, for later charges.")
class SavedPaymentMethod(Node):
    """See the description."""

    row: strawberry.Private[SavedMethod]
    customer_id: strawberry.ID = column("The id of the customer whose it is.")
    kind: str = column("The kind of method, such as `card`.")
    label: str = column("What the buyer recognises it by; never a card number.")
    created_at: DateTime = column("When it was saved.")
    detached_at: DateTime | None = column("When it was detached; it cannot be charged since.")

    @computed("Whose it is. Needs the scope `customers:read`.")
    async def customer(self, info: Wire) -> Customer | None:
        """By the loader."""
        info.context.require("customers:read")
        found = await info.context.loaders.customers.load(self.row.customer_id)
        return show_customer(found) if found else None


@strawberry.type(description="Somebody who pays. Name and e-mail address are sealed at rest.")
class Customer(Node):
    """See the description."""

    row: strawberry.Private[CustomerRow]
    reference: str | None = column("Your own name for this customer, unique in the tenant.")
    email: str | None = column("The e-mail address.")
    name: str | None = column("The name.")
    metadata: JSON = column("Your own notes: an object whose values are texts.")
    created_at: DateTime = column("When the customer was created.")

    @computed("The payment methods in use of this customer, the oldest first.")
    async def payment_methods(self, info: Wire) -> list[SavedPaymentMethod]:
        """By the loader."""
        rows = await info.context.loaders.methods.load(self.row.id)
        return [show_method(row) for row in rows]


def show_customer(row: CustomerRow) -> Customer:
    """The customer for the wire."""
    return Customer(id=strawberry.ID(row.id), row=row)


def show_method(row: SavedMethod) -> SavedPaymentMethod:
    """The saved method for the wire."""
    return SavedPaymentMethod(id=strawberry.ID(row.id), row=row)
