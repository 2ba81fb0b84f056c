"""Who may pay an invoice by a link, and until when?

A link names its tenant, its invoice and the instant at which it ends, and is signed with a key of
the tenant's own: HMAC-SHA256 (RFC 2104). Nothing of it is secret but the signature. Whoever holds
it may see what is owed on this one invoice and pay it, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import uuid
from collections import OrderedDict
from datetime import UTC, datetime, timedelta

import msgspec

from payengine.clock import wall_now
from payengine.errors import RecoveryLinkInvalid
from payengine.ids import is_id
from payengine.storage import Database, Session
from payengine.vault import Vault

__all__ = ["LINK_LASTS", "Links", "RecoveryLink"]

#: As long as the longest usual schedule of attempts, and a week.
LINK_LASTS = timedelta(days=30)

_KEPT = 2_048
_KEY_BYTES = 32
_SIGNATURE_BYTES = 32
_INSTANT_BYTES = 5
_PREFIX = "inv"
_LONGEST = 200

_READ = "SELECT sealed FROM recovery_key WHERE tenant_id = $1"
_MAKE = """
    INSERT INTO recovery_key (tenant_id, sealed, created_at) VALUES ($1, $2, $3)
    ON CONFLICT (tenant_id) DO NOTHING
"""
_PLACE = {"table": "recovery_key", "row": "key", "column": "sealed"}


class RecoveryLink(msgspec.Struct, frozen=True, kw_only=True):
    """What a link is good for; `expires_at` is the wall's."""

    tenant_id: uuid.UUID
    invoice_id: str
    expires_at: datetime


class Links:
    """Makes and reads the links of all tenants."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._kept: OrderedDict[uuid.UUID, bytes] = OrderedDict()

    async def make(
        self, session: Session, tenant_id: uuid.UUID, invoice_id: str, *, wall: datetime
    ) -> str:
        """The token of a link that lasts for `LINK_LASTS` from the wall's instant `wall`."""
        key = self._kept.get(tenant_id) or await self._key(session, tenant_id, may_make=True)
        assert key is not None
        expires_at = int((wall + LINK_LASTS).timestamp())
        body = tenant_id.bytes + expires_at.to_bytes(_INSTANT_BYTES, "big") + invoice_id.encode()
        token = base64.urlsafe_b64encode(body + _signature(key, body))
        return token.decode("ascii").rstrip("=")

    async def read(self, token: str, *, wall: datetime) -> RecoveryLink:
        """What the token is good for; raises `RecoveryLinkInvalid` for every other one.

        The answer is the same for one that ended, that was changed and that never was.
        """
        link, body, signature = _parse(token)
        key = self._kept.get(link.tenant_id)
        if key is None:
            async with self._database.tenant(link.tenant_id) as session:
                key = await self._key(session, link.tenant_id, may_make=False)
        right = _signature(key or secrets.token_bytes(_KEY_BYTES), body)
        if not hmac.compare_digest(right, signature) or link.expires_at <= wall:
            raise RecoveryLinkInvalid
        return link

    def address(self, token: str) -> str:
        """Where the page of the token is; empty where nobody has said where this server is."""
        public = os.environ.get("PAYENGINE_PUBLIC_URL", "").rstrip("/")
        return f"{public}/recover/{token}" if public else ""

    async def _key(self, session: Session, tenant_id: uuid.UUID, *, may_make: bool) -> bytes | None:
        sealed = await session.fetchval(_READ, tenant_id)
        if sealed is None and may_make:
            made = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
            sealed = await self._vault.seal(session, tenant_id, made, **_PLACE)
            await session.execute(_MAKE, tenant_id, sealed, wall_now())
            # Another process may have been quicker, and its key stands.
            sealed = await session.fetchval(_READ, tenant_id)
            opened = await self._vault.open(session, tenant_id, sealed, **_PLACE)
            return base64.b64decode(opened)  # kept by the next reader: this may be rolled back
        if sealed is None:
            return None
        key = base64.b64decode(await self._vault.open(session, tenant_id, sealed, **_PLACE))
        self._kept[tenant_id] = key
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return key


def _signature(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, b"recovery link" + body, hashlib.sha256).digest()


def _parse(token: str) -> tuple[RecoveryLink, bytes, bytes]:
    try:
        if len(token) > _LONGEST:
            raise ValueError("too long")
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        plain = base64.b64decode(padded, altchars=b"-_", validate=True)
        body, signature = plain[:-_SIGNATURE_BYTES], plain[-_SIGNATURE_BYTES:]
        invoice_id = body[16 + _INSTANT_BYTES :].decode("ascii")
        if not is_id(invoice_id, _PREFIX):
            raise ValueError("no invoice")
        link = RecoveryLink(
            tenant_id=uuid.UUID(bytes=body[:16]),
            invoice_id=invoice_id,
            expires_at=datetime.fromtimestamp(
                int.from_bytes(body[16 : 16 + _INSTANT_BYTES], "big"), UTC
            ),
        )
    except (ValueError, OverflowError, OSError, binascii.Error):
        raise RecoveryLinkInvalid from None
    return link, body, signature
