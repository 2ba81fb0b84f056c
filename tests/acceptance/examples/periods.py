"""Does a cadence have the boundaries that the examples list?"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from payengine.billing import Cadence, Interval
from payengine.errors import PayengineError

from tests.acceptance.examples.shapes import Case, World, require_keys

__all__ = ["cases"]

_INPUTS = {"anchor", "anchor_day", "interval", "interval_count", "periods", "time_zone"}


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each example."""
    return [Case(case["id"], partial(_run, case)) for case in document["cases"]]


async def _run(case: dict[str, Any], world: World) -> None:
    inputs, expected = case["inputs"], case["expected"]
    require_keys(inputs, _INPUTS, of="a cadence")
    require_keys(expected, {"boundaries", "error"}, of="a cadence's boundaries")
    error: str | None = None
    found: list[datetime] = []
    try:
        cadence = Cadence(
            anchor=datetime.fromisoformat(inputs["anchor"]),
            interval=Interval(unit=inputs["interval"], count=inputs.get("interval_count", 1)),
            time_zone=inputs.get("time_zone") or "UTC",
            anchor_day=inputs.get("anchor_day"),
        )
        found = cadence.boundaries(inputs["periods"])
    except PayengineError as refused:
        error = refused.code
    assert error == expected.get("error")
    assert found == [datetime.fromisoformat(each) for each in expected.get("boundaries", [])]
    for number, start in enumerate(found[:-1]):
        period = cadence.period(number)
        assert (period.start, period.end) == (start, found[number + 1])
        assert period.is_empty or cadence.period_at(start) == period
