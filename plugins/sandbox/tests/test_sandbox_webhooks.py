"""Does the sandbox tell of late results, and does nobody else's word count?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.plugin import WebhookEvent, WebhookRefused, WebhookRequest
from payengine_sandbox.gateway import SandboxGateway
from payengine_sandbox.local import settings_of
from payengine_sandbox.samples import sandbox_case
from payengine_sandbox.settings import DEFAULT_WEBHOOK_SECRET
from payengine_sandbox.testing import SandboxProcess, frame, payment
from payengine_sandbox.webhooks import parse, sign

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BODY = json.dumps(
    {
        "id": "evt_1",
        "type": "operation.updated",
        "account": "acct_1",
        "created_at": "2026-11-23T12:00:00Z",
        "operation": {
            "reference": "sbx_1",
            "key": "k",
            "kind": "authorize",
            "status": "succeeded",
            "amount_minor": 1000,
            "currency": "EUR",
            "captured": True,
        },
    }
).encode()


def signed(
    body: bytes = BODY,
    *,
    secret: str = DEFAULT_WEBHOOK_SECRET,
    at: datetime = NOW,
    received_at: datetime = NOW,
    **headers: str,
) -> WebhookRequest:
    timestamp = int(at.timestamp())
    signature = sign(secret=secret, event_id="evt_1", timestamp=timestamp, body=body)
    proof = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
    }
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return WebhookRequest(headers={**proof, **given}, body=body, received_at=received_at)


def read(request: WebhookRequest) -> WebhookEvent:
    [event] = parse(request, secret=DEFAULT_WEBHOOK_SECRET, account="acct_1")
    assert isinstance(event, WebhookEvent)
    return event


def test_a_genuine_webhook_is_read() -> None:
    event = read(signed())
    assert (event.event_id, event.key, event.kind) == ("evt_1", "k", "authorize")
    assert event.outcome.amount is not None
    assert (event.outcome.status, event.outcome.amount.minor) == ("succeeded", 1000)


def test_one_right_signature_among_several_is_enough() -> None:
    right = signed()
    both = "v1,AAAA " + right.headers["webhook-signature"]
    assert read(signed(webhook_signature=both)).event_id == "evt_1"


def test_the_signature_is_the_published_one() -> None:
    import base64
    import hashlib
    import hmac

    secret = base64.b64decode(DEFAULT_WEBHOOK_SECRET.removeprefix("whsec_"))
    mac = hmac.new(secret, b"evt_1.1700000000.{}", hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(mac).decode()
    given = sign(secret=DEFAULT_WEBHOOK_SECRET, event_id="evt_1", timestamp=1700000000, body=b"{}")
    assert given == expected


MINUTE = timedelta(minutes=1)
FORGED = {
    "another secret": signed(secret="whsec_b3RoZXI="),
    "no secret": signed(secret=""),
    "tampered body": msgspec.structs.replace(signed(), body=BODY.replace(b"1000", b"9000")),
    "stale": signed(at=NOW - 5 * MINUTE - timedelta(seconds=1)),
    "early": signed(at=NOW + MINUTE + timedelta(seconds=1)),
    "another id": signed(webhook_id="evt_2"),
    "no id": signed(webhook_id=""),
    "another time": signed(webhook_timestamp=str(int(NOW.timestamp()) + 1)),
    "time in words": signed(webhook_timestamp="noon"),
    "negative time": signed(webhook_timestamp="-1"),
    "arabic digits": signed(webhook_timestamp="١٧٠٠٠٠٠٠٠٠"),
    "endless time": signed(webhook_timestamp="9" * 400),
    "empty signature": signed(webhook_signature=""),
    "another version": signed(webhook_signature="v0,AAAA"),
    "not ascii": signed(webhook_signature="v1,é"),
    "another account": signed(BODY.replace(b"acct_1", b"acct_2")),
    "unknown field": signed(BODY.replace(b'{"id"', b'{"x": 1, "id"')),
    "float amount": signed(BODY.replace(b"1000", b"10.5")),
    "unknown status": signed(BODY.replace(b"succeeded", b"perhaps")),
    "naive time": signed(BODY.replace(b"00Z", b"00")),
    "not json": signed(b"\xff\xfe"),
    "deep json": signed(b"[" * 50_000),
    "no body": signed(b""),
    "large body": signed(b" " * 70_000 + BODY),
}


@pytest.mark.parametrize("name", list(FORGED))
def test_whatever_is_doubtful_is_refused(name: str) -> None:
    with pytest.raises(WebhookRefused):
        read(FORGED[name])


@given(body=st.binary(max_size=200), headers=st.dictionaries(st.text(), st.text()))
def test_noise_is_refused_and_raises_nothing_else(body: bytes, headers: dict[str, str]) -> None:
    for request in (signed(body), msgspec.structs.replace(signed(body), headers=headers)):
        with pytest.raises(WebhookRefused):
            read(request)


def test_without_a_secret_nothing_is_believed() -> None:
    with pytest.raises(WebhookRefused):
        parse(signed(secret=""), secret="", account="acct_1")


async def test_settings_of_another_kind_verify_nothing() -> None:
    case = sandbox_case()
    call = msgspec.structs.replace(frame("acct_1"), settings=None)
    with pytest.raises(WebhookRefused):
        case.gateway.parse_webhook(call, signed())


@dataclass
class Receiver:
    """An HTTP endpoint that refuses the first `refusals` deliveries."""

    url: str = ""
    refusals: int = 0
    received: asyncio.Queue[WebhookRequest] = field(default_factory=asyncio.Queue)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:]
        headers = dict(line.lower().split(": ", 1) for line in head if ": " in line)
        cased = dict(line.split(": ", 1) for line in head if ": " in line)
        body = await reader.readexactly(int(headers["content-length"]))
        exact = {name.lower(): value for name, value in cased.items()}
        status = b"503 Busy" if self.refusals else b"204 No Content"
        if self.refusals:
            self.refusals -= 1
        else:
            self.received.put_nowait(
                WebhookRequest(headers=exact, body=body, received_at=datetime.now(UTC))
            )
        writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    made.url = f"http://127.0.0.1:{port}/hook"
    yield made
    listening.close()
    await listening.wait_closed()


async def test_in_process_every_answer_is_told(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYENGINE_PUBLIC_URL", receiver.url.removesuffix("/hook"))
    gateway = SandboxGateway(path=tmp_path / "sandbox.sqlite3")
    call = frame(webhook_url=receiver.url)
    await gateway.authorize(call, payment("told"))
    async with asyncio.timeout(60):
        (event,) = gateway.parse_webhook(call, await receiver.received.get())
    assert isinstance(event, WebhookEvent)
    assert (event.key, event.outcome.status) == ("told", "succeeded")
    await gateway.aclose()


async def test_in_process_nobody_but_the_platform_is_told(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = SandboxGateway(path=tmp_path / "sandbox.sqlite3")
    for public in ("https://pay.example.org", receiver.url.removesuffix("/hook")[:-1]):
        monkeypatch.setenv("PAYENGINE_PUBLIC_URL", public)
        await gateway.authorize(frame(webhook_url=receiver.url), payment(public))
    await asyncio.sleep(0.2)
    assert receiver.received.empty()
    await gateway.aclose()


def test_a_webhook_address_without_a_host_lies_on_the_platform(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PAYENGINE_PUBLIC_URL", "https://pay.example.org/")
    relative = settings_of(frame(webhook_url="/api/webhooks/sandbox/x"))
    assert relative.webhook_url == "https://pay.example.org/api/webhooks/sandbox/x"
    elsewhere = settings_of(frame(webhook_url="https://other.example.org/x"))
    assert elsewhere.webhook_url == "https://other.example.org/x"


async def test_the_server_tells_of_answers_and_late_results(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.refusals = 1
    with SandboxProcess(tmp_path) as server:
        gateway = SandboxGateway(url=server.url)
        secret = "whsec_bXktb3duLXNlY3JldA=="
        call = frame(webhook_url=receiver.url, webhook_secret=secret, pending_ms=500)
        await gateway.authorize(call, payment("late", token="tok_pending"))
        seen: list[WebhookEvent] = []
        async with asyncio.timeout(60):
            while {event.outcome.status for event in seen} != {"pending", "succeeded"}:
                told = gateway.parse_webhook(call, await receiver.received.get())
                seen += [event for event in told if isinstance(event, WebhookEvent)]
        assert {event.key for event in seen} == {"late"}
        assert len({event.event_id for event in seen}) == 2
        with pytest.raises(WebhookRefused):
            gateway.parse_webhook(frame(), FORGED["no secret"])
        await gateway.aclose()
