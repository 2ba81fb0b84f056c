"""What may a client ask about a collection?"""

from __future__ import annotations

import strawberry
from payengine.billing.collection.desk import RetryCollection, UpdateSubscriptionMethod

__all__ = ["RetryCollectionInput", "UpdateSubscriptionMethodInput"]

_KEY = "1 to 255 printable characters of your own: the same key never does it twice."


@strawberry.input(description="Charge an invoice once more, now.")
class RetryCollectionInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    invoice_id: strawberry.ID = strawberry.field(description="The invoice's id, inv_….")

    def to_core(self) -> RetryCollection:
        """For the engine."""
        return RetryCollection(idempotency_key=self.idempotency_key, invoice_id=self.invoice_id)


@strawberry.input(description="Charge a subscription by another saved method from now on.")
class UpdateSubscriptionMethodInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    subscription_id: strawberry.ID = strawberry.field(description="The subscription's id, sub_….")
    payment_method_id: strawberry.ID = strawberry.field(
        description="A saved method of its customer, pm_…."
    )

    def to_core(self) -> UpdateSubscriptionMethod:
        """For the engine."""
        return UpdateSubscriptionMethod(
            idempotency_key=self.idempotency_key,
            subscription_id=self.subscription_id,
            payment_method_id=self.payment_method_id,
        )
