"""How does the merchant answer a dispute at PayPal?

By Customer Disputes v1, which has no request ids: before anything is sent, the dispute is read, and
what it already holds is not sent again.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from payengine.plugin import AcceptDispute, Decline, DisputeEvidence, Outcome

from payengine_paypal.client import Part, Refused
from payengine_paypal.declines import decline_of_problem
from payengine_paypal.outcomes import not_processed
from payengine_paypal.records import Unclear, read
from payengine_paypal.steps import Steps

__all__ = ["EVIDENCE_TYPES", "accept", "submit"]

#: The engine's categories of evidence → PayPal's types.
EVIDENCE_TYPES: dict[str, str] = {
    "communication": "OTHER",
    "delivery": "DELIVERY_RECEIPT",
    "description": "ITEM_DESCRIPTION",
    "other": "OTHER",
    "policy": "RETURN_POLICY",
    "receipt": "PROOF_OF_RECEIPT_COPY",
    "service": "PROOF_FOR_SOFTWARE_OR_SERVICE_DELIVERED",
}

_OURS = "SUBMITTED_BY_SELLER"
_LONGEST_NOTES = 2_000
_ID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-")
_LONGEST_ID = 64


class _Evidence(msgspec.Struct, frozen=True):
    source: str = ""


class _Result(msgspec.Struct, frozen=True):
    outcome_code: str = ""


class _Dispute(msgspec.Struct, frozen=True):
    dispute_id: str
    status: str = ""
    evidences: list[_Evidence] = msgspec.field(default_factory=list)
    dispute_outcome: _Result = msgspec.field(default_factory=_Result)


def submit(steps: Steps, request: DisputeEvidence) -> Outcome:
    """Hand the evidence in; a dispute that holds the merchant's evidence takes no other."""
    found = _dispute(steps, request.provider_reference)
    if isinstance(found, Outcome):
        return found
    if any(evidence.source == _OURS for evidence in found.evidences):
        return Outcome(
            status="succeeded", provider_reference=found.dispute_id, raw_status=found.status
        )
    if found.status != "WAITING_FOR_SELLER_RESPONSE":
        return _closed(found)
    return _sent(steps, found, "provide-evidence", _evidence_parts(request))


def accept(steps: Steps, request: AcceptDispute) -> Outcome:
    """Accept the claim; PayPal refunds the buyer."""
    found = _dispute(steps, request.provider_reference)
    if isinstance(found, Outcome):
        return found
    if found.status == "RESOLVED":
        if found.dispute_outcome.outcome_code in ("ACCEPTED", "RESOLVED_BUYER_FAVOUR"):
            return Outcome(
                status="succeeded", provider_reference=found.dispute_id, raw_status=found.status
            )
        return _closed(found)
    note = json.dumps({"note": "The claim is accepted.", "accept_claim_type": "REFUND"})
    parts: list[Part] = [("input", (None, note.encode(), "application/json"))]
    return _sent(steps, found, "accept-claim", parts)


def _dispute(steps: Steps, dispute_id: str) -> _Dispute | Outcome:
    if not 0 < len(dispute_id) <= _LONGEST_ID or not _ID_CHARACTERS.issuperset(dispute_id):
        return not_processed("REFERENCE_NOT_READABLE")
    try:
        reply = steps.client.plain(steps.until, "GET", f"/v1/customer/disputes/{dispute_id}")
    except Refused as refused:
        if refused.status == 404:
            return not_processed("RESOURCE_NOT_FOUND")
        raise Unclear(f"the dispute cannot be read: {refused}") from None
    return read(reply.body, _Dispute)


def _sent(steps: Steps, found: _Dispute, action: str, parts: list[Part]) -> Outcome:
    path = f"/v1/customer/disputes/{found.dispute_id}/{action}"
    try:
        steps.client.plain(steps.until, "POST", path, parts=parts)
    except Refused as refused:
        if refused.status not in (400, 403, 404, 422):
            raise Unclear(f"the dispute was not moved: {refused}") from None
        return Outcome(
            status="declined",
            provider_reference=found.dispute_id,
            decline=decline_of_problem(refused.problem),
            raw_status=refused.problem.code,
        )
    return Outcome(
        status="succeeded", provider_reference=found.dispute_id, raw_status=action.upper()
    )


def _closed(found: _Dispute) -> Outcome:
    decline = Decline(
        code="transaction_not_allowed",
        raw_code=found.status or "UNNAMED",
        raw_text="The dispute does not wait for the merchant.",
    )
    return Outcome(
        status="declined",
        provider_reference=found.dispute_id,
        decline=decline,
        raw_status=found.status,
    )


def _evidence_parts(request: DisputeEvidence) -> list[Part]:
    by_type: dict[str, dict[str, Any]] = {}
    for text in request.texts:
        kind = EVIDENCE_TYPES.get(text.category, "OTHER")
        entry = by_type.setdefault(kind, {"evidence_type": kind})
        notes = f"{entry.get('notes', '')}\n{text.text}".strip()
        entry["notes"] = notes[:_LONGEST_NOTES]
    for file in request.files:
        kind = EVIDENCE_TYPES.get(file.category, "OTHER")
        entry = by_type.setdefault(kind, {"evidence_type": kind})
        entry.setdefault("documents", []).append({"name": file.name})
    words = json.dumps({"evidences": list(by_type.values())})
    parts: list[Part] = [("input", (None, words.encode(), "application/json"))]
    parts += [
        ("evidence-file", (file.name, file.content, file.media_type)) for file in request.files
    ]
    return parts
