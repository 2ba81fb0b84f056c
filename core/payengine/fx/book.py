"""Which rates were told, by whom, and which of them holds today?

Rates are appended and never changed. A lookup goes through the tenant's sources in their order and
takes the first that knows both currencies within four days; of what one source told for a day, the
last word holds. Date and source go with every rate that is given out.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import structlog

from payengine.clock import Clock
from payengine.context import SCOPES, TenantContext
from payengine.errors import PayengineError, PluginNotEnabled, RateNotAvailable
from payengine.fx.models import StoredRate
from payengine.fx.rates import MAX_AGE_DAYS, DailyRates, DatedRate, rate_on
from payengine.fx.sources import PUSHED, rates_told
from payengine.ids import new_id
from payengine.jobs import Cron, Handler
from payengine.money import currency as find_currency
from payengine.registry import RateDesk
from payengine.storage import Database, Session

__all__ = ["ASKING", "RateBook", "append_rates", "asking_handler", "rates_into", "stored_rate"]

_KIND = "rates.ask"
#: The sources set rates once a day, in their afternoons: whichever it is, this is soon after.
ASKING = Cron(_KIND, "23 */3 * * *")

_DEADLINE_MS = 15_000
_WIDTH = 7
_MODE = "SELECT mode FROM tenant WHERE id = $1"

_COLUMNS = "id, source, base, currency, day, rate, told_at"

#: What was told already is not told again: only a new word for a day is a row.
_APPEND = """
    INSERT INTO fx_rate (tenant_id, id, source, base, currency, day, rate, told_at)
    SELECT $1::uuid, given.id, $2, $3, given.currency, given.day, given.rate, $4
    FROM unnest($5::text[], $6::text[], $7::date[], $8::text[]) AS given (id, currency, day, rate)
    WHERE given.rate IS DISTINCT FROM (
        SELECT known.rate FROM fx_rate known
        WHERE known.tenant_id = $1 AND known.source = $2 AND known.base = $3
          AND known.currency = given.currency AND known.day = given.day
        ORDER BY known.told_at DESC, known.id DESC LIMIT 1)
"""

_KNOWN = """
    SELECT DISTINCT ON (source, base, day, currency) source, base, day, currency, rate
    FROM fx_rate
    WHERE tenant_id = $1 AND source = ANY ($2) AND day BETWEEN $3 AND $4
      AND ($5::text[] IS NULL OR currency = ANY ($5) OR base = ANY ($5))
    ORDER BY source, base, day, currency, told_at DESC, id DESC
"""

_PAGE = f"""
    SELECT {_COLUMNS} FROM fx_rate
    WHERE tenant_id = $1 AND id < coalesce($2, '~')
      AND ($3::text IS NULL OR source = $3) AND ($4::text IS NULL OR currency = $4)
      AND ($5::date IS NULL OR day = $5)
    ORDER BY id DESC LIMIT $6
