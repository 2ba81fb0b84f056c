"""Do subscriptions pass their boundaries as the examples do?

What a boundary makes of one subscription is put to the rules of production. Examples of workers,
crashes, races and tenants need renewals that are stored, and wait for them aloud.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, get_args

from payengine.billing.invoice_lines import InvoiceLine
from payengine.billing.invoicing import InvoiceDraft
from payengine.billing.periods import Cadence, Interval, IntervalUnit, Period
from payengine.billing.renewing import (
    Renewable,
    RenewalInvoice,
    plan_batch,
    renewal_name,
    resume,
)

from tests.acceptance.examples.shapes import Case, World, not_built, require_keys, unknown_shape

__all__ = ["cases"]

_INVARIANTS = {
    "no (subscription_id, period_start) appears twice",
    "sum of provider charges per invoice <= 1 succeeded",
    "period k end == period k+1 start",
    "every finalised invoice has lines whose sum is its total",
    "ledger trial balance is zero",
}
_BOUNDARY = {
    "cancel_at_period_end",
    "interval",
    "interval_count",
    "pause_at_period_end",
    "period_end",
    "resume_at",
    "time_zone",
    "trial_end",
}
#: What an example of each kind needs beside the rules.
_STORED = (
    ({"due", "workers", "kill"}, "workers that are killed between renewal, charge and record"),
    ({"due", "workers", "broker"}, "a poller that finds due rows when no message arrives"),
    ({"due", "workers"}, "workers that claim due rows from a table"),
    ({"due", "webhooks"}, "payments of stored invoices"),
    ({"race", "repeat"}, "two transactions on one stored subscription"),
    ({"tenants", "due_each", "poison_tenant"}, "workers that claim the due rows of two tenants"),
)
_END = "2025-07-01T00:00:00Z"


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each example."""
    return [Case(case["id"], partial(_run, case)) for case in document["cases"]]


async def _run(case: dict[str, Any], world: World) -> None:
    inputs, expected = case["inputs"], dict(case["expected"])
    keys = set(inputs)
    invariants = set(expected.pop("invariants", []))
    if not invariants <= _INVARIANTS:
        unknown_shape(f"the invariants {sorted(invariants - _INVARIANTS)}")
    for needed, what in _STORED:
        if keys == needed:
            not_built(f"it needs {what}: renewals are not stored yet")
    if not keys or not keys <= _BOUNDARY:
        unknown_shape(f"a renewal case of {sorted(keys)}")
    found = _boundary(inputs)
    require_keys(expected, set(found), of="what is expected")
    assert expected, "nothing is expected"
    assert {name: found[name] for name in expected} == expected


def _boundary(inputs: dict[str, Any]) -> dict[str, Any]:
    """One subscription at its boundary, and once more where it is resumed later."""
    end = _instant(inputs.get("trial_end") or inputs.get("period_end") or _END)
    present = _subscription(inputs, end)
    plan = plan_batch([present, present], end, draft_of=_draft, last_number=0)
    assert plan.failed == ()
    (after,) = plan.subscriptions
    _hold(present, plan.invoices)
    again = plan_batch(plan.subscriptions, end, draft_of=_draft, last_number=plan.last_number)
    assert again.invoices == (), "a boundary that was passed is passed again"
    found: dict[str, Any] = {"status": after.status, "invoices_at_boundary": len(plan.invoices)}
    if plan.invoices:
        found["period"] = _spelled(plan.invoices[-1].period)
    if "resume_at" in inputs:
        resumed = resume(after, _instant(inputs["resume_at"]))
        (period,) = resumed.periods
        found |= {
            "new_period": _spelled(period),
            "status_after_resume": resumed.subscription.status,
        }
    return found


def _subscription(inputs: dict[str, Any], end: datetime) -> Renewable:
    unit: IntervalUnit = inputs.get("interval", "month")
    if unit not in get_args(IntervalUnit):
        unknown_shape(f"an interval of a {unit}")
    cadence = Cadence(
        anchor=end,
        interval=Interval(unit=unit, count=inputs.get("interval_count", 1)),
        time_zone=inputs.get("time_zone", "UTC"),
    )
    return Renewable(
        id="sub_example",
        status="trialing" if "trial_end" in inputs else "active",
        cadence=cadence,
        period_start=cadence.boundary(-1),
        period_end=end,
        cancel_at_period_end=inputs.get("cancel_at_period_end", False),
        pause_at_period_end=inputs.get("pause_at_period_end", False),
    )


def _draft(subscription: Renewable, period: Period) -> InvoiceDraft:
    return InvoiceDraft(
        currency="USD",
        lines=(InvoiceLine(amount=1000, period_start=period.start, period_end=period.end),),
        subscription_id=subscription.id,
        period_start=period.start,
        period_end=period.end,
    )


def _hold(before: Renewable, made: Sequence[RenewalInvoice]) -> None:
    """The invariants that one subscription's invoices can break."""
    names = [each.name for each in made]
    assert len(set(names)) == len(names)
    assert names == [renewal_name(before.id, each.period.start) for each in made]
    assert [each.number for each in made] == list(range(1, len(made) + 1))
    end = before.period_end
    for each in made:
        assert each.period.start == end
        end = each.period.end
        assert sum(line.total for line in each.invoice.lines) == each.invoice.total


def _spelled(period: Period) -> list[str]:
    return [_text(period.start), _text(period.end)]


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
