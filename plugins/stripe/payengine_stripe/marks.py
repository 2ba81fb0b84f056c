"""How does one of Stripe's objects tell which operations of ours it is?

By its metadata, which Stripe changes together with what it does: a PaymentIntent carries the key of
its authorization and one entry for each capture and increment, a refund carries its own key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from payengine.plugin import Authorize, Refund

__all__ = [
    "CAPTURE",
    "INCREMENT",
    "KEY",
    "mark",
    "marked",
    "metadata_of_authorization",
    "metadata_of_refund",
]

KEY = "payengine_key"
CAPTURE = "payengine_capture_"
INCREMENT = "payengine_increment_"
_PAYMENT = "payengine_payment"
_REASON = "payengine_reason"
_OURS = "payengine_"

#: Of Stripe's 50 entries, how many the shop's own metadata may fill; the rest is for marks.
_MOST_OF_THEIRS = 38
_LONGEST_NAME = 40
_LONGEST_VALUE = 500
_DIGEST = 16


def metadata_of_authorization(request: Authorize) -> dict[str, str]:
    """Ours, and of the shop's metadata what Stripe can keep, in the order of names."""
    theirs = {
        name: value
        for name, value in sorted(request.metadata.items())
        if _is_theirs(name) and 0 < len(value) <= _LONGEST_VALUE
    }
    kept = dict(list(theirs.items())[:_MOST_OF_THEIRS])
    return {**kept, KEY: request.key, _PAYMENT: request.payment_id}


def metadata_of_refund(request: Refund) -> dict[str, str]:
    """The key, and the reason in the shop's words."""
    reason = {_REASON: request.reason[:_LONGEST_VALUE]} if request.reason else {}
    return {KEY: request.key, **reason}


def mark(prefix: str, key: str, minor: int) -> dict[str, str]:
    """The entry for a capture or an increment of `minor`, in Stripe's count."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:_DIGEST]
    return {f"{prefix}{digest}": f"{minor} {key}"}


def marked(prefix: str, metadata: Mapping[str, str]) -> dict[str, int]:
    """key → amount in Stripe's count, of all captures or increments."""
    found: dict[str, int] = {}
    for name, value in sorted(metadata.items()):
        minor, _, key = value.partition(" ")
        if name.startswith(prefix) and minor.isascii() and minor.isdigit() and key:
            found[key] = int(minor)
    return found


def _is_theirs(name: str) -> bool:
    fits = 0 < len(name) <= _LONGEST_NAME and "[" not in name and "]" not in name
    return fits and not name.startswith(_OURS)
