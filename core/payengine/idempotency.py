"""Has this been asked before?

A key of the client's, the mutation and its input make a request; the row that says so is kept for
ever and names what the request made. It is written in the transaction that makes it.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import datetime

import msgspec

from payengine.errors import IdempotencyConflict, IdempotencyKeyMalformed
from payengine.storage import Session
from payengine.texts import screen_text

__all__ = ["CLAIM", "check_key", "claim", "claimed", "fingerprint"]

_KEY = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")

#: Gives the resource's id back where the key was free; $1 to $6 in the order of the columns.
CLAIM = """
    INSERT INTO idempotency_key (tenant_id, key, mutation, fingerprint, resource_id, created_at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (tenant_id, key) DO NOTHING
    RETURNING resource_id
"""

_CLAIMED = """
    SELECT mutation, fingerprint, resource_id
    FROM idempotency_key WHERE tenant_id = $1 AND key = $2
"""


def fingerprint(mutation: str, request: msgspec.Struct) -> bytes:
    """What makes two requests the same: the mutation and every field but the key (SHA-256)."""
    plain = msgspec.to_builtins(request)
    plain.pop("idempotency_key")
    body = msgspec.json.encode((mutation, plain), order="deterministic")
    return hashlib.sha256(body).digest()


def check_key(key: str) -> None:
    """Raise `IdempotencyKeyMalformed` unless 1 to 255 printable ASCII characters."""
    if not _KEY.fullmatch(key):
        raise IdempotencyKeyMalformed(path=("idempotencyKey",))
    screen_text(key, field="idempotencyKey")


async def claim(
    session: Session,
    tenant_id: uuid.UUID,
    *,
    key: str,
    mutation: str,
    fingerprint: bytes,
    resource_id: str,
    at: datetime,
) -> str | None:
    """Claim the key for `resource_id`; the earlier resource's id where the key is taken.

    Raises `IdempotencyConflict` where it is taken by another input.
    """
    made = await session.fetchval(CLAIM, tenant_id, key, mutation, fingerprint, resource_id, at)
    if made is not None:
        return None
    return await claimed(session, tenant_id, key=key, fingerprint=fingerprint)


async def claimed(
    session: Session, tenant_id: uuid.UUID, *, key: str, fingerprint: bytes
) -> str | None:
    """What the key was claimed for, or None; raises `IdempotencyConflict` for another input."""
    row = await session.fetchrow(_CLAIMED, tenant_id, key)
    if row is None:
        return None
    if row["fingerprint"] != fingerprint:
        raise IdempotencyConflict(path=("idempotencyKey",))
    found: str = row["resource_id"]
    return found
