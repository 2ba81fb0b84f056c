"""What may a client send about the catalogue?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import strawberry
from payengine.billing.models import (
    ArchivePrice,
    ArchiveProduct,
    CreateMeter,
    CreatePrice,
    CreateProduct,
)
from payengine.errors import InputInvalid

from payengine_graphql.catalogue.types import (
    BillingInterval,
    LateUsagePolicy,
    MeterFormula,
    TaxBehavior,
)
from payengine_graphql.scalars import JSON

__all__ = [
    "ArchivePriceInput",
    "ArchiveProductInput",
    "CreateMeterInput",
    "CreatePriceInput",
    "CreateProductInput",
]

_KEY = "1 to 255 printable characters of your own: the same key never does it twice."


def _object(given: object, *, field: str) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputInvalid(f"The {field} are an object.", path=(field,))
    return dict(given)


@strawberry.input(description="A new product.")
class CreateProductInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    reference: str = strawberry.field(description="Your own name for it, unique in the tenant.")
    name: str = strawberry.field(description="What customers read on invoices.")
    features: JSON | None = strawberry.field(
        description='What it entitles to: `{"seats": {"limit": 5, "perUnit": true}}`; '
        "without a limit there is none.",
        default=None,
    )
    metadata: JSON | None = strawberry.field(
        description="Your own notes: an object whose values are texts.", default=None
    )

    def to_core(self) -> CreateProduct:
        """For the engine."""
        return CreateProduct(
            idempotency_key=self.idempotency_key,
            reference=self.reference,
            name=self.name,
            features=_object(self.features, field="features"),
            metadata=_object(self.metadata, field="metadata"),
        )


@strawberry.input(description="Offer a product no more.")
class ArchiveProductInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    product_id: strawberry.ID = strawberry.field(description="The product's id, prd_….")

    def to_core(self) -> ArchiveProduct:
        """For the engine."""
        return ArchiveProduct(idempotency_key=self.idempotency_key, product_id=self.product_id)


@strawberry.input(description="A new price of a product.")
class CreatePriceInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    product_id: strawberry.ID = strawberry.field(description="The product's id, prd_….")
    options: JSON = strawberry.field(
        description="A price model for each currency, in minor units, decimals allowed: "
        '`{"EUR": {"model": "per_unit", "unit_amount": "950"}}` is 9.50 EUR. The models are '
        "`flat` (`flat_amount`), `per_unit`, `graduated`, `volume` and `package`."
    )
    interval_unit: BillingInterval | None = strawberry.field(
        description="The unit of the period; left out for what is charged once.", default=None
    )
    interval_count: int | None = strawberry.field(
        description="Of how many units the period consists; 1 unless given.", default=None
    )
    meter_id: strawberry.ID | None = strawberry.field(
        description="The meter whose usage is the quantity, mtr_….", default=None
    )
    tax_behavior: TaxBehavior = strawberry.field(
        description="Whether the tax comes on top.", default=TaxBehavior.EXCLUSIVE
    )

    def to_core(self) -> CreatePrice:
        """For the engine."""
        return CreatePrice(
            idempotency_key=self.idempotency_key,
            product_id=self.product_id,
            options=_object(self.options, field="options"),
            interval_unit=self.interval_unit.value if self.interval_unit else None,
            interval_count=self.interval_count,
            meter_id=self.meter_id,
            tax_behavior=self.tax_behavior.value,
        )


@strawberry.input(description="Offer a price no more; subscriptions that have it keep it.")
class ArchivePriceInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    price_id: strawberry.ID = strawberry.field(description="The price's id, prc_….")

    def to_core(self) -> ArchivePrice:
        """For the engine."""
        return ArchivePrice(idempotency_key=self.idempotency_key, price_id=self.price_id)


@strawberry.input(description="A new meter.")
class CreateMeterInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    name: str = strawberry.field(description="Its name in usage events, unique in the tenant.")
    formula: MeterFormula = strawberry.field(description="What a period's events come to.")
    late_policy: LateUsagePolicy = strawberry.field(
        description="What becomes of late events.", default=LateUsagePolicy.NEXT_INVOICE
    )

    def to_core(self) -> CreateMeter:
        """For the engine."""
        return CreateMeter(
            idempotency_key=self.idempotency_key,
            name=self.name,
            formula=self.formula.value,
            late_policy=self.late_policy.value,
        )
