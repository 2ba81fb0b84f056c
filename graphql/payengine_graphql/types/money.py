"""How is an amount shown?"""

from __future__ import annotations

import strawberry
from payengine.money import decimal_text

from payengine_graphql.scalars import Currency, MinorUnits
from payengine_graphql.types.fields import computed

__all__ = ["Money", "MoneyInput", "money"]


@strawberry.type(description="An exact amount of one currency.")
class Money:
    """See the description."""

    amount_minor: MinorUnits = strawberry.field(
        description="The amount in the currency's minor unit: 1234 of EUR is 12.34."
    )
    currency: Currency = strawberry.field(description="The ISO 4217 code.")

    @computed("The amount with the digits of its currency: `12.34 EUR`.")
    def formatted(self) -> str:
        """In major units; exact."""
        return f"{decimal_text(self.amount_minor, self.currency)} {self.currency}"


@strawberry.input(description="An amount to be charged.")
class MoneyInput:
    """See the description."""

    amount_minor: MinorUnits = strawberry.field(
        description="More than zero, at most 999,999,999,999, in the currency's minor unit."
    )
    currency: Currency = strawberry.field(description="An active ISO 4217 code.")


def money(minor: int, currency: str) -> Money:
    """`minor` units of `currency` for the wire."""
    return Money(amount_minor=MinorUnits(minor), currency=Currency(currency))
