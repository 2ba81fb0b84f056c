"""Which keys open a merchant's tokens?

The merchant's payment processing key, who the merchant is, and the root that Apple's signatures
must lead to. A mistake here is the merchant's, not the buyer's: it is a `ValueError`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from payengine_apple_pay.root import APPLE_ROOT_CA_G3

__all__ = ["ApplePayKeys", "Keys", "keys_of"]

_MERCHANT_MARK = x509.ObjectIdentifier("1.2.840.113635.100.6.32")
_HASH = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, kw_only=True, repr=False)
class ApplePayKeys:
    """One payment processing key and what must hold around it.

    `private_key` is PEM (PKCS #8 or SEC 1), or base64 of PKCS #8 in DER. `certificate` is the
    payment processing certificate in PEM; `merchant_id` is the identifier such as
    `merchant.com.example`, or the 64 hexadecimal digits of its SHA-256. One of the two is needed
    for EC_v1; where both are given they must agree. `root_certificate` (PEM, or several) replaces
    Apple Root CA - G3. A token is refused that was signed more than `max_age` before `now`, or
    more than `max_ahead` after it.
    """

    private_key: str | bytes
    certificate: str | bytes | None = None
    merchant_id: str | None = None
    root_certificate: str | bytes | Sequence[str | bytes] | None = None
    max_age: timedelta = timedelta(minutes=10)
    max_ahead: timedelta = timedelta(minutes=1)

    @cached_property
    def key(self) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
        """The private key; raises `ValueError` unless it is EC or RSA."""
        given = _bytes_of(self.private_key)
        try:
            if b"-----BEGIN" in given:
                key = load_pem_private_key(given, None)
            else:
                key = load_der_private_key(base64.b64decode(given, validate=True), None)
        except (ValueError, TypeError, binascii.Error):
            raise ValueError("private_key is neither PEM nor base64 of PKCS #8") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError("private_key is neither EC nor RSA")
        return key

    @cached_property
    def public_key_hash(self) -> bytes:
        """SHA-256 of the public key, by which a token names the key that it is meant for."""
        public = self.key.public_key()
        spelled = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return sha256(spelled).digest()

    @cached_property
    def merchant_hash(self) -> bytes:
        """SHA-256 of the merchant's identifier; raises `ValueError` where nothing tells it."""
        told: set[bytes] = set()
        if self.merchant_id:
            name = self.merchant_id.strip()
            is_hash = _HASH.fullmatch(name) is not None
            told.add(bytes.fromhex(name) if is_hash else sha256(name.encode()).digest())
        if self.certificate:
            told.add(self._certified())
        if len(told) != 1:
            raise ValueError(
                "certificate and merchant_id name different merchants"
                if told
                else "certificate or merchant_id is needed"
            )
        return told.pop()

    @cached_property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """The trusted roots; raises `ValueError`."""
        given = self.root_certificate or APPLE_ROOT_CA_G3
        listed = [given] if isinstance(given, str | bytes) else list(given)
        return tuple(x509.load_pem_x509_certificate(_bytes_of(one)) for one in listed)

    def check(self) -> None:
        """Raise `ValueError` where the fields do not make a whole."""
        _ = self.public_key_hash, self.roots
        if isinstance(self.key, ec.EllipticCurvePrivateKey) or self.certificate:
            _ = self.merchant_hash
        if self.max_age < timedelta() or self.max_ahead < timedelta():
            raise ValueError("max_age and max_ahead are not negative")

    def _certified(self) -> bytes:
        """The merchant that the certificate names, once it is seen to be the key's own."""
        certificate = x509.load_pem_x509_certificate(_bytes_of(self.certificate or b""))
        if certificate.public_key() != self.key.public_key():
            raise ValueError("certificate is not of this private_key")
        for extension in certificate.extensions:
            if extension.oid == _MERCHANT_MARK:
                value = getattr(extension.value, "value", b"")[-64:].decode("ascii", "replace")
                if _HASH.fullmatch(value):
                    return bytes.fromhex(value)
        raise ValueError("certificate names no merchant: give merchant_id, and no certificate")


#: One key, several for a rotation, or mappings with the fields of `ApplePayKeys`.
Keys = ApplePayKeys | Mapping[str, Any] | Sequence[ApplePayKeys | Mapping[str, Any]]


def keys_of(given: Keys) -> tuple[ApplePayKeys, ...]:
    """The keys, checked; raises `ValueError`."""
    listed = [given] if isinstance(given, ApplePayKeys | Mapping) else list(given)
    try:
        found = tuple(
            one if isinstance(one, ApplePayKeys) else ApplePayKeys(**one) for one in listed
        )
    except TypeError as problem:
        raise ValueError(f"keys do not fit: {problem}") from None
    if not found:
        raise ValueError("no keys are given")
    for one in found:
        one.check()
    return found


def _bytes_of(given: str | bytes) -> bytes:
    return given.encode() if isinstance(given, str) else given
