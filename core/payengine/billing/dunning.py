"""What becomes of an invoice whose charge fails?

One pure machine: (state, event, instant) → (state, actions). `soft` declines wait for the next
scheduled attempt; every other kind ends the automatic attempts on that method, and another saved
method, or the customer, has to help before the deadline. Technical failures and unknown outcomes
are no attempts. `dunning_table` has the whole table of phases.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

import msgspec

from payengine.billing.dunning_policy import DunningPolicy, technical_delay
from payengine.billing.dunning_state import (
    ENDED,
    OUT,
    DunningState,
    deadline_of,
    may_lose_access,
)
from payengine.billing.dunning_words import (
    Action,
    ChargeCustomer,
    ChargeDeclined,
    ChargeFailed,
    ChargeHeld,
    ChargeNotFound,
    ChargeSucceeded,
    ChargeUnknown,
    CollectionKind,
    CollectionPhase,
    CustomerAuthenticated,
    CustomerCanceled,
    DunningEvent,
    InvoicePaid,
    InvoiceVoided,
    MethodUpdated,
    MoveAccess,
    MoveInvoice,
    MoveSubscription,
    NotifyCustomer,
    OpenReview,
    ReconcileCharge,
    TimeCame,
    Trigger,
)
from payengine.plugin.declines import DeclineClass, decline_rule

__all__ = ["Step", "begin_collection", "step"]

_FIRST_TRIGGER: dict[CollectionKind, Trigger] = {
    "first": "first_payment",
    "renewal": "renewal",
    "usage": "usage",
}


Step = tuple[DunningState, tuple[Action, ...]]

#: How an invoice comes to be collected no more.
Settled = Literal["paid", "void", "uncollectible"]


def begin_collection(
    kind: CollectionKind,
    *,
    policy: DunningPolicy,
    t0: datetime,
    other_methods: tuple[str, ...] = (),
) -> Step:
    """Charge an invoice for the first time, at `t0`, from which everything else is counted.

    `other_methods` are the customer's saved methods besides the default, the preferred first. A
    first invoice gives no access, tries no other method than the one that the customer chose, and
    has 23 hours in place of the policy's schedule. Raises `InputInvalid` for a policy that cannot
    be kept.
    """
    policy.check()
    is_first = kind == "first"
    state = DunningState(
        kind=kind,
        policy=policy,
        t0=t0,
        phase="charging",
        subscription="incomplete" if is_first else "active",
        access="withheld" if is_first else "granted",
        trigger=_FIRST_TRIGGER[kind],
        other_methods=other_methods if policy.tries_other_methods and not is_first else (),
    )
    return state, (ChargeCustomer(charge=0, trigger=state.trigger),)


def step(state: DunningState, event: DunningEvent, at: datetime) -> Step:
    """What the event leads to, and what is to be done about it.

    An event that says nothing new, such as the answer to a charge that was answered before, changes
    nothing and asks for nothing.
    """
    return _STEPS[type(event)](state, event, at)


# -- time ------------------------------------------------------------------------------------------


def _time_came(state: DunningState, event: Any, at: datetime) -> Step:
    if state.phase in OUT or state.phase in ENDED:
        return state, ()
    if state.attempt_at is not None and at >= state.attempt_at:
        trigger = state.trigger if state.phase == "retrying" else "schedule"
        retries = state.technical_retries if state.phase == "retrying" else 0
        return _charge(state, trigger, technical_retries=retries)
    return _settle_time(state, at)


def _settle_time(state: DunningState, at: datetime) -> Step:
    """Nothing is out: has the deadline passed, or the grace?"""
    actions: tuple[Action, ...] = ()
    is_over = at >= deadline_of(state) and state.attempt_at is None
    if is_over and not state.is_final:
        state, actions = _final_action(state, at)
    if may_lose_access(state) and at >= state.policy.grace_ends(state.t0):
        state = _with(state, access="suspended", access_suspended_at=at)
        actions += (MoveAccess("suspended"),)
    return state, actions


def _final_action(state: DunningState, at: datetime) -> Step:
    state = _with(state, is_final=True, ended_at=at, attempt_at=None)
    if state.kind == "first":
        state = _with(state, phase="expired", subscription="incomplete_expired", invoice="void")
        return state, (MoveInvoice("void"), MoveSubscription("incomplete_expired"))
    if state.kind == "renewal" and state.policy.final_action == "cancel":
        state = _with(state, phase="canceled", subscription="canceled", access="ended")
        notice = NotifyCustomer("subscription_canceled", state.charge)
        return state, (MoveSubscription("canceled"), MoveAccess("ended"), notice)
    state = _with(state, phase="given_up")
    if state.kind == "renewal" and state.policy.final_action == "unpaid":
        return _with(state, subscription="unpaid"), (MoveSubscription("unpaid"),)
    return state, ()


# -- charges ---------------------------------------------------------------------------------------


def _charge(
    state: DunningState,
    trigger: Trigger,
    *,
    technical_retries: int = 0,
    method: str | None = None,
    is_new_method: bool = False,
) -> Step:
    """A charge of its own number; the method stays the present one unless it is a new one."""
    state = _with(
        state,
        phase="charging",
        charge=state.charge + 1,
        trigger=trigger,
        technical_retries=technical_retries,
        attempt_at=None,
        asked=None,
        asked_method=None,
        method=method if is_new_method else state.method,
        avoid_gateways=() if is_new_method else state.avoid_gateways,
    )
    action = ChargeCustomer(
        charge=state.charge,
        trigger=trigger,
        method=state.method,
        avoid_gateways=state.avoid_gateways,
    )
    return state, (action,)


def _is_answer(state: DunningState, charge: int) -> bool:
    """Whether an answer to this charge is awaited."""
    return state.phase in OUT and charge == state.charge


def _succeeded(state: DunningState, event: ChargeSucceeded, at: datetime) -> Step:
    if event.charge in state.paid_by:
        return state, ()
    state = _with(state, paid_by=(*state.paid_by, event.charge))
    if state.invoice == "paid":
        return state, (OpenReview("paid_twice", event.charge),)
    if state.invoice == "void":
        return state, (OpenReview("paid_after_end", event.charge),)
    is_late = state.phase in ENDED
    had_failed = state.attempts > 0
    state, actions = _settle(state, at, others_open=event.others_open, invoice="paid")
    if is_late:
        return state, (*actions, OpenReview("paid_after_end", event.charge))
    if had_failed:
        actions += (NotifyCustomer("payment_recovered", event.charge),)
    return state, actions


def _declined(state: DunningState, event: ChargeDeclined, at: datetime) -> Step:
    if not _is_answer(state, event.charge):
        return state, ()
    rule = decline_rule(event.code)
    if rule.other_gateway or rule.decline_class == "technical":
        state = _avoiding(state, event.gateway)
    if rule.decline_class == "technical":
        return _technical(state, at)
    return _counted(state, rule.decline_class, at)


def _failed(state: DunningState, event: ChargeFailed, at: datetime) -> Step:
    if not _is_answer(state, event.charge):
        return state, ()
    return _technical(_avoiding(state, event.gateway), at)


def _technical(state: DunningState, at: datetime) -> Step:
    if state.asked is not None:
        return _as_asked(state, state.asked)
    delay = technical_delay(state.technical_retries)
    if delay is None:
        return _counted(state, "soft", at)
    retries = state.technical_retries + 1
    state = _with(state, phase="retrying", technical_retries=retries, attempt_at=at + delay)
    return _settle_time(state, at)


def _counted(state: DunningState, kind: DeclineClass, at: datetime) -> Step:
    """A failure that counts: the subscription falls behind, and the kind says what comes next."""
    stopped_by = None if kind == "soft" else kind
    state = _with(state, attempts=state.attempts + 1, stopped_by=stopped_by)
    actions: tuple[Action, ...] = (NotifyCustomer("payment_failed", state.charge, ask=stopped_by),)
    if kind == "integration":
        # The shop's own settings are at fault, which the customer can do nothing about.
        actions = (OpenReview("set_up_at_fault", state.charge),)
    state, behind = _fall_behind(state)
    after, more = _after_failure(state, at)
    return after, (*actions, *behind, *more)


def _fall_behind(state: DunningState) -> Step:
    if state.kind != "renewal" or state.subscription != "active":
        return state, ()
    return _with(state, subscription="past_due"), (MoveSubscription("past_due"),)


def _after_failure(state: DunningState, at: datetime) -> Step:
    if state.asked == "payment_method_updated" or (state.asked and state.stopped_by != "hard"):
        return _as_asked(state, state.asked)
    state = _with(state, asked=None, technical_retries=0)
    is_last = _next_attempt(state, at) is None
    if state.other_methods and (state.stopped_by is not None or is_last):
        method, *rest = state.other_methods
        state = _with(state, other_methods=tuple(rest), stopped_by=None)
        return _charge(state, "other_method", method=method, is_new_method=True)
    attempt_at = _next_attempt(state, at) if state.stopped_by is None else None
    state = _with(state, attempt_at=attempt_at)
    if state.is_final:
        return _settle_time(_with(state, phase="given_up"), at)
    phase: CollectionPhase = "waiting" if attempt_at is None else "scheduled"
    return _settle_time(_with(state, phase=phase), at)


def _next_attempt(state: DunningState, at: datetime) -> datetime | None:
    if state.kind == "first" or state.is_final:
        return None
    return state.policy.next_attempt(state.t0, after=at)


def _unknown(state: DunningState, event: ChargeUnknown, at: datetime) -> Step:
    if not _is_answer(state, event.charge) or state.phase == "unknown":
        return state, ()
    return _with(state, phase="unknown"), (ReconcileCharge(state.charge),)


def _not_found(state: DunningState, event: ChargeNotFound, at: datetime) -> Step:
    if not _is_answer(state, event.charge) or state.phase != "unknown":
        return state, ()
    again = ChargeCustomer(
        charge=state.charge, trigger=state.trigger, method=state.method, is_resend=True
    )
    return _with(state, phase="charging"), (again,)


def _held(state: DunningState, event: ChargeHeld, at: datetime) -> Step:
    """Nothing was sent: it counts for nothing, and waits for the network's day or the deadline."""
    if not _is_answer(state, event.charge) or state.phase == "unknown":
        return state, ()
    if state.asked is not None:
        return _as_asked(state, state.asked)
    if event.until is not None and event.until <= deadline_of(state):
        return _settle_time(_with(state, phase="retrying", attempt_at=event.until), at)
    stopped_by: DeclineClass = "hard" if event.until is None else "new_method"
    state, behind = _fall_behind(_with(state, stopped_by=stopped_by))
    after, more = _after_failure(state, at)
    return after, (*behind, *more)


