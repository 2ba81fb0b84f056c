"""May what is kept for a vendor be released?

Escrow goes held → releasable → released or refunded. All the agreed conditions must be met, or the
timeout must have run out; while a dispute is open every timer stands still and nothing is
released. The instants are arguments: nothing here asks for the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from payengine.errors import InputInvalid, RefundExceedsRemaining, TransitionRefused
from payengine.marketplace.splits import BPS
from payengine.money import allocate

__all__ = [
    "Condition",
    "EscrowFacts",
    "EscrowState",
    "EscrowTerms",
    "Freeze",
    "Milestones",
    "Refunded",
    "check_release",
    "due_at",
    "milestone_amounts",
    "milestones_standing",
    "refund_before_or_after",
    "state_at",
    "waits_for",
]

#: `delivered`: the goods came and the inspection is over; `manual`: a person said so; `milestone`:
#: the part of the work that this escrow pays for was accepted.
Condition = Literal["delivered", "manual", "milestone"]

EscrowState = Literal["held", "releasable", "released", "refunded"]


class EscrowTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What was agreed; `timeout_days` None: no automatic release."""

    conditions: tuple[Condition, ...] = ()
    inspection_days: int = 0
    timeout_days: int | None = None


class Freeze(msgspec.Struct, frozen=True, kw_only=True):
    """From the opening of a dispute to its end; None while it is open."""

    since: datetime
    until: datetime | None = None


class EscrowFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What happened so far; every instant aware."""

    captured_at: datetime
    delivered_at: datetime | None = None
    approved_at: datetime | None = None
    milestone_at: datetime | None = None
    freezes: tuple[Freeze, ...] = ()
    released_at: datetime | None = None
    refunded_at: datetime | None = None


def due_at(terms: EscrowTerms, facts: EscrowFacts) -> datetime | None:
    """The first instant at which a release is allowed; None while none is in sight."""
    _check_terms(terms)
    candidates = [_timeout_at(terms, facts), _conditions_met_at(terms, facts)]
    found = [instant for instant in candidates if instant is not None]
    return min(found) if found else None


def state_at(terms: EscrowTerms, facts: EscrowFacts, *, at: datetime) -> EscrowState:
    """Where the escrow stands at an instant."""
    if facts.refunded_at is not None and facts.refunded_at <= at:
        return "refunded"
    if facts.released_at is not None and facts.released_at <= at:
        return "released"
    due = due_at(terms, facts)
    return "releasable" if due is not None and due <= at else "held"


def check_release(terms: EscrowTerms, facts: EscrowFacts, *, at: datetime) -> None:
    """Refuse a release that is not allowed yet or not any more; raises `TransitionRefused`."""
    state = state_at(terms, facts, at=at)
    if state == "held":
        raise TransitionRefused(f"What is in escrow waits for {waits_for(terms, facts, at=at)}.")
    if state != "releasable":
        raise TransitionRefused(f"What is in escrow cannot be released: it is {state}.")


def waits_for(terms: EscrowTerms, facts: EscrowFacts, *, at: datetime) -> str:
    """What must still happen before a release, in words; instants in UTC."""
    if any(freeze.since <= at and freeze.until is None for freeze in facts.freezes):
        return "the end of a dispute"
    missing = [
        what for condition in terms.conditions if (what := _missing(condition, terms, facts, at=at))
    ]
    said = " and ".join(missing)
    timeout = _timeout_at(terms, facts)
    if timeout is None:
        return said
    return f"{said}, or {_told(timeout)}" if said else _told(timeout)


def _missing(
    condition: Condition, terms: EscrowTerms, facts: EscrowFacts, *, at: datetime
) -> str | None:
    if condition == "manual":
        return None if facts.approved_at else "a person's word"
    if condition == "milestone":
        return None if facts.milestone_at else "its milestones to be accepted"
    if facts.delivered_at is None:
        return "the delivery to be recorded"
    until = _run_out(facts.delivered_at, days=terms.inspection_days, freezes=facts.freezes)
    return None if until is None or until <= at else f"the inspection, until {_told(until)}"


def _told(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _check_terms(terms: EscrowTerms) -> None:
    if terms.inspection_days < 0 or (terms.timeout_days or 0) < 0:
        raise InputInvalid("The days of an escrow cannot be negative.")


def _timeout_at(terms: EscrowTerms, facts: EscrowFacts) -> datetime | None:
    if terms.timeout_days is None:
        return None
    return _run_out(facts.captured_at, days=terms.timeout_days, freezes=facts.freezes)


def _conditions_met_at(terms: EscrowTerms, facts: EscrowFacts) -> datetime | None:
    if not terms.conditions:
        return None
    met: list[datetime] = []
    for condition in terms.conditions:
        begun = {
            "delivered": facts.delivered_at,
            "manual": facts.approved_at,
            "milestone": facts.milestone_at,
        }[condition]
        if begun is None:
            return None
        days = terms.inspection_days if condition == "delivered" else 0
        instant = _run_out(begun, days=days, freezes=facts.freezes)
        if instant is None:
            return None
        met.append(instant)
    return max(met)


def _run_out(start: datetime, *, days: int, freezes: Sequence[Freeze]) -> datetime | None:
    """When `days` of time that is not frozen have passed since `start`; None: not while frozen.

    The instant is never inside a freeze: what runs out at the opening of a dispute waits for its
    end.
    """
    end = start + timedelta(days=days)
    for freeze in sorted(freezes, key=lambda each: each.since):
        if freeze.since > end:
            break
        if freeze.until is None:
            return None
        overlap = freeze.until - max(freeze.since, start)
        if overlap > timedelta(0):
            end += overlap
            start = freeze.until
    return end


class Milestones(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units of an escrow that is released by parts."""

    released_amount: int
    refunded_amount: int
    held: int


def milestone_amounts(amount_minor: int, milestones_bps: Sequence[int]) -> list[int]:
    """What each milestone pays; raises `InputInvalid` where they are not the whole."""
    if sum(milestones_bps) != BPS:
        raise InputInvalid("The milestones of an escrow are together 10,000 basis points.")
    return allocate(amount_minor, milestones_bps)


def milestones_standing(
    amount_minor: int,
    milestones_bps: Sequence[int],
    *,
    released: Sequence[int],
    refunded: Sequence[int],
) -> Milestones:
    """The sums after some milestones, by their index, were released and others refunded.

    Raises `TransitionRefused` for one that would leave escrow twice, `InputInvalid` for one that
    is not there.
    """
    amounts = milestone_amounts(amount_minor, milestones_bps)
    gone = [*released, *refunded]
    if any(not 0 <= index < len(amounts) for index in gone):
        raise InputInvalid("The escrow has no such milestone.")
    if len(set(gone)) != len(gone):
        raise TransitionRefused("A milestone leaves escrow once: released or refunded.")
    paid = sum(amounts[index] for index in released)
    back = sum(amounts[index] for index in refunded)
    return Milestones(released_amount=paid, refunded_amount=back, held=amount_minor - paid - back)


class Refunded(msgspec.Struct, frozen=True, kw_only=True):
    """What a refund takes, in minor units: first of what is held, then of what was released."""

    from_escrow: int
    from_parts: int


def refund_before_or_after(refund_minor: int, *, held: int, released: int) -> Refunded:
    """A refund touches what is still held first; raises `RefundExceedsRemaining`."""
    if refund_minor > held + released:
        raise RefundExceedsRemaining
    from_escrow = min(refund_minor, held)
    return Refunded(from_escrow=from_escrow, from_parts=refund_minor - from_escrow)
