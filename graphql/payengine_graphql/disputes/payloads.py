"""What does a mutation about a dispute answer?"""

from __future__ import annotations

import strawberry

from payengine_graphql.disputes.types import Dispute, DisputeEvidence
from payengine_graphql.types.problems import Problem

__all__ = ["AcceptDisputePayload", "AddDisputeEvidencePayload", "SubmitDisputeEvidencePayload"]

_ERRORS = "Why it was not done; empty where it was."


@strawberry.type(description="The answer to addDisputeEvidence.")
class AddDisputeEvidencePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    dispute: Dispute | None = strawberry.field(
        description="The dispute; none where the input was refused.", default=None
    )
    evidence: DisputeEvidence | None = strawberry.field(
        description="The piece that was added.", default=None
    )


@strawberry.type(description="The answer to submitDisputeEvidence.")
class SubmitDisputeEvidencePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    dispute: Dispute | None = strawberry.field(
        description="The dispute as it now stands; its last step tells what became of it.",
        default=None,
    )


@strawberry.type(description="The answer to acceptDispute.")
class AcceptDisputePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    dispute: Dispute | None = strawberry.field(
        description="The dispute as it now stands; its last step tells what became of it.",
        default=None,
    )
