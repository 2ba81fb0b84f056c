"""Do escrow, delays, disputes, payouts and onboarding go as the examples say?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, get_args
from zoneinfo import ZoneInfo

import msgspec
from payengine.errors import PayengineError
from payengine.fx.conversion import parse_rate
from payengine.fx.quotes import worth
from payengine.marketplace.accounts import (
    OnboardingEvent,
    advance,
    capabilities,
    check_leaving,
    check_payout,
)
from payengine.marketplace.availability import available_on, day_of
from payengine.marketplace.commission import CommissionRule, commission
from payengine.marketplace.disputes import (
    dispute_shares,
    refund_shares,
    taken_at_end,
    taken_at_opening,
)
from payengine.marketplace.escrow import (
    EscrowFacts,
    EscrowTerms,
    Freeze,
    check_release,
    due_at,
    milestones_standing,
    refund_before_or_after,
    state_at,
)
from payengine.marketplace.payouts import (
    Schedule,
    after_payout,
    first_payout_with,
    payable,
    payout_dates,
)
from payengine.marketplace.reserves import ReserveRule, reserve

from tests.acceptance.examples.shapes import (
    Case,
    World,
    choose,
    compare,
    require_keys,
    unknown_shape,
)

__all__ = ["cases"]

Inputs = dict[str, Any]

#: What an example may call the step that asks the vendor for more.
_ASKS = {
    "action_required",
    "info_requested",
    "information_required",
    "information_requested",
    "more_info",
    "more_information",
    "need_info",
    "needs_info",
    "needs_information",
    "request_info",
    "request_information",
    "requirements_due",
    "requires_action",
    "requires_information",
}
#: What else it may call the other steps.
_STEPS: dict[str, OnboardingEvent] = {
    "approve": "verified",
    "approved": "verified",
    "closed": "close",
    "pause": "platform_pause",
    "rejected": "reject",
    "resubmit": "submit",
    "resume": "platform_resume",
    "submitted": "submit",
    "verify": "verified",
}
_OPENED = (
    "disputed_at",
    "dispute_at",
    "dispute_opened_at",
    "dispute_opened",
    "frozen_at",
    "frozen_from",
)
_ENDED = (
    "dispute_closed_at",
    "dispute_closed",
    "dispute_ended_at",
    "dispute_resolved_at",
    "dispute_won_at",
    "frozen_until",
    "unfrozen_at",
)
_APPROVED = (
    "approved_at",
    "manual_approved_at",
    "manual_at",
    "manual_release_at",
    "manually_released_at",
)
_OPEN = ("disputed", "dispute_open")


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each example."""
    return [Case(case["id"], partial(_run, case)) for case in document["cases"]]


async def _run(case: dict[str, Any], world: World) -> None:
    inputs = case["inputs"]
    found: dict[str, Any] = {}
    try:
        found = choose(inputs, _SHAPES, of="a marketplace case")(inputs)
    except PayengineError as refused:
        found = {"error": refused.code}
        if "available" in inputs:
            found["remaining"] = inputs["available"]
        if "vendor_balance" in inputs:
            found["vendor_balance"] = inputs["vendor_balance"]
        if "status" in inputs:  # what is refused leaves the account as it was
            can = capabilities(inputs["status"])
            found |= {"status": inputs["status"], **msgspec.to_builtins(can)}
    compare(found, case["expected"])


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _said(inputs: Inputs, names: tuple[str, ...]) -> datetime | None:
    return next((_instant(inputs[name]) for name in names if inputs.get(name)), None)


