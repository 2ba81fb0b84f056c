"""What does a mutation about exchange answer?"""

from __future__ import annotations

import strawberry

from payengine_graphql.exchange.types import Conversion, FxQuote, FxSettings
from payengine_graphql.types.problems import Problem

__all__ = [
    "ConvertBalancePayload",
    "CreateFxQuotePayload",
    "PushRatesPayload",
    "SetFxSettingsPayload",
]

_ERRORS = "Why it was not done; empty where it was."


@strawberry.type(description="The answer to pushRates.")
class PushRatesPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    added: int | None = strawberry.field(description="How many rates were new.", default=None)


@strawberry.type(description="The answer to createFxQuote.")
class CreateFxQuotePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    fx_quote: FxQuote | None = strawberry.field(description="The quote.", default=None)


@strawberry.type(description="The answer to convertBalance.")
class ConvertBalancePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    conversion: Conversion | None = strawberry.field(description="The conversion.", default=None)


@strawberry.type(description="The answer to setFxSettings.")
class SetFxSettingsPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    fx_settings: FxSettings | None = strawberry.field(
        description="What holds from now on.", default=None
    )
