"""Does the collection of invoices go as the examples do, instant by instant?

The machine of production is run from instant to instant; what its charges come to is the example's
word, and what is asked of the provider is counted here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, get_args

from payengine.billing.dunning import begin_collection, step
from payengine.billing.dunning_policy import DunningPolicy
from payengine.billing.dunning_state import (
    DunningState,
    charge_key,
    deadline_of,
    next_due,
    subscription_standing,
)
from payengine.billing.dunning_words import (
    Action,
    ChargeCustomer,
    ChargeDeclined,
    ChargeFailed,
    ChargeNotFound,
    ChargeSucceeded,
    ChargeUnknown,
    CollectionKind,
    CustomerAuthenticated,
    CustomerCanceled,
    DunningEvent,
    InvoicePaid,
    MethodUpdated,
    NotifyCustomer,
    TimeCame,
)
from payengine.billing.invoices.issuing import collected_as
from payengine.billing.invoicing import InvoiceReason
from payengine.billing.network_limits import CardHistory, may_present

from tests.acceptance.examples.shapes import Case, World, require_keys, unknown_shape

__all__ = ["cases"]

_INVOICE = "inv_example"
_MOST_STEPS = 1_000
_POLICY = {"retry_intervals_days", "final_action", "access_grace_days"}
_FAILED = {"gateway_unavailable", "not_sent"}
_UNKNOWN = {"timeout", "unknown"}
_ACTS: dict[str, type[MethodUpdated] | type[CustomerAuthenticated] | type[CustomerCanceled]] = {
    "payment_method_updated": MethodUpdated,
    "customer_authenticated": CustomerAuthenticated,
    "canceled_by_customer": CustomerCanceled,
}


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each example."""
    return [Case(case["id"], partial(_run, case)) for case in document["cases"]]


async def _run(case: dict[str, Any], world: World) -> None:
    inputs, expected = case["inputs"], case["expected"]
    keys = set(inputs) - {"policy"}
    if {"t0", "automatic_results"} <= keys <= {"t0", "automatic_results", "events"}:
        found = _timeline(inputs)
    elif keys == {"t0", "results"}:
        found = _technical(inputs)
    elif {"t0", "call", "reconcile"} <= keys <= {"t0", "call", "reconcile", "retry"}:
        found = _reconciled(inputs)
    elif keys == {"created", "first_payment"}:
        found = _first(inputs, expected)
    elif keys == {"open_invoices", "paid"}:
        found = _several(inputs)
    elif "network" in keys:
        found = _network(inputs)
    elif keys == {"invoice_reason", "result"}:
        found = _one(inputs)
    else:
        unknown_shape(f"a dunning case of {sorted(keys)}")
    require_keys(expected, set(found), of="what is expected")
    assert expected, "nothing is expected"
    assert {name: found[name] for name in expected} == expected


@dataclass
class _Collection:
    """One invoice in collection, the instant it has reached, and what was asked meanwhile."""

    kind: CollectionKind
    policy: DunningPolicy
    at: datetime
    actions: list[Action] = field(default_factory=list)
    charged_at: list[datetime] = field(default_factory=list)
    counted: list[dict[str, str]] = field(default_factory=list)
    last_retry_at: datetime | None = None

    def __post_init__(self) -> None:
        self.state: DunningState
        self.state, actions = begin_collection(self.kind, policy=self.policy, t0=self.at)
        self._note(actions)

    def hear(self, event: DunningEvent) -> None:
        self.state, actions = step(self.state, event, self.at)
        self._note(actions)

    @property
    def is_out(self) -> bool:
        return self.state.phase == "charging"

    def answer(self, result: str) -> None:
        """Tell what the charge came to; those that count are kept with the instant of the try."""
        charge, trigger, before = self.state.charge, self.state.trigger, self.state.attempts
        self.hear(_answer(charge, result))
        if self.state.attempts > before or result == "succeeded":
            at = _text(self.charged_at[-1])
            self.counted.append({"at": at, "trigger": trigger, "result": result})

    def _note(self, actions: tuple[Action, ...]) -> None:
        self.actions += actions
        for action in actions:
            if isinstance(action, ChargeCustomer):
                self.charged_at.append(self.at)
                if self.state.technical_retries:
                    self.last_retry_at = self.at
        told = [each for each in self.actions if isinstance(each, NotifyCustomer)]
        assert len(told) <= len(self.charged_at) + 1, "a notice without an attempt"


