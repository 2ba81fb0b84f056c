"""What is kept of a provider's call, and how does it rest?

Everything that the plugin verified: the headers but those of the connection itself and cookies, and
the body's exact bytes, sealed together because they may hold personal data. A card number alone is
taken out of what is kept; none may rest here.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable
from datetime import datetime

import msgspec

from payengine.payments.inbound.models import KeptRequest
from payengine.plugin import WebhookRequest
from payengine.screen import redact
from payengine.storage import Session
from payengine.vault import Vault

__all__ = ["Headers", "kept_headers", "open_request", "request_of", "seal_request"]

Headers = tuple[tuple[str, str], ...]

#: RFC 9110, section 7.6.1, with the two of proxies that older clients send; and cookies.
_LEFT_OUT = frozenset(
    {
        "connection",
        "cookie",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)


class _Kept(msgspec.Struct, frozen=True):
    headers: Headers
    body: str


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Kept)


def kept_headers(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers in their order, names in lower case; bytes are Latin-1 (RFC 9110, 5.5)."""
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]
    named = {
        token.strip().lower()
        for name, value in pairs
        if name == "connection"
        for token in value.split(",")
    }
    return tuple((name, value) for name, value in pairs if name not in _LEFT_OUT | named)


def request_of(headers: Headers, body: bytes, *, received_at: datetime) -> WebhookRequest:
    """The plugin's message; a header that came twice is one list, as RFC 9110, 5.3 has it."""
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return WebhookRequest(headers=joined, body=body, received_at=received_at)


async def seal_request(
    vault: Vault,
    session: Session,
    tenant_id: uuid.UUID,
    *,
    request_id: str,
    headers: Headers,
    body: bytes,
) -> tuple[bytes, bool]:
    """The sealed call, and whether a card number was taken out of it."""
    clean_headers = tuple((redact(name), redact(value)) for name, value in headers)
    text = body.decode("latin-1")
    clean_text = redact(text)
    redacted = clean_headers != headers or clean_text != text
    kept = clean_text.encode("latin-1") if redacted else body
    plain = _encoder.encode(_Kept(clean_headers, base64.b64encode(kept).decode())).decode()
    sealed = await vault.seal(
        session, tenant_id, plain, table="webhook_request", row=request_id, column="sealed"
    )
    return sealed, redacted


async def open_request(
    vault: Vault,
    session: Session,
    tenant_id: uuid.UUID,
    *,
    request_id: str,
    sealed: bytes,
    received_at: datetime,
    redacted: bool,
) -> KeptRequest:
    """The call as it was kept; raises `VaultSealed`."""
    plain = await vault.open(
        session, tenant_id, sealed, table="webhook_request", row=request_id, column="sealed"
    )
    kept = _decoder.decode(plain)
    return KeptRequest(
        id=request_id,
        headers=kept.headers,
        body=base64.b64decode(kept.body),
        received_at=received_at,
        redacted=redacted,
    )
