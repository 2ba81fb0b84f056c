"""Do events of usage come to what the examples say?"""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from functools import partial
from typing import Any

from payengine.billing import (
    Adjustment,
    FinalizedPeriod,
    Formula,
    Period,
    UsageEvent,
    aggregate,
    check_timestamp,
    late_adjustment,
    line_amount,
    place_event,
    receive_all,
    spell_decimal,
)
from payengine.errors import PayengineError

from tests.acceptance.examples.pricing import decimal, model_of
from tests.acceptance.examples.shapes import Case, World, require_keys, unknown_shape

__all__ = ["cases"]

_PERIOD = {"period_end", "period_start"}
_LATE = {"billed_quantity", "finalized_at", "formula", "ingested_at", "late_event", "policy"}


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each example."""
    return [Case(case["id"], partial(_run, case)) for case in document["cases"]]


async def _run(case: dict[str, Any], world: World) -> None:
    inputs, expected = dict(case["inputs"]), case["expected"]
    inputs.pop("note", None)
    if "events" in inputs:
        require_keys(inputs, _PERIOD | {"events", "formula"}, of="events of a period")
        found = _aggregated(inputs)
    elif "event" in inputs:
        require_keys(inputs, {"event", "now"}, of="an event")
        found = _accepted(inputs)
    elif "late_event" in inputs:
        require_keys(inputs, _PERIOD | _LATE | {"currency", "price"}, of="a late event")
        found = _late(inputs)
    elif "late_quantity" in inputs:
        known = {"billed_quantity", "currency", "late_quantity", "price"}
        require_keys(inputs, known, of="a late quantity")
        found = _late_quantity(inputs)
    else:
        unknown_shape(f"usage of {sorted(inputs)}")
    wanted = _numbers(expected)
    if "invoiced" in found:  # The month is part of the name: `june_invoice_amount`.
        invoiced = found.pop("invoiced")
        found |= {name: invoiced for name in wanted if name.endswith("_invoice_amount")}
    require_keys(wanted, set(found), of="what is expected")
    assert {name: found[name] for name in wanted} == wanted


def _numbers(expected: dict[str, Any]) -> dict[str, Any]:
    """Quantities as numbers: "15" and "15.0" are the same quantity."""
    result = dict(expected)
    if "quantity" in result:
        result["quantity"] = Fraction(decimal(result["quantity"]))
    if isinstance(result.get("adjustment_line"), dict):
        result["adjustment_line"] = _numbers(result["adjustment_line"])
    return result


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _period(inputs: dict[str, Any]) -> Period:
    return Period(start=_at(inputs["period_start"]), end=_at(inputs["period_end"]))


def _event(row: dict[str, Any]) -> UsageEvent:
    require_keys(row, {"at", "id", "key", "value"}, of="an event")
    value = row.get("value")
    return UsageEvent(
        id=row["id"],
        at=_at(row["at"]),
        value=None if value is None else decimal(value),
        key=row.get("key"),
    )


def _aggregated(inputs: dict[str, Any]) -> dict[str, Any]:
    events, refused = receive_all(_event(row) for row in inputs["events"])
    found = aggregate(events, formula=inputs["formula"], period=_period(inputs))
    return {"quantity": found, "conflicts": [event.id for event in refused]}


def _accepted(inputs: dict[str, Any]) -> dict[str, Any]:
    try:
        check_timestamp(_event(inputs["event"]).at, now=_at(inputs["now"]))
    except PayengineError as refused:
        return {"accepted": False, "error": refused.code}
    return {"accepted": True, "error": None}


def _late(inputs: dict[str, Any]) -> dict[str, Any]:
    model, period = model_of(inputs["price"]), _period(inputs)
    event, billed = _event(inputs["late_event"]), Fraction(decimal(inputs["billed_quantity"]))
    invoiced = {"invoiced": line_amount(model, billed)}
    final = FinalizedPeriod(period=period, finalized_at=_at(inputs["finalized_at"]))
    try:
        adjusted = place_event(
            event,
            told_at=_at(inputs["ingested_at"]),
            finalized=[final],
            policy=inputs.get("policy", "next_invoice"),
        )
    except PayengineError as refused:
        return invoiced | {"accepted": False, "adjustment_line": None, "error": refused.code}
    if adjusted is None:
        return invoiced | {"accepted": True, "adjustment_line": None}
    present = _with(event, billed=billed, formula=inputs.get("formula", "sum"), period=period)
    line = late_adjustment(model, billed=billed, present=present)
    return invoiced | {"accepted": True, "adjustment_line": _spelled(line, adjusted)}


def _with(event: UsageEvent, *, billed: Fraction, formula: Formula, period: Period) -> Fraction:
    """What a period that came to `billed` comes to with one more event."""
    if formula == "count":
        return billed + aggregate([event], formula=formula, period=period)
    if formula not in ("sum", "max"):
        unknown_shape(f"a late event of {formula}, whose other events are not told")
    before = UsageEvent(id="billed", at=period.start, value=decimal(spell_decimal(billed)))
    return aggregate([before, event], formula=formula, period=period)


def _spelled(line: Adjustment, adjusted: FinalizedPeriod) -> dict[str, Any]:
    return {
        "for_period_start": adjusted.period.start.isoformat().replace("+00:00", "Z"),
        "quantity": line.quantity,
        "amount": line.amount_minor,
    }


def _late_quantity(inputs: dict[str, Any]) -> dict[str, Any]:
    billed = Fraction(decimal(inputs["billed_quantity"]))
    present = max(billed + Fraction(decimal(inputs["late_quantity"])), Fraction(0))
    line = late_adjustment(model_of(inputs["price"]), billed=billed, present=present)
    return {"adjustment_amount": line.amount_minor, "adjustment_quantity": line.quantity}
