"""How are disputes, their evidence and their steps shown?"""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry
from payengine.payments.disputes import Dispute as DisputeRow
from payengine.payments.disputes import Evidence as EvidenceRow
from payengine.payments.disputes import Report as ReportRow
from payengine.payments.disputes import Step as StepRow

from payengine_graphql.context import RequestContext, Wire
from payengine_graphql.scalars import DateTime
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.money import Money, money
from payengine_graphql.types.nodes import Node
from payengine_graphql.types.payments import Payment, show_payment

__all__ = [
    "Dispute",
    "DisputeEvidence",
    "DisputeReport",
    "DisputeReportStatus",
    "DisputeStatus",
    "DisputeStep",
    "DisputeStepKind",
    "DisputeStepStatus",
    "EvidenceCategory",
    "read_dispute",
    "show_dispute",
]


def _value(value: str, description: str) -> Any:
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="Whose turn it is, or who won. The money is gone until it is won.")
class DisputeStatus(Enum):
    """See the description."""

    NEEDS_RESPONSE = _value("NEEDS_RESPONSE", "Evidence can be handed in until `evidenceDueAt`.")
    UNDER_REVIEW = _value("UNDER_REVIEW", "The bank decides.")
    WON = _value("WON", "The money is back.")
    LOST = _value("LOST", "The money is gone; this is final.")


@strawberry.enum(description="What the provider told of a dispute.")
class DisputeReportStatus(Enum):
    """See the description."""

    NEEDS_RESPONSE = _value("needs_response", "It waits for evidence.")
    UNDER_REVIEW = _value("under_review", "The bank decides.")
    WON = _value("won", "The merchant has won.")
    LOST = _value("lost", "The buyer has won.")
    UNMODELLED = _value("unmodelled", "Something that nobody here knows: nothing was changed.")


@strawberry.enum(description="What was asked of the provider.")
class DisputeStepKind(Enum):
    """See the description."""

    SUBMIT_EVIDENCE = _value("submit_evidence", "To take the evidence.")
    ACCEPT_DISPUTE = _value("accept_dispute", "To take note that the merchant gives up.")


@strawberry.enum(description="What became of a request about a dispute.")
class DisputeStepStatus(Enum):
    """See the description."""

    SENDING = _value("sending", "About to be sent, or under way.")
    UNKNOWN = _value("unknown", "No answer; it is sent again with the same key.")
    SUCCEEDED = _value("succeeded", "Done.")
    DECLINED = _value("declined", "Refused.")
    NOT_SENT = _value("not_sent", "Proved not to have reached the provider.")
    ABANDONED = _value("abandoned", "The dispute ended before the outcome was known.")


@strawberry.enum(description="What a piece of evidence is about.")
class EvidenceCategory(Enum):
    """See the description."""

    COMMUNICATION = _value("communication", "What was written between you and the buyer.")
    DELIVERY = _value("delivery", "That it was delivered.")
    DESCRIPTION = _value("description", "What was sold.")
    OTHER = _value("other", "Anything else.")
    POLICY = _value("policy", "Your terms for refunds and cancellations.")
    RECEIPT = _value("receipt", "A receipt or an invoice.")
    SERVICE = _value("service", "That a service was used.")


@strawberry.type(description="A piece of evidence. Its content rests sealed and is not shown.")
class DisputeEvidence:
    """See the description."""

    row: strawberry.Private[EvidenceRow]
    id: strawberry.ID = column("The evidence's id.")
    category: EvidenceCategory = column("What it is about.")
    media_type: str = column("What it is, such as `application/pdf`.")
    size_bytes: int = column("How large it is.")
    created_at: DateTime = column("When it was added.")


@strawberry.type(description="A request to the provider about a dispute.")
class DisputeStep:
    """See the description."""

    row: strawberry.Private[StepRow]
    id: strawberry.ID = column("The step's id: the key that the provider got.")
    kind: DisputeStepKind = column("What was asked.")
    status: DisputeStepStatus = column("What became of it.")
    evidence_ids: list[strawberry.ID] = column("The evidence that it carries.")
    raw_code: str | None = column("The provider's code of a refusal, as it was sent.")
    raw_text: str | None = column("The provider's words of a refusal, as they were sent.")
    tries: int = column("How often it was sent again.")
    sent_at: DateTime = column("When it was first sent.")
    updated_at: DateTime = column("When it last changed.")


@strawberry.type(description="What the provider told of a dispute, once.")
class DisputeReport:
    """See the description."""

    row: strawberry.Private[ReportRow]
    event_id: str = column("The provider's id of the event.")
    status: DisputeReportStatus = column("What it said.")
    reason: str = column("Its reason code.")
    evidence_due_at: DateTime | None = column("The deadline that it named.")
    occurred_at: DateTime = column("When it happened at the provider.")
    received_at: DateTime = column("When it was recorded here.")


@strawberry.type(description="The buyer asks the bank for the money back.")
class Dispute(Node):
    """See the description."""

    row: strawberry.Private[DisputeRow]
    payment_id: strawberry.ID = column("The payment that is disputed.")
    status: DisputeStatus = column("Whose turn it is, or who won.")
    gateway: str = column("The gateway whose provider told of it.")
    provider_reference: str = column("The provider's own name for it.")
    reason: str = column("The provider's reason code.")
    fee_returned: bool = column("Whether the provider gave its fee back.")
    evidence_due_at: DateTime | None = column("The last instant at which evidence counts.")
    created_at: DateTime = column("When it was first told of here.")
    updated_at: DateTime = column("When it last changed.")

    @computed("What the bank takes back.")
    def amount(self) -> Money:
        """In the currency that the provider named."""
        return money(self.row.amount_minor, self.row.currency)

    @computed("The provider's fee for it.")
    def fee(self) -> Money:
        """In the dispute's currency."""
        return money(self.row.fee_minor, self.row.currency)

    @computed("The evidence that was added, the oldest first.")
    async def evidence(self, info: Wire) -> list[DisputeEvidence]:
        """By the loader."""
        rows = await info.context.loaders.dispute_evidence.load(self.row.id)
        return [DisputeEvidence(row=row) for row in rows]

    @computed("What the provider was asked, the oldest first.")
    async def steps(self, info: Wire) -> list[DisputeStep]:
        """By the loader."""
        rows = await info.context.loaders.dispute_steps.load(self.row.id)
        return [DisputeStep(row=row) for row in rows]

    @computed("What the provider told, in the order of its own instants.")
    async def reports(self, info: Wire) -> list[DisputeReport]:
        """By the loader."""
        rows = await info.context.loaders.dispute_reports.load(self.row.id)
        return [DisputeReport(row=row) for row in rows]

    @computed("The payment that is disputed. Needs the scope `payments:read`.")
    async def payment(self, info: Wire) -> Payment | None:
        """By the loader."""
        info.context.require("payments:read")
        found = await info.context.loaders.payments.load(self.row.payment_id)
        return show_payment(found) if found else None


def show_dispute(row: DisputeRow) -> Dispute:
    """The dispute for the wire."""
    return Dispute(id=strawberry.ID(row.id), row=row)


async def read_dispute(context: RequestContext, dispute_id: str) -> Dispute | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.disputes.load(dispute_id)
    return show_dispute(row) if row else None