def _avoiding(state: DunningState, gateway: str | None) -> DunningState:
    if gateway is None or gateway in state.avoid_gateways:
        return state
    return _with(state, avoid_gateways=(*state.avoid_gateways, gateway))


# -- people ----------------------------------------------------------------------------------------


def _method_updated(state: DunningState, event: MethodUpdated, at: datetime) -> Step:
    if state.phase in ENDED:
        return state, ()
    state = _with(state, asked="payment_method_updated", asked_method=event.method)
    return (state, ()) if state.phase in OUT else _as_asked(state, "payment_method_updated")


def _authenticated(state: DunningState, event: CustomerAuthenticated, at: datetime) -> Step:
    # A card that was refused for good is never presented again, whoever asks for it.
    if state.phase in ENDED or state.stopped_by == "hard":
        return state, ()
    if state.phase in OUT:
        return _with(state, asked=state.asked or "customer_authenticated"), ()
    return _as_asked(state, "customer_authenticated")


def _as_asked(state: DunningState, trigger: Trigger) -> Step:
    """The customer acted: charge at once."""
    is_new = trigger == "payment_method_updated"
    state = _with(state, stopped_by=None)
    return _charge(state, trigger, method=state.asked_method, is_new_method=is_new)


def _canceled(state: DunningState, event: CustomerCanceled, at: datetime) -> Step:
    if state.phase in ENDED:
        return state, ()
    state = _with(
        state,
        phase="canceled",
        subscription="canceled",
        access="ended",
        attempt_at=None,
        asked=None,
        ended_at=at,
    )
    return state, (MoveAccess("ended"),)


