"""How does a notice become an e-mail?

A message in the tenant's name is handed to the tenant's mail server (RFC 5321), in a thread, within
the call's deadline. Its Message-ID is made of the notice's id, so that readers and servers can tell
a message that came twice.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal

from payengine.plugin import (
    Call,
    CustomerNotice,
    NoticeTaken,
    NotifierManifest,
    PluginSettings,
    Secret,
)

from payengine_notify_smtp.sending import send

__all__ = ["MailRefused", "SmtpNotifier", "SmtpSettings", "message_of"]

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?")
_MAILBOX = re.compile(r"[^@\s<>\"',;:\\()\[\]]{1,64}@[A-Za-z0-9.-]{1,190}")
_MOST_PORT = 65_535


class MailRefused(Exception):
    """The message cannot be sent as the settings are; the words say why."""


class SmtpSettings(PluginSettings, frozen=True, kw_only=True):
    """The tenant's mail server, and in whose name it sends.

    `security`: `starttls` needs the server to encrypt, `tls` is encrypted from the first byte,
    `none` sends in the clear and signs in to nobody.
    """

    host: str = ""
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: Secret | None = None
    sender: str = ""
    sender_name: str = ""


class SmtpNotifier:
    """Sends each notice as a message of its own."""

    def describe(self) -> NotifierManifest:
        """The manifest; pure and constant."""
        return NotifierManifest(
            name="smtp",
            title="E-mail by SMTP",
            version="0.1.0",
            needs_email=True,
            settings=SmtpSettings,
        )

    async def notify(self, call: Call, request: CustomerNotice) -> NoticeTaken:
        """Send it; raises where the server did not take the message."""
        settings = call.settings
        if not isinstance(settings, SmtpSettings):
            raise MailRefused("The settings are another plugin's.")
        _check(settings)
        message = message_of(request, settings, at=datetime.now(UTC))
        await asyncio.to_thread(
            send,
            message,
            host=settings.host,
            port=settings.port,
            security=settings.security,
            username=settings.username,
            password=settings.password or "",
            timeout_s=call.deadline_ms / 1000,
        )
        return NoticeTaken(reference=str(message["Message-ID"]))


def message_of(notice: CustomerNotice, settings: SmtpSettings, *, at: datetime) -> EmailMessage:
    """The message; raises `MailRefused` for an address that is none."""
    if not _MAILBOX.fullmatch(notice.email):
        raise MailRefused("The customer's address is none that mail can be sent to.")
    domain = settings.sender.rpartition("@")[2]
    message = EmailMessage()
    message["Message-ID"] = f"<{notice.id}@{domain}>"
    message["Date"] = format_datetime(at)
    message["From"] = Address(display_name=settings.sender_name, addr_spec=settings.sender)
    message["To"] = Address(display_name=_line(notice.name), addr_spec=notice.email)
    message["Subject"] = _line(notice.subject)
    message["Content-Language"] = notice.language
    # Nobody's absence is to answer this (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(notice.text)
    return message


def _check(settings: SmtpSettings) -> None:
    if not _HOST.fullmatch(settings.host) or not 1 <= settings.port <= _MOST_PORT:
        raise MailRefused("The settings name no mail server.")
    if not _MAILBOX.fullmatch(settings.sender):
        raise MailRefused("The settings name no sender.")
    if settings.username and settings.security == "none":
        raise MailRefused("A password is not sent in the clear.")


def _line(text: str) -> str:
    """Without what would begin another header."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
