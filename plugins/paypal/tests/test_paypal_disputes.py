"""Does the merchant's answer reach the dispute, once?"""

from __future__ import annotations

from payengine.plugin import (
    AcceptDispute,
    DisputeEvidence,
    EvidenceFile,
    EvidenceText,
)
from paypal_account import Account

pytest_plugins = ("paypal_account",)


async def disputed(account: Account) -> str:
    """A dispute over a payment."""
    paid = await account.pay()
    order = account.paypal.ask("order", client_id=account.name, id=paid.provider_reference)
    (capture,) = order["purchase_units"][0]["payments"]["captures"]
    opened = account.paypal.ask("dispute", client_id=account.name, id=capture["id"])
    return str(opened["dispute_id"])


async def test_evidence_is_handed_in_once(account: Account) -> None:
    evidence = DisputeEvidence(
        key="ev-1",
        provider_reference=await disputed(account),
        texts=(EvidenceText(category="delivery", text="It was left with a neighbour."),),
        files=(
            EvidenceFile(
                category="receipt", name="slip.pdf", media_type="application/pdf", content=b"%PDF-"
            ),
        ),
    )
    for _ in range(2):
        outcome = await account.gateway.submit_evidence(account.call, evidence)
        assert outcome.status == "succeeded"
    handed_in = [path for _, path, _ in account.sent() if path.endswith("/provide-evidence")]
    assert len([path for path in handed_in if evidence.provider_reference in path]) == 1


async def test_claim_is_accepted_once_and_a_closed_dispute_takes_nothing(account: Account) -> None:
    accept = AcceptDispute(key="ac-1", provider_reference=await disputed(account))
    for _ in range(2):
        assert (await account.gateway.accept_dispute(account.call, accept)).status == "succeeded"
    evidence = DisputeEvidence(key="ev-2", provider_reference=accept.provider_reference)
    assert (await account.gateway.submit_evidence(account.call, evidence)).status == "declined"
    unknown = AcceptDispute(key="ac-2", provider_reference="PP-D-NONE")
    assert (await account.gateway.accept_dispute(account.call, unknown)).status == "not_processed"
