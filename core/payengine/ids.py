"""What is a name?

Ids are prefixed, sortable by the time they were made, and made in Python: `pay_` and 26
characters that spell a UUID of version 7 (RFC 9562, section 5.7) in base32hex (RFC 4648, section
7), whose alphabet keeps the order of the bytes. Text columns use the collation "C", so the order
holds in every database.
"""

from __future__ import annotations

import base64
import re
import secrets
import time
import uuid

__all__ = ["PREFIXES", "is_id", "new_id", "new_tenant_id"]

#: prefix → the noun that it names. Closed: a new kind of object adds its line here.
PREFIXES = {
    "att": "attempt",
    "cus": "customer",
    "evd": "evidence",
    "evt": "event",
    "key": "api key",
    "op": "operation",
    "pay": "payment",
    "pm": "saved payment method",
    "ref": "refund",
}

_SHAPE = re.compile(r"([a-z]{2,4})_[0-9a-v]{26}")


def _uuid7_bytes() -> bytes:
    milliseconds = time.time_ns() // 1_000_000
    rest = bytearray(secrets.token_bytes(10))
    rest[0] = 0x70 | (rest[0] & 0x0F)
    rest[2] = 0x80 | (rest[2] & 0x3F)
    return milliseconds.to_bytes(6, "big") + bytes(rest)


def new_id(prefix: str) -> str:
    """A new id such as `pay_0j8…`, later in sort order than ids of earlier milliseconds."""
    return f"{prefix}_{base64.b32hexencode(_uuid7_bytes())[:26].decode().lower()}"


def new_tenant_id() -> uuid.UUID:
    """A new tenant's id: tenants alone are named by a plain UUID, as the policies compare it."""
    return uuid.UUID(bytes=_uuid7_bytes())


def is_id(text: str, prefix: str) -> bool:
    """Whether `text` has the form of an id with this prefix; says nothing of its existence."""
    found = _SHAPE.fullmatch(text)
    return found is not None and found[1] == prefix
