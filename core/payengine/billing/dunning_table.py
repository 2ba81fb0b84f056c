"""Where can each event lead an invoice in collection?

The table is data; a test walks the machine and finds these moves, no more and no less. What is not
listed changes nothing. The page docs/dunning.md shows what `state_diagram` and `transition_table`
make of it.
"""

from __future__ import annotations

from payengine.billing.dunning_state import ENDED
from payengine.billing.dunning_words import CollectionPhase

__all__ = ["DUNNING_TRANSITIONS", "state_diagram", "transition_table"]

Moves = dict[str, tuple[CollectionPhase, ...]]

_CHARGE_AGAIN: tuple[CollectionPhase, ...] = ("charging",)
_AFTER_FAILURE: tuple[CollectionPhase, ...] = (
    "charging",
    "retrying",
    "scheduled",
    "waiting",
    "given_up",
    "canceled",
    "expired",
)
_NOTHING_OUT: Moves = {
    "charge_succeeded": ("settled",),
    "method_updated": _CHARGE_AGAIN,
    "customer_authenticated": _CHARGE_AGAIN,
    "customer_canceled": ("canceled",),
    "invoice_paid": ("settled",),
    "invoice_voided": ("settled",),
}

#: From a phase, by an event, to the phases that it may lead to. A phase that leads to itself does
#: something there: it charges again, suspends access, or remembers.
DUNNING_TRANSITIONS: dict[CollectionPhase, Moves] = {
    "charging": {
        "charge_succeeded": ("settled",),
        "charge_declined": _AFTER_FAILURE,
        "charge_failed": _AFTER_FAILURE,
        "charge_unknown": ("unknown",),
        "charge_held": ("charging", "retrying", "waiting", "given_up", "canceled", "expired"),
        "method_updated": ("charging",),
        "customer_authenticated": ("charging",),
        "customer_canceled": ("canceled",),
        "invoice_paid": ("settled",),
        "invoice_voided": ("settled",),
    },
    "unknown": {
        "charge_succeeded": ("settled",),
        "charge_declined": _AFTER_FAILURE,
        "charge_failed": _AFTER_FAILURE,
        "charge_not_found": ("charging",),
        "method_updated": ("unknown",),
        "customer_authenticated": ("unknown",),
        "customer_canceled": ("canceled",),
        "invoice_paid": ("settled",),
        "invoice_voided": ("settled",),
    },
    "retrying": {"time_came": ("charging", "retrying"), **_NOTHING_OUT},
    "scheduled": {"time_came": ("charging", "scheduled"), **_NOTHING_OUT},
    "waiting": {"time_came": ("waiting", "given_up", "canceled", "expired"), **_NOTHING_OUT},
    "settled": {"charge_succeeded": ("settled",)},
    "given_up": {"time_came": ("given_up",), **_NOTHING_OUT},
    "canceled": {
        "charge_succeeded": ("canceled",),
        "invoice_paid": ("canceled",),
        "invoice_voided": ("canceled",),
    },
    "expired": {"charge_succeeded": ("expired",)},
}


def state_diagram() -> str:
    """The table as a state diagram in Mermaid's language; an arrow for each pair of phases."""
    lines = ["stateDiagram-v2", "    [*] --> charging: an invoice is due"]
    for phase, moves in DUNNING_TRANSITIONS.items():
        reached = dict.fromkeys(target for targets in moves.values() for target in targets)
        for target in reached:
            if target == phase and phase != "charging":
                continue
            events = [name for name, targets in moves.items() if target in targets]
            lines.append(f"    {phase} --> {target}: {', '.join(events)}")
    lines += [f"    {phase} --> [*]" for phase in DUNNING_TRANSITIONS if phase in ENDED]
    return "\n".join(lines)


def transition_table() -> str:
    """The table in Markdown: a row for each phase and event."""
    lines = ["| in | by | to |", "|---|---|---|"]
    for phase, moves in DUNNING_TRANSITIONS.items():
        for event, targets in moves.items():
            shown = ", ".join(f"`{target}`" for target in targets)
            lines.append(f"| `{phase}` | `{event}` | {shown} |")
    return "\n".join(lines)
