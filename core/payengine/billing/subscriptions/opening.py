"""What does a new subscription begin with?

Pure: its row, its items and its first invoice, or none in a trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from payengine.billing.coupons import MOST_COUPONS
from payengine.billing.invoice_lines import InvoiceLine
from payengine.billing.invoices.drafting import draft_of, planned_of
from payengine.billing.invoices.models import Planned
from payengine.billing.invoices.terms import ItemTerms, Terms
from payengine.billing.invoicing import compute_invoice
from payengine.billing.periods import Cadence, Interval, Period
from payengine.billing.phases import trial_end
from payengine.billing.proration import ProrationTerms, prorate, remaining_part
from payengine.billing.subscriptions.amounts import in_order, once_line
from payengine.billing.subscriptions.held import (
    Given,
    Offer,
    Plan,
    interval_of,
    settled,
    with_coupons,
)
from payengine.billing.subscriptions.models import CreateSubscription, Subscription
from payengine.billing.subscriptions.offers import offered
from payengine.billing.subscriptions.phasing import follow
from payengine.errors import InputInvalid
from payengine.ids import new_id

__all__ = ["NOTICE_BEFORE", "coupons_until", "distinct", "plan_opening"]

#: How long before a trial ends its subscriber is told: three days, as the field has it.
NOTICE_BEFORE = timedelta(days=3)

_MOST_TRIAL = timedelta(days=3_660)
_MOST_BACKDATED = timedelta(days=3_660)
_MOST_ANCHORED = timedelta(days=3_660)


def plan_opening(
    request: CreateSubscription,
    terms: Terms,
    *,
    offers: Mapping[str, Offer],
    given: Sequence[Given],
    at: datetime,
) -> Plan:
    """The subscription that the request makes at the instant; `terms` are its customer's.

    Raises `InputInvalid`, `NotFound`, `Conflict` for what is archived, and as an invoice does.
    """
    starts_at = _start(request, at)
    trial = _trial(request, starts_at)
    wanted = request.phases[0].items if request.phases else request.items
    subscription_id = new_id("sub")
    items = offered(wanted, offers, currency=request.currency, at=starts_at)
    interval = interval_of(items)
    cadence = _cadence(request, interval, starts_at=starts_at, trial=trial)
    if trial is not None:
        period = Period(start=starts_at, end=trial)
    else:
        period = next(cadence.periods_from(starts_at))
    row = _row(request, subscription_id, cadence=cadence, period=period, trial=trial, at=at)
    paid = cadence if trial is None else cadence.restarted(trial)
    row, terms = with_coupons(
        row,
        msgspec.structs.replace(
            terms, subscription_id=subscription_id, items=items, first_at=None, used=()
        ),
        [
            (each, starts_at, coupons_until(each, paid, trial or starts_at))
            for each in distinct(given)
        ],
    )
    terms = msgspec.structs.replace(terms, payment_method_id=request.payment_method_id)
    phases = follow(request.phases, offers, currency=request.currency, starts=paid)
    row = msgspec.structs.replace(row, phases=phases)
    if trial is not None:
        once = in_order([once_line(terms, item, starts_at) for item in items if _is_once(item)])
        terms = msgspec.structs.replace(terms, pending=(*terms.pending, *once))
        plan = Plan(row=row, terms=terms, added=items, lines=tuple(once))
    else:
        planned = _first(terms, row, cadence, period)
        row, terms = _after(row, terms, planned)
        # Of usage alone nothing is charged ahead: no number is spent on an empty document.
        first = planned if planned.invoice.lines else None
        plan = Plan(row=row, terms=terms, added=items, planned=first)
    row = msgspec.structs.replace(settled(plan.row, ()), version=1)
    return msgspec.structs.replace(plan, row=row, told=(("subscription.created", {}),))


def coupons_until(given: Given, cadence: Cadence, since: datetime) -> datetime | None:
    """Before when a period must begin to have the coupon; `since` begins its first one."""
    if given.periods is None:
        return None
    return cadence.boundary(cadence.number_at(since) + given.periods)


def _start(request: CreateSubscription, at: datetime) -> datetime:
    starts_at = request.starts_at or at
    if not at - _MOST_BACKDATED <= starts_at <= at:
        raise InputInvalid(
            "A subscription starts now or within the past ten years.", path=("startsAt",)
        )
    if bool(request.items) == bool(request.phases):
        raise InputInvalid("A subscription has items or phases.", path=("items",))
    return starts_at


def _trial(request: CreateSubscription, starts_at: datetime) -> datetime | None:
    if request.trial_days is not None and request.trial_end is not None:
        raise InputInvalid("A trial has a length or an end.", path=("trialEnd",))
    ends = request.trial_end
    if request.trial_days is not None:
        if not 1 <= request.trial_days <= _MOST_TRIAL.days:
            raise InputInvalid(
                "A trial lasts a day or more, within ten years.", path=("trialDays",)
            )
        ends = trial_end(starts_at, days=request.trial_days, time_zone=request.time_zone)
    if ends is not None and not starts_at < ends <= starts_at + _MOST_TRIAL:
        raise InputInvalid("A trial ends after it begins, within ten years.", path=("trialEnd",))
    return ends


def _cadence(
    request: CreateSubscription,
    interval: Interval,
    *,
    starts_at: datetime,
    trial: datetime | None,
) -> Cadence:
    anchored = request.anchor is not None or request.anchor_day is not None
    if anchored and trial is not None:
        raise InputInvalid("The end of a trial is the anchor.", path=("anchor",))
    if request.anchor is not None and request.phases:
        raise InputInvalid("Phases are counted from the start.", path=("anchor",))
    if request.anchor is not None and abs(request.anchor - starts_at) > _MOST_ANCHORED:
        raise InputInvalid("An anchor lies within ten years.", path=("anchor",))
    return Cadence(
        anchor=request.anchor or starts_at,
        interval=interval,
        time_zone=request.time_zone,
        anchor_day=request.anchor_day,
    )


def _row(
    request: CreateSubscription,
    subscription_id: str,
    *,
    cadence: Cadence,
    period: Period,
    trial: datetime | None,
    at: datetime,
) -> Subscription:
    return Subscription(
        id=subscription_id,
        customer_id=request.customer_id,
        currency=request.currency,
        status="active" if trial is None else "trialing",
        access="granted",
        anchor=cadence.anchor,
        anchor_day=cadence.anchor_day,
        interval_unit=cadence.interval.unit,
        interval_count=cadence.interval.count,
        time_zone=request.time_zone,
        period_start=period.start,
        period_end=period.end,
        trial_end=trial,
        cancel_at_period_end=False,
        pause_at_period_end=False,
        payment_method_id=request.payment_method_id,
        coupons=[],
        phases=[],
        proration_mode=request.proration_mode,
        metadata=request.metadata,
        version=0,
        change_at=None,
        notice_at=None if trial is None else max(period.start, trial - NOTICE_BEFORE),
        due_at=None,
        created_at=at,
        canceled_at=None,
        ended_at=None,
    )


def _first(terms: Terms, row: Subscription, cadence: Cadence, period: Period) -> Planned:
    """The invoice of the first period, prorated where it begins between two boundaries."""
    draft = draft_of(terms, period, "subscription_create")
    whole = cadence.period_at(period.start)
    if whole.start != period.start:
        prorated = ProrationTerms(mode=row.proration_mode, time_zone=row.time_zone)
        part = remaining_part(whole, at=period.start, terms=prorated)
        lines = tuple(
            _scaled(line, prorate(line.amount, part)) if line.kind == "recurring" else line
            for line in draft.lines
        )
        draft = msgspec.structs.replace(draft, lines=lines)
    return planned_of(terms, period, compute_invoice(draft))


def _scaled(line: InvoiceLine, amount: int) -> InvoiceLine:
    return msgspec.structs.replace(line, amount=amount)


def _after(row: Subscription, terms: Terms, planned: Planned) -> tuple[Subscription, Terms]:
    """Where there is something to charge, access waits for the first payment."""
    if planned.invoice.charge:
        row = msgspec.structs.replace(row, status="incomplete", access="withheld")
    balance = planned.invoice.ending_credit_balance
    return row, msgspec.structs.replace(terms, pending=(), balance=balance)


def distinct(given: Sequence[Given]) -> Sequence[Given]:
    """The coupons, unless one is there twice or there are too many: then `InputInvalid`."""
    ids = [each.coupon.id for each in given]
    if len(set(ids)) < len(ids) or len(ids) > MOST_COUPONS:
        raise InputInvalid(
            f"A subscription has at most {MOST_COUPONS} coupons, each once.", path=("couponIds",)
        )
    return given


def _is_once(item: ItemTerms) -> bool:
    return item.price.interval_unit is None
