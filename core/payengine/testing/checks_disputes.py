"""Does a gateway that answers disputes do so once per key?"""

from __future__ import annotations

from payengine.plugin import (
    AcceptDispute,
    DisputeEvidence,
    Disputes,
    EvidenceFile,
    EvidenceText,
    Outcome,
)
from payengine.testing.case import GatewayCase, NotApplicable, require

__all__ = ["ALL"]

_PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"


async def evidence_is_handed_in_once(case: GatewayCase) -> None:
    """Evidence is taken, the same key again is the same submission, another one is refused."""
    gateway, reference = await _disputed(case, "submit_evidence")
    request = DisputeEvidence(
        key=case.key(),
        provider_reference=reference,
        texts=(EvidenceText(category="delivery", text="Delivered and signed for."),),
        files=(
            EvidenceFile(
                category="receipt",
                name="receipt.pdf",
                media_type="application/pdf",
                content=_PDF,
            ),
        ),
    )
    for _ in range(2):
        outcome = await case.within(gateway.submit_evidence(case.call(), request))
        require(isinstance(outcome, Outcome), "submit_evidence must answer an Outcome")
        require(
            outcome.status in ("succeeded", "pending"),
            f"evidence in time must be taken; it answered {outcome.status}",
        )


async def a_dispute_can_be_given_up(case: GatewayCase) -> None:
    """An acceptance is taken, and the same key again is the same acceptance."""
    gateway, reference = await _disputed(case, "accept_dispute")
    request = AcceptDispute(key=case.key(), provider_reference=reference)
    for _ in range(2):
        outcome = await case.within(gateway.accept_dispute(case.call(), request))
        require(
            isinstance(outcome, Outcome) and outcome.status in ("succeeded", "pending"),
            "an open dispute can be given up",
        )


async def an_unknown_dispute_is_refused(case: GatewayCase) -> None:
    """Nothing is handed in to a dispute that is not there."""
    gateway = _needs(case, "submit_evidence")
    request = DisputeEvidence(
        key=case.key(),
        provider_reference="no-such-dispute",
        texts=(EvidenceText(category="other", text="For nobody."),),
    )
    await case.refused(gateway.submit_evidence(case.call(), request), "evidence for no dispute")


def _needs(case: GatewayCase, operation: str) -> Disputes:
    if operation not in case.manifest.operations or not isinstance(case.gateway, Disputes):
        raise NotApplicable(f"the manifest does not list {operation}")
    return case.gateway


async def _disputed(case: GatewayCase, operation: str) -> tuple[Disputes, str]:
    gateway = _needs(case, operation)
    if case.open_dispute is None:
        raise NotApplicable("the case gives no open_dispute")
    request, _, _ = await case.approved(capture=True)
    return gateway, await case.open_dispute(case.gateway, case.call(), request)


ALL = (evidence_is_handed_in_once, a_dispute_can_be_given_up, an_unknown_dispute_is_refused)
