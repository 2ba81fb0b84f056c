"""How are tokens made without a browser?

A small Google of one's own: root keys with their ends, an intermediate key, a merchant with its
key, and tokens of both versions, each part of which can be made wrong on purpose. The platform
trusts these root keys where a tenant's settings name them, and nowhere else.
"""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

__all__ = ["GoogleOfTest", "message_of", "millis", "new_key", "pkcs8_of", "spki_of"]


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key on the curve P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def millis(at: datetime) -> str:
    """An instant as Google spells it."""
    return str(int(at.timestamp() * 1_000))


def spki_of(key: ec.EllipticCurvePrivateKey) -> str:
    """The public key, base64 of DER."""
    public = key.public_key()
    return _b64(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def pkcs8_of(key: ec.EllipticCurvePrivateKey) -> str:
    """The private key, base64 of PKCS #8."""
    return _b64(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def message_of(at: datetime, *, message_id: str = "AH2Ejtc_example", **more: Any) -> dict[str, Any]:
    """What a browser seals at this instant; the number belongs to no card."""
    return {
        "messageExpiration": millis(at + timedelta(days=6)),
        "messageId": message_id,
        "paymentMethod": "CARD",
        "paymentMethodDetails": {
            "authMethod": "CRYPTOGRAM_3DS",
            "pan": "4802370000000009",
            "expirationMonth": 12,
            "expirationYear": 2031,
            "cryptogram": "AP2nXmSiDrVGAAFZOMHBAoABFA==",
            "eciIndicator": "07",
        },
    } | more


@dataclass
class GoogleOfTest:
    """Root keys, an intermediate key and one merchant, valid around `at`."""

    at: datetime
    root: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    intermediate: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    merchant: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    recipient_id: str = "merchant:12345678901234567890"

    def root_keys(self, **more: Any) -> dict[str, Any]:
        """The published keys: one for each version, which last a year; `more` replaces fields."""
        ends = millis(self.at + timedelta(days=365))
        return {
            "keys": [
                {
                    "keyValue": spki_of(self.root),
                    "keyExpiration": ends,
                    "protocolVersion": version,
                }
                | more
                for version in ("ECv1", "ECv2")
            ]
        }

    @property
    def keys(self) -> dict[str, Any]:
        """What the merchant passes to `decrypt`."""
        return {
            "root_keys": json.dumps(self.root_keys()),
            "recipient_id": self.recipient_id,
            "private_key": pkcs8_of(self.merchant),
        }

    @property
    def settings(self) -> dict[str, Any]:
        """What the merchant saves, Google's keys included."""
        return self.keys

    def token(
        self,
        message: Any = None,
        *,
        version: str = "ECv2",
        recipient_id: str | None = None,
        intermediate_ends: datetime | None = None,
        root: ec.EllipticCurvePrivateKey | None = None,
        intermediate: ec.EllipticCurvePrivateKey | None = None,
        hash_name: hashes.HashAlgorithm | None = None,
    ) -> dict[str, Any]:
        """The token of one payment; the arguments make parts of it wrong."""
        chosen = hash_name or hashes.SHA256()
        signer = root or self.root
        given = message if message is not None else message_of(self.at)
        text = given if isinstance(given, bytes) else json.dumps(given).encode()
        signed = json.dumps(self._sealed(text, 16 if version == "ECv1" else 32))
        token: dict[str, Any] = {"protocolVersion": version, "signedMessage": signed}
        if version != "ECv1":
            between = intermediate or self.intermediate
            ends = intermediate_ends or self.at + timedelta(days=7)
            key = json.dumps({"keyValue": spki_of(between), "keyExpiration": millis(ends)})
            signature = _sign(signer, chosen, "Google", version, key)
            token["intermediateSigningKey"] = {"signedKey": key, "signatures": [signature]}
            signer = between
        name = recipient_id or self.recipient_id
        return token | {"signature": _sign(signer, chosen, "Google", name, version, signed)}

    def _sealed(self, message: bytes, size: int) -> dict[str, str]:
        ephemeral = new_key()
        point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        shared = ephemeral.exchange(ec.ECDH(), self.merchant.public_key())
        derived = HKDF(hashes.SHA256(), 2 * size, None, b"Google").derive(point + shared)
        encryptor = Cipher(algorithms.AES(derived[:size]), modes.CTR(bytes(16))).encryptor()
        cipher_text = encryptor.update(message) + encryptor.finalize()
        tagged = hmac.HMAC(derived[size:], hashes.SHA256())
        tagged.update(cipher_text)
        return {
            "encryptedMessage": _b64(cipher_text),
            "ephemeralPublicKey": _b64(point),
            "tag": _b64(tagged.finalize()),
        }


def _sign(key: ec.EllipticCurvePrivateKey, chosen: hashes.HashAlgorithm, *parts: str) -> str:
    content = b"".join(struct.pack("<I", len(one.encode())) + one.encode() for one in parts)
    return _b64(key.sign(content, ec.ECDSA(chosen)))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
