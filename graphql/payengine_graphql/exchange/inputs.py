"""What may a client send about exchange?"""

from __future__ import annotations

from datetime import date

import strawberry
from payengine.errors import InputInvalid
from payengine.fx.models import (
    ConvertBalance,
    CreateFxQuote,
    PushedRate,
    PushRates,
    SetFxSettings,
)

from payengine_graphql.exchange.types import FxLock, FxRounding, RefundRate
from payengine_graphql.inputs import check_id
from payengine_graphql.scalars import Currency
from payengine_graphql.types.money import MoneyInput

__all__ = [
    "ConvertBalanceInput",
    "CreateFxQuoteInput",
    "FxRateInput",
    "PushRatesInput",
    "SetFxSettingsInput",
    "parse_day",
]

_KEY = "1 to 255 printable characters of your own: the same key never does it twice."
_MOST_RATES = 1_000


def parse_day(text: str, *, field: str) -> date:
    """A day such as 2026-03-01; raises `InputInvalid`."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputInvalid("This is not a day such as 2026-03-01.", path=(field,)) from None


@strawberry.input(description="A rate of your own.")
class FxRateInput:
    """See the description."""

    day: str = strawberry.field(description="The day for which it holds, such as 2026-03-01.")
    currency: Currency = strawberry.field(description="The currency of the rate.")
    rate: str = strawberry.field(
        description="Units of the currency for one of the base: a decimal, or a ratio `625/97300`."
    )


@strawberry.input(description="Rates of your own.")
class PushRatesInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    base: Currency = strawberry.field(description="The currency of which one unit is told.")
    rates: list[FxRateInput] = strawberry.field(description="At most a thousand.")

    def to_core(self) -> PushRates:
        """For the engine."""
        if len(self.rates) > _MOST_RATES:
            raise InputInvalid("At most 1,000 rates are pushed at once.", path=("rates",))
        told = tuple(
            PushedRate(
                day=parse_day(each.day, field="rates"), currency=each.currency, rate=each.rate
            )
            for each in self.rates
        )
        return PushRates(idempotency_key=self.idempotency_key, base=self.base, rates=told)


@strawberry.input(description="Ask what an amount is worth.")
class CreateFxQuoteInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    source: MoneyInput = strawberry.field(description="What is given.")
    target_currency: Currency = strawberry.field(description="What is wanted for it.")
    lock: FxLock = strawberry.field(
        description="How long it is promised.", default=FxLock.FIVE_MINUTES
    )
    markup_bps: int | None = strawberry.field(
        description="The markup in basis points; null: as it is set.", default=None
    )
    rounding: FxRounding | None = strawberry.field(
        description="What becomes of a half; null: as it is set.", default=None
    )

    def to_core(self) -> CreateFxQuote:
        """For the engine."""
        return CreateFxQuote(
            idempotency_key=self.idempotency_key,
            source_minor=self.source.amount_minor,
            source_currency=self.source.currency,
            target_currency=self.target_currency,
            lock=self.lock.value,
            markup_bps=self.markup_bps,
            rounding=self.rounding.value if self.rounding else None,
        )


@strawberry.input(description="Exchange what an account has: by a quote, or an amount now.")
class ConvertBalanceInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    quote_id: strawberry.ID | None = strawberry.field(
        description="The quote, fxq_…, for all of its amount.", default=None
    )
    source: MoneyInput | None = strawberry.field(
        description="What is given, at the rate of now; not with a quote.", default=None
    )
    target_currency: Currency | None = strawberry.field(
        description="What is wanted for it; not with a quote.", default=None
    )
    account: str = strawberry.field(
        description="The ledger's account: a liability.", default="merchant_payable:main"
    )
    payment_id: strawberry.ID | None = strawberry.field(
        description="The payment whose money it is, pay_….", default=None
    )

    def to_core(self) -> ConvertBalance:
        """For the engine."""
        if self.quote_id is not None:
            check_id(self.quote_id, "fxq", field="quoteId")
        if self.payment_id is not None:
            check_id(self.payment_id, "pay", field="paymentId")
        return ConvertBalance(
            idempotency_key=self.idempotency_key,
            quote_id=self.quote_id,
            source_minor=self.source.amount_minor if self.source else None,
            source_currency=self.source.currency if self.source else None,
            target_currency=self.target_currency,
            account=self.account,
            payment_id=self.payment_id,
        )


@strawberry.input(description="How the tenant exchanges from now on; what is null stays.")
class SetFxSettingsInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    markup_bps: int | None = strawberry.field(
        description="The markup in basis points, 0 to 9999.", default=None
    )
    rounding: FxRounding | None = strawberry.field(
        description="What becomes of a half.", default=None
    )
    sources: list[str] | None = strawberry.field(
        description="Whose rates, in this order, such as `tenant` and `ecb`.", default=None
    )
    convert_at_settlement: bool | None = strawberry.field(
        description="Whether what was settled in another currency is converted too.", default=None
    )
    refund_rate: RefundRate | None = strawberry.field(
        description="At which rate a refund is taken back.", default=None
    )

    def to_core(self) -> SetFxSettings:
        """For the engine."""
        return SetFxSettings(
            idempotency_key=self.idempotency_key,
            markup_bps=self.markup_bps,
            rounding=self.rounding.value if self.rounding else None,
            sources=tuple(self.sources) if self.sources is not None else None,
            convert_at_settlement=self.convert_at_settlement,
            refund_rate=self.refund_rate.value if self.refund_rate else None,
        )
