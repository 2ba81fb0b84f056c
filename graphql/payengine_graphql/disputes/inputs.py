"""What may a client send about disputes?"""

from __future__ import annotations

import base64
import binascii

import strawberry
from payengine.errors import EvidenceRefused
from payengine.payments.disputes import (
    AcceptDispute,
    AddDisputeEvidence,
    DisputeFilter,
    FileInput,
    SubmitDisputeEvidence,
)

from payengine_graphql.disputes.types import DisputeStatus, EvidenceCategory
from payengine_graphql.inputs import check_id
from payengine_graphql.scalars import DateTime

__all__ = [
    "AcceptDisputeInput",
    "AddDisputeEvidenceInput",
    "DisputeFilterInput",
    "EvidenceFileInput",
    "SubmitDisputeEvidenceInput",
]

_KEY = "1 to 255 printable characters of your own: the same key never does it twice."
_DISPUTE = "The dispute's id, dsp_…."


@strawberry.input(description="A document: PDF, PNG, JPEG or plain text.")
class EvidenceFileInput:
    """See the description."""

    name: str = strawberry.field(description="The file's name, without a path.")
    media_type: str = strawberry.field(
        description="`application/pdf`, `image/png`, `image/jpeg` or `text/plain`."
    )
    content_base64: str = strawberry.field(
        description="The content in base64; larger files go to `/api/disputes/{id}/evidence`."
    )

    def to_core(self) -> FileInput:
        """For the engine; raises `EvidenceRefused` where the content is no base64."""
        try:
            content = base64.b64decode(self.content_base64, validate=True)
        except (binascii.Error, ValueError):
            raise EvidenceRefused(
                "The content is no base64.", path=("file", "contentBase64")
            ) from None
        return FileInput(name=self.name, media_type=self.media_type, content=content)


@strawberry.input(description="A piece of evidence: exactly one of `text` and `file`.")
class AddDisputeEvidenceInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    dispute_id: strawberry.ID = strawberry.field(description=_DISPUTE)
    category: EvidenceCategory = strawberry.field(description="What it is about.")
    text: str | None = strawberry.field(
        description="Your words, up to 20,000 characters.", default=None
    )
    file: EvidenceFileInput | None = strawberry.field(
        description="A document of up to 4 MiB.", default=None
    )

    def to_core(self) -> AddDisputeEvidence:
        """For the engine."""
        return AddDisputeEvidence(
            idempotency_key=self.idempotency_key,
            dispute_id=self.dispute_id,
            category=self.category.value,
            text=self.text,
            file=self.file.to_core() if self.file else None,
        )


@strawberry.input(description="Hand in all evidence that was added.")
class SubmitDisputeEvidenceInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    dispute_id: strawberry.ID = strawberry.field(description=_DISPUTE)

    def to_core(self) -> SubmitDisputeEvidence:
        """For the engine."""
        return SubmitDisputeEvidence(
            idempotency_key=self.idempotency_key, dispute_id=self.dispute_id
        )


@strawberry.input(description="Give a dispute up: the buyer keeps the money.")
class AcceptDisputeInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    dispute_id: strawberry.ID = strawberry.field(description=_DISPUTE)

    def to_core(self) -> AcceptDispute:
        """For the engine."""
        return AcceptDispute(idempotency_key=self.idempotency_key, dispute_id=self.dispute_id)


@strawberry.input(description="Which disputes to list; what is left out does not matter.")
class DisputeFilterInput:
    """See the description."""

    statuses: list[DisputeStatus] | None = strawberry.field(
        description="Those in one of these states.", default=None
    )
    payment_id: strawberry.ID | None = strawberry.field(
        description="Those of this payment.", default=None
    )
    due_before: DateTime | None = strawberry.field(
        description="Those whose evidence is due before this instant.", default=None
    )

    def to_core(self) -> DisputeFilter:
        """For the engine."""
        if self.payment_id is not None:
            check_id(self.payment_id, "pay", field="filter")
        return DisputeFilter(
            statuses=tuple(dict.fromkeys(each.value for each in self.statuses or ())),
            payment_id=self.payment_id,
            due_before=self.due_before,
        )
