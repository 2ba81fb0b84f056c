"""What is a name?

Ids are prefixed, sortable by the time they were made, and made in Python: `pay_` and 26
characters that spell a UUID of version 7 (RFC 9562, section 5.7) in base32hex (RFC 4648, section
7), whose alphabet keeps the order of the bytes. Text columns use the collation "C", so the order
holds in every database.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from datetime import datetime

__all__ = ["PREFIXES", "first_id", "is_id", "new_id", "new_tenant_id"]

#: prefix → the noun that it names. Closed: a new kind of object adds its line here.
PREFIXES = {
    "acc": "connected account",
    "ack": "account check",
    "atr": "account transfer",
    "att": "attempt",
    "cpn": "coupon",
    "cus": "customer",
    "dse": "dispute evidence",
    "dsp": "dispute",
    "dss": "dispute step",
    "esc": "escrow",
    "esr": "escrow release",
    "evd": "evidence",
    "evt": "event",
    "fal": "fraud alert",
    "fle": "fraud list entry",
    "fxc": "conversion",
    "fxq": "FX quote",
    "fxr": "FX rate",
    "gwe": "gateway endpoint",
    "key": "api key",
    "mtr": "meter",
    "ntc": "notice",
    "op": "operation",
    "pay": "payment",
    "pds": "payout destination",
    "pev": "payout evidence",
    "phd": "payout hold",
    "pm": "saved payment method",
    "po": "payout",
    "pob": "payout batch",
    "prc": "price",
    "prd": "product",
    "psc": "payout schedule",
    "ref": "refund",
    "rev": "review",
    "rva": "review action",
    "rsv": "reserve",
    "rta": "routing activation",
    "rtp": "routing policy",
    "rwh": "received webhook",
    "spr": "split rule",
    "sta": "settlement action",
    "stf": "settlement file",
    "sti": "settlement item",
    "stl": "settlement line",
    "sch": "scheduled change",
    "sit": "subscription item",
    "sub": "subscription",
    "ubt": "usage batch",
    "whd": "webhook delivery",
    "whe": "webhook endpoint",
    "whr": "webhook redelivery",
    "whs": "webhook secret",
    "wrq": "webhook request",
    "cbe": "customer balance entry",
    "cno": "credit note",
    "inv": "invoice",
    "pli": "pending line",
}

_SHAPE = re.compile(r"([a-z]{2,4})_[0-9a-v]{26}")
_DIGITS = "0123456789abcdefghijklmnopqrstuv"
#: Ten bits at a time: the standard library's encoder takes six times as long.
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)
_SHIFTS = tuple(range(120, -1, -10))


def _uuid7() -> int:
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    # The twelve bits after the version say when within the millisecond (RFC 9562, section 6.2,
    # method 3): what one process makes one after the other is read in that order.
    fraction = (nanoseconds << 12) // 1_000_000
    rest = int.from_bytes(os.urandom(8), "big") & ~(0x3 << 62) | (0x2 << 62)
    return milliseconds << 80 | 0x7 << 76 | fraction << 64 | rest


def new_id(prefix: str) -> str:
    """A new id such as `pay_0j8…`, later in sort order than what was made before it by this clock,
    to a quarter of a microsecond."""
    return _spell(prefix, _uuid7())


def first_id(prefix: str, at: datetime) -> str:
    """An id before all that are made at the instant `at` and later, and behind all earlier ones.

    Instants before 1970 count as 1970, and those that no id can spell as the last.
    """
    milliseconds = int(at.timestamp() * 1_000)
    return _spell(prefix, min(max(milliseconds, 0), 2**48 - 1) << 80)


def _spell(prefix: str, number: int) -> str:
    bits = number << 2  # 26 characters hold 130 bits
    pairs = _PAIRS
    return f"{prefix}_{''.join([pairs[bits >> shift & 0x3FF] for shift in _SHIFTS])}"


def new_tenant_id() -> uuid.UUID:
    """A new tenant's id: tenants alone are named by a plain UUID, as the policies compare it."""
    return uuid.UUID(int=_uuid7())


def is_id(text: str, prefix: str) -> bool:
    """Whether `text` has the form of an id with this prefix; says nothing of its existence."""
    found = _SHAPE.fullmatch(text)
    return found is not None and found[1] == prefix
