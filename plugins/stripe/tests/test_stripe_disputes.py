"""Is a dispute told as Stripe tells it, and does evidence reach the right place?"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_stripe_process import FakeStripe, call_of, payment
from payengine.plugin import (
    AcceptDispute,
    Amount,
    Call,
    DisputeEvidence,
    EvidenceFile,
    EvidenceText,
)
from payengine_stripe.disputes import dispute_report
from payengine_stripe.gateway import StripeGateway
from payengine_stripe.objects import Dispute, read
from payengine_stripe.problems import Refused

_PDF = b"%PDF-1.7\n%%EOF"


async def disputed(gateway: StripeGateway, fake: FakeStripe, call: Call, key: str) -> str:
    """Stripe's id of a dispute over a payment of 10.00."""
    await gateway.authorize(call, payment(token="pm_card_createDispute"))
    return str(fake.books(key)["dispute"][0]["id"])


def evidence(reference: str, *texts: tuple[str, str], files: tuple[Any, ...] = ()) -> Any:
    """A submission."""
    return DisputeEvidence(
        key="evd_1",
        provider_reference=reference,
        texts=tuple(EvidenceText(category=category, text=text) for category, text in texts),
        files=tuple(
            EvidenceFile(category=category, name=name, media_type=kind, content=content)
            for category, name, kind, content in files
        ),
    )


def told(fake: FakeStripe, key: str) -> list[tuple[str, int, bool]]:
    """(status, fee, fee returned) as each event about a dispute tells, in order."""
    events = [one for one in fake.books(key)["event"] if one["type"].startswith("charge.dispute")]
    reports = [dispute_report(read(one["data"]["object"], Dispute)) for one in events]
    return [(r.status, r.fee_minor, r.fee_returned) for r in reports if r is not None]


async def test_evidence_is_handed_in_and_the_dispute_won(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    call = call_of(key)
    reference = await disputed(gateway, fake, call, key)
    request = evidence(
        reference,
        ("description", "A red bicycle"),
        ("policy", "Thirty days"),
        ("other", "winning_evidence"),
        files=(
            ("receipt", "receipt.pdf", "application/pdf", _PDF),
            ("delivery", "label.png", "image/png", b"\x89PNG"),
            ("delivery", "other.png", "image/png", b"\x89PNG2"),
        ),
    )
    for _ in range(2):
        assert (await gateway.submit_evidence(call, request)).status == "succeeded"
    books = fake.books(key)
    (dispute,) = books["dispute"]
    assert dispute["evidence"]["product_description"] == "A red bicycle"
    assert dispute["evidence"]["refund_policy_disclosure"] == "Thirty days"
    names = {one["id"]: one["filename"] for one in books["file"]}
    assert len(names) == 3
    assert names[dispute["evidence"]["receipt"]] == "receipt.pdf"
    assert names[dispute["evidence"]["shipping_documentation"]] == "label.png"
    assert names[dispute["evidence"]["uncategorized_file"]] == "other.png"
    assert dispute["evidence_details"]["submission_count"] == 1
    assert told(fake, key) == [
        ("needs_response", 1_500, False),
        ("needs_response", 1_500, False),
        ("won", 1_500, True),
        ("won", 1_500, True),
    ]


async def test_a_report_has_the_amount_the_reason_and_the_deadline(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    await disputed(gateway, fake, call_of(key), key)
    (dispute,) = fake.books(key)["dispute"]
    report = dispute_report(read(dispute, Dispute))
    assert report is not None
    assert (report.amount, report.reason) == (Amount(1_000, "EUR"), "fraudulent")
    assert report.evidence_due_at is not None
    assert report.evidence_due_at.timestamp() == dispute["evidence_details"]["due_by"]


async def test_a_dispute_can_be_given_up(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    call = call_of(key)
    reference = await disputed(gateway, fake, call, key)
    request = AcceptDispute(key="acc_1", provider_reference=reference)
    for _ in range(2):
        assert (await gateway.accept_dispute(call, request)).status == "succeeded"
    assert told(fake, key)[-1] == ("lost", 1_500, False)
    late = await gateway.submit_evidence(call, evidence(reference, ("other", "too late")))
    assert late.decline is not None
    assert late.decline.raw_code == "dispute_closed"


async def test_plain_texts_are_joined_and_too_many_files_are_refused_before_any_is_sent(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    call = call_of(key)
    reference = await disputed(gateway, fake, call, key)
    files = tuple(("other", f"{n}.pdf", "application/pdf", _PDF) for n in range(2))
    refused = await gateway.submit_evidence(call, evidence(reference, files=files))
    assert refused.decline is not None
    assert refused.decline.raw_code == "evidence_too_large"
    assert "file" not in fake.books(key)
    note = ("communication", "mail.txt", "text/plain", b"Dear buyer")
    texts = evidence(reference, ("other", "first"), ("service", "second"), files=(note,))
    assert (await gateway.submit_evidence(call, texts)).status == "succeeded"
    (dispute,) = fake.books(key)["dispute"]
    assert dispute["evidence"]["uncategorized_text"] == "first\n\nsecond\n\nDear buyer"
    assert dispute["status"] == "under_review"


async def test_an_inquiry_is_not_told_and_a_strange_status_is_passed_on(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    await gateway.authorize(call_of(key), payment(token="pm_card_createDisputeInquiry"))
    (inquiry,) = fake.books(key)["dispute"]
    assert inquiry["status"] == "warning_needs_response"
    assert dispute_report(read(inquiry, Dispute)) is None
    strange = dispute_report(read({**inquiry, "status": "meditating"}, Dispute))
    assert strange is not None
    assert (strange.status, strange.raw_status) == ("unmodelled", "meditating")


async def test_a_fee_in_another_currency_is_left_out(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    await disputed(gateway, fake, call_of(key), key)
    (dispute,) = fake.books(key)["dispute"]
    dispute["balance_transactions"][0]["currency"] = "usd"
    report = dispute_report(read(dispute, Dispute))
    assert report is not None
    assert (report.fee_minor, report.fee_returned) == (0, False)


async def test_a_lost_answer_to_a_submission_is_no_outcome(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    call = call_of(key)
    reference = await disputed(gateway, fake, call, key)
    fake.faults(key, error_after=1_000)
    request = evidence(reference, ("other", "words"))
    with pytest.raises(Refused):
        await asyncio.wait_for(gateway.submit_evidence(call, request), 60)
    fake.faults(key)
    assert (await gateway.submit_evidence(call, request)).status == "succeeded"
    (dispute,) = fake.books(key)["dispute"]
    assert dispute["evidence_details"]["submission_count"] == 1
