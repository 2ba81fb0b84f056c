"""How are products, prices and meters shown?"""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry
from payengine.billing.models import CatalogPrice
from payengine.billing.models import Meter as MeterRow
from payengine.billing.models import Product as ProductRow

from payengine_graphql.context import RequestContext, Wire
from payengine_graphql.scalars import JSON, DateTime
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.nodes import Node

__all__ = [
    "BillingInterval",
    "LateUsagePolicy",
    "Meter",
    "MeterFormula",
    "Price",
    "Product",
    "TaxBehavior",
    "read_meter",
    "read_price",
    "read_product",
    "show_meter",
    "show_price",
    "show_product",
]


def _value(value: str, description: str) -> Any:
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="The unit of a billing period.")
class BillingInterval(Enum):
    """See the description."""

    DAY = _value("day", "Days.")
    WEEK = _value("week", "Weeks.")
    MONTH = _value("month", "Months of the calendar.")
    YEAR = _value("year", "Years of the calendar.")


@strawberry.enum(description="Whether the tax comes on top of a price or is part of it.")
class TaxBehavior(Enum):
    """See the description."""

    EXCLUSIVE = _value("exclusive", "The tax comes on top.")
    INCLUSIVE = _value("inclusive", "The tax is part of the price.")


@strawberry.enum(description="What a meter's events of a period come to.")
class MeterFormula(Enum):
    """See the description."""

    SUM = _value("sum", "The sum of their values.")
    COUNT = _value("count", "How many there are.")
    MAX = _value("max", "The largest value.")
    LAST = _value("last", "The value of the latest one.")
    UNIQUE = _value("unique", "How many different keys they name.")


@strawberry.enum(description="What becomes of an event whose period is invoiced already.")
class LateUsagePolicy(Enum):
    """See the description."""

    NEXT_INVOICE = _value("next_invoice", "The difference goes on the next invoice.")
    REJECT = _value("reject", "It is refused.")


@strawberry.type(description="What usage events are told of. It never changes.")
class Meter(Node):
    """See the description."""

    row: strawberry.Private[MeterRow]
    name: str = column("Its name in usage events, unique in the tenant.")
    created_at: DateTime = column("When it was made.")

    @computed("What a period's events come to.")
    def formula(self) -> MeterFormula:
        """From the row."""
        return MeterFormula(self.row.formula)

    @computed("What becomes of late events.")
    def late_policy(self) -> LateUsagePolicy:
        """From the row."""
        return LateUsagePolicy(self.row.late_policy)


@strawberry.type(
    description="A price. Nothing of it ever changes: for another price, create another one."
)
class Price(Node):
    """See the description."""

    row: strawberry.Private[CatalogPrice]
    product_id: strawberry.ID = column("The product whose price it is.")
    options: JSON = column("A price model for each currency.")
    interval_count: int | None = column("Of how many units the period consists.")
    meter_id: strawberry.ID | None = column("The meter whose usage is the quantity.")
    created_at: DateTime = column("When it was made.")
    archived_at: DateTime | None = column("Since when no new subscription may have it.")

    @computed("The unit of the period; none for what is charged once.")
    def interval_unit(self) -> BillingInterval | None:
        """From the row."""
        return BillingInterval(self.row.interval_unit) if self.row.interval_unit else None

    @computed("Whether the tax comes on top.")
    def tax_behavior(self) -> TaxBehavior:
        """From the row."""
        return TaxBehavior(self.row.tax_behavior)

    @computed("The meter; none where the quantity is the subscription's.")
    async def meter(self, info: Wire) -> Meter | None:
        """By the loader."""
        if self.row.meter_id is None:
            return None
        found = await info.context.loaders.meters.load(self.row.meter_id)
        return show_meter(found) if found else None


@strawberry.type(description="What is sold, and what comes with it.")
class Product(Node):
    """See the description."""

    row: strawberry.Private[ProductRow]
    reference: str = column("Your own name for it, unique in the tenant.")
    name: str = column("What customers read on invoices.")
    features: JSON = column(
        'What it entitles to: `{"seats": {"limit": 5, "perUnit": true}, "export": {}}`.'
    )
    metadata: JSON = column("Your own notes: an object whose values are texts.")
    created_at: DateTime = column("When it was made.")
    archived_at: DateTime | None = column("Since when nobody new may have it.")

    @computed("Its prices, the oldest first; archived ones too.")
    async def prices(self, info: Wire) -> list[Price]:
        """By the loader."""
        rows = await info.context.loaders.prices_of_product.load(self.row.id)
        return [show_price(row) for row in rows]


def show_meter(row: MeterRow) -> Meter:
    """The meter for the wire."""
    return Meter(id=strawberry.ID(row.id), row=row)


def show_price(row: CatalogPrice) -> Price:
    """The price for the wire."""
    return Price(id=strawberry.ID(row.id), row=row)


def show_product(row: ProductRow) -> Product:
    """The product for the wire."""
    return Product(id=strawberry.ID(row.id), row=row)


async def read_meter(context: RequestContext, meter_id: str) -> Meter | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.meters.load(meter_id)
    return show_meter(row) if row else None


async def read_price(context: RequestContext, price_id: str) -> Price | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.prices.load(price_id)
    return show_price(row) if row else None


async def read_product(context: RequestContext, product_id: str) -> Product | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.products.load(product_id)
    return show_product(row) if row else None
