"""Who promises a rate, and who exchanges an account's money?

A quote is one row that is never computed again; it is used once, for its amount, before it expires.
A conversion is booked in each currency by itself, strictly: nothing leaves an account that is not
there. The conversion, its posting, its event and the idempotency key are one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import (
    AmountNotPositive,
    CurrencyMismatch,
    FxQuoteExpired,
    FxQuoteUsed,
    InputInvalid,
    NotFound,
    TransitionRefused,
)
from payengine.events.writing import insert_event
from payengine.fx.book import RateBook, append_rates
from payengine.fx.conversion import BPS
from payengine.fx.models import (
    Conversion,
    ConvertBalance,
    CreateFxQuote,
    FxQuote,
    FxSettings,
    PushRates,
    SetFxSettings,
)
from payengine.fx.quotes import LOCKS, check_usable, quote
from payengine.fx.rates import DatedRate
from payengine.fx.sources import pushed_rates
from payengine.fx.store import (
    CONVERSION,
    QUOTE,
    converted_before,
    event_of_conversion,
    find_conversion,
    find_quote,
    insert_conversion,
    insert_quote,
    posting_of_conversion,
    rates_pushed,
    read_settings,
    use_quote,
    write_settings,
)
from payengine.idempotency import check_key, claim, claimed, fingerprint
from payengine.ids import new_id
from payengine.ledger import post_strict
from payengine.ledger.chart import account_type
from payengine.money import check_amount
from payengine.storage import Database, Session
from payengine.texts import check_id

__all__ = ["Exchange"]

_ROUNDINGS = ("half_even", "half_up", "down")
_REFUND_RATES = ("original", "current")
_MOST_SOURCES = 20
_LONGEST_SOURCE = 64

_QUOTES = f"SELECT {QUOTE.listed} FROM fx_quote WHERE tenant_id = $1 AND id = ANY ($2)"
_CONVERSIONS = (
    f"SELECT {CONVERSION.listed} FROM fx_conversion WHERE tenant_id = $1 AND id = ANY ($2)"
)
_QUOTE_PAGE = f"""
    SELECT {QUOTE.listed} FROM fx_quote
    WHERE tenant_id = $1 AND id < coalesce($2, '~') ORDER BY id DESC LIMIT $3
"""
_CONVERSION_PAGE = f"""
    SELECT {CONVERSION.listed} FROM fx_conversion
    WHERE tenant_id = $1 AND id < coalesce($2, '~') AND ($3::text IS NULL OR payment_id = $3)
    ORDER BY id DESC LIMIT $4
"""

#: What of a payment may still be exchanged is checked under its lock.
_PAYMENT = """
    SELECT currency, captured_minor - refunded_minor - charged_back_minor AS left_minor
    FROM payment WHERE tenant_id = $1 AND id = $2 FOR UPDATE
