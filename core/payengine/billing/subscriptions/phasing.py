"""What follows the present terms of a subscription, and when?

The phases to come are spelled in its row, each with its instant. They are counted in the periods of
the subscription: where these begin anew, after a pause, the phases move with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from payengine.billing.periods import Cadence, Interval
from payengine.billing.phases import MOST_PHASES, Phase, lay_out
from payengine.billing.subscriptions.held import Held, Offer, Plan, in_force, interval_of, settled
from payengine.billing.subscriptions.models import Subscription, WantedItem, WantedPhase
from payengine.billing.subscriptions.offers import offered
from payengine.errors import InputInvalid

__all__ = ["cadence_columns", "follow", "phase_items", "plan_phase", "shifted"]


def follow(
    phases: Sequence[WantedPhase],
    offers: Mapping[str, Offer],
    *,
    currency: str,
    starts: Cadence,
) -> list[dict[str, Any]]:
    """How the row spells the phases after the first; `starts` is the cadence of the first one.

    Raises as `offered` and `lay_out` do.
    """
    if not phases:
        return []
    laid: list[tuple[WantedPhase, Interval]] = []
    for phase in phases:
        items = offered(phase.items, offers, currency=currency, at=starts.anchor)
        laid.append((phase, interval_of(items)))
    spelled = [
        {
            "items": [
                {"price_id": item.price_id, "quantity": str(item.quantity)} for item in phase.items
            ],
            "interval": [interval.unit, interval.count],
            "periods": phase.periods,
        }
        for phase, interval in laid
    ]
    return _placed(spelled, starts=starts)


def phase_items(phase: Mapping[str, Any]) -> tuple[WantedItem, ...]:
    """The items of a phase that a row spells."""
    return tuple(
        WantedItem(price_id=each["price_id"], quantity=Decimal(each["quantity"]))
        for each in phase.get("items", ())
    )


def plan_phase(held: Held, offers: Mapping[str, Offer], *, at: datetime) -> Plan:
    """Enter the phase whose instant has come; nothing is prorated, as a period ends there.

    After the last one the subscription is to end. Raises as `offered` does.
    """
    row, terms = held.row, held.terms
    phase, rest = row.phases[0], row.phases[1:]
    if phase.get("ends"):
        row = msgspec.structs.replace(row, phases=rest, cancel_at_period_end=True)
        return Plan(
            before=held.row,
            row=settled(row, held.waiting),
            terms=terms,
            waiting=held.waiting,
            told=(("subscription.updated", {"change": "phases_ended"}),),
        )
    # A phase may go on with a price that was archived since it was laid out.
    open_offers = {
        name: msgspec.structs.replace(offer, is_archived=False) for name, offer in offers.items()
    }
    added = offered(phase_items(phase), open_offers, currency=row.currency, at=at)
    old = in_force(terms, at)
    interval = interval_of(added)
    cadence = row.cadence
    if interval != row.interval:
        cadence = cadence.continued(cadence.number_at(at), interval=interval)
    row = msgspec.structs.replace(row, phases=rest, **cadence_columns(cadence))
    gone = {item.id for item in old}
    kept = tuple(
        msgspec.structs.replace(item, ended_at=at) if item.id in gone else item
        for item in terms.items
    )
    return Plan(
        before=held.row,
        row=settled(row, held.waiting),
        terms=msgspec.structs.replace(terms, items=(*kept, *added)),
        added=added,
        ended=tuple(sorted(gone)),
        waiting=held.waiting,
        told=(("subscription.updated", {"change": "phase"}),),
    )


def shifted(row: Subscription, *, restarted: Cadence) -> list[dict[str, Any]]:
    """The phases to come, counted from where the periods begin anew.

    The periods that were left of the present phase after the present period are left still.
    """
    if not row.phases:
        return []
    cadence = row.cadence
    first = datetime.fromisoformat(row.phases[0]["at"])
    left = max(cadence.number_at(first) - cadence.number_at(row.period_end), 0)
    plain = [{k: v for k, v in each.items() if k != "at"} for each in row.phases]
    if not left:
        return [{**plain[0], "at": restarted.anchor.isoformat()}, *_later(plain, restarted)]
    present = {
        "items": [],
        "interval": [restarted.interval.unit, restarted.interval.count],
        "periods": left,
    }
    return _placed([present, *(each for each in plain if not each.get("ends"))], starts=restarted)


def cadence_columns(cadence: Cadence) -> dict[str, Any]:
    """The columns of a subscription that spell its boundaries."""
    return {
        "anchor": cadence.anchor,
        "anchor_day": cadence.anchor_day,
        "interval_unit": cadence.interval.unit,
        "interval_count": cadence.interval.count,
    }


def _later(plain: Sequence[dict[str, Any]], restarted: Cadence) -> list[dict[str, Any]]:
    """What comes after the first of the phases, which begins where the periods begin anew."""
    if plain[0].get("ends"):
        return []
    unit, count = plain[0]["interval"]
    begins = restarted.restarted(restarted.anchor, interval=Interval(unit=unit, count=count))
    return _placed([each for each in plain if not each.get("ends")], starts=begins)


def _placed(phases: Sequence[dict[str, Any]], *, starts: Cadence) -> list[dict[str, Any]]:
    """The phases after the first with their instants, and the end after the last."""
    if len(phases) > MOST_PHASES:
        raise InputInvalid(f"A subscription has 1 to {MOST_PHASES} phases.", path=("phases",))
    spans = lay_out(
        [
            Phase(
                name=str(number),
                interval=Interval(unit=each["interval"][0], count=each["interval"][1]),
                periods=each["periods"],
            )
            for number, each in enumerate(phases)
        ],
        starts_at=starts.anchor,
        time_zone=starts.time_zone,
        anchor_day=starts.anchor_day,
    )
    placed = [
        {**each, "at": span.starts_at.isoformat()}
        for each, span in zip(phases[1:], spans[1:], strict=True)
    ]
    ends_at = spans[-1].ends_at
    if ends_at is not None:
        placed.append({"at": ends_at.isoformat(), "ends": True})
    return placed
