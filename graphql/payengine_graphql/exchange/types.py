"""How are rates, quotes and conversions shown?"""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry
from payengine.fx.models import Conversion as ConversionRow
from payengine.fx.models import FxQuote as QuoteRow
from payengine.fx.models import FxSettings as SettingsRow
from payengine.fx.models import StoredRate as RateRow
from payengine.fx.rates import DatedRate

from payengine_graphql.context import RequestContext
from payengine_graphql.scalars import Currency, DateTime
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.money import Money, money
from payengine_graphql.types.nodes import Node

__all__ = [
    "Conversion",
    "ConversionKind",
    "FxLock",
    "FxQuote",
    "FxRate",
    "FxRounding",
    "FxSettings",
    "MidRate",
    "RefundRate",
    "read_conversion",
    "read_quote",
    "show_conversion",
    "show_quote",
]


def _value(value: str, description: str) -> Any:
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="How long a rate is promised.")
class FxLock(Enum):
    """See the description."""

    NONE = _value("none", "Not at all: a rate to look at.")
    FIVE_MINUTES = _value("five_minutes", "Five minutes.")
    HOUR = _value("hour", "An hour.")
    DAY = _value("day", "A day.")


@strawberry.enum(description="What becomes of a half.")
class FxRounding(Enum):
    """See the description."""

    HALF_EVEN = _value("half_even", "It goes to the even neighbour.")
    HALF_UP = _value("half_up", "It goes away from zero.")
    DOWN = _value("down", "Everything goes towards zero.")


@strawberry.enum(description="At which rate a refund is taken back from the merchant.")
class RefundRate(Enum):
    """See the description."""

    ORIGINAL = _value("original", "At the payment's own.")
    CURRENT = _value("current", "At that of the day of the refund.")


@strawberry.enum(description="Why an amount was exchanged.")
class ConversionKind(Enum):
    """See the description."""

    ASKED = _value("asked", "Because the tenant asked for it.")
    SETTLEMENT = _value("settlement", "The provider settled a payment in another currency.")
    REFUND = _value("refund", "The provider took a refund out of another currency.")


@strawberry.type(description="A rate as somebody told it; it is never changed.")
class FxRate:
    """See the description."""

    row: strawberry.Private[RateRow]
    id: strawberry.ID = column("The rate's id.")
    source: str = column("Who told it: a rate source, or `tenant` for your own.")
    base: Currency = column("The currency of which one unit is told.")
    currency: Currency = column("The currency of the rate.")
    rate: str = column("Units of the currency for one of the base, exact.")
    told_at: DateTime = column("When it was told; of one day, the last told holds.")

    @computed("The day for which it holds, such as 2026-03-01.")
    def day(self) -> str:
        """In ISO 8601."""
        return self.row.day.isoformat()


@strawberry.type(description="The mid rate that holds now for a pair of currencies.")
class MidRate:
    """See the description."""

    row: strawberry.Private[DatedRate]
    rate: str = column("Units of the target for one of the source: exact, a decimal or a ratio.")
    rate_source: str = column("Who told it.")

    @computed("The day for which it was told.")
    def rate_date(self) -> str:
        """In ISO 8601."""
        return self.row.rate_date.isoformat()


@strawberry.type(description="A promise of a rate for one amount; it is used once.")
class FxQuote(Node):
    """See the description."""

    row: strawberry.Private[QuoteRow]
    mid_rate: str = column("The rate without the markup, exact.")
    customer_rate: str = column("The rate with it, exact.")
    markup_bps: int = column("The markup in basis points.")
    rounding: FxRounding = column("What became of a half.")
    rate_source: str = column("Who told the rate.")
    rate_date: str = column("The day for which it was told.")
    lock: FxLock = column("How long it is promised.")
    created_at: DateTime = column("When it was made.")
    expires_at: DateTime = column("The first instant at which it holds no more.")
    used_at: DateTime | None = column("When it was used.")

    @computed("What is given.")
    def source(self) -> Money:
        """In the source's currency."""
        return money(self.row.source_minor, self.row.source_currency)

    @computed("What is got for it.")
    def target(self) -> Money:
        """In the target's currency."""
        return money(self.row.target_minor, self.row.target_currency)

    @computed("What it is worth at the mid rate.")
    def mid(self) -> Money:
        """In the target's currency."""
        return money(self.row.mid_minor, self.row.target_currency)

    @computed("What of that the platform keeps.")
    def markup(self) -> Money:
        """In the target's currency."""
        return money(self.row.markup_minor, self.row.target_currency)


