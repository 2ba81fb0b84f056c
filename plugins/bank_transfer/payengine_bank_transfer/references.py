"""By which names does a bank's file speak of our operations?

Every name is a pure function of the account and the operation's key, so that the same key always
gives the same file, and no two keys the same name. The virtual reference that a buyer writes on a
transfer is a creditor reference (ISO 11649), whose check digits tell a slip of the pen.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from hashlib import blake2b

__all__ = [
    "batch_id",
    "end_to_end_id",
    "find_references",
    "is_reference",
    "message_id",
    "virtual_reference",
]

_BODY = 21
_LONGEST_TEXT = 4_000
_PLAIN = re.compile(r"[^0-9A-Z]+")
_CANDIDATE = re.compile(rf"(?=(RF[0-9]{{{_BODY + 2}}}))")
_REFERENCE = re.compile(r"RF\d\d[0-9A-Z]{1,21}")


def _digest(account: str, key: str, *, use: bytes, size: int) -> bytes:
    return blake2b(f"{account}\x1f{key}".encode(), digest_size=size, person=use).digest()


def _name(account: str, key: str, *, use: bytes, size: int) -> str:
    digest = _digest(account, key, use=use, size=size)
    return base64.b32hexencode(digest).decode().rstrip("=")


def _remainder(text: str) -> int:
    """ISO 7064 mod 97-10 over letters counted as 10 to 35."""
    return int("".join(str(int(one, 36)) for one in text)) % 97


def virtual_reference(*, account: str, key: str) -> str:
    """The creditor reference of one payment: `RF`, two check digits, 21 digits.

    Digits alone, of which the check digits find every single slip and every two that are swapped;
    among letters, which count as two digits each, they would not.
    """
    digest = _digest(account, key, use=b"bank:reference", size=32)
    body = str(int.from_bytes(digest) % 10**_BODY).zfill(_BODY)
    return f"RF{98 - _remainder(body + 'RF00'):02d}{body}"


def is_reference(text: str) -> bool:
    """Whether the text, in its plain form, is a creditor reference with right check digits."""
    if not _REFERENCE.fullmatch(text):
        return False
    return _remainder(text[4:] + text[:4]) == 1


def find_references(texts: Iterable[str]) -> list[str]:
    """Our kind of references in what a payer wrote, however it was spaced or cut into lines."""
    found: list[str] = []
    for text in texts:
        plain = _PLAIN.sub("", text[:_LONGEST_TEXT].upper())
        for one in _CANDIDATE.finditer(plain):
            reference = one.group(1)
            if reference not in found and is_reference(reference):
                found.append(reference)
    return found


def end_to_end_id(*, account: str, key: str) -> str:
    """The EndToEndId of the order that the operation `key` gives: 34 characters of SEPA's set."""
    return "PE" + _name(account, key, use=b"bank:endtoend", size=20)


def message_id(*, account: str, key: str) -> str:
    """The MsgId of a file that carries the operation `key` alone."""
    return "PM" + _name(account, key, use=b"bank:message", size=20)


def batch_id(*, account: str, keys: Iterable[str]) -> str:
    """The MsgId of a file that carries these operations, in whatever order they come."""
    return "PB" + _name(account, "\x1e".join(sorted(keys)), use=b"bank:batch", size=20)