"""


class Exchange:
    """Rates, quotes and conversions of all tenants; each method takes the context first."""

    def __init__(
        self, database: Database, book: RateBook, *, clock: Clock, nudge: Callable[[], None]
    ) -> None:
        """`nudge` says that there are events to publish."""
        self.book = book
        self._database = database
        self._clock = clock
        self._nudge = nudge

    async def push_rates(self, context: TenantContext, request: PushRates) -> int:
        """Keep rates of the tenant's own; how many of them were new.

        Taken as a whole or not at all. Raises `UnknownCurrency` and `InputInvalid`.
        """
        context.require("fx:write")
        check_key(request.idempotency_key)
        if not request.rates:
            raise InputInvalid("There is no rate to keep.", path=("rates",))
        days: dict[Any, dict[str, str]] = {}
        for each in request.rates:
            if each.currency in days.setdefault(each.day, {}):
                raise InputInvalid("A currency has one rate a day.", path=("rates",))
            days[each.day][each.currency] = each.rate
        rates = pushed_rates(request.base, days)
        now = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            if await self._claim(session, context, "pushRates", request, new_id("fxr")):
                return 0
            added = await append_rates(session, context.tenant_id, rates, at=now)
            if added:
                event = rates_pushed(rates, count=added, at=now)
                await insert_event(session, context.tenant_id, event)
        self._nudge()
        return added

    async def settings(self, context: TenantContext) -> FxSettings:
        """What the tenant chose; needs `fx:read`."""
        context.require("fx:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await read_settings(session, context.tenant_id)

    async def set_settings(self, context: TenantContext, request: SetFxSettings) -> FxSettings:
        """Choose anew; raises `InputInvalid`."""
        context.require("fx:write")
        check_key(request.idempotency_key)
        _check_choices(request)
        now = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            earlier = await self._claim(
                session, context, "setFxSettings", request, str(context.tenant_id)
            )
            settings = await read_settings(session, context.tenant_id)
            if earlier is None:
                plain = msgspec.structs.asdict(request)
                chosen = {
                    name: value
                    for name, value in plain.items()
                    if value is not None and name != "idempotency_key"
                }
                settings = msgspec.structs.replace(settings, **chosen, updated_at=now)
                await write_settings(session, context.tenant_id, settings)
        return settings

    async def rate(self, context: TenantContext, *, source: str, target: str) -> DatedRate:
        """The mid rate of today by the tenant's sources; raises `RateNotAvailable`."""
        context.require("fx:read")
        settings = await self.settings(context)
        return await self.book.rate(context, source=source, target=target, sources=settings.sources)

    async def create_quote(self, context: TenantContext, request: CreateFxQuote) -> FxQuote:
        """Promise a conversion; the lock `none` promises nothing and is only to look at.

        Raises `RateNotAvailable`, `AmountNotPositive`, `AmountTooSmall`, `AmountTooLarge`,
        `CurrencyMismatch` within one currency, and `InputInvalid`.
        """
        context.require("fx:write")
        check_key(request.idempotency_key)
        check_amount(request.source_minor, request.source_currency)
        if request.lock not in LOCKS:
            raise InputInvalid("There is no such lock.", path=("lock",))
        if request.source_currency == request.target_currency:
            raise CurrencyMismatch("There is nothing to exchange within one currency.")
        mark = fingerprint("createFxQuote", request)
        async with self._database.tenant(context.tenant_id) as session:
            earlier = await claimed(
                session, context.tenant_id, key=request.idempotency_key, fingerprint=mark
            )
            if earlier is not None:
                return await find_quote(session, context.tenant_id, earlier)
            settings = await read_settings(session, context.tenant_id)
        rate = await self.book.rate(
            context,
            source=request.source_currency,
            target=request.target_currency,
            sources=settings.sources,
        )
        made = self._quoted(context, request, settings, rate)
        async with self._database.tenant(context.tenant_id) as session:
            earlier = await self._claim(session, context, "createFxQuote", request, made.id)
            if earlier is not None:
                return await find_quote(session, context.tenant_id, earlier)
            await insert_quote(session, context.tenant_id, made)
        return made

    def _quoted(
        self,
        context: TenantContext,
        request: CreateFxQuote,
        settings: FxSettings,
        rate: DatedRate,
    ) -> FxQuote:
        markup = settings.markup_bps if request.markup_bps is None else request.markup_bps
        promised = quote(
            request.source_minor,
            source=request.source_currency,
            target=request.target_currency,
            mid=rate.exact,
            created_at=self._clock.now(context.tenant_id),
            lock=request.lock,
            rate_source=rate.rate_source,
            rate_date=rate.rate_date.isoformat(),
            markup_bps=markup,
            rounding=request.rounding or settings.rounding,
        )
        return FxQuote(id=new_id("fxq"), lock=request.lock, **msgspec.structs.asdict(promised))

    async def convert(self, context: TenantContext, request: ConvertBalance) -> Conversion:
        """Exchange what an account has.

        Raises `FxQuoteExpired`, `FxQuoteUsed`, `RateNotAvailable`,
        `InsufficientAvailableBalance`, `AmountTooSmall`, `NotFound` for a quote or a payment,
        `TransitionRefused` where less of the payment is left, and `InputInvalid`.
        """
        context.require("fx:write")
        check_key(request.idempotency_key)
        _check_convert(request)
        mark = fingerprint("convertBalance", request)
        async with self._database.tenant(context.tenant_id) as session:
            earlier = await claimed(
                session, context.tenant_id, key=request.idempotency_key, fingerprint=mark
            )
            if earlier is not None:
                return await find_conversion(session, context.tenant_id, earlier)
            settings = await read_settings(session, context.tenant_id)
        now = self._clock.now(context.tenant_id)
        spot = None
        if request.quote_id is None:
            spot = await self._spot(context, request, settings, at=now)
        async with self._database.tenant(context.tenant_id) as session:
            found = await self._converted(session, context, request, spot, at=now)
        self._nudge()
        return found

    async def _spot(
        self,
        context: TenantContext,
        request: ConvertBalance,
        settings: FxSettings,
        *,
        at: datetime,
    ) -> FxQuote:
        """What an amount is worth now, in the shape of a quote that is not kept."""
        assert request.source_minor is not None
        assert request.source_currency is not None
        assert request.target_currency is not None
        rate = await self.book.rate(
            context,
            source=request.source_currency,
            target=request.target_currency,
            sources=settings.sources,
        )
        wanted = CreateFxQuote(
            idempotency_key=request.idempotency_key,
            source_minor=request.source_minor,
            source_currency=request.source_currency,
            target_currency=request.target_currency,
            lock="none",
        )
        return self._quoted(context, wanted, settings, rate)

    async def _converted(
        self,
        session: Session,
        context: TenantContext,
        request: ConvertBalance,
        spot: FxQuote | None,
        *,
        at: datetime,
    ) -> Conversion:
        conversion_id = new_id("fxc")
        earlier = await self._claim(session, context, "convertBalance", request, conversion_id)
        if earlier is not None:
            return await find_conversion(session, context.tenant_id, earlier)
        promised = spot or await _usable(session, context, request, at=at)
        if request.payment_id is not None:
            await _check_payment(session, context, request.payment_id, promised)
        made = Conversion(
            id=conversion_id,
            kind="asked",
            account=request.account,
            source_currency=promised.source_currency,
            source_minor=promised.source_minor,
            target_currency=promised.target_currency,
            target_minor=promised.target_minor,
            mid_minor=promised.mid_minor,
            markup_minor=promised.markup_minor,
            mid_rate=promised.mid_rate,
            markup_bps=promised.markup_bps,
            rounding=promised.rounding,
            rate_source=promised.rate_source,
            rate_date=promised.rate_date,
            quote_id=request.quote_id,
            payment_id=request.payment_id,
            created_at=at,
        )
        await insert_conversion(session, context.tenant_id, made)
        await post_strict(session, context.tenant_id, posting_of_conversion(made), at=at)
        await insert_event(session, context.tenant_id, event_of_conversion(made, at=at))
        return made

    async def quotes_by_id(self, context: TenantContext, ids: Sequence[str]) -> dict[str, FxQuote]:
        """The quotes that exist, by id; needs `fx:read`."""
        rows = await self._fetch(context, _QUOTES, list(ids))
        return {row["id"]: QUOTE.read(row) for row in rows}

    async def quotes(
        self, context: TenantContext, *, first: int, after: str | None = None
    ) -> list[FxQuote]:
        """Newest first; one more than `first` where there is."""
        rows = await self._fetch(context, _QUOTE_PAGE, after, first + 1)
        return [QUOTE.read(row) for row in rows]

    async def conversions_by_id(
        self, context: TenantContext, ids: Sequence[str]
    ) -> dict[str, Conversion]:
        """The conversions that exist, by id; needs `fx:read`."""
        rows = await self._fetch(context, _CONVERSIONS, list(ids))
        return {row["id"]: CONVERSION.read(row) for row in rows}

    async def conversions(
        self,
        context: TenantContext,
        *,
        first: int,
        after: str | None = None,
        payment_id: str | None = None,
    ) -> list[Conversion]:
        """Newest first, all or a payment's; one more than `first` where there is."""
        rows = await self._fetch(context, _CONVERSION_PAGE, after, payment_id, first + 1)
        return [CONVERSION.read(row) for row in rows]

    async def _fetch(self, context: TenantContext, sql: str, *arguments: Any) -> list[Any]:
        context.require("fx:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await session.fetch(sql, context.tenant_id, *arguments)

    async def _claim(
        self,
        session: Session,
        context: TenantContext,
        mutation: str,
        request: Any,
        resource_id: str,
    ) -> str | None:
        return await claim(
            session,
            context.tenant_id,
            key=request.idempotency_key,
            mutation=mutation,
            fingerprint=fingerprint(mutation, request),
            resource_id=resource_id,
            at=self._clock.now(context.tenant_id),
        )


async def _usable(
    session: Session, context: TenantContext, request: ConvertBalance, *, at: datetime
) -> FxQuote:
    """The quote, which is used herewith."""
    assert request.quote_id is not None
    found = await find_quote(session, context.tenant_id, request.quote_id)
    if found.used_at is not None:
        raise FxQuoteUsed(path=("quoteId",))
    try:
        check_usable(found.expires_at, at=at)
    except FxQuoteExpired as expired:
        raise FxQuoteExpired(expired.message, path=("quoteId",)) from None
    if not await use_quote(session, context.tenant_id, found.id, at=at):
        raise FxQuoteUsed(path=("quoteId",))
    return found


async def _check_payment(
    session: Session, context: TenantContext, payment_id: str, promised: FxQuote
) -> None:
    """Raise where so much of the payment is not there to be exchanged; locks the payment."""
    row = await session.fetchrow(_PAYMENT, context.tenant_id, payment_id)
    if row is None:
        raise NotFound("There is no such payment.", path=("paymentId",))
    if row["currency"] != promised.source_currency:
        raise CurrencyMismatch("The payment is in another currency.", path=("paymentId",))
    before = await converted_before(session, context.tenant_id, payment_id)
    if promised.source_minor > row["left_minor"] - before.source_minor:
        raise TransitionRefused(
            "Less than this is left of the payment to be exchanged.", path=("paymentId",)
        )


def _check_convert(request: ConvertBalance) -> None:
    amount = (request.source_minor, request.source_currency, request.target_currency)
    if request.quote_id is not None:
        check_id(request.quote_id, "fxq", field="quoteId")
        if any(each is not None for each in amount):
            raise InputInvalid("A quote names the amount: leave the others out.")
    elif request.source_minor is None or not request.source_currency:
        raise InputInvalid("Name a quote, or an amount and a currency.")
    elif not request.target_currency:
        raise InputInvalid("Name the currency that is wanted.", path=("targetCurrency",))
    else:
        if request.source_minor <= 0:
            raise AmountNotPositive(path=("sourceAmount",))
        check_amount(request.source_minor, request.source_currency)
        if request.source_currency == request.target_currency:
            raise CurrencyMismatch("There is nothing to exchange within one currency.")
    if request.payment_id is not None:
        check_id(request.payment_id, "pay", field="paymentId")
    if account_type(request.account) != "liability":
        raise InputInvalid(
            "Only what is owed to somebody can be exchanged: a liability.", path=("account",)
        )


def _check_choices(request: SetFxSettings) -> None:
    if request.markup_bps is not None and not 0 <= request.markup_bps < BPS:
        raise InputInvalid(f"A markup is 0 to {BPS - 1} basis points.", path=("markupBps",))
    if request.rounding is not None and request.rounding not in _ROUNDINGS:
        raise InputInvalid("There is no such rounding.", path=("rounding",))
    if request.refund_rate is not None and request.refund_rate not in _REFUND_RATES:
        raise InputInvalid("A refund's rate is original or current.", path=("refundRate",))
    sources = request.sources or ()
    if len(sources) > _MOST_SOURCES or len(set(sources)) < len(sources):
        raise InputInvalid(f"At most {_MOST_SOURCES} sources, each once.", path=("sources",))
    if not all(0 < len(each) <= _LONGEST_SOURCE and each.isprintable() for each in sources):
        raise InputInvalid("This names no source of rates.", path=("sources",))
