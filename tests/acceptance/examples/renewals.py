"""Do subscriptions pass their boundaries as the examples do?

What a boundary makes of one subscription is put to the rules of production, and to a stored
subscription. Examples of workers, crashes, webhooks and tenants are played on an engine of their
own with real processes and payments, and held to all invariants.
"""

from __future__ import annotations

import os
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

from tests.acceptance.examples.shapes import Case, World, require_keys, unknown_shape
from tests.acceptance.renewals.races import cancel_race, change_race
from tests.acceptance.renewals.scenes import (
    KILLS,
    doubled_webhooks,
    killed_workers,
    many_workers,
    two_tenants,
)
from tests.acceptance.renewals.stage import Stage
from tests.acceptance.renewals.worker import Manner

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
#: The ordinary run plays the larger examples with so many subscriptions and workers; all of them
#: where a folder of examples is named, and at night.
_MOST_DUE = 60
_MOST_WORKERS = 4

_ALLOWED = (
    "renewal(old)+proration(new over the new period) == renewal(new) +- 1 minor unit per line"
)
_END = "2025-07-01T00:00:00Z"
#: How workers look where wake-ups are lost, come, or come twice.
_BROKERS: dict[str, Manner] = {
    "delivers_all": "woken",
    "delivers_twice": "doubled",
    "drops_all": "once",
    "duplicates_all": "doubled",
}


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each example."""
    return [Case(case["id"], partial(_run, case)) for case in document["cases"]]


async def _run(case: dict[str, Any], world: World) -> None:
    inputs, expected = case["inputs"], dict(case["expected"])
    keys = set(inputs)
    invariants = set(expected.pop("invariants", []))
    if not invariants <= _INVARIANTS:
        unknown_shape(f"the invariants {sorted(invariants - _INVARIANTS)}")
    if keys & {"due", "due_each"}:
        await _work(inputs, expected, world)
        return
    if "race" in keys:
        await _race(inputs, expected, world)
        return
    if not keys or not keys <= _BOUNDARY:
        unknown_shape(f"a renewal case of {sorted(keys)}")
    found = _boundary(inputs)
    stored = await _stored(inputs, world)
    assert stored == {name: found[name] for name in stored}, "what is stored is something else"
    require_keys(expected, set(found), of="what is expected")
    assert expected, "nothing is expected"
    assert {name: found[name] for name in expected} == expected


async def _race(inputs: dict[str, Any], expected: dict[str, Any], world: World) -> None:
    """Two transactions on one stored subscription, many times over."""
    assert world.till is not None
    require_keys(inputs, {"race", "repeat"}, of="a race")
    till = await world.till()
    repeat, _ = _part(inputs["repeat"])
    if inputs["race"] == ["renew", "set_cancel_at_period_end"]:
        outcomes, broken = await cancel_race(till, repeat)
        allowed = set(expected.pop("allowed_outcomes"))
        expected.pop("forbidden", None)
        assert outcomes <= allowed
    elif inputs["race"] == ["renew", "change_plan"]:
        costs, broken = await change_race(till, repeat)
        if expected.pop("allowed_totals") != _ALLOWED:
            unknown_shape("other totals than the new price's, one unit for each line")
        assert [(off, lines) for off, lines in costs if abs(off) > lines] == []
    else:
        unknown_shape(f"a race of {inputs['race']}")
    assert broken == ()
    require_keys(expected, set(), of="what is expected")


async def _work(inputs: dict[str, Any], expected: dict[str, Any], world: World) -> None:
    """Workers on stored subscriptions; every invariant is held to, whatever the example names."""
    assert world.till is not None
    till = await world.till()
    keys = set(inputs)
    if keys == {"tenants", "due_each", "poison_tenant"} and inputs["tenants"] == 2:
        _, other, late = await two_tenants(till, inputs["due_each"])
        assert late <= expected.pop("max_delay_seconds_B"), "the other tenant had to wait"
        found = {"invoices_tenant_B": other.invoices}
        standing = other
    elif keys == {"due", "webhooks"}:
        standing = await doubled_webhooks(till, inputs["due"], inputs["webhooks"])
        found = {"ledger_transactions_for_payment": standing.ledger_transactions}
    elif {"due", "workers"} <= keys <= {"due", "workers", "kill", "broker"}:
        due, factor = _part(inputs["due"])
        workers = inputs["workers"] if _is_whole() else min(inputs["workers"], _MOST_WORKERS)
        if inputs.get("kill") is not None:
            if inputs["kill"] not in KILLS:
                unknown_shape(f"a kill {inputs['kill']}")
            standing = await killed_workers(till, due, workers, [inputs["kill"]])
        else:
            manner = _BROKERS.get(inputs.get("broker", "drops_all"))
            if manner is None:
                unknown_shape(f"a broker that {inputs['broker']}")
            standing = await many_workers(till, due, workers, manner=manner)
        expected = {name: value * due // factor for name, value in expected.items()}
        found = {}
    else:
        unknown_shape(f"workers of {sorted(keys)}")
    found |= {
        "invoices": standing.invoices,
        "provider_charges": standing.provider_charges,
        "payments_recorded": standing.payments_recorded,
    }
    assert standing.broken == ()
    assert standing.paid == standing.invoices
    require_keys(expected, set(found), of="what is expected")
    assert {name: found[name] for name in expected} == expected


def _part(due: int) -> tuple[int, int]:
    """How many subscriptions this run plays, of how many."""
    return (due if _is_whole() else min(due, _MOST_DUE)), due


def _is_whole() -> bool:
    return bool({"PAYENGINE_EXAMPLES", "PAYENGINE_NIGHTLY"} & set(os.environ))


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


async def _stored(inputs: dict[str, Any], world: World) -> dict[str, Any]:
    """The same boundary, passed by a stored subscription."""
    assert world.till is not None
    end = _instant(inputs.get("trial_end") or inputs.get("period_end") or _END)
    present = _subscription(inputs, end)
    stage = await Stage.open(await world.till(), 1, end=end)
    await stage.write(
        "UPDATE subscription SET status = $2, interval_unit = $3, interval_count = $4,"
        " time_zone = $5, anchor = $6, cancel_at_period_end = $7, pause_at_period_end = $8"
        " WHERE tenant_id = $1",
        present.status,
        present.cadence.interval.unit,
        present.cadence.interval.count,
        present.cadence.time_zone,
        present.cadence.anchor,
        present.cancel_at_period_end,
        present.pause_at_period_end,
    )
    for _ in range(2):  # what is passed is not passed again
        await stage.engine.invoicing.renewals.run_tenant(stage.context.tenant_id, at=end)
    (row,) = await stage.rows("SELECT status FROM subscription WHERE tenant_id = $1")
    invoices = await stage.invoices()
    found: dict[str, Any] = {"status": row["status"], "invoices_at_boundary": len(invoices)}
    if invoices:
        last = invoices[-1]
        found["period"] = [_text(last["period_start"]), _text(last["period_end"])]
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
