"""What has become known of an operation?

A finding is an answer of the gateway, whoever obtained it, put into the engine's words: the new
status and where the knowledge comes from.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from payengine.payments.models import Operation, OperationStatus
from payengine.plugin import Outcome, to_plain
from payengine.registry import Answer

__all__ = ["UNMODELLED", "Finding", "Source", "finding_of"]

Source = Literal["answer", "lookup", "resend", "webhook", "settlement", "person", "engine"]

#: How an answer with a status that nobody knows is marked.
UNMODELLED = "unmodelled"

_STATUS: dict[str, OperationStatus] = {
    "succeeded": "succeeded",
    "declined": "declined",
    "requires_action": "requires_action",
    "pending": "pending",
    "not_processed": "not_sent",
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A status for one operation, with its proof.

    `mismatch` says that the provider named another amount or currency than was asked; the status
    is then `unknown`, and the payment is marked as conflicted. `unmodelled` is the provider's own
    status where nobody here knows it: the operation stays as it was, and people are told. `told`
    is what a person says about it: who, why and in whose name.
    """

    status: OperationStatus
    source: Source
    reason: str = ""
    outcome: Outcome | None = None
    mismatch: bool = False
    unmodelled: str = ""
    told: dict[str, str] = {}

    def as_data(self) -> dict[str, Any]:
        """What is kept in the evidence row."""
        outcome = to_plain(self.outcome) if self.outcome is not None else None
        data = {"reason": self.reason, "outcome": outcome, "mismatch": self.mismatch}
        return data | ({"told": self.told} if self.told else {})


def _unmodelled(answer: Answer) -> str:
    if answer.reason == UNMODELLED:
        return answer.detail
    outcome = answer.outcome
    return outcome.raw_status if outcome is not None and outcome.status == UNMODELLED else ""


def finding_of(answer: Answer, operation: Operation, *, source: Source) -> Finding:
    """Put an answer about `operation` into the engine's words; `not_found` counts as unknown."""
    strange = _unmodelled(answer)
    if strange:
        reason = f"{UNMODELLED}: {strange}"
        return Finding(status="unknown", source=source, reason=reason, unmodelled=strange)
    if answer.kind == "not_sent":
        return Finding(status="not_sent", source=source, reason=answer.reason)
    if answer.kind == "unknown" or answer.outcome is None:
        return Finding(
            status="unknown",
            source=source,
            reason=answer.reason,
            outcome=answer.outcome if answer.mismatch else None,
            mismatch=answer.mismatch,
        )
    asked = (operation.amount_minor, operation.currency)
    said = answer.outcome.amount
    taken = answer.outcome.status == "succeeded" and operation.kind == "authorize"
    if (said is not None and (said.minor, said.currency) != asked) or (
        taken and answer.outcome.captured != operation.capture
    ):
        return Finding(
            status="unknown",
            source=source,
            reason="amount_mismatch",
            outcome=answer.outcome,
            mismatch=True,
        )
    status = _STATUS.get(answer.outcome.status, "unknown")
    return Finding(
        status=status, source=source, reason=answer.outcome.raw_status, outcome=answer.outcome
    )
