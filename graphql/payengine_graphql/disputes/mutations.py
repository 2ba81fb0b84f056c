"""What may be done about disputes?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.payments.disputes import Dispute as DisputeRow
from payengine.payments.disputes import Evidence as EvidenceRow

from payengine_graphql.context import Wire
from payengine_graphql.disputes import inputs, payloads
from payengine_graphql.disputes.types import DisputeEvidence, read_dispute, show_dispute
from payengine_graphql.guarded import guarded
from payengine_graphql.types.fields import mutation

__all__ = ["Mutation"]

_INPUT = strawberry.argument(description="What is asked.")
_SCOPE = "disputes:write"


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation:
    """See the description."""

    @mutation("Keep a piece of evidence, sealed. Needs the scope `disputes:write`.")
    async def add_dispute_evidence(
        self, info: Wire, input: Annotated[inputs.AddDisputeEvidenceInput, _INPUT]
    ) -> payloads.AddDisputeEvidencePayload:
        """See `payengine.payments.disputes`."""
        context = info.context

        async def work() -> EvidenceRow:
            return await context.engine.disputes.add_evidence(context.tenant, input.to_core())

        row, errors = await guarded(info, "addDisputeEvidence", input, work, scope=_SCOPE)
        if row is None:
            return payloads.AddDisputeEvidencePayload(errors=errors)
        shown = None
        if "disputes:read" in context.tenant.scopes:
            shown = await read_dispute(context, row.dispute_id)
        return payloads.AddDisputeEvidencePayload(
            dispute=shown, evidence=DisputeEvidence(row=row), errors=errors
        )

    @mutation("Hand the evidence in to the provider. Needs the scope `disputes:write`.")
    async def submit_dispute_evidence(
        self, info: Wire, input: Annotated[inputs.SubmitDisputeEvidenceInput, _INPUT]
    ) -> payloads.SubmitDisputeEvidencePayload:
        """See `payengine.payments.disputes`."""
        context = info.context

        async def work() -> DisputeRow:
            return await context.engine.disputes.submit(context.tenant, input.to_core())

        row, errors = await guarded(info, "submitDisputeEvidence", input, work, scope=_SCOPE)
        shown = show_dispute(row) if row else None
        return payloads.SubmitDisputeEvidencePayload(dispute=shown, errors=errors)

    @mutation("Give a dispute up. Needs the scope `disputes:write`.")
    async def accept_dispute(
        self, info: Wire, input: Annotated[inputs.AcceptDisputeInput, _INPUT]
    ) -> payloads.AcceptDisputePayload:
        """See `payengine.payments.disputes`."""
        context = info.context

        async def work() -> DisputeRow:
            return await context.engine.disputes.accept(context.tenant, input.to_core())

        row, errors = await guarded(info, "acceptDispute", input, work, scope=_SCOPE)
        shown = show_dispute(row) if row else None
        return payloads.AcceptDisputePayload(dispute=shown, errors=errors)
