"""Which keys open a merchant's tokens, and which keys may have signed them?

Google signs with root keys that it publishes as JSON and replaces from time to time; each has a
day on which it ends. The recipient's own keys rotate too: several may be given. A mistake here is
the merchant's, not the buyer's: it is a `ValueError`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
)

__all__ = ["PROTOCOL_VERSIONS", "GooglePayKeys", "Keys", "SigningKey", "keys_of", "read_instant"]

PROTOCOL_VERSIONS = ("ECv1", "ECv2")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS = re.compile(r"[0-9]{1,15}")
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_MOST_ROOT_KEYS = 100
_CURVE = "secp256r1"


class SigningKey(NamedTuple):
    """One of Google's root keys; `expires_at` is None for an ECv1 key that names no end."""

    key: ec.EllipticCurvePublicKey
    version: str
    expires_at: datetime | None


@dataclass(frozen=True, kw_only=True, repr=False)
class GooglePayKeys:
    """Google's root keys, the recipient and its private keys.

    `root_keys` is the JSON that Google publishes (text or object). `recipient_id` is
    `merchant:<id>` or `gateway:<id>`. `private_key` is base64 of PKCS #8 in DER, or PEM; several
    are tried in their order. `gateway_merchant_id`, where it is given, is what the decrypted
    message must name: a gateway's key opens the tokens of all its merchants, so whoever calls
    without it must look at `gatewayMerchantId`. Tokens of other `protocol_versions` are refused.
    """

    root_keys: str | bytes | Mapping[str, Any]
    recipient_id: str
    private_key: str | bytes | Sequence[str | bytes]
    gateway_merchant_id: str | None = None
    protocol_versions: Sequence[str] = PROTOCOL_VERSIONS

    @cached_property
    def private_keys(self) -> tuple[ec.EllipticCurvePrivateKey, ...]:
        """The private keys; raises `ValueError` unless each is on the curve P-256."""
        given = self.private_key
        listed = [given] if isinstance(given, str | bytes) else list(given)
        if not listed:
            raise ValueError("private_key is needed")
        return tuple(map(_private_key, listed))

    @cached_property
    def signing_keys(self) -> tuple[SigningKey, ...]:
        """Every root key, those that have ended included; raises `ValueError`."""
        given = self.root_keys
        listed = (given if isinstance(given, Mapping) else _parsed(given)).get("keys")
        if not isinstance(listed, Sequence) or not 1 <= len(listed) <= _MOST_ROOT_KEYS:
            raise ValueError("root_keys has no list of keys")
        return tuple(found for one in listed if (found := _signing_key(one)) is not None)

    def trusted(self, version: str, now: datetime) -> list[ec.EllipticCurvePublicKey]:
        """The root keys for tokens of this version that have not ended at `now`."""
        return [
            one.key
            for one in self.signing_keys
            if one.version == version and (one.expires_at is None or one.expires_at > now)
        ]

    def check(self) -> None:
        """Raise `ValueError` where the fields do not make a whole."""
        _ = self.private_keys, self.signing_keys
        if not self.recipient_id:
            raise ValueError("recipient_id is needed")
        if not set(self.protocol_versions) <= set(PROTOCOL_VERSIONS):
            raise ValueError(f"protocol_versions are among {', '.join(PROTOCOL_VERSIONS)}")


#: The keys, or a mapping with the fields of `GooglePayKeys`.
Keys = GooglePayKeys | Mapping[str, Any]


def keys_of(given: Keys) -> GooglePayKeys:
    """The keys, checked; raises `ValueError`."""
    try:
        keys = given if isinstance(given, GooglePayKeys) else GooglePayKeys(**given)
    except TypeError as problem:
        raise ValueError(f"keys do not fit: {problem}") from None
    keys.check()
    return keys


def read_instant(given: object) -> datetime:
    """An instant that is spelled in milliseconds since 1970; raises `ValueError`."""
    text = str(given) if type(given) is int else given
    if not isinstance(text, str) or not _MILLISECONDS.fullmatch(text) or not text.isascii():
        raise ValueError("no instant in milliseconds")
    try:
        return _EPOCH + timedelta(milliseconds=int(text))
    except OverflowError:
        raise ValueError("an instant that is out of range") from None


def _private_key(given: str | bytes) -> ec.EllipticCurvePrivateKey:
    spelled = given.encode() if isinstance(given, str) else given
    try:
        if b"-----BEGIN" in spelled:
            key = load_pem_private_key(spelled, None)
        else:
            key = load_der_private_key(
                base64.b64decode(b"".join(spelled.split()), validate=True), None
            )
    except (ValueError, TypeError, binascii.Error):
        raise ValueError("private_key is neither base64 of PKCS #8 nor PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != _CURVE:
        raise ValueError("private_key is not on the curve P-256")
    return key


def _signing_key(given: object) -> SigningKey | None:
    """The root key, or None for one of a version that is not known here."""
    if not isinstance(given, Mapping):
        raise ValueError("root_keys holds something else than keys")
    version = given.get("protocolVersion")
    if version not in PROTOCOL_VERSIONS:
        return None
    expires = given.get("keyExpiration")
    if expires is None and version != "ECv1":
        return None  # only ECv1 leaves the end to the caches; another key without one is not used
    try:
        key = load_der_public_key(base64.b64decode(str(given.get("keyValue")), validate=True))
    except (ValueError, binascii.Error):
        raise ValueError("root_keys holds a key that cannot be read") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != _CURVE:
        raise ValueError("root_keys holds a key that is not on the curve P-256")
    return SigningKey(key, version, None if expires is None else read_instant(expires))


def _parsed(given: str | bytes) -> Mapping[str, Any]:
    text = given.decode() if isinstance(given, bytes) else given
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        # Samples of this file are published with a comma too many; nothing in it has one inside.
        try:
            parsed = json.loads(_TRAILING_COMMA.sub(r"\1", text))
        except (ValueError, RecursionError):
            raise ValueError("root_keys is no JSON") from None
    if not isinstance(parsed, Mapping):
        raise ValueError("root_keys is no JSON object")
    return parsed
