"""When may what is kept in escrow be released, now that something happened?

Pure: the row of an escrow, the freezes of its disputes and the sums of its parts give the row as
it then stands, with the instant at which it is due.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from payengine.events.models import NewEvent
from payengine.ids import new_id
from payengine.marketplace.escrow import EscrowFacts, EscrowTerms, Freeze, due_at, milestone_amounts
from payengine.marketplace.meant import EscrowInput
from payengine.marketplace.sharing_models import EscrowHold, EscrowStatus, Part

__all__ = ["agreed", "escrow_event", "facts_of", "open_milestones", "refreshed", "terms_of"]


def agreed(escrow: EscrowHold) -> EscrowInput:
    """What was agreed when the payment was made."""
    return msgspec.convert(escrow.terms, EscrowInput)


def terms_of(escrow: EscrowHold) -> EscrowTerms:
    """The same, for the rules."""
    meant = agreed(escrow)
    return EscrowTerms(
        conditions=meant.conditions,
        inspection_days=meant.inspection_days,
        timeout_days=meant.timeout_days,
    )


def facts_of(escrow: EscrowHold, freezes: Sequence[Freeze]) -> EscrowFacts | None:
    """What happened so far; None before anything was captured."""
    if escrow.captured_at is None:
        return None
    return EscrowFacts(
        captured_at=escrow.captured_at,
        delivered_at=escrow.delivered_at,
        approved_at=escrow.approved_at,
        milestone_at=escrow.milestone_at,
        freezes=tuple(freezes),
    )


def open_milestones(escrow: EscrowHold) -> dict[int, int]:
    """The milestones that were accepted and not paid yet: number → minor units of the whole."""
    shares = agreed(escrow).milestones_bps
    if not shares:
        return {}
    amounts = milestone_amounts(escrow.captured_minor, shares)
    paid = set(escrow.progress.get("paid", ()))
    return {
        number: amounts[number]
        for number in escrow.progress.get("accepted", ())
        if number not in paid
    }


def refreshed(
    escrow: EscrowHold, parts: Sequence[Part], freezes: Sequence[Freeze], *, at: datetime
) -> EscrowHold:
    """The escrow after its parts, its facts or its freezes changed."""
    held = sum(part.escrowed_minor for part in parts)
    captured = sum(part.captured_minor for part in parts)
    is_frozen = any(each.until is None for each in freezes)
    escrow = msgspec.structs.replace(
        escrow,
        captured_at=escrow.captured_at or (at if captured else None),
        captured_minor=captured,
        held_minor=held,
        is_frozen=is_frozen,
    )
    escrow = msgspec.structs.replace(escrow, status=_status(escrow))
    return msgspec.structs.replace(escrow, due_at=_due(escrow, freezes, at=at))


def escrow_event(
    kind: str, escrow: EscrowHold, *, at: datetime, release_id: str | None = None
) -> NewEvent:
    """What happened to an escrow, as it now stands; `release_id` is what moved of it."""
    data: dict[str, Any] = {
        "escrow_id": escrow.id,
        "status": escrow.status,
        "currency": escrow.currency,
        "held_minor": escrow.held_minor,
        "released_minor": escrow.released_minor,
        "is_frozen": escrow.is_frozen,
        "due_at": None if escrow.due_at is None else escrow.due_at.isoformat(),
    }
    return NewEvent(
        id=new_id("evt"),
        type=kind,
        payment_id=escrow.payment_id,
        operation_id=release_id,
        data=data,
        occurred_at=at,
    )


def _status(escrow: EscrowHold) -> EscrowStatus:
    if escrow.captured_minor == 0:
        return "awaited"
    if escrow.held_minor > 0:
        return "held"
    return "released" if escrow.released_minor > 0 else "refunded"


def _due(escrow: EscrowHold, freezes: Sequence[Freeze], *, at: datetime) -> datetime | None:
    if escrow.status != "held" or escrow.is_frozen:
        return None
    if open_milestones(escrow):
        return at
    facts = facts_of(escrow, freezes)
    return None if facts is None else due_at(terms_of(escrow), facts)
