"""Do changes within a period make the lines of the examples?"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from payengine.billing import (
    Cadence,
    Interval,
    Item,
    ItemChange,
    Period,
    Proration,
    ProrationTerms,
    prorate_change,
    prorate_history,
    prorate_restart,
)
from payengine.errors import PayengineError

from tests.acceptance.examples.shapes import Case, World, require_keys, unknown_shape

__all__ = ["cases"]

_TERMS = {"behavior", "currency", "day_of_change", "mode", "time_zone"}
_PERIOD = {"period_end", "period_start"}
_AMOUNTS = {"new_effective_amount", "old_effective_amount"}
_INTERVAL = {"interval", "interval_count", "new_interval", "new_interval_count"}


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each example."""
    return [Case(case["id"], partial(_run, case)) for case in document["cases"]]


async def _run(case: dict[str, Any], world: World) -> None:
    inputs, expected = case["inputs"], case["expected"]
    try:
        if "changes" in inputs:
            require_keys(inputs, _TERMS | _PERIOD | {"changes", "initial"}, of="several changes")
            found = _several(inputs)
        elif "trial_end" in inputs:
            known = _TERMS | _PERIOD | _AMOUNTS | _INTERVAL | {"at", "status", "trial_end"}
            require_keys(inputs, known, of="a change in a trial")
            found = _in_trial(inputs)
        else:
            require_keys(inputs, _TERMS | _PERIOD | _AMOUNTS | _INTERVAL | {"at"}, of="a change")
            found = _one(inputs)
    except PayengineError as refused:
        found = {"error": refused.code}
    require_keys(expected, set(found), of="what is expected")
    assert {name: found[name] for name in expected} == expected


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _spelled(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _period(inputs: dict[str, Any]) -> Period:
    return Period(start=_at(inputs["period_start"]), end=_at(inputs["period_end"]))


def _terms(inputs: dict[str, Any]) -> ProrationTerms:
    return ProrationTerms(
        mode=inputs.get("mode") or "second",
        behavior=inputs.get("behavior") or "create_prorations",
        time_zone=inputs.get("time_zone") or "UTC",
        day_of_change=inputs.get("day_of_change"),
    )


def _item(amount: int | None) -> Item | None:
    return None if amount is None else Item(amount_minor=amount)


def _lines(line: Proration) -> dict[str, Any]:
    return {
        "factor": f"{line.part.numerator}/{line.part.denominator}",
        "credit": line.credit_minor,
        "debit": line.debit_minor,
        "net": line.net_minor,
    }


def _one(inputs: dict[str, Any]) -> dict[str, Any]:
    period, terms, at = _period(inputs), _terms(inputs), _at(inputs["at"])
    old, new = _item(inputs["old_effective_amount"]), _item(inputs["new_effective_amount"])
    unit = inputs.get("new_interval")
    if unit is None and terms.behavior != "reset":
        return _lines(prorate_change(period, at=at, old=old, new=new, terms=terms))
    if new is None:
        unknown_shape("a cancellation that starts a new period")
    interval = Interval(
        unit=unit or inputs.get("interval") or "month", count=inputs.get("new_interval_count", 1)
    )
    line = prorate_restart(
        period,
        cadence=Cadence(anchor=period.start, interval=interval, time_zone=terms.time_zone),
        at=at,
        old=old,
        new=new,
        interval=interval,
        terms=terms,
    )
    assert line.restarted is not None
    first = line.restarted.period(0)
    assert first.start == at
    return _lines(line) | {
        "new_period_start": _spelled(first.start),
        "new_period_end": _spelled(first.end),
    }


def _several(inputs: dict[str, Any]) -> dict[str, Any]:
    changes = []
    for change in inputs["changes"]:
        require_keys(change, {"at", "to"}, of="a change")
        changes.append(ItemChange(at=_at(change["at"]), to=_item(change["to"])))
    history = prorate_history(
        _period(inputs), initial=_item(inputs["initial"]), changes=changes, terms=_terms(inputs)
    )
    lines = [
        {"at": _spelled(line.at), "credit": line.credit_minor, "debit": line.debit_minor}
        for line in history.lines
    ]
    return {
        "lines": lines,
        "net": history.net_minor,
        "next_invoice_total": history.next_invoice_minor,
    }


def _in_trial(inputs: dict[str, Any]) -> dict[str, Any]:
    at, ends = _at(inputs["at"]), _at(inputs["trial_end"])
    if inputs.get("status") != "trialing":
        unknown_shape(f"the end of a trial with the status {inputs.get('status')}")
    start = _at(inputs["period_start"]) if "period_start" in inputs else min(at, ends)
    history = prorate_history(
        Period(start=start, end=ends),
        initial=_item(inputs["old_effective_amount"]),
        changes=[ItemChange(at=at, to=_item(inputs["new_effective_amount"]))],
        terms=_terms(inputs),
        in_trial=True,
    )
    (line,) = history.lines
    return _lines(line) | {
        "first_invoice_at": _spelled(history.next_invoice_at),
        "first_invoice_total": history.next_invoice_minor,
    }
