"""How does a subscription end, pause and go on?

Pure. At the end of the period it is a mark that the renewal there heeds; at once it is done here,
with the last invoice: usage, what waits, and what is given back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from payengine.billing.invoices.drafting import plan_of
from payengine.billing.invoices.models import Planned
from payengine.billing.invoices.terms import Terms
from payengine.billing.periods import Period
from payengine.billing.subscriptions.amounts import credit_lines, in_order, proration_terms
from payengine.billing.subscriptions.changing import cycle_plan, refuse_unless
from payengine.billing.subscriptions.held import RENEWED, Held, Offer, Plan, in_force, settled
from payengine.billing.subscriptions.models import Subscription, When
from payengine.billing.subscriptions.phasing import cadence_columns, plan_phase, shifted
from payengine.errors import Conflict, InputInvalid

__all__ = ["plan_cancel", "plan_pause", "plan_resume"]

_CANCELED = frozenset(
    {"incomplete", "trialing", "active", "past_due", "unpaid", "paused", "needs_operator"}
)
_RESTARTED = frozenset({"paused", "unpaid", "needs_operator"})
#: Those of which the present period was charged ahead.
_CHARGED = frozenset({"active", "past_due"})


def plan_cancel(held: Held, *, when: When, prorate: bool, at: datetime) -> Plan:
    """The end, now or at the period's; raises `Conflict` where there is nothing to end."""
    row = held.row
    refuse_unless(row, _CANCELED, what="canceled")
    if when == "period_end":
        refuse_unless(row, RENEWED, what="canceled at its period's end")
        return _marked(held, "cancel_at_period_end", prorate=prorate)
    plan = _stopped(held, prorate=prorate, at=at, takes_pending=row.status != "incomplete")
    row = msgspec.structs.replace(
        plan.row,
        status="canceled",
        cancel_at_period_end=False,
        pause_at_period_end=False,
        phases=[],
        canceled_at=at,
        ended_at=at,
    )
    return msgspec.structs.replace(
        plan, row=settled(row, ()), waiting=(), told=(("subscription.canceled", {}),)
    )


def plan_pause(held: Held, *, when: When, prorate: bool, at: datetime) -> Plan:
    """No periods until it is resumed; raises `Conflict` where none are coming anyway."""
    refuse_unless(held.row, RENEWED, what="paused")
    if when == "period_end":
        return _marked(held, "pause_at_period_end", prorate=prorate)
    plan = _stopped(held, prorate=prorate, at=at, takes_pending=bool(held.closing))
    row = msgspec.structs.replace(plan.row, status="paused", pause_at_period_end=False)
    return msgspec.structs.replace(
        plan, row=settled(row, held.waiting), told=(("subscription.paused", {}),)
    )


def plan_resume(held: Held, *, offers: Mapping[str, Offer], at: datetime) -> Plan:
    """A new period from the instant on, and its invoice; or a pending end or pause is undone.

    Raises `Conflict` where it goes on anyway.
    """
    row = held.row
    if row.status in RENEWED and (row.cancel_at_period_end or row.pause_at_period_end):
        row = msgspec.structs.replace(row, cancel_at_period_end=False, pause_at_period_end=False)
        return _unplanned(held, row, "undone")
    refuse_unless(row, _RESTARTED, what="resumed")
    cadence = row.cadence.restarted(at)
    row = msgspec.structs.replace(
        row, **cadence_columns(cadence), phases=shifted(row, restarted=cadence), status="active"
    )
    terms = msgspec.structs.replace(held.terms, used=(), first_at=None)
    entered = None
    if row.phases and datetime.fromisoformat(row.phases[0]["at"]) <= at:
        if row.phases[0].get("ends"):
            return plan_cancel(held, when="now", prorate=False, at=at)
        now = msgspec.structs.replace(held, row=row, terms=terms)
        entered = plan_phase(now, offers, at=at)
        row, terms = entered.row, entered.terms
    period = row.cadence.period(0)
    row = msgspec.structs.replace(
        row,
        access="granted",
        period_start=period.start,
        period_end=period.end,
        cancel_at_period_end=False,
        pause_at_period_end=False,
        version=held.row.version,
    )
    planned = cycle_plan(held.row, terms, period)
    return Plan(
        before=held.row,
        row=settled(row, held.waiting),
        terms=_taken(terms, planned, first_at=period.end),
        added=entered.added if entered else (),
        ended=entered.ended if entered else (),
        planned=planned,
        waiting=held.waiting,
        told=(("subscription.resumed", {}),),
    )


def _marked(held: Held, mark: str, *, prorate: bool) -> Plan:
    if prorate:
        raise InputInvalid("At the end of a period nothing is left of it.", path=("prorate",))
    return _unplanned(held, msgspec.structs.replace(held.row, **{mark: True}), mark)


def _unplanned(held: Held, row: Subscription, change: str) -> Plan:
    return Plan(
        before=held.row,
        row=settled(row, held.waiting),
        terms=held.terms,
        waiting=held.waiting,
        told=(("subscription.updated", {"change": change}),),
    )


def _stopped(held: Held, *, prorate: bool, at: datetime, takes_pending: bool) -> Plan:
    """What a period that is broken off still charges and gives back."""
    row, terms = held.row, held.terms
    lines = []
    if prorate:
        if row.status not in _CHARGED:
            raise Conflict("Nothing was charged for what is left.", path=("prorate",))
        if held.owes:
            # Its end stops the collection: what nobody pays would be given back all the same.
            raise Conflict(
                "An invoice of it is open: nothing is given back before it is paid, credited, "
                "written off or void.",
                path=("prorate",),
            )
        lines = in_order(
            credit_lines(held, in_force(terms, at), at=at, terms=proration_terms(held), ends=True)
        )
    used = held.closing if row.status in _CHARGED else ()
    terms = msgspec.structs.replace(
        terms, pending=(*terms.pending, *lines), used=used, first_at=None
    )
    planned: Planned | None = None
    if takes_pending:
        period = Period(start=min(row.period_start, at), end=at)
        planned = plan_of(terms, period, "usage_cycle", subscription_id=row.id)
        if not planned.invoice.lines:
            planned = None
    terms = msgspec.structs.replace(terms, used=())
    if planned is not None:
        terms = _taken(terms, planned, first_at=None)
    return Plan(
        before=row, row=row, terms=terms, lines=tuple(lines), planned=planned, waiting=held.waiting
    )


def _taken(terms: Terms, planned: Planned, *, first_at: datetime | None) -> Terms:
    balance = planned.invoice.ending_credit_balance
    return msgspec.structs.replace(terms, pending=(), balance=balance, first_at=first_at)
