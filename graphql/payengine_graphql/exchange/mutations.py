"""What may be done about exchange?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.fx.models import Conversion as ConversionRow
from payengine.fx.models import FxQuote as QuoteRow
from payengine.fx.models import FxSettings as SettingsRow

from payengine_graphql.context import Wire
from payengine_graphql.exchange import inputs, payloads
from payengine_graphql.exchange.types import FxSettings, show_conversion, show_quote
from payengine_graphql.guarded import guarded
from payengine_graphql.types.fields import mutation

__all__ = ["Mutation"]

_INPUT = strawberry.argument(description="What is asked.")
_SCOPE = "fx:write"


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation:
    """See the description."""

    @mutation("Keep rates of your own. Needs the scope `fx:write`.")
    async def push_rates(
        self, info: Wire, input: Annotated[inputs.PushRatesInput, _INPUT]
    ) -> payloads.PushRatesPayload:
        """See `payengine.fx.desk`."""
        context = info.context

        async def work() -> int:
            return await context.engine.exchange.push_rates(context.tenant, input.to_core())

        added, errors = await guarded(info, "pushRates", input, work, scope=_SCOPE)
        return payloads.PushRatesPayload(added=added, errors=errors)

    @mutation("Ask what an amount is worth, and have it promised. Needs the scope `fx:write`.")
    async def create_fx_quote(
        self, info: Wire, input: Annotated[inputs.CreateFxQuoteInput, _INPUT]
    ) -> payloads.CreateFxQuotePayload:
        """See `payengine.fx.desk`."""
        context = info.context

        async def work() -> QuoteRow:
            return await context.engine.exchange.create_quote(context.tenant, input.to_core())

        row, errors = await guarded(info, "createFxQuote", input, work, scope=_SCOPE)
        return payloads.CreateFxQuotePayload(
            fx_quote=show_quote(row) if row else None, errors=errors
        )

    @mutation("Exchange what an account has. Needs the scope `fx:write`.")
    async def convert_balance(
        self, info: Wire, input: Annotated[inputs.ConvertBalanceInput, _INPUT]
    ) -> payloads.ConvertBalancePayload:
        """See `payengine.fx.desk`."""
        context = info.context

        async def work() -> ConversionRow:
            return await context.engine.exchange.convert(context.tenant, input.to_core())

        row, errors = await guarded(info, "convertBalance", input, work, scope=_SCOPE)
        return payloads.ConvertBalancePayload(
            conversion=show_conversion(row) if row else None, errors=errors
        )

    @mutation("Choose how to exchange. Needs the scope `fx:write`.")
    async def set_fx_settings(
        self, info: Wire, input: Annotated[inputs.SetFxSettingsInput, _INPUT]
    ) -> payloads.SetFxSettingsPayload:
        """See `payengine.fx.desk`."""
        context = info.context

        async def work() -> SettingsRow:
            return await context.engine.exchange.set_settings(context.tenant, input.to_core())

        row, errors = await guarded(info, "setFxSettings", input, work, scope=_SCOPE)
        return payloads.SetFxSettingsPayload(
            fx_settings=FxSettings(row=row) if row else None, errors=errors
        )
