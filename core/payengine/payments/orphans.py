"""Which money was taken for a payment that can no longer use it?

Pure. An authorization that was given up and then turned out to have succeeded is an orphan where
the payment was canceled meanwhile, or paid by another attempt. What it holds or took is released.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from payengine.payments.models import Operation
from payengine.payments.plans import Plan

__all__ = ["LATE_SUCCESS", "Orphan", "orphans", "release_key", "release_plan"]

#: The anomaly of an operation that succeeded after it had been given up.
LATE_SUCCESS = "late_success"

_AWAITED = frozenset({"created", "sending", "unknown", "pending"})
_COUNTS = _AWAITED | {"succeeded"}


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """An authorization that nobody can use; `left_minor` is neither released nor on its way."""

    operation: Operation
    left_minor: int
    is_underway: bool

    @property
    def is_released(self) -> bool:
        """Whether all of it is back with the buyer."""
        return self.left_minor == 0 and not self.is_underway


def orphans(operations: Sequence[Operation]) -> list[Orphan]:
    """The orphans among a payment's operations, which stand in the order in which they were made.

    One that has been captured by an operation of its own is in use, and none.
    """
    found = []
    for place, operation in enumerate(operations):
        if (
            operation.kind == "authorize"
            and operation.status == "succeeded"
            and operation.anomaly == LATE_SUCCESS
            and (_superseded(operations, place) or _canceled(operations[place + 1 :]))
            and not any(
                o.kind == "capture" and o.status in _COUNTS for o in _of(operation, operations)
            )
        ):
            found.append(_orphan(operation, _of(operation, operations)))
    return found


def release_plan(orphan: Orphan) -> Plan:
    """The refund or the void that releases it."""
    operation = orphan.operation
    return Plan(
        kind="refund" if operation.capture else "void",
        amount_minor=orphan.left_minor,
        released_minor=0 if operation.capture else orphan.left_minor,
        final=not operation.capture,
        attempt_id=operation.attempt_id,
        gateway=operation.gateway,
        provider_reference=operation.provider_reference or "",
    )


def release_key(orphan: Orphan, operations: Sequence[Operation]) -> str:
    """The idempotency key of the next release: another one only after a release came to nothing."""
    kind = "refund" if orphan.operation.capture else "void"
    ended = [
        o
        for o in _of(orphan.operation, operations)
        if o.kind == kind and o.status in ("declined", "not_sent", "canceled")
    ]
    return f"release:{orphan.operation.id}:{len(ended) + 1}"


def _of(operation: Operation, operations: Sequence[Operation]) -> list[Operation]:
    return [each for each in operations if each.attempt_id == operation.attempt_id]


def _superseded(operations: Sequence[Operation], place: int) -> bool:
    """Whether another attempt paid: one in good time, or the earlier of two late ones."""
    own = operations[place]
    return any(
        each.kind == "authorize"
        and each.status == "succeeded"
        and each.attempt_id != own.attempt_id
        and (each.anomaly is None or at < place)
        for at, each in enumerate(operations)
    )


def _canceled(later: Sequence[Operation]) -> bool:
    """Whether the payment was given up while nothing was held."""
    return any(
        o.kind == "void" and o.status == "succeeded" and o.released_minor == 0 for o in later
    )


def _orphan(operation: Operation, own: Sequence[Operation]) -> Orphan:
    if operation.capture:
        back = [o for o in own if o.kind in ("refund", "dispute") and o.status in _COUNTS]
        left = operation.amount_minor - sum(o.amount_minor for o in back)
    else:
        raised = sum(
            o.amount_minor for o in own if o.kind == "increment" and o.status == "succeeded"
        )
        back = [o for o in own if o.kind == "void" and o.status in _COUNTS]
        left = operation.amount_minor + raised - sum(o.released_minor for o in back)
    return Orphan(
        operation=operation,
        left_minor=max(left, 0),
        is_underway=any(o.status in _AWAITED and o.kind != "dispute" for o in back),
    )
