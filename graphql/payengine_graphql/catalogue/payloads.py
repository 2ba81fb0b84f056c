"""What does a mutation of the catalogue answer?"""

from __future__ import annotations

import strawberry

from payengine_graphql.catalogue.types import Meter, Price, Product
from payengine_graphql.types.problems import Problem

__all__ = [
    "ArchivePricePayload",
    "ArchiveProductPayload",
    "CreateMeterPayload",
    "CreatePricePayload",
    "CreateProductPayload",
]

_ERRORS = "Why it was not done; empty where it was."


@strawberry.type(description="The answer to createProduct.")
class CreateProductPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    product: Product | None = strawberry.field(
        description="The product as it now stands.", default=None
    )


@strawberry.type(description="The answer to archiveProduct.")
class ArchiveProductPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    product: Product | None = strawberry.field(
        description="The product as it now stands.", default=None
    )


@strawberry.type(description="The answer to createPrice.")
class CreatePricePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    price: Price | None = strawberry.field(description="The price.", default=None)


@strawberry.type(description="The answer to archivePrice.")
class ArchivePricePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    price: Price | None = strawberry.field(description="The price as it now stands.", default=None)


@strawberry.type(description="The answer to createMeter.")
class CreateMeterPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    meter: Meter | None = strawberry.field(description="The meter.", default=None)