def _answer(charge: int, result: str) -> DunningEvent:
    if result == "succeeded":
        return ChargeSucceeded(charge)
    if result in _FAILED:
        return ChargeFailed(charge)
    if result in _UNKNOWN:
        return ChargeUnknown(charge)
    return ChargeDeclined(charge, result)


def _timeline(inputs: dict[str, Any]) -> dict[str, Any]:
    """The whole life of one renewal's invoice."""
    t0 = _instant(inputs["t0"])
    run = _Collection("renewal", _policy(inputs), t0)
    automatic = list(inputs["automatic_results"])
    acts = sorted(
        ((t0 + timedelta(days=act["day"], seconds=1), act) for act in inputs.get("events", [])),
        key=lambda each: each[0],
    )
    on_session: str | None = None
    for _ in range(_MOST_STEPS):
        if run.state.phase == "unknown":
            unknown_shape("an unknown outcome without a finding")
        if run.is_out:
            if on_session is None and not automatic:
                unknown_shape(f"the charge at {_text(run.at)} has no result")
            run.answer(on_session or automatic.pop(0))
            on_session = None
            continue
        due = next_due(run.state)
        if acts and (due is None or acts[0][0] < due):
            run.at, act = acts.pop(0)
            require_keys(act, {"day", "type", "result"}, of="an event")
            if act["type"] not in _ACTS:
                unknown_shape(f"an event {act['type']}")
            run.hear(_ACTS[act["type"]]())
            on_session = act.get("result") if run.is_out else None
        elif due is not None:
            run.at = due
            run.hear(TimeCame())
        else:
            return _shown(run)
    return unknown_shape("a collection without an end")


def _technical(inputs: dict[str, Any]) -> dict[str, Any]:
    """As many charges as there are results, however they are made."""
    run = _Collection("renewal", _policy(inputs), _instant(inputs["t0"]))
    results = list(inputs["results"])
    for _ in range(_MOST_STEPS):
        if run.state.phase == "unknown":
            unknown_shape("an unknown outcome without a finding")
        if run.is_out:
            run.answer(results.pop(0))
        elif not results or (due := next_due(run.state)) is None:
            break
        else:
            run.at = due
            run.hear(TimeCame())
    assert results == [], "results of charges that are never made"
    return _shown(run)


def _reconciled(inputs: dict[str, Any]) -> dict[str, Any]:
    """A call without an answer, and what was found of it."""
    t0 = _instant(inputs["t0"])
    run = _Collection("renewal", _policy(inputs), t0)
    run.answer(inputs["call"])
    assert run.state.phase == "unknown"
    retry = inputs.get("retry")
    provider: set[str] = set()
    for finding in inputs["reconcile"]:
        require_keys(finding, {"after_seconds", "found"}, of="a finding")
        run.at = t0 + timedelta(seconds=finding["after_seconds"])
        run.hear(TimeCame())
        assert not run.is_out, "nothing is charged while an outcome is unknown"
        found, key = finding["found"], charge_key(_INVOICE, run.state.charge)
        if found == "nothing":
            run.hear(ChargeNotFound(run.state.charge))
            if retry is None:
                unknown_shape("a charge that was sent again has no result")
            provider |= {key} if retry == "succeeded" else set()
            run.answer(retry)
        elif found not in {"pending", *_UNKNOWN}:
            provider |= {key} if found == "succeeded" else set()
            run.answer(found)
    charges = [each for each in run.actions if isinstance(each, ChargeCustomer)]
    keys = {charge_key(_INVOICE, each.charge) for each in charges}
    return _shown(run) | {"provider_charges": len(provider), "idempotency_keys_used": len(keys)}