@strawberry.type(
    description="What an account gave in one currency and got in another; of a payment, what the "
    "buyer saw and what the merchant has for it."
)
class Conversion(Node):
    """See the description."""

    row: strawberry.Private[ConversionRow]
    kind: ConversionKind = column("Why it was exchanged.")
    account: str = column("The ledger's account.")
    mid_rate: str = column("The rate without the markup, exact.")
    markup_bps: int = column("The markup in basis points.")
    rate_source: str = column("Who told the rate.")
    rate_date: str = column("The day for which it was told.")
    quote_id: strawberry.ID | None = column("The quote that it used.")
    payment_id: strawberry.ID | None = column("The payment whose money it is.")
    created_at: DateTime = column("When it was made.")
    settled_at: DateTime | None = column("When the provider told what it made of it.")

    @computed("What was given: of a payment, what the buyer saw.")
    def source(self) -> Money:
        """In the source's currency."""
        return money(self.row.source_minor, self.row.source_currency)

    @computed("What was got for it: of a payment, what it settles for.")
    def target(self) -> Money:
        """In the target's currency."""
        return money(self.row.target_minor, self.row.target_currency)

    @computed("What it was worth at the mid rate.")
    def mid(self) -> Money:
        """In the target's currency."""
        return money(self.row.mid_minor, self.row.target_currency)

    @computed("What of that the platform kept.")
    def markup(self) -> Money:
        """In the target's currency."""
        return money(self.row.markup_minor, self.row.target_currency)

    @computed("What the provider made of it; null until it is known.")
    def received(self) -> Money | None:
        """In the target's currency."""
        minor = self.row.received_minor
        return None if minor is None else money(minor, self.row.target_currency)

    @computed("What was gained by the provider's rate.")
    def gain(self) -> Money:
        """In the target's currency."""
        return money(self.row.gain_minor, self.row.target_currency)

    @computed("What was lost by it.")
    def loss(self) -> Money:
        """In the target's currency."""
        return money(self.row.loss_minor, self.row.target_currency)


@strawberry.type(description="How a tenant exchanges.")
class FxSettings:
    """See the description."""

    row: strawberry.Private[SettingsRow]
    markup_bps: int = column("The markup in basis points.")
    rounding: FxRounding = column("What becomes of a half.")
    sources: list[str] = column("Whose rates, in this order; empty: your own, then every plugin's.")
    convert_at_settlement: bool = column(
        "Whether what a provider settled in another currency is converted for the merchant too."
    )
    refund_rate: RefundRate = column("At which rate a refund of it is taken back.")
    updated_at: DateTime | None = column("When it was chosen; null: never.")


def show_quote(row: QuoteRow) -> FxQuote:
    """The quote for the wire."""
    return FxQuote(id=strawberry.ID(row.id), row=row)


def show_conversion(row: ConversionRow) -> Conversion:
    """The conversion for the wire."""
    return Conversion(id=strawberry.ID(row.id), row=row)


async def read_quote(context: RequestContext, quote_id: str) -> FxQuote | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.fx_quotes.load(quote_id)
    return show_quote(row) if row else None


async def read_conversion(context: RequestContext, conversion_id: str) -> Conversion | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.conversions.load(conversion_id)
    return show_conversion(row) if row else None
