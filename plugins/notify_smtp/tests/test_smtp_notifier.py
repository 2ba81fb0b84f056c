"""Does a notice arrive at a real mail server as it was written, and never where it may not?"""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from payengine.plugin import Amount, Call, CustomerNotice
from payengine_notify_smtp.notifier import MailRefused, SmtpNotifier, SmtpSettings, message_of
from payengine_notify_smtp.sending import ServerRefused, address_of


@dataclass
class _Server:
    """A mail server that keeps what it gets, and answers what it is told to."""

    port: int = 0
    answer: str = "250 OK"
    got: list[Envelope] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.got.append(envelope)
        return self.answer

    def message(self) -> EmailMessage:
        content = self.got[-1].content
        assert isinstance(content, bytes)
        parsed = message_from_bytes(content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[_Server]:
    monkeypatch.setenv("PAYENGINE_NOTIFY_SMTP_PRIVATE", "1")
    kept = _Server()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: SMTP(kept, loop=loop), "127.0.0.1", 0)
    kept.port = listening.sockets[0].getsockname()[1]
    yield kept
    listening.close()
    await listening.wait_closed()


async def _hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing until the other side has gone."""
    await reader.read()
    writer.close()


def _notice(**given: Any) -> CustomerNotice:
    words: dict[str, Any] = {
        "id": "ntc_one",
        "kind": "payment_failed",
        "invoice_id": "inv_one",
        "customer_id": "cus_one",
        "language": "de",
        "subject": "Ihre Zahlung an Bäckerei Süß ist nicht gelungen",
        "text": "Guten Tag,\n\n12,00 EUR.\n\nHier bezahlen: https://pay.example/recover/abc\n",
        "amount": Amount(1_200, "EUR"),
        "email": "ada@example.com",
        "name": "Ada Süß",
    }
    return CustomerNotice(**(words | given))


def _settings(port: int = 25, **given: Any) -> SmtpSettings:
    words: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "sender": "billing@shop.example",
        "sender_name": "Bäckerei Süß",
    }
    return SmtpSettings(**(words | given))


def _call(settings: SmtpSettings) -> Call:
    return Call(account="shop", settings=settings, deadline_ms=5_000, mode="test")


async def test_a_notice_arrives_in_the_shops_name(server: _Server) -> None:
    taken = await SmtpNotifier().notify(_call(_settings(server.port)), _notice())
    message = server.message()
    assert server.got[-1].rcpt_tos == ["ada@example.com"]
    assert message["Subject"] == "Ihre Zahlung an Bäckerei Süß ist nicht gelungen"
    assert message["From"] == "Bäckerei Süß <billing@shop.example>"
    assert message["To"] == "Ada Süß <ada@example.com>"
    assert message.get_content().replace("\r\n", "\n") == _notice().text
    assert taken.reference == message["Message-ID"] == "<ntc_one@shop.example>"


async def test_the_same_notice_has_the_same_message_id(server: _Server) -> None:
    for _ in range(2):
        await SmtpNotifier().notify(_call(_settings(server.port)), _notice())
    contents = [each.content for each in server.got]
    ids = {message_from_bytes(c)["Message-ID"] for c in contents if isinstance(c, bytes)}
    assert len(contents) == 2
    assert len(ids) == 1


async def test_a_server_that_refuses_is_a_failure(server: _Server) -> None:
    server.answer = "451 later"
    with pytest.raises(Exception, match="451"):
        await SmtpNotifier().notify(_call(_settings(server.port)), _notice())


async def test_a_server_that_does_not_encrypt_gets_nothing(server: _Server) -> None:
    settings = _settings(server.port, security="starttls", username="shop", password="secret")
    with pytest.raises(Exception, match="STARTTLS"):
        await SmtpNotifier().notify(_call(settings), _notice())
    assert server.got == []


async def test_a_password_is_never_sent_in_the_clear(server: _Server) -> None:
    settings = _settings(server.port, username="shop", password="secret")
    with pytest.raises(MailRefused):
        await SmtpNotifier().notify(_call(settings), _notice())


async def test_the_event_loop_goes_on_while_a_server_is_silent() -> None:
    silent = await asyncio.start_server(_hold, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAYENGINE_NOTIFY_SMTP_PRIVATE", "1")
        call = Call(account="shop", settings=_settings(port), deadline_ms=200, mode="test")
        with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
            await SmtpNotifier().notify(call, _notice())
    silent.close()
    await silent.wait_closed()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "::1"])
def test_private_servers_are_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PAYENGINE_NOTIFY_SMTP_PRIVATE", raising=False)
    with pytest.raises(ServerRefused):
        address_of(host, 25)


@pytest.mark.parametrize(
    "email", ["", "nobody", "a@b@c", "a b@c.example", "a@c.example\nBcc: x@y.example"]
)
def test_what_is_no_address_gets_no_mail(email: str) -> None:
    with pytest.raises(MailRefused):
        message_of(_notice(email=email), _settings(), at=datetime(2026, 1, 1, tzinfo=UTC))


def test_no_header_is_smuggled_in() -> None:
    notice = _notice(subject="Hello\r\nBcc: thief@example.com", name="Ada\nBcc: thief@example.com")
    message = message_of(notice, _settings(), at=datetime(2026, 1, 1, tzinfo=UTC))
    assert message["Bcc"] is None


@pytest.mark.parametrize("given", [{"host": ""}, {"port": 0}, {"sender": "nobody"}, {"host": "-"}])
async def test_settings_that_cannot_send_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(MailRefused):
        await SmtpNotifier().notify(_call(_settings(**given)), _notice())
