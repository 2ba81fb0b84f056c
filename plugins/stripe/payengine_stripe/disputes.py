"""How is a dispute told, answered and given up?

Stripe's inquiries (`warning_…`) move no money and are not told: they become a dispute or end. Each
piece of evidence goes into the field that Stripe's form has for it, and what has none into the
uncategorized text and file (https://docs.stripe.com/disputes/api).
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from payengine.plugin import (
    AcceptDispute,
    Call,
    Decline,
    DisputeEvidence,
    DisputeReport,
    DisputeStatus,
    EvidenceFile,
    Outcome,
)

from payengine_stripe.client import Clients
from payengine_stripe.objects import Dispute, amount_in, fee_in
from payengine_stripe.problems import Refused, Unreadable, outcome_of_refusal

__all__ = ["accept", "dispute_report", "submit"]

_STATUS: dict[str, DisputeStatus] = {
    "lost": "lost",
    "needs_response": "needs_response",
    "prevented": "won",
    "under_review": "under_review",
    "won": "won",
}
_INQUIRY = "warning_"

#: The category of our evidence → Stripe's field.
_TEXT_FIELDS = {"description": "product_description", "policy": "refund_policy_disclosure"}
_FILE_FIELDS = {
    "communication": "customer_communication",
    "delivery": "shipping_documentation",
    "policy": "refund_policy",
    "receipt": "receipt",
    "service": "service_documentation",
}
_OTHER_TEXT = "uncategorized_text"
_OTHER_FILE = "uncategorized_file"
#: What Stripe takes as a file; a plain text is put among the texts.
_UPLOADED = frozenset({"application/pdf", "image/jpeg", "image/png"})
_LONGEST_TEXT = 150_000


def dispute_report(dispute: Dispute) -> DisputeReport | None:
    """The dispute in our words; None for an inquiry."""
    if dispute.status.startswith(_INQUIRY):
        return None
    fees = [line.fee for line in dispute.balance_transactions if line.currency == dispute.currency]
    fee = sum(each for each in fees if each > 0)
    due_by = dispute.evidence_details.due_by
    return DisputeReport(
        reference=dispute.id,
        status=_STATUS.get(dispute.status, "unmodelled"),
        raw_status=dispute.status[:100],
        amount=amount_in(dispute.amount, dispute.currency),
        reason=dispute.reason,
        fee_minor=fee_in(fee, dispute.currency, of=dispute.currency),
        fee_returned=fee > 0 and sum(fees) <= 0,
        evidence_due_at=datetime.fromtimestamp(due_by, UTC) if due_by else None,
    )


async def submit(clients: Clients, call: Call, request: DisputeEvidence) -> Outcome:
    """Upload the files, then hand everything in; nothing is handed in where one does not fit."""
    evidence = _texts(request)
    placed = _places(request)
    if placed is None or sum(map(len, evidence.values())) > _LONGEST_TEXT:
        text = "Stripe takes one file for each field, and 150,000 characters in all."
        refusal = Decline(code="evidence_too_large", raw_code="evidence_too_large", raw_text=text)
        return Outcome(status="declined", decline=refusal)
    try:
        for number, (field, file) in enumerate(placed.items()):
            evidence[field] = await _upload(clients, call, file, key=f"{request.key}-file-{number}")
        await clients.ask(
            call,
            lambda client, options: client.v1.disputes.update_async(
                request.provider_reference, {"evidence": evidence, "submit": True}, options
            ),
            key=request.key,
        )
    except Refused as refused:
        return outcome_of_refusal(refused)
    return Outcome(status="succeeded", provider_reference=request.provider_reference)


async def accept(clients: Clients, call: Call, request: AcceptDispute) -> Outcome:
    """Give the dispute up."""
    try:
        await clients.ask(
            call,
            lambda client, options: client.v1.disputes.close_async(
                request.provider_reference, {}, options
            ),
            key=request.key,
        )
    except Refused as refused:
        return outcome_of_refusal(refused)
    return Outcome(status="succeeded", provider_reference=request.provider_reference)


def _texts(request: DisputeEvidence) -> dict[str, str]:
    said = [(text.category, text.text) for text in request.texts]
    said += [
        (file.category, file.content.decode(errors="replace"))
        for file in request.files
        if file.media_type not in _UPLOADED
    ]
    found: dict[str, str] = {}
    for category, text in said:
        field = _TEXT_FIELDS.get(category, _OTHER_TEXT)
        found[field] = f"{found[field]}\n\n{text}" if field in found else text
    return found


def _places(request: DisputeEvidence) -> dict[str, EvidenceFile] | None:
    """Each file's field; None where there are more files than fields for them."""
    placed: dict[str, EvidenceFile] = {}
    for file in request.files:
        if file.media_type not in _UPLOADED:
            continue
        field = _FILE_FIELDS.get(file.category, _OTHER_FILE)
        field = _OTHER_FILE if field in placed else field
        if field in placed:
            return None
        placed[field] = file
    return placed


async def _upload(clients: Clients, call: Call, file: EvidenceFile, *, key: str) -> str:
    document: Any = io.BytesIO(file.content)
    document.name = file.name
    plain = await clients.ask(
        call,
        lambda client, options: client.v1.files.create_async(
            {"purpose": "dispute_evidence", "file": document}, options
        ),
        key=key,
    )
    found = plain.get("id")
    if not isinstance(found, str):
        raise Unreadable("the uploaded file has no id")
    return found
