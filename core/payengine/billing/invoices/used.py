"""What was used of metered items, and what of it is not invoiced yet?

One statement for each formula and batch: the windows go in as arrays. What earlier invoices charged
is kept for each item and period, so that usage told late is found by its difference.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

from payengine.billing.invoices.due import DueSubscription
from payengine.billing.invoices.terms import ItemTerms, UsedPeriod
from payengine.billing.periods import Period
from payengine.billing.usage import EARLIEST
from payengine.billing.usage_log import FORMULAS
from payengine.storage import Session

__all__ = ["used_periods"]

_WINDOWS = """
    SELECT window_place AS place, greatest({formula}, 0)::text AS quantity
    FROM unnest($2::integer[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[])
        AS asked (window_place, meter_id, customer_id, since, until)
    JOIN usage_event USING (meter_id, customer_id)
    WHERE tenant_id = $1 AND at >= since AND at < until
    GROUP BY window_place
"""

_BY_FORMULA: dict[str, str] = {
    name: _WINDOWS.format(formula=formula) for name, formula in FORMULAS.items()
}

#: Events may be told that are 35 days old: so far back an invoiced period can still change. After a
#: long pause that is counted from the last invoice before it.
_BILLED = """
    SELECT billed.subscription_id, item_id, period_start, billed.period_end, quantity
    FROM unnest($2::text[], $3::timestamptz[]) AS asked (subscription_id, since)
    CROSS JOIN LATERAL (
        SELECT max(period_end) AS period_end FROM billed_usage
        WHERE tenant_id = $1 AND subscription_id = asked.subscription_id
    ) AS newest
    JOIN billed_usage AS billed
        ON billed.tenant_id = $1 AND billed.subscription_id = asked.subscription_id
       AND billed.period_end > least(asked.since, newest.period_end - $4::interval)
    ORDER BY billed.subscription_id, item_id, period_start
"""


async def used_periods(
    session: Session,
    tenant_id: uuid.UUID,
    rows: Sequence[DueSubscription],
    *,
    items: Mapping[str, Sequence[tuple[ItemTerms, str | None]]],
    closed: Mapping[str, Sequence[Period]],
) -> dict[str, list[UsedPeriod]]:
    """Each subscription's usage of the `closed` periods, and what came late for earlier ones."""
    windows: list[_Window] = []
    for row in rows:
        for item, formula in items.get(row.id, ()):
            if formula is not None:
                windows += _windows(row, item, formula, closed[row.id])
    earlier = await _earlier(session, tenant_id, rows, items=items, closed=closed)
    present = {(each.row.id, each.item.id, each.start) for each in windows}
    windows += [each for each in earlier if (each.row.id, each.item.id, each.start) not in present]
    found: dict[str, list[UsedPeriod]] = {}
    if not windows:
        return found
    told = await _told(session, tenant_id, windows)
    for place, each in enumerate(windows):
        used = UsedPeriod(
            item_id=each.item.id,
            start=each.start,
            end=each.end,
            bills_at=each.bills_at,
            quantity=told.get(place, Fraction(0)),
            billed=each.billed,
        )
        found.setdefault(each.row.id, []).append(used)
    return found


class _Window(NamedTuple):
    """One item's part of one period, and the boundary at which it is invoiced."""

    row: DueSubscription
    item: ItemTerms
    formula: str
    start: datetime
    end: datetime
    bills_at: datetime
    billed: Fraction | None = None


def _windows(
    row: DueSubscription, item: ItemTerms, formula: str, closed: Sequence[Period]
) -> Iterator[_Window]:
    for period in closed:
        start = max(period.start, item.starts_at)
        end = period.end if item.ended_at is None else min(period.end, item.ended_at)
        if start < end:
            yield _Window(row, item, formula, start, end, period.end)


async def _earlier(
    session: Session,
    tenant_id: uuid.UUID,
    rows: Sequence[DueSubscription],
    *,
    items: Mapping[str, Sequence[tuple[ItemTerms, str | None]]],
    closed: Mapping[str, Sequence[Period]],
) -> list[_Window]:
    """The invoiced periods that usage may have been told of since, billed at the next boundary.

    That is where the present period ends, which may be sooner than it was to.
    """
    metered = {
        (row.id, item.id): (row, item, formula)
        for row in rows
        for item, formula in items.get(row.id, ())
        if formula is not None
    }
    if not metered:
        return []
    asked = list({row.id: row for row, _, _ in metered.values()}.values())
    billed = await session.fetch(
        _BILLED,
        tenant_id,
        [row.id for row in asked],
        [row.period_start - EARLIEST for row in asked],
        EARLIEST,
    )
    found = []
    for each in billed:
        known = metered.get((each["subscription_id"], each["item_id"]))
        if known is not None:
            row, item, formula = known
            start, end = each["period_start"], each["period_end"]
            quantity = Fraction(each["quantity"])
            ends = closed[row.id][0].end if closed[row.id] else row.period_end
            found.append(_Window(row, item, formula, start, end, ends, quantity))
    return found


async def _told(
    session: Session, tenant_id: uuid.UUID, windows: Sequence[_Window]
) -> dict[int, Fraction]:
    """What the events of each window come to, by its place."""
    found: dict[int, Fraction] = {}
    for formula, sql in _BY_FORMULA.items():
        asked = [(place, each) for place, each in enumerate(windows) if each.formula == formula]
        if not asked:
            continue
        told = await session.fetch(
            sql,
            tenant_id,
            [place for place, _ in asked],
            [each.item.price.meter_id for _, each in asked],
            [each.row.customer_id for _, each in asked],
            [each.start for _, each in asked],
            [each.end for _, each in asked],
        )
        found |= {row["place"]: Fraction(row["quantity"]) for row in told}
    return found