"""

_log = structlog.get_logger(__name__)


async def append_rates(
    session: Session, tenant_id: uuid.UUID, rates: DailyRates, *, at: datetime
) -> int:
    """Keep what was told and is new; how many rates that were."""
    rows = [
        (new_id("fxr"), code, day, text)
        for day, known in sorted(rates.days.items())
        for code, text in sorted(known.items())
    ]
    if not rows:
        return 0
    columns = [list(column) for column in zip(*rows, strict=True)]
    tag = await session.execute(_APPEND, tenant_id, rates.source, rates.base, at, *columns)
    return int(tag.rpartition(" ")[2])


async def stored_rate(
    session: Session,
    tenant_id: uuid.UUID,
    *,
    day: date,
    source: str,
    target: str,
    sources: Sequence[str],
) -> DatedRate:
    """Units of `target` for 1 of `source` by the first of `sources` that knows both.

    Raises `UnknownCurrency` and `RateNotAvailable`. Within one currency it is 1.
    """
    find_currency(source)
    find_currency(target)
    if source == target:
        return DatedRate(rate="1", rate_date=day, rate_source="identity")
    rows = await session.fetch(
        _KNOWN,
        tenant_id,
        list(sources),
        day - timedelta(days=MAX_AGE_DAYS),
        day,
        [source, target],
    )
    found = _first(_by_source(rows), sources, day, source, target)
    if found is None:
        raise RateNotAvailable
    return found


async def rates_into(
    session: Session, tenant_id: uuid.UUID, *, day: date, target: str, sources: Sequence[str]
) -> dict[str, DatedRate]:
    """Units of `target` for 1 of each currency of which that is known, by its code.

    Each by the first of `sources` that knows it; raises `UnknownCurrency`.
    """
    find_currency(target)
    since = day - timedelta(days=MAX_AGE_DAYS)
    rows = await session.fetch(_KNOWN, tenant_id, list(sources), since, day, None)
    told = _by_source(rows)
    known = {code for row in rows for code in (row["base"], row["currency"])} - {target}
    found = {code: _first(told, sources, day, code, target) for code in sorted(known)}
    return {code: rate for code, rate in found.items() if rate is not None}


def _first(
    told: Mapping[tuple[str, str], DailyRates],
    sources: Sequence[str],
    day: date,
    source: str,
    target: str,
) -> DatedRate | None:
    for name in sources:
        books = [each for (of, _), each in told.items() if of == name]
        found = _newest(books, day, source, target)
        if found is not None:
            return found
    return None


def _by_source(rows: Sequence[Any]) -> dict[tuple[str, str], DailyRates]:
    found: dict[tuple[str, str], dict[date, dict[str, str]]] = {}
    for row in rows:
        days = found.setdefault((row["source"], row["base"]), {})
        days.setdefault(row["day"], {})[row["currency"]] = row["rate"]
    return {
        (source, base): DailyRates(source=source, base=base, days=days)
        for (source, base), days in found.items()
    }


def _newest(books: Sequence[DailyRates], day: date, source: str, target: str) -> DatedRate | None:
    """The latest of what one source says through its bases; the pair itself before a crossing."""
    found: list[tuple[date, bool, DatedRate]] = []
    for book in books:
        try:
            rate = rate_on(book, day, source=source, target=target)
        except RateNotAvailable:
            continue
        found.append((rate.rate_date, book.base == source, rate))
    return max(found, key=lambda each: each[:2])[2] if found else None


class RateBook:
    """The rates of all tenants, and the sources that are asked for them."""

    def __init__(self, database: Database, desk: RateDesk, *, clock: Clock) -> None:
        self._database = database
        self._desk = desk
        self._clock = clock

    async def page(
        self,
        context: TenantContext,
        *,
        first: int,
        after: str | None = None,
        source: str | None = None,
        currency: str | None = None,
        day: date | None = None,
    ) -> list[StoredRate]:
        """The latest told first; one more than `first` where there is. Needs `fx:read`."""
        context.require("fx:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(
                _PAGE, context.tenant_id, after, source, currency, day, first + 1
            )
        return [StoredRate(**row) for row in rows]

    async def rate(
        self,
        context: TenantContext,
        *,
        source: str,
        target: str,
        sources: Sequence[str] = (),
        day: date | None = None,
    ) -> DatedRate:
        """The rate that holds; where nobody has told one yet, the sources are asked now.

        Raises `UnknownCurrency` and `RateNotAvailable`.
        """
        day = day or self._clock.now(context.tenant_id).date()
        try:
            return await self._look(context, sources, day=day, source=source, target=target)
        except RateNotAvailable:
            if not await self.ask(context, day=day):
                raise
        return await self._look(context, sources, day=day, source=source, target=target)

    async def _look(
        self,
        context: TenantContext,
        sources: Sequence[str],
        *,
        day: date,
        source: str,
        target: str,
    ) -> DatedRate:
        async with self._database.tenant(context.tenant_id) as session:
            return await stored_rate(
                session,
                context.tenant_id,
                day=day,
                source=source,
                target=target,
                sources=sources or self.standard_order(),
            )

    def standard_order(self) -> tuple[str, ...]:
        """The tenant's own word, then the installed sources by their names."""
        return (PUSHED, *self._desk.names())

    async def ask(self, context: TenantContext, *, day: date) -> int:
        """Ask every source that the tenant has switched on; how many rates were new.

        A source that does not answer is passed over, and said in the log: another may know.
        """
        added = 0
        for name in self._desk.names():
            try:
                told = await self._desk.ask(context, name, day=day, deadline_ms=_DEADLINE_MS)
            except PluginNotEnabled:
                continue
            except PayengineError as failure:
                _log.warning("rates_not_told", source=name, error=failure.code)
                continue
            base = self._desk.source(name).manifest.base
            rates = rates_told(told, source=name, base=base)
            recent = {
                each: rates.days[each]
                for each in rates.days
                if day - timedelta(days=_WIDTH) <= each <= day
            }
            async with self._database.tenant(context.tenant_id) as session:
                added += await append_rates(
                    session,
                    context.tenant_id,
                    DailyRates(source=name, base=base, days=recent),
                    at=self._clock.now(context.tenant_id),
                )
        return added

    async def ask_for(self, tenant_id: uuid.UUID) -> int:
        """Ask the sources of one tenant for its own today."""
        async with self._database.tenant(tenant_id) as session:
            mode = await session.fetchval(_MODE, tenant_id)
        context = TenantContext(tenant_id, mode, "engine", frozenset(SCOPES))
        return await self.ask(context, day=self._clock.now(tenant_id).date())


def asking_handler(database: Database, book: RateBook) -> Handler:
    """The handler of the calendar's job: every tenant's sources are asked."""

    async def ask(tenant_id: uuid.UUID, row_id: str) -> None:
        for each in await database.tenant_ids():
            await book.ask_for(each)

    return Handler(_KIND, ask, at_once=1, per_tenant=1, tries=3, deadline_s=1_800)