def _escrow(inputs: Inputs) -> dict[str, Any]:
    known = {
        "captured_at",
        "conditions",
        "delivered_at",
        "inspection_days",
        "milestone_at",
        "now",
        "refunded_at",
        "released_at",
        "timeout_days",
        *_APPROVED,
        *_ENDED,
        *_OPEN,
        *_OPENED,
    }
    require_keys(inputs, known, of="an escrow")
    terms = EscrowTerms(
        conditions=tuple(inputs.get("conditions", ())),
        inspection_days=inputs.get("inspection_days", 0),
        timeout_days=inputs.get("timeout_days"),
    )
    opened = _said(inputs, _OPENED)
    if opened is None and any(inputs.get(name) for name in _OPEN):
        opened = datetime.fromisoformat(inputs["captured_at"])
    freezes = (Freeze(since=opened, until=_said(inputs, _ENDED)),) if opened else ()
    facts = EscrowFacts(
        captured_at=datetime.fromisoformat(inputs["captured_at"]),
        delivered_at=_instant(inputs.get("delivered_at")),
        approved_at=_said(inputs, _APPROVED),
        milestone_at=_instant(inputs.get("milestone_at")),
        freezes=freezes,
        released_at=_instant(inputs.get("released_at")),
        refunded_at=_instant(inputs.get("refunded_at")),
    )
    due = due_at(terms, facts)
    now = _instant(inputs.get("now")) or due or facts.captured_at + timedelta(days=3_650)
    state = state_at(terms, facts, at=now)
    released_at = facts.released_at
    if state == "releasable":
        # What is due is released at the instant at which it became so.
        assert due is not None
        check_release(terms, facts, at=due)
        state, released_at = "released", due
    shown = None if state != "released" or released_at is None else released_at
    return {
        "state": state,
        "released_at": None if shown is None else f"{shown.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }


def _milestones(inputs: Inputs) -> dict[str, Any]:
    known = {"amount", "currency", "milestones_bps", "released", "refunded"}
    require_keys(inputs, known, of="milestones")
    found = milestones_standing(
        inputs["amount"],
        inputs["milestones_bps"],
        released=inputs.get("released", []),
        refunded=inputs.get("refunded", []),
    )
    return {
        "released_amount": found.released_amount,
        "refunded_amount": found.refunded_amount,
        "held": found.held,
    }


def _refund_of_escrow(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {"amount", "currency", "refund", "state"}, of="a refund of escrow")
    if inputs["state"] not in ("held", "releasable", "released"):
        unknown_shape(f"an escrow that is {inputs['state']}")
    is_out = inputs["state"] == "released"
    held, released = (0, inputs["amount"]) if is_out else (inputs["amount"], 0)
    found = refund_before_or_after(inputs["refund"], held=held, released=released)
    return {"escrow": held - found.from_escrow, "vendor_balance": released - found.from_parts}


def _reserve(inputs: Inputs) -> dict[str, Any]:
    known = {"sale", "net", "currency", "reserve_bps", "reserve_days", "sale_on"}
    require_keys(inputs, known, of="a reserve")
    rule = ReserveRule(reserve_bps=inputs["reserve_bps"], reserve_days=inputs["reserve_days"])
    found = reserve(
        rule,
        sale_minor=inputs["sale"],
        net_minor=inputs["net"] if "net" in inputs else inputs["sale"],
        sale_on=date.fromisoformat(inputs["sale_on"]),
    )
    return {
        "reserved": found.reserved,
        "available_after_delay": found.available,
        "released_on": found.released_on.isoformat(),
    }


def _available(inputs: Inputs) -> date:
    zone = ZoneInfo(inputs.get("timezone", "UTC"))
    return available_on(
        day_of(datetime.fromisoformat(inputs["sale_at"]), zone),
        delay_days=inputs.get("delay_days", 0),
        business_days=inputs.get("business_days", False),
        holidays={date.fromisoformat(day) for day in inputs.get("holidays", [])},
    )


def _delay(inputs: Inputs) -> dict[str, Any]:
    known = {"sale_at", "delay_days", "business_days", "holidays", "timezone"}
    require_keys(inputs, known, of="a delay")
    return {"available_on": _available(inputs).isoformat()}


def _schedule(inputs: Inputs) -> dict[str, Any]:
    known = {
        "anchor_day",
        "business_days",
        "count",
        "delay_days",
        "from",
        "from_",
        "holidays",
        "interval",
        "sale_at",
        "timezone",
        "weekday",
    }
    require_keys(inputs, known, of="a schedule")
    schedule = Schedule(
        interval=inputs["interval"],
        weekday=inputs.get("weekday", "monday"),
        anchor_day=inputs.get("anchor_day", 1),
    )
    found: dict[str, Any] = {}
    if "count" in inputs:
        since = date.fromisoformat(inputs["from_"] if "from_" in inputs else inputs["from"])
        dates = payout_dates(schedule, since=since, count=inputs["count"])
        found["dates"] = [day.isoformat() for day in dates]
    if "sale_at" in inputs:
        day = first_payout_with(schedule, available=_available(inputs))
        found["first_payout_with_sale"] = None if day is None else day.isoformat()
    return found


def _dispute(inputs: Inputs) -> dict[str, Any]:
    known = {
        "currency",
        "disputed",
        "fee",
        "fee_returned",
        "liability",
        "parts",
        "platform_balance",
        "result",
        "split_ratio",
        "vendor_balance",
    }
    require_keys(inputs, known, of="a dispute")
    ratio = inputs["parts"] if "parts" in inputs else inputs.get("split_ratio") or [1, 0]
    shares = dispute_shares(
        inputs["disputed"],
        inputs.get("fee", 0),
        liability=inputs.get("liability", "vendor"),
        remaining=_vendor_and_platform(ratio),
    )
    balances = [inputs["vendor_balance"], inputs.get("platform_balance", 0)]
    opened = [one - gone for one, gone in zip(balances, taken_at_opening(shares), strict=True)]
    final = opened
    if inputs.get("result") is not None:
        lost = taken_at_end(
            shares, inputs["result"], fee_returned=inputs.get("fee_returned", False)
        )
        final = [one - gone for one, gone in zip(balances, lost, strict=True)]
    found = {"balance_after_open": opened[0], "balance_final": final[0]}
    for name, changed in (("platform_after_open", opened), ("platform_final", final)):
        found[name] = changed[1]
    found["platform_delta_after_open"] = opened[1] - balances[1]
    found["platform_delta"] = final[1] - balances[1]
    found["vendor_delta"] = final[0] - balances[0]
    return found


def _vendor_and_platform(said: Mapping[str, int] | list[int]) -> list[int]:
    if isinstance(said, Mapping):
        require_keys(dict(said), {"vendor", "platform"}, of="the parts")
        return [said["vendor"], said["platform"]]
    if len(said) != 2:
        unknown_shape("a dispute of more parts than the vendor's and the platform's")
    return list(said)


def _recoup(inputs: Inputs) -> dict[str, Any]:
    """A balance below zero is made good by the next sale, and nothing is paid out before."""
    known = {"currency", "vendor_balance", "disputed", "fee", "next_sale_net"}
    require_keys(inputs, known, of="a dispute and a sale")
    before = {name: value for name, value in inputs.items() if name != "next_sale_net"}
    after = _dispute(before)["balance_after_open"]
    is_allowed = payable(after, currency=inputs.get("currency", "USD")).payout > 0
    return {
        "after_dispute": after,
        "payout_allowed_between": is_allowed,
        "after_sale": after + inputs["next_sale_net"],
    }


def _reversal(inputs: Inputs) -> dict[str, Any]:
    known = {"currency", "vendor_balance", "transfer_reversal", "voluntary"}
    require_keys(inputs, known, of="a reversal")
    before, amount = inputs["vendor_balance"], inputs["transfer_reversal"]
    if inputs.get("voluntary", True):
        check_leaving(available_minor=before, amount_minor=amount)
    return dict.fromkeys(("vendor_balance", "balance_after", "after"), before - amount)


def _payable(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {"available", "minimum", "currency", "step"}, of="what may be paid out")
    found = payable(
        inputs["available"],
        currency=inputs.get("currency", "USD"),
        minimum_minor=inputs.get("minimum", 0),
        step_minor=inputs.get("step"),
    )
    return {"payout": found.payout, "remaining": found.remaining}


def _payout_of(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {"available", "payout", "currency", "status"}, of="a payout")
    available, amount = inputs["available"], inputs["payout"]
    check_payout(inputs.get("status", "active"), available_minor=available, amount_minor=amount)
    return {"payout": amount, "remaining": available - amount}


def _payout_result(inputs: Inputs) -> dict[str, Any]:
    known = {"available", "payout", "currency", "result", "status"}
    require_keys(inputs, known, of="a payout's result")
    created = _payout_of({name: inputs[name] for name in inputs if name != "result"})["remaining"]
    found = after_payout("in_transit", inputs["result"], amount_minor=inputs["payout"])
    after = created + found.returned
    return {
        "balance_after_create": created,
        "balance_after_failure": after,
        "balance_after_paid": after,
        "balance_final": after,
        "destination": found.destination,
        "state": found.state,
    }


def _currencies(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {"sales", "commission_bps", "payout_currencies"}, of="sales")
    rule = CommissionRule(percent_bps=inputs.get("commission_bps", 0))
    net: dict[str, int] = {}
    for code, amount in inputs["sales"]:
        net[code] = net.get(code, 0) + commission(amount, rule).vendor_net
    return {
        "payouts": [
            [code, payable(net[code], currency=code).payout]
            for code in inputs["payout_currencies"]
            if code in net
        ],
        "remaining": [
            [code, amount]
            for code, amount in net.items()
            if code not in inputs["payout_currencies"]
        ],
    }


def _converted(inputs: Inputs) -> dict[str, Any]:
    known = {"net", "currency", "payout_currency", "mid_rate", "markup_bps", "rounding"}
    require_keys(inputs, known, of="a converted payout")
    found = worth(
        inputs["net"],
        source=inputs["currency"],
        target=inputs["payout_currency"],
        mid=parse_rate(inputs["mid_rate"]),
        markup_bps=inputs.get("markup_bps", 0),
        rounding=inputs.get("rounding", "half_even"),
    )
    return {"payout": found.customer_minor, "markup_revenue": found.markup_minor}


def _refund_fee(inputs: Inputs) -> dict[str, Any]:
    known = {"currency", "parts", "refund", "processor_fee", "fee_bearer"}
    require_keys(inputs, known, of="a refund with a fee")
    bearer = inputs.get("fee_bearer", "platform")
    found = refund_shares(
        inputs["refund"],
        remaining=_vendor_and_platform(inputs["parts"]),
        fee_minor=inputs["processor_fee"],
        fee_bearer="split_ratio" if bearer in ("split", "proportional", "both") else bearer,
    )
    vendor, platform = (-back - fee for back, fee in zip(found.reversal, found.fee, strict=True))
    return {"vendor_delta": vendor, "platform_delta": platform}


def _onboarding(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {"status", "event"}, of="a step of an onboarding")
    event: OnboardingEvent = inputs["event"]
    event = _STEPS.get(event, event)
    if event in _ASKS:
        event = "request_information"
    elif event not in get_args(OnboardingEvent):
        unknown_shape(f"the onboarding event {event}")
    status = advance(inputs["status"], event)
    can = capabilities(status)
    return {
        "status": status,
        "charges_enabled": can.charges_enabled,
        "payouts_enabled": can.payouts_enabled,
    }


#: The first whose keys a case has is its shape.
_SHAPES: tuple[tuple[set[str], Callable[[dict[str, Any]], dict[str, Any]]], ...] = (
    ({"captured_at"}, _escrow),
    ({"milestones_bps"}, _milestones),
    ({"amount", "refund", "state"}, _refund_of_escrow),
    ({"reserve_bps"}, _reserve),
    ({"interval"}, _schedule),
    ({"delay_days"}, _delay),
    ({"next_sale_net"}, _recoup),
    ({"disputed"}, _dispute),
    ({"transfer_reversal"}, _reversal),
    ({"available", "payout", "result"}, _payout_result),
    ({"available", "payout"}, _payout_of),
    ({"available"}, _payable),
    ({"sales", "payout_currencies"}, _currencies),
    ({"payout_currency"}, _converted),
    ({"refund", "processor_fee"}, _refund_fee),
    ({"status", "event"}, _onboarding),
)
