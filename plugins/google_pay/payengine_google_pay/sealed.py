"""What does the buyer's browser send?

Google's payment method token: a JSON object with `protocolVersion`, `signature` and
`signedMessage`, in ECv2 also `intermediateSigningKey`. The parts are read strictly: other fields,
names that stand twice and base64 in a second spelling are refused.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from payengine.plugin import WalletRefused

__all__ = [
    "EncryptedMessage",
    "IntermediateKey",
    "SealedToken",
    "read_message",
    "read_signed_key",
    "read_token",
]

_LARGEST = 65_536
_MOST_SIGNATURES = 20
_POINT_BYTES = 65
_TAG_BYTES = 32


class IntermediateKey(NamedTuple):
    """An intermediate signing key as it came, with the signatures of root keys."""

    signed_key: str
    signatures: tuple[bytes, ...]


class SealedToken(NamedTuple):
    """A token whose fields are decoded; nothing of it is believed yet."""

    version: str
    signature: bytes
    signed_message: str
    intermediate: IntermediateKey | None


class EncryptedMessage(NamedTuple):
    """What a signed message holds: the cipher text, the sender's ephemeral point and the tag."""

    cipher_text: bytes
    ephemeral_point: bytes
    tag: bytes


def read_token(token: str | bytes | Mapping[str, Any]) -> SealedToken:
    """Read the token; raises `WalletRefused`, `ValueError`."""
    given = token if isinstance(token, Mapping) else _parsed(token)
    version = _text(given, "protocolVersion")
    if version == "ECv1":
        _require_exactly(given, {"protocolVersion", "signature", "signedMessage"})
        intermediate = None
    elif version == "ECv2":
        _require_exactly(
            given, {"protocolVersion", "signature", "signedMessage", "intermediateSigningKey"}
        )
        intermediate = _intermediate(given["intermediateSigningKey"])
    else:
        raise WalletRefused("protocol", "The version is neither ECv1 nor ECv2.")
    return SealedToken(
        version=version,
        signature=_decoded(_text(given, "signature")),
        signed_message=_text(given, "signedMessage"),
        intermediate=intermediate,
    )


def read_message(signed_message: str) -> EncryptedMessage:
    """Read a message whose signature has been checked; raises `WalletRefused`, `ValueError`."""
    given = _parsed(signed_message)
    found = EncryptedMessage(
        cipher_text=_decoded(_text(given, "encryptedMessage")),
        ephemeral_point=_decoded(_text(given, "ephemeralPublicKey")),
        tag=_decoded(_text(given, "tag")),
    )
    if len(found.ephemeral_point) != _POINT_BYTES or found.ephemeral_point[0] != 4:
        raise WalletRefused("malformed", "The ephemeral key is no uncompressed point.")
    if len(found.tag) != _TAG_BYTES:
        raise WalletRefused("malformed", "The tag has another length.")
    return found


def read_signed_key(signed_key: str) -> tuple[bytes, object]:
    """The intermediate key in DER and its end as it is spelled; raises like `read_message`."""
    given = _parsed(signed_key)
    return _decoded(_text(given, "keyValue")), given.get("keyExpiration")


def _decoded(text: str) -> bytes:
    """The bytes of base64 in its one canonical spelling: no bit of the text is free."""
    data = base64.b64decode(text, validate=True)
    if not data or base64.b64encode(data).decode() != text:
        raise WalletRefused("malformed", "A field is no canonical base64.")
    return data


def _parsed(text: str | bytes) -> Mapping[str, Any]:
    if not isinstance(text, str | bytes) or len(text) > _LARGEST:
        raise WalletRefused("malformed", "The token is no text of at most 64 KiB.")
    parsed = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    if not isinstance(parsed, dict):
        raise WalletRefused("malformed", "The token is no JSON object.")
    return parsed


def _intermediate(given: object) -> IntermediateKey:
    if not isinstance(given, Mapping):
        raise WalletRefused("malformed", "The intermediate key is no object.")
    _require_exactly(given, {"signedKey", "signatures"})
    listed = given["signatures"]
    if not isinstance(listed, list | tuple) or not 1 <= len(listed) <= _MOST_SIGNATURES:
        raise WalletRefused("malformed", "The intermediate key has no list of signatures.")
    if not all(isinstance(one, str) for one in listed):
        raise WalletRefused("malformed", "A signature of the intermediate key is no text.")
    # One signature that holds is enough, so one that cannot be read is merely none.
    read = tuple(one for one in map(_decoded_or_none, listed) if one is not None)
    return IntermediateKey(_text(given, "signedKey"), read)


def _decoded_or_none(text: str) -> bytes | None:
    try:
        return _decoded(text)
    except (WalletRefused, ValueError):
        return None


def _require_exactly(given: Mapping[str, Any], names: Collection[str]) -> None:
    if set(given) != set(names):
        raise WalletRefused("malformed", "The token has other fields than its version has.")


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or len(value) > _LARGEST:
        raise WalletRefused("malformed", f"{name} is missing, or no text.")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError("NaN and infinity are no JSON")
