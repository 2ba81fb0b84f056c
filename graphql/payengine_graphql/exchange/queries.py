"""What may be read of rates, quotes and conversions?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.errors import CursorInvalid, NotFound
from payengine.ids import is_id

from payengine_graphql.context import Wire
from payengine_graphql.exchange.inputs import parse_day
from payengine_graphql.exchange.types import (
    Conversion,
    FxQuote,
    FxRate,
    FxSettings,
    MidRate,
    read_conversion,
    read_quote,
    show_conversion,
    show_quote,
)
from payengine_graphql.inputs import check_id
from payengine_graphql.scalars import Currency
from payengine_graphql.types.fields import computed
from payengine_graphql.types.nodes import (
    DEFAULT_PAGE,
    MAX_PAGE,
    Connection,
    check_first,
    connect,
)

__all__ = ["Query"]

_First = Annotated[int, strawberry.argument(description=f"The size of the page, 1 to {MAX_PAGE}.")]
_After = Annotated[
    str | None, strawberry.argument(description="A cursor: the page begins behind it.")
]
_QuoteId = Annotated[strawberry.ID, strawberry.argument(description="The quote's id, fxq_….")]
_ConversionId = Annotated[
    strawberry.ID, strawberry.argument(description="The conversion's id, fxc_….")
]
_PaymentId = Annotated[
    strawberry.ID | None, strawberry.argument(description="Only those of this payment, pay_….")
]
_Source = Annotated[str | None, strawberry.argument(description="Only what this source told.")]
_Of = Annotated[Currency | None, strawberry.argument(description="Only rates of this currency.")]
_Day = Annotated[str | None, strawberry.argument(description="Only rates of this day.")]
_From = Annotated[Currency, strawberry.argument(description="The currency that is given.")]
_To = Annotated[Currency, strawberry.argument(description="The currency that is wanted.")]


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed("The rates that were told, the latest first. Needs the scope `fx:read`.")
    async def fx_rates(
        self,
        info: Wire,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        source: _Source = None,
        currency: _Of = None,
        day: _Day = None,
    ) -> Connection[FxRate]:
        """A page."""
        info.context.require("fx:read")
        rows = await info.context.engine.exchange.book.page(
            info.context.tenant,
            first=check_first(first),
            after=_cursor(after, "fxr"),
            source=source,
            currency=currency,
            day=parse_day(day, field="day") if day is not None else None,
        )
        return connect(
            rows,
            first=first,
            after=after,
            show=lambda row: FxRate(row=row),
            cursor=lambda row: row.id,
        )

    @computed("The mid rate that holds now; RATE_NOT_AVAILABLE where nobody knows. `fx:read`.")
    async def mid_rate(self, info: Wire, source: _From, target: _To) -> MidRate:
        """By the tenant's sources."""
        found = await info.context.engine.exchange.rate(
            info.context.tenant, source=source, target=target
        )
        return MidRate(row=found)

    @computed("How the tenant exchanges. Needs the scope `fx:read`.")
    async def fx_settings(self, info: Wire) -> FxSettings:
        """As chosen, or the defaults."""
        return FxSettings(row=await info.context.engine.exchange.settings(info.context.tenant))

    @computed("One quote. Needs the scope `fx:read`.")
    async def fx_quote(self, info: Wire, id: _QuoteId) -> FxQuote | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("fx:read")
        check_id(id, "fxq", field="id")
        found = await read_quote(info.context, id)
        if found is None:
            raise NotFound("There is no such quote.", path=("id",))
        return found

    @computed("Quotes, the newest first. Needs the scope `fx:read`.")
    async def fx_quotes(
        self, info: Wire, first: _First = DEFAULT_PAGE, after: _After = None
    ) -> Connection[FxQuote]:
        """A page."""
        rows = await info.context.engine.exchange.quotes(
            info.context.tenant, first=check_first(first), after=_cursor(after, "fxq")
        )
        return connect(rows, first=first, after=after, show=show_quote, cursor=lambda row: row.id)

    @computed("One conversion. Needs the scope `fx:read`.")
    async def conversion(self, info: Wire, id: _ConversionId) -> Conversion | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("fx:read")
        check_id(id, "fxc", field="id")
        found = await read_conversion(info.context, id)
        if found is None:
            raise NotFound("There is no such conversion.", path=("id",))
        return found

    @computed("Conversions, the newest first. Needs the scope `fx:read`.")
    async def conversions(
        self,
        info: Wire,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        payment_id: _PaymentId = None,
    ) -> Connection[Conversion]:
        """A page."""
        if payment_id is not None:
            check_id(payment_id, "pay", field="paymentId")
        rows = await info.context.engine.exchange.conversions(
            info.context.tenant,
            first=check_first(first),
            after=_cursor(after, "fxc"),
            payment_id=payment_id,
        )
        return connect(
            rows, first=first, after=after, show=show_conversion, cursor=lambda row: row.id
        )


def _cursor(after: str | None, prefix: str) -> str | None:
    if after is not None and not is_id(after, prefix):
        raise CursorInvalid(path=("after",))
    return after
