"""How does the catalogue change?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.billing.models import CatalogPrice
from payengine.billing.models import Meter as MeterRow
from payengine.billing.models import Product as ProductRow

from payengine_graphql.catalogue import inputs, payloads
from payengine_graphql.catalogue.types import show_meter, show_price, show_product
from payengine_graphql.context import Wire
from payengine_graphql.guarded import guarded
from payengine_graphql.types.fields import mutation

__all__ = ["Mutation"]

_INPUT = strawberry.argument(description="What is asked.")
_SCOPE = "billing:write"


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation:
    """See the description."""

    @mutation("Add a product. Needs the scope `billing:write`.")
    async def create_product(
        self, info: Wire, input: Annotated[inputs.CreateProductInput, _INPUT]
    ) -> payloads.CreateProductPayload:
        """See `payengine.billing.catalogue`."""

        async def work() -> ProductRow:
            context = info.context
            return await context.engine.catalogue.create_product(context.tenant, input.to_core())

        row, errors = await guarded(info, "createProduct", input, work, scope=_SCOPE)
        shown = show_product(row) if row else None
        return payloads.CreateProductPayload(product=shown, errors=errors)

    @mutation("Offer a product no more. Needs the scope `billing:write`.")
    async def archive_product(
        self, info: Wire, input: Annotated[inputs.ArchiveProductInput, _INPUT]
    ) -> payloads.ArchiveProductPayload:
        """See `payengine.billing.catalogue`."""

        async def work() -> ProductRow:
            context = info.context
            return await context.engine.catalogue.archive_product(context.tenant, input.to_core())

        row, errors = await guarded(info, "archiveProduct", input, work, scope=_SCOPE)
        shown = show_product(row) if row else None
        return payloads.ArchiveProductPayload(product=shown, errors=errors)

    @mutation("Add a price to a product. Needs the scope `billing:write`.")
    async def create_price(
        self, info: Wire, input: Annotated[inputs.CreatePriceInput, _INPUT]
    ) -> payloads.CreatePricePayload:
        """See `payengine.billing.catalogue`."""

        async def work() -> CatalogPrice:
            context = info.context
            return await context.engine.catalogue.create_price(context.tenant, input.to_core())

        row, errors = await guarded(info, "createPrice", input, work, scope=_SCOPE)
        shown = show_price(row) if row else None
        return payloads.CreatePricePayload(price=shown, errors=errors)

    @mutation("Offer a price no more. Needs the scope `billing:write`.")
    async def archive_price(
        self, info: Wire, input: Annotated[inputs.ArchivePriceInput, _INPUT]
    ) -> payloads.ArchivePricePayload:
        """See `payengine.billing.catalogue`."""

        async def work() -> CatalogPrice:
            context = info.context
            return await context.engine.catalogue.archive_price(context.tenant, input.to_core())

        row, errors = await guarded(info, "archivePrice", input, work, scope=_SCOPE)
        shown = show_price(row) if row else None
        return payloads.ArchivePricePayload(price=shown, errors=errors)

    @mutation("Add a meter, of which usage can be told. Needs the scope `billing:write`.")
    async def create_meter(
        self, info: Wire, input: Annotated[inputs.CreateMeterInput, _INPUT]
    ) -> payloads.CreateMeterPayload:
        """See `payengine.billing.catalogue`."""

        async def work() -> MeterRow:
            context = info.context
            return await context.engine.catalogue.create_meter(context.tenant, input.to_core())

        row, errors = await guarded(info, "createMeter", input, work, scope=_SCOPE)
        shown = show_meter(row) if row else None
        return payloads.CreateMeterPayload(meter=shown, errors=errors)