def _paid(state: DunningState, event: InvoicePaid, at: datetime) -> Step:
    if state.invoice not in ("open", "uncollectible"):
        return state, ()
    return _settle(state, at, others_open=event.others_open, invoice="paid")


def _voided(state: DunningState, event: InvoiceVoided, at: datetime) -> Step:
    if state.invoice != "open":
        return _written_off_before(state, event)
    invoice: Settled = "uncollectible" if event.written_off else "void"
    return _settle(state, at, others_open=event.others_open, invoice=invoice)


def _written_off_before(state: DunningState, event: InvoiceVoided) -> Step:
    """What was written off may be voided still; anything else has its end."""
    if state.invoice != "uncollectible" or event.written_off:
        return state, ()
    return _with(state, invoice="void"), (MoveInvoice("void"),)


def _settle(state: DunningState, at: datetime, *, others_open: int, invoice: Settled) -> Step:
    """Nothing more is owed on this invoice; the subscription recovers if it is the last one."""
    actions: tuple[Action, ...] = (MoveInvoice(invoice),)
    if state.phase in ENDED:  # what has ended stays ended; a late payment is only recorded
        return _with(state, invoice=invoice), actions
    state = _with(state, phase="settled", invoice=invoice, attempt_at=None, asked=None, ended_at=at)
    if others_open > 0:
        return state, actions
    if state.subscription != "active":
        state = _with(state, subscription="active")
        actions += (MoveSubscription("active"),)
    if state.access != "granted":
        state = _with(state, access="granted")
        actions += (MoveAccess("granted"),)
    return state, actions


_STEPS: dict[type, Callable[[DunningState, Any, datetime], Step]] = {
    TimeCame: _time_came,
    ChargeSucceeded: _succeeded,
    ChargeDeclined: _declined,
    ChargeFailed: _failed,
    ChargeUnknown: _unknown,
    ChargeNotFound: _not_found,
    ChargeHeld: _held,
    MethodUpdated: _method_updated,
    CustomerAuthenticated: _authenticated,
    CustomerCanceled: _canceled,
    InvoicePaid: _paid,
    InvoiceVoided: _voided,
}


def _with(state: DunningState, **changes: Any) -> DunningState:
    return msgspec.structs.replace(state, **changes)
