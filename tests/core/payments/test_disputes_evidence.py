"""Is evidence kept sealed, bounded and in time, and handed in exactly once?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from payengine.context import SCOPES, TenantContext
from payengine.errors import (
    EvidenceDeadlinePassed,
    EvidenceRefused,
    IdempotencyConflict,
    InputInvalid,
    NotFound,
    OperationInFlight,
    PermissionDenied,
    SensitiveDataRefused,
    TransitionRefused,
)
from payengine.ids import new_id
from payengine.payments.disputes import Dispute, FileInput
from payengine.payments.disputes import inputs as taken

from tests.core.payments.disputing import BEGAN, Court, report
from tests.engines import Shop, Till, key

_PDF = FileInput(
    name="receipt.pdf", media_type="application/pdf", content=b"%PDF-1.7 of Ada's shop %%EOF\n"
)


@pytest.fixture
def court(shop: Shop) -> Court:
    """A fresh shop's disputes."""
    return Court(shop)


@pytest.fixture
async def dispute(court: Court) -> Dispute:
    """One that waits for evidence, at the sandbox too."""
    _, sent = await court.charge()
    return await court.begin(sent)


async def test_evidence_rests_sealed_and_opens_for_its_tenant_alone(
    court: Court, dispute: Dispute, shop: Shop, other_shop: Shop
) -> None:
    file = await court.prove(dispute, file=_PDF, category="receipt")
    text = await court.prove(dispute, text="Signed for by Ada.\nOn 3 March.")
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        rows = await session.fetch(
            "SELECT sealed, to_jsonb(e)::text AS row FROM dispute_evidence e"
        )
    assert len(rows) == 2
    for row in rows:
        assert b"Ada" not in row["sealed"]
        assert "Ada" not in row["row"]
        assert "receipt.pdf" not in row["row"]
    disputes = shop.engine.disputes
    opened = await disputes.open_evidence(shop.context, file.id)
    assert (opened.name, opened.content) == (_PDF.name, _PDF.content)
    assert (await disputes.open_evidence(shop.context, text.id)).content == (
        b"Signed for by Ada.\nOn 3 March."
    )
    with pytest.raises(NotFound):
        await disputes.open_evidence(other_shop.context, file.id)
    assert (file.size_bytes, file.media_type, file.category) == (
        len(_PDF.content),
        "application/pdf",
        "receipt",
    )
    assert await court.events() == ["dispute.opened", *["dispute.evidence_added"] * 2]


_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(9)
_JPEG = b"\xff\xd8\xff\xe0" + bytes(9) + b"\xff\xd9"


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        ("application/pdf", _PDF.content),
        ("image/png", _PNG),
        ("image/jpeg", _JPEG),
        ("text/plain", "Grüße\n".encode()),
    ],
)
async def test_a_file_is_taken_for_what_it_is(
    court: Court, dispute: Dispute, media_type: str, content: bytes
) -> None:
    file = FileInput(name="x", media_type=media_type, content=content)
    assert (await court.prove(dispute, file=file)).media_type == media_type


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"file": FileInput(name="x", media_type="image/png", content=_JPEG)}, EvidenceRefused),
        ({"file": FileInput(name="x", media_type="text/html", content=b"<p>")}, EvidenceRefused),
        ({"file": FileInput(name="x", media_type="text/plain", content=b"")}, EvidenceRefused),
        ({"file": FileInput(name="x", media_type="text/plain", content=b"\0")}, EvidenceRefused),
        ({"file": FileInput(name="x", media_type="text/plain", content=b"\xff")}, EvidenceRefused),
        (
            {"file": FileInput(name="x", media_type="text/plain", content=b"4111111111111111")},
            SensitiveDataRefused,
        ),
        ({"file": msgspec.structs.replace(_PDF, name="../etc")}, EvidenceRefused),
        ({"file": msgspec.structs.replace(_PDF, name=" ")}, EvidenceRefused),
        ({"file": msgspec.structs.replace(_PDF, name="x" * 121)}, InputInvalid),
        (
            {
                "file": msgspec.structs.replace(
                    _PDF, content=b"%PDF-" + bytes(taken.LARGEST_FILE) + b"%%EOF"
                )
            },
            EvidenceRefused,
        ),
        ({"text": ""}, EvidenceRefused),
        ({"text": "x" * 20_001}, EvidenceRefused),
        ({"text": "a\0b"}, EvidenceRefused),
        ({"text": "\ud800"}, EvidenceRefused),
        ({"text": "card 4111 1111 1111 1111"}, SensitiveDataRefused),
        ({"text": None}, InputInvalid),
        ({"category": "gossip"}, InputInvalid),
        ({"dispute_id": "pay_1"}, InputInvalid),
        ({"dispute_id": new_id("dsp")}, NotFound),
        ({"idempotency_key": ""}, InputInvalid),
    ],
)
async def test_what_is_no_evidence_is_refused_and_writes_nothing(
    court: Court, dispute: Dispute, shop: Shop, given: dict[str, Any], error: type[Exception]
) -> None:
    before = await shop.rows()
    if "dispute_id" in given:
        dispute = msgspec.structs.replace(dispute, id=given.pop("dispute_id"))
    with pytest.raises(error):
        await court.prove(dispute, **given)
    assert await shop.rows() == before
    assert await shop.engine.disputes.evidence_of(shop.context, [dispute.id]) == {}


