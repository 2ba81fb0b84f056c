"""What does the buyer's device send?

The payment data of Apple's payment token format: a JSON object with `version`, `data`,
`signature` and `header`. Every field is read strictly and in one spelling only, so that a token
that was changed in any place is another token.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from payengine.plugin import WalletRefused

__all__ = ["SealedToken", "read_token"]

_LARGEST = 65_536
_TRANSACTION_ID_BYTES = 32


class SealedToken(NamedTuple):
    """A token whose fields are decoded; nothing of it is believed yet."""

    version: str
    data: bytes
    signature: bytes
    key: bytes
    public_key_hash: bytes
    transaction_id: bytes
    application_data: bytes

    @property
    def signed_content(self) -> bytes:
        """What the detached signature covers."""
        return self.key + self.data + self.transaction_id + self.application_data


def read_token(token: str | bytes | Mapping[str, Any]) -> SealedToken:
    """Read the payment data, or the object that wraps it; raises `WalletRefused`, `ValueError`."""
    given = token if isinstance(token, Mapping) else _parsed(token)
    wrapper = given if "paymentData" in given else None
    data = _object(given, "paymentData") if wrapper is not None else given
    version = _text(data, "version")
    header = _object(data, "header")
    if version == "EC_v1":
        key = _base64(header, "ephemeralPublicKey")
    elif version == "RSA_v1":
        key = _base64(header, "wrappedKey")
    else:
        raise WalletRefused("protocol", "The version is neither EC_v1 nor RSA_v1.")
    sealed = SealedToken(
        version=version,
        data=_base64(data, "data"),
        signature=_base64(data, "signature"),
        key=key,
        public_key_hash=_base64(header, "publicKeyHash"),
        transaction_id=_hex(header, "transactionId"),
        application_data=_hex(header, "applicationData") if "applicationData" in header else b"",
    )
    if not 1 <= len(sealed.transaction_id) <= 2 * _TRANSACTION_ID_BYTES:
        raise WalletRefused("malformed", "The transaction's id has another length.")
    named = wrapper.get("transactionIdentifier") if wrapper is not None else None
    if named is not None and str(named).lower() != sealed.transaction_id.hex():
        raise WalletRefused("malformed", "The token names two transactions.")
    return sealed


def _parsed(token: str | bytes) -> Mapping[str, Any]:
    if not isinstance(token, str | bytes) or len(token) > _LARGEST:
        raise WalletRefused("malformed", "The token is no text of at most 64 KiB.")
    parsed = json.loads(token, object_pairs_hook=_unique, parse_constant=_no_constant)
    if not isinstance(parsed, dict):
        raise WalletRefused("malformed", "The token is no JSON object.")
    return parsed


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError("NaN and infinity are no JSON")


def _object(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name)
    if not isinstance(value, Mapping):
        raise WalletRefused("malformed", f"{name} is missing, or no object.")
    return value


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or len(value) > _LARGEST:
        raise WalletRefused("malformed", f"{name} is missing, or no text.")
    return value


def _base64(data: Mapping[str, Any], name: str) -> bytes:
    """The bytes of base64 in its one canonical spelling: no bit of the text is free."""
    text = _text(data, name)
    decoded = base64.b64decode(text, validate=True)
    if not decoded or base64.b64encode(decoded).decode() != text:
        raise WalletRefused("malformed", f"{name} is no canonical base64.")
    return decoded


def _hex(data: Mapping[str, Any], name: str) -> bytes:
    text = _text(data, name)
    decoded = bytes.fromhex(text)
    if decoded.hex() != text:
        raise WalletRefused("malformed", f"{name} is not hexadecimal in lower case.")
    return decoded
