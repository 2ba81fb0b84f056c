"""How do quotes, conversions and a tenant's choices stand in the database?"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import NamedTuple

from payengine.errors import NotFound
from payengine.events import NewEvent
from payengine.fx.models import Conversion, FxQuote, FxSettings
from payengine.fx.postings import converted
from payengine.fx.rates import DailyRates
from payengine.ids import new_id
from payengine.ledger import Posting
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = [
    "CONVERSION",
    "QUOTE",
    "ConvertedBefore",
    "converted_before",
    "event_of_conversion",
    "find_conversion",
    "find_quote",
    "insert_conversion",
    "insert_quote",
    "posting_of_conversion",
    "rates_pushed",
    "read_settings",
    "use_quote",
    "write_settings",
]

QUOTE = Columns(FxQuote)
CONVERSION = Columns(Conversion)
_SETTINGS = Columns(FxSettings)

_FIND_QUOTE = f"SELECT {QUOTE.listed} FROM fx_quote WHERE tenant_id = $1 AND id = $2"
_FIND_CONVERSION = f"SELECT {CONVERSION.listed} FROM fx_conversion WHERE tenant_id = $1 AND id = $2"
_INSERT_QUOTE = f"""
    INSERT INTO fx_quote (tenant_id, {QUOTE.listed}) VALUES ($1, {QUOTE.parameters(2)})
"""
_INSERT_CONVERSION = f"""
    INSERT INTO fx_conversion (tenant_id, {CONVERSION.listed})
    VALUES ($1, {CONVERSION.parameters(2)})
"""
_USE_QUOTE = """
    UPDATE fx_quote SET used_at = $3 WHERE tenant_id = $1 AND id = $2 AND used_at IS NULL
"""
_CHOSEN = f"SELECT {_SETTINGS.listed} FROM fx_setting WHERE tenant_id = $1"
_CHOOSE = f"""
    INSERT INTO fx_setting (tenant_id, {_SETTINGS.listed})
    VALUES ($1, {_SETTINGS.parameters(2)})
    ON CONFLICT (tenant_id) DO UPDATE
    SET {", ".join(f"{name} = excluded.{name}" for name in _SETTINGS.names)}
"""
_BEFORE = """
    SELECT coalesce(sum(source_minor) FILTER (WHERE kind <> 'refund'), 0)::bigint AS source_minor,
           coalesce(sum(target_minor) FILTER (WHERE kind <> 'refund'), 0)::bigint AS target_minor,
           coalesce(sum(mid_minor) FILTER (WHERE kind <> 'refund'), 0)::bigint AS mid_minor,
           coalesce(sum(source_minor) FILTER (WHERE kind = 'asked'), 0)::bigint AS asked_minor,
           coalesce(sum(mid_minor) FILTER (WHERE kind = 'asked'), 0)::bigint AS asked_mid_minor,
           coalesce(sum(source_minor) FILTER (WHERE kind = 'refund'), 0)::bigint AS refunded_minor,
           min(target_currency) FILTER (WHERE kind <> 'refund') AS target_currency,
           count(DISTINCT target_currency) AS currencies
    FROM fx_conversion WHERE tenant_id = $1 AND payment_id = $2
"""


class ConvertedBefore(NamedTuple):
    """What of a payment was exchanged: sums in minor units, and into which currency.

    `asked`: of these, what the tenant asked for, and not a provider's file.
    """

    source_minor: int
    target_minor: int
    mid_minor: int
    asked_minor: int
    asked_mid_minor: int
    refunded_minor: int
    target_currency: str | None
    currencies: int


async def find_quote(session: Session, tenant_id: uuid.UUID, quote_id: str) -> FxQuote:
    """The quote; raises `NotFound`."""
    row = await session.fetchrow(_FIND_QUOTE, tenant_id, quote_id)
    if row is None:
        raise NotFound("There is no such quote.", path=("quoteId",))
    return QUOTE.read(row)


async def insert_quote(session: Session, tenant_id: uuid.UUID, quote: FxQuote) -> None:
    """Keep a new quote."""
    await session.execute(_INSERT_QUOTE, tenant_id, *QUOTE.values(quote))


async def use_quote(session: Session, tenant_id: uuid.UUID, quote_id: str, *, at: datetime) -> bool:
    """Use the quote up; False where somebody else has meanwhile."""
    return await session.execute(_USE_QUOTE, tenant_id, quote_id, at) == "UPDATE 1"


async def find_conversion(session: Session, tenant_id: uuid.UUID, conversion_id: str) -> Conversion:
    """The conversion; raises `NotFound`."""
    row = await session.fetchrow(_FIND_CONVERSION, tenant_id, conversion_id)
    if row is None:
        raise NotFound("There is no such conversion.")
    return CONVERSION.read(row)


async def insert_conversion(session: Session, tenant_id: uuid.UUID, made: Conversion) -> None:
    """Keep a new conversion."""
    await session.execute(_INSERT_CONVERSION, tenant_id, *CONVERSION.values(made))


async def converted_before(
    session: Session, tenant_id: uuid.UUID, payment_id: str
) -> ConvertedBefore:
    """What of the payment was exchanged so far."""
    row = await session.fetchrow(_BEFORE, tenant_id, payment_id)
    assert row is not None
    return ConvertedBefore(**row)


async def read_settings(session: Session, tenant_id: uuid.UUID) -> FxSettings:
    """What the tenant chose, or the defaults."""
    row = await session.fetchrow(_CHOSEN, tenant_id)
    return FxSettings() if row is None else _SETTINGS.read(row)


async def write_settings(session: Session, tenant_id: uuid.UUID, settings: FxSettings) -> None:
    """Let these hold from the commit on."""
    await session.execute(_CHOOSE, tenant_id, *_SETTINGS.values(settings))


def posting_of_conversion(made: Conversion) -> Posting:
    """How the conversion is booked."""
    return converted(
        conversion_id=made.id,
        account=made.account,
        source_currency=made.source_currency,
        source_minor=made.source_minor,
        target_currency=made.target_currency,
        mid_minor=made.mid_minor,
        target_minor=made.target_minor,
    )


def event_of_conversion(made: Conversion, *, at: datetime) -> NewEvent:
    """What is told of a conversion."""
    return NewEvent(
        id=new_id("evt"),
        type="fx.converted",
        data={
            "conversion_id": made.id,
            "kind": made.kind,
            "account": made.account,
            "source_minor": made.source_minor,
            "source_currency": made.source_currency,
            "target_minor": made.target_minor,
            "target_currency": made.target_currency,
            "markup_minor": made.markup_minor,
            "mid_rate": made.mid_rate,
            "rate_source": made.rate_source,
            "rate_date": made.rate_date,
            "quote_id": made.quote_id,
            "gain_minor": made.gain_minor,
            "loss_minor": made.loss_minor,
        },
        occurred_at=at,
        payment_id=made.payment_id,
        operation_id=made.operation_id,
    )


def rates_pushed(rates: DailyRates, *, count: int, at: datetime) -> NewEvent:
    """What is told of rates that the tenant pushed."""
    return NewEvent(
        id=new_id("evt"),
        type="fx.rates_pushed",
        data={"base": rates.base, "source": rates.source, "count": count},
        occurred_at=at,
    )