async def test_a_dispute_has_so_many_pieces_and_bytes(
    court: Court, dispute: Dispute, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = b"%PDF-" + bytes(taken.LARGEST_FILE - 10) + b"%%EOF"
    for _ in range(2):
        await court.prove(dispute, file=msgspec.structs.replace(_PDF, content=big))
    with pytest.raises(EvidenceRefused):
        await court.prove(dispute)
    _, sent = await court.charge()
    small = await court.begin(sent)
    for _ in range(taken.MOST_PIECES):
        await court.prove(small)
    with pytest.raises(EvidenceRefused):
        await court.prove(small)


async def test_one_key_adds_one_piece(court: Court, dispute: Dispute) -> None:
    one = key()
    first = await court.prove(dispute, idempotency_key=one)
    assert await court.prove(dispute, idempotency_key=one) == first
    with pytest.raises(IdempotencyConflict):
        await court.prove(dispute, idempotency_key=one, text="Something else.")


async def test_after_the_deadline_no_evidence_counts(court: Court, shop: Shop) -> None:
    _, sent = await court.charge()
    dispute = await court.begin(sent, due_days=5)
    await court.prove(dispute)
    with shop.till.clock.later(timedelta(days=6)):
        for asked in (court.prove(dispute), court.submit(dispute)):
            with pytest.raises(EvidenceDeadlinePassed):
                await asked
        assert (await court.accept(dispute)).status == "LOST"


async def test_evidence_is_handed_in_once_and_then_the_bank_decides(
    court: Court, dispute: Dispute, shop: Shop
) -> None:
    with pytest.raises(EvidenceRefused):
        await court.submit(dispute)
    await court.prove(dispute)
    await court.prove(dispute, file=_PDF)
    one = key()
    assert (await court.submit(dispute, idempotency_key=one)).status == "UNDER_REVIEW"
    assert (await court.submit(dispute, idempotency_key=one)).status == "UNDER_REVIEW"
    account = str(shop.context.tenant_id)
    shown = await court.book().show(account, dispute.provider_reference)
    assert (shown.status, shown.pieces) == ("under_review", 2)
    for asked in (court.prove(dispute), court.submit(dispute)):
        with pytest.raises(TransitionRefused):
            await asked
    (step,) = (await shop.engine.disputes.steps_of(shop.context, [dispute.id]))[dispute.id]
    assert (step.status, len(step.evidence_ids), step.due_at) == ("succeeded", 2, None)
    late = report(None, "needs_response", reference=dispute.provider_reference)
    assert (await court.hear(late)).status == "UNDER_REVIEW"
    assert (await court.events())[-2:] == ["dispute.submission_requested", "dispute.under_review"]


async def test_who_gives_up_has_lost(court: Court, dispute: Dispute, shop: Shop) -> None:
    assert (await court.accept(dispute)).status == "LOST"
    after = await shop.check_books(dispute.payment_id)
    assert after.charged_back_minor == 1_000
    assert not [n for n in await court.balances() if n.startswith("dispute_hold")]
    with pytest.raises(TransitionRefused):
        await court.accept(dispute)
    assert "dispute.lost" in await court.events()
    await shop.assert_sound()


async def _settings(shop: Shop, **given: Any) -> None:
    await shop.engine.registry.save_settings(shop.context, "sandbox", settings=given)


@pytest.mark.parametrize("fault", ["error_before", "error_after"])
async def test_a_step_that_nobody_answered_is_sent_again_with_its_key(
    court: Court, dispute: Dispute, shop: Shop, fault: str
) -> None:
    await court.prove(dispute)
    await _settings(shop, **{fault: 1_000})
    assert (await court.submit(dispute)).status == "NEEDS_RESPONSE"
    with pytest.raises(OperationInFlight):
        await court.submit(dispute)
    await court.look()
    (step,) = (await shop.engine.disputes.steps_of(shop.context, [dispute.id]))[dispute.id]
    assert (step.status, step.tries) == ("unknown", 1)
    await _settings(shop)
    await court.look(after=timedelta(hours=1))
    (step,) = (await shop.engine.disputes.steps_of(shop.context, [dispute.id]))[dispute.id]
    assert (step.status, step.tries) == ("succeeded", 2)
    assert [each.status for each in await court.all()] == ["UNDER_REVIEW"]
    account = str(shop.context.tenant_id)
    shown = await court.book().show(account, dispute.provider_reference)
    assert (shown.status, shown.pieces) == ("under_review", 1)


async def test_what_the_provider_refuses_can_be_tried_again(court: Court, shop: Shop) -> None:
    _, sent = await court.charge()
    dispute = await court.begin(sent, due_days=-1)
    # The provider's deadline is over; what it told us of it was another one.
    told = report(
        None,
        reference=dispute.provider_reference,
        evidence_due_at=datetime.now(UTC) + timedelta(days=9),
        at=datetime.now(UTC) + timedelta(days=1),
        fee_minor=0,
    )
    dispute = await court.hear(told)
    await court.prove(dispute)
    for _ in range(2):
        assert (await court.submit(dispute)).status == "NEEDS_RESPONSE"
    steps = (await shop.engine.disputes.steps_of(shop.context, [dispute.id]))[dispute.id]
    assert [(each.status, each.raw_code) for each in steps] == [
        ("declined", "evidence_overdue")
    ] * 2
    assert (await court.events()).count("dispute.step_failed") == 2


async def test_an_end_overtakes_a_step_that_is_open(
    court: Court, dispute: Dispute, shop: Shop
) -> None:
    await court.prove(dispute)
    await _settings(shop, error_before=1_000)
    await court.submit(dispute)
    await court.hear(report(None, "lost", reference=dispute.provider_reference, fee_minor=0))
    assert await court.look() == 0
    (step,) = (await shop.engine.disputes.steps_of(shop.context, [dispute.id]))[dispute.id]
    assert step.status == "abandoned"


async def test_past_the_providers_memory_a_person_is_asked(
    court: Court, dispute: Dispute, shop: Shop
) -> None:
    await court.prove(dispute)
    await _settings(shop, error_before=1_000)
    await court.submit(dispute)
    await court.look(after=timedelta(days=10 * 366))
    (step,) = (await shop.engine.disputes.steps_of(shop.context, [dispute.id]))[dispute.id]
    assert (step.status, step.due_at) == ("unknown", None)
    assert (await shop.payment(dispute.payment_id)).needs_review


async def test_concurrent_submissions_are_one(court: Court, dispute: Dispute, shop: Shop) -> None:
    await court.prove(dispute)
    answers = await asyncio.gather(
        *(court.submit(dispute) for _ in range(6)), return_exceptions=True
    )
    refused = [each for each in answers if isinstance(each, Exception)]
    assert len(refused) == 5
    assert {type(each) for each in refused} <= {OperationInFlight, TransitionRefused}
    steps = (await shop.engine.disputes.steps_of(shop.context, [dispute.id]))[dispute.id]
    assert [each.status for each in steps] == ["succeeded"]


async def test_the_deadline_is_told_once_some_days_before(court: Court, shop: Shop) -> None:
    _, sent = await court.charge()
    await court.hear(report(sent, evidence_due_at=datetime.now(UTC) + timedelta(days=9)))
    for after in (timedelta(days=5), timedelta(days=6, minutes=1), timedelta(days=7)):
        await court.look(after=after)
        due = (await court.events()).count("dispute.evidence_due")
        assert due == (after > timedelta(days=6))


async def test_nobody_is_reminded_of_what_is_over(court: Court, shop: Shop) -> None:
    _, sent = await court.charge()
    due = datetime.now(UTC) + timedelta(days=9)
    await court.hear(report(sent, evidence_due_at=due))
    await court.hear(report(sent, "under_review", evidence_due_at=due, at=BEGAN))
    assert await court.look(after=timedelta(days=8)) == 0
    assert "dispute.evidence_due" not in await court.events()


async def test_each_act_needs_its_scope(court: Court, dispute: Dispute, shop: Shop) -> None:
    for missing, asked in (
        ("disputes:write", [court.prove, court.submit, court.accept]),
        ("disputes:read", [lambda _: court.all()]),
    ):
        scopes = frozenset(SCOPES) - {missing}
        poor = TenantContext(shop.context.tenant_id, "test", "poor", scopes)
        court.shop = Shop(shop.till, poor)
        for ask in asked:
            with pytest.raises(PermissionDenied):
                await ask(dispute)


async def test_two_processes_do_a_due_step_once(
    court: Court, dispute: Dispute, shop: Shop, hasty: Till
) -> None:
    await court.prove(dispute)
    await _settings(shop, error_before=1_000)
    await court.submit(dispute)
    await _settings(shop)
    await asyncio.gather(*(court.look() for _ in range(4)))
    (step,) = (await shop.engine.disputes.steps_of(shop.context, [dispute.id]))[dispute.id]
    assert (step.status, step.tries) == ("succeeded", 1)
