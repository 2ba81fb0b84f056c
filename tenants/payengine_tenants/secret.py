"""What does an API key look like, and is this one whole?

`pe_<mode>_<id>_<secret><checksum>`: the id names the row, the secret has 256 random bits in base62,
and the checksum (CRC-32 in base62) lets a mistyped or cut key be refused without a look-up. Only
the SHA-256 of the whole text is stored; with 256 random bits a slow hash would add nothing.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib

__all__ = ["hash_secret", "is_whole", "new_secret"]

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_BYTES = 32
_SECRET_LETTERS = 43  # 62^43 > 2^256
_CHECKSUM_LETTERS = 6  # 62^6 > 2^32
_SHAPE = re.compile(
    rf"(pe_(?:live|test)_[0-9a-v]{{26}}_[0-9A-Za-z]{{{_SECRET_LETTERS}}})"
    rf"([0-9A-Za-z]{{{_CHECKSUM_LETTERS}}})"
)


def new_secret(key_id: str, *, mode: str) -> str:
    """A new API key for the row `key_id` (a `key_…` id) of a world of this mode."""
    number = int.from_bytes(secrets.token_bytes(_SECRET_BYTES), "big")
    body = f"pe_{mode}_{key_id.removeprefix('key_')}_{_base62(number, _SECRET_LETTERS)}"
    return body + _checksum(body)


def is_whole(text: str) -> bool:
    """Whether `text` has the form of an API key and its checksum; says nothing of its validity."""
    found = _SHAPE.fullmatch(text)
    return found is not None and _checksum(found[1]) == found[2]


def hash_secret(text: str) -> bytes:
    """The 32 bytes by which the directory finds a key."""
    return hashlib.sha256(text.encode()).digest()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECKSUM_LETTERS)


def _base62(number: int, letters: int) -> str:
    text = ""
    for _ in range(letters):
        number, at = divmod(number, 62)
        text = _ALPHABET[at] + text
    return text
