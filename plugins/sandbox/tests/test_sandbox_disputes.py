"""Do the sandbox's disputes open, move and end as they are told, in process and over HTTP?"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from payengine.plugin import (
    AcceptDispute,
    Amount,
    DisputeEvent,
    DisputeEvidence,
    EvidenceText,
    Refund,
    WebhookRefused,
    WebhookRequest,
)
from payengine_sandbox.dispute_records import ShownDispute
from payengine_sandbox.disputes import OpenDispute
from payengine_sandbox.gateway import SandboxGateway
from payengine_sandbox.local import book_at
from payengine_sandbox.records import ProviderError
from payengine_sandbox.testing import SandboxProcess, frame, payment

_ACCOUNT = "acct_1"
_HEARD_S = 60.0


class _Heard(BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    calls: list[WebhookRequest]

    def do_POST(self) -> None:
        """A webhook."""
        from datetime import UTC, datetime

        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.calls.append(WebhookRequest(headers=headers, body=body, received_at=datetime.now(UTC)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def heard() -> Iterator[tuple[str, list[WebhookRequest]]]:
    """An address for webhooks, and what came there."""
    calls: list[WebhookRequest] = []
    handler = type("Handler", (_Heard,), {"calls": calls})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", calls
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def gateway(tmp_path: Path) -> SandboxGateway:
    """The sandbox in this process."""
    return SandboxGateway(path=tmp_path / "sandbox.sqlite3")


async def _disputed(gateway: SandboxGateway, key: str = "k") -> ShownDispute:
    await gateway.authorize(frame(), payment(key))
    return await gateway.dispute(frame(), key)


def _evidence(shown: ShownDispute, *, key: str = "e", text: str = "proof") -> DisputeEvidence:
    return DisputeEvidence(
        key=key,
        provider_reference=shown.reference,
        texts=(EvidenceText(category="other", text=text),),
    )


async def test_a_dispute_opens_once_and_only_over_what_was_taken(gateway: SandboxGateway) -> None:
    shown = await _disputed(gateway)
    assert (shown.status, shown.amount_minor, shown.key) == ("needs_response", 1_000, "k")
    assert await gateway.dispute(frame(), "k") == shown
    await gateway.authorize(frame(), payment("held", capture=False))
    for key in ("held", "nobody"):
        with pytest.raises(ProviderError):
            await gateway.dispute(frame(), key)
    with pytest.raises(ProviderError):
        await gateway.dispute(frame("another account"), "k")


async def test_evidence_is_taken_once_per_key(gateway: SandboxGateway) -> None:
    shown = await _disputed(gateway)
    for _ in range(2):
        outcome = await gateway.submit_evidence(frame(), _evidence(shown))
        assert outcome.status == "succeeded"
    with pytest.raises(ProviderError):
        await gateway.submit_evidence(frame(), _evidence(shown, text="another"))
    second = await gateway.submit_evidence(frame(), _evidence(shown, key="e2"))
    assert (second.status, second.decline and second.decline.raw_code) == ("declined", "not_open")


async def test_what_is_disputed_is_not_there_to_be_refunded(
    gateway: SandboxGateway, tmp_path: Path
) -> None:
    paid = await gateway.authorize(frame(), payment("k"))
    book = book_at(tmp_path / "sandbox.sqlite3")
    shown = await book.open(_ACCOUNT, OpenDispute(key="k", amount_minor=600))
    reference = paid.provider_reference or ""

    async def refund(key: str, minor: int) -> str:
        request = Refund(key=key, provider_reference=reference, amount=Amount(minor, "EUR"))
        return (await gateway.refund(frame(), request)).status

    assert await refund("r1", 401) == "declined"
    assert await refund("r2", 400) == "succeeded"
    await book.decide(_ACCOUNT, shown.reference, "won")
    assert await refund("r3", 600) == "succeeded"
    await book.decide(_ACCOUNT, shown.reference, "lost")
    await book.decide(_ACCOUNT, shown.reference, "won")
    assert await refund("r4", 1) == "declined"


async def test_chaos_strikes_steps_too_and_the_books_stay_right(
    gateway: SandboxGateway, tmp_path: Path
) -> None:
    shown = await _disputed(gateway)
    book = book_at(tmp_path / "sandbox.sqlite3")
    with pytest.raises(ProviderError):
        await gateway.submit_evidence(frame(error_before=1_000), _evidence(shown))
    assert (await book.show(_ACCOUNT, shown.reference)).status == "needs_response"
    await gateway.submit_evidence(frame(), _evidence(shown))
    assert (await book.show(_ACCOUNT, shown.reference)).status == "under_review"
    other = await _disputed(gateway, "k2")
    request = AcceptDispute(key="a", provider_reference=other.reference)
    with pytest.raises(ProviderError):
        await gateway.accept_dispute(frame(error_after=1_000), request)
    assert (await book.show(_ACCOUNT, other.reference)).status == "lost"
    assert (await gateway.accept_dispute(frame(), request)).status == "succeeded"


async def test_the_server_opens_answers_and_decides_and_tells_of_it(
    tmp_path: Path, heard: tuple[str, list[WebhookRequest]]
) -> None:
    url, calls = heard
    with SandboxProcess(tmp_path) as process:
        gateway = SandboxGateway(url=process.url)
        call = frame(webhook_url=url)
        await gateway.authorize(call, payment("k"))
        shown = await gateway.dispute(call, "k")
        assert (await gateway.submit_evidence(call, _evidence(shown))).status == "succeeded"
        async with httpx.AsyncClient(base_url=process.url) as client:
            path = f"/v1/disputes/{shown.reference}"
            headers = {"sandbox-account": _ACCOUNT}
            decided = await client.post(
                f"{path}/decision", json={"status": "won", "fee_returned": True}, headers=headers
            )
            assert decided.json()["status"] == "won"
            assert (await client.get(path, headers=headers)).json() == decided.json()
            for bad in (
                client.post("/v1/disputes", content=b"[]", headers=headers),
                client.post("/v1/disputes", json={"key": "k"}),
                client.post(f"{path}/decision", json={"status": "maybe"}, headers=headers),
                client.post(f"{path}/evidence", json={"pieces": 1, "digest": ""}, headers=headers),
            ):
                assert (await bad).status_code == 400
            missing = await client.get("/v1/disputes/nothing", headers=headers)
            assert missing.status_code == 404
        async with asyncio.timeout(_HEARD_S):
            while len(_told(gateway, calls)) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await gateway.aclose()
    told = sorted(_told(gateway, calls), key=lambda event: event.event_id)
    assert [event.dispute.status for event in told] == ["needs_response", "under_review", "won"]
    assert [event.dispute.fee_returned for event in told] == [False, False, True]
    assert {event.key for event in told} == {"k"}
    assert len({event.event_id for event in told}) == 3


def _told(gateway: SandboxGateway, calls: list[WebhookRequest]) -> list[DisputeEvent]:
    found = {}
    for request in list(calls):
        for event in gateway.parse_webhook(frame(), request):
            if isinstance(event, DisputeEvent):
                found[event.event_id] = event
    return list(found.values())


async def test_a_forged_dispute_is_refused(
    tmp_path: Path, heard: tuple[str, list[WebhookRequest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, calls = heard
    monkeypatch.setenv("PAYENGINE_PUBLIC_URL", url.rpartition("/")[0])
    gateway = SandboxGateway(path=tmp_path / "sandbox.sqlite3")
    await gateway.authorize(frame(webhook_url=url), payment("k"))
    await gateway.dispute(frame(webhook_url=url), "k")
    async with asyncio.timeout(_HEARD_S):
        while not _told(gateway, calls):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    genuine = next(call for call in calls if b"dispute.updated" in call.body)
    forged = WebhookRequest(
        headers=genuine.headers,
        body=genuine.body.replace(b"1000", b"1"),
        received_at=genuine.received_at,
    )
    with pytest.raises(WebhookRefused):
        gateway.parse_webhook(frame(), forged)
    with pytest.raises(WebhookRefused):
        gateway.parse_webhook(frame("another account"), genuine)