def _first(inputs: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """A new subscription at the instants that are asked about."""
    created = _instant(inputs["created"])
    run = _Collection("first", _policy(inputs), created)
    run.answer(inputs["first_payment"])
    asked: list[tuple[timedelta, str]] = []
    for name in expected:
        if match := re.fullmatch(r"status_at_(\d+)h(?:(\d+)m)?", name):
            after = timedelta(hours=int(match[1]), minutes=int(match[2] or 0))
            asked.append((after, name))
    found: dict[str, Any] = {}
    for after, name in sorted(asked):
        while (due := next_due(run.state)) is not None and due <= created + after:
            run.at = due
            run.hear(TimeCame())
            if run.is_out:
                unknown_shape("a further charge of the first invoice has no result")
        found[name] = run.state.subscription
    return _shown(run) | found


def _several(inputs: dict[str, Any]) -> dict[str, Any]:
    """Invoices of one subscription that all failed, of which some are paid."""
    runs = []
    for amount in inputs["open_invoices"]:
        assert amount > 0
        run = _Collection("renewal", _policy(inputs), datetime(2025, 6, 1, tzinfo=UTC))
        run.answer("insufficient_funds")
        runs.append(run)
    for index in inputs["paid"]:
        others = [run for run in runs if run.state.invoice == "open" and run is not runs[index]]
        runs[index].hear(InvoicePaid(others_open=len(others)))
    left = [run for run in runs if run.state.invoice == "open"]
    status = subscription_standing([run.state for run in runs])
    told = runs[inputs["paid"][-1]].state.subscription if inputs["paid"] else status
    assert status == told, "the last payment and the invoices tell of two standings"
    return {"status": status, "open_invoices": len(left)}


def _network(inputs: dict[str, Any]) -> dict[str, Any]:
    """Whether a network's limit lets the next charge through."""
    known = {"network", "declines_today", "declines_30d", "category", "mac", "at"}
    require_keys(inputs, known, of="a card's history")
    at = _instant(inputs.get("at", "2025-06-01T08:00:00Z"))
    advice = inputs.get("category", inputs.get("mac"))
    history = CardHistory(
        declines_today=inputs.get("declines_today", 0),
        declines_30d=inputs.get("declines_30d", 0),
        advice=None if advice is None else str(advice),
    )
    found = may_present(inputs["network"], history, at=at)
    next_day = (at + timedelta(days=1)).replace(hour=0, minute=0, second=0)
    retry_at: str | None = None
    if found.retry_at is not None:
        retry_at = "next day" if found.retry_at == next_day else _text(found.retry_at)
    return {"send": found.send, "reason": found.reason, "retry_at": retry_at}


def _one(inputs: dict[str, Any]) -> dict[str, Any]:
    """One charge of an invoice that was made for this reason."""
    reason: InvoiceReason = inputs["invoice_reason"]
    if reason not in get_args(InvoiceReason):
        unknown_shape(f"an invoice made for {reason}")
    at = datetime(2025, 6, 1, tzinfo=UTC)
    run = _Collection(collected_as(reason), _policy(inputs), at)
    run.answer(inputs["result"])
    retried = run.state.attempt_at is not None and run.state.invoice == "open"
    return _shown(run) | {
        "subscription_status": run.state.subscription,
        "invoice_retry": retried,
    }


def _shown(run: _Collection) -> dict[str, Any]:
    state = run.state
    scheduled = state.attempt_at if state.phase == "scheduled" else None
    return {
        "attempts": run.counted,
        "attempts_at": [_text(at) for at in run.charged_at],
        "access_suspended_at": _text_or_none(state.access_suspended_at),
        "deadline": _text(deadline_of(state)),
        "dunning_attempts": state.attempts,
        "final_at": _text_or_none(state.ended_at),
        "final_status": state.subscription,
        "invoice_status": state.invoice,
        "last_technical_retry_at": _text_or_none(run.last_retry_at),
        "next_scheduled": _text_or_none(scheduled),
        "status": state.subscription,
    }


def _policy(inputs: dict[str, Any]) -> DunningPolicy:
    given = dict(inputs.get("policy") or {})
    require_keys(given, _POLICY, of="a policy")
    if "retry_intervals_days" in given:
        given["retry_intervals_days"] = tuple(given["retry_intervals_days"])
    return DunningPolicy(**given)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _text_or_none(at: datetime | None) -> str | None:
    return None if at is None else _text(at)
