"""How are tokens made without a telephone?

A small Apple of one's own: a root, an intermediate and a leaf with Apple's marks, a merchant with
its key, and tokens as a device makes them, each part of which can be made wrong on purpose. The
platform trusts this root where a test world's settings name it, and nowhere else.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

__all__ = [
    "INTERMEDIATE_MARK",
    "LEAF_MARK",
    "PAYLOAD",
    "AppleOfTest",
    "Issued",
    "issue",
    "oid",
    "pem_of",
    "sign",
    "tlv",
]

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

LEAF_MARK = "1.2.840.113635.100.6.29"
INTERMEDIATE_MARK = "1.2.840.113635.100.6.2.14"
_MERCHANT = "merchant.com.example.shop"

#: What a device seals; the number belongs to no card.
PAYLOAD: dict[str, Any] = {
    "applicationPrimaryAccountNumber": "4802370000000009",
    "applicationExpirationDate": "311231",
    "currencyCode": "978",
    "transactionAmount": 1_000,
    "deviceManufacturerIdentifier": "040010030273",
    "paymentDataType": "3DSecure",
    "paymentData": {"onlinePaymentCryptogram": "AP2nXmSiDrVGAAFZOMHBAoABFA==", "eciIndicator": "7"},
}


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def pem(self) -> str:
        """The certificate in PEM."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_pem(self) -> str:
        """The key in PEM, PKCS #8."""
        return pem_of(self.key)


def pem_of(key: PrivateKey) -> str:
    """A private key in PEM, PKCS #8."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def issue(
    name: str,
    *,
    by: Issued | None = None,
    marks: Sequence[str] = (),
    is_authority: bool = False,
    since: datetime,
    until: datetime,
    key: PrivateKey | None = None,
    names: Sequence[str] = (),
) -> Issued:
    """A certificate by `by`, or by itself; `names` are host names for TLS."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    for mark in marks:
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(mark), b"\x05\x00")
        builder = builder.add_extension(extension, critical=False)
    if names:
        listed = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
        builder = builder.add_extension(listed, critical=False)
    signer = by.key if by else key
    return Issued(builder.sign(signer, hashes.SHA256()), key)


def tlv(tag: int, *bodies: bytes, definite: bool = True) -> bytes:
    """One element of BER: DER's shortest length, or the indefinite one."""
    body = b"".join(bodies)
    if not definite:
        return bytes([tag, 0x80]) + body + b"\x00\x00"
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER."""
    first, second, *rest = map(int, dotted.split("."))
    body = b""
    for arc in (40 * first + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        body += bytes(reversed(groups))
    return tlv(0x06, body)


def sign(
    content: bytes,
    signer: Issued,
    certificates: Sequence[bytes],
    *,
    at: datetime,
    digest: str = "2.16.840.1.101.3.4.2.1",
    hash_name: hashes.HashAlgorithm | None = None,
    ber: bool = True,
    signers: int = 1,
    twice: bool = False,
) -> bytes:
    """A detached CMS signature in the shape of Apple's; the options make it wrong."""
    chosen = hash_name or hashes.SHA256()
    hasher = hashes.Hash(chosen)
    hasher.update(content)
    attributes = [
        _attribute("1.2.840.113549.1.9.3", oid("1.2.840.113549.1.7.1")),
        _attribute("1.2.840.113549.1.9.5", tlv(0x17, at.strftime("%y%m%d%H%M%SZ").encode())),
        _attribute("1.2.840.113549.1.9.4", tlv(0x04, hasher.finalize())),
    ]
    if twice:
        attributes.append(attributes[1])
    signed = b"".join(attributes)
    if isinstance(signer.key, rsa.RSAPrivateKey):
        value = signer.key.sign(tlv(0x31, signed), padding.PKCS1v15(), chosen)
        algorithm = "1.2.840.113549.1.1.11"
    else:
        value = signer.key.sign(tlv(0x31, signed), ec.ECDSA(chosen))
        algorithm = "1.2.840.10045.4.3.2"
    number = signer.certificate.serial_number
    serial = number.to_bytes(number.bit_length() // 8 + 1, "big")
    info = tlv(
        0x30,
        b"\x02\x01\x01",
        tlv(0x30, signer.certificate.issuer.public_bytes(), tlv(0x02, serial)),
        tlv(0x30, oid(digest)),
        tlv(0xA0, signed),
        tlv(0x30, oid(algorithm)),
        tlv(0x04, value),
    )
    data = tlv(
        0x30,
        b"\x02\x01\x01",
        tlv(0x31, tlv(0x30, oid(digest))),
        tlv(0x30, oid("1.2.840.113549.1.7.1"), definite=not ber),
        tlv(0xA0, *certificates, definite=not ber),
        tlv(0x31, *[info] * signers),
        definite=not ber,
    )
    wrapped = tlv(0xA0, data, definite=not ber)
    return tlv(0x30, oid("1.2.840.113549.1.7.2"), wrapped, definite=not ber)


def _attribute(kind: str, value: bytes) -> bytes:
    return tlv(0x30, oid(kind), tlv(0x31, value))


class AppleOfTest:
    """A root, an intermediate, a leaf and one merchant, valid around `at`."""

    def __init__(self, at: datetime, *, rsa_keys: bool = False) -> None:
        self.at = at
        self.since, self.until = at - timedelta(days=365), at + timedelta(days=365)
        big = rsa.generate_private_key(65_537, 2_048) if rsa_keys else None
        self.root = self.issue("A Root of Test", is_authority=True)
        self.intermediate = self.issue(
            "An Intermediate of Test", by=self.root, is_authority=True, marks=[INTERMEDIATE_MARK]
        )
        self.leaf = self.issue("A Leaf of Test", by=self.intermediate, marks=[LEAF_MARK], key=big)
        self.merchant_id = _MERCHANT
        self.merchant_key: PrivateKey = (
            rsa.generate_private_key(65_537, 2_048)
            if rsa_keys
            else ec.generate_private_key(ec.SECP256R1())
        )

    def issue(self, name: str, **given: Any) -> Issued:
        """A certificate that is valid around the instant of this world."""
        return issue(name, **({"since": self.since, "until": self.until} | given))

    @property
    def keys(self) -> dict[str, Any]:
        """What the merchant passes to `decrypt`."""
        return {
            "private_key": pem_of(self.merchant_key),
            "merchant_id": self.merchant_id,
            "root_certificate": self.root.pem,
        }

    @property
    def settings(self) -> dict[str, Any]:
        """What the merchant saves in a test world."""
        return {
            "merchant_id": self.merchant_id,
            "processing_key": pem_of(self.merchant_key),
            "root_certificate": self.root.pem,
        }

    def token(
        self,
        payload: Any = None,
        *,
        transaction_id: bytes | None = None,
        application_data: bytes = b"",
        at: datetime | None = None,
        signer: Issued | None = None,
        certificates: Sequence[Issued] | None = None,
        merchant_id: str | None = None,
        **wrong: Any,
    ) -> dict[str, Any]:
        """The payment data of one payment; `wrong` goes to `sign`."""
        message = payload if isinstance(payload, bytes) else json.dumps(payload or PAYLOAD).encode()
        sent, secret = self._agree(merchant_id or self.merchant_id)
        data = AESGCM(secret).encrypt(bytes(16), message, None)
        name = transaction_id or sha256(sent + data).digest()
        chain = certificates if certificates is not None else (self.leaf, self.intermediate)
        signature = sign(
            sent + data + name + application_data,
            signer or self.leaf,
            [one.der for one in chain],
            at=(at or self.at).astimezone(UTC),
            **wrong,
        )
        is_rsa = isinstance(self.merchant_key, rsa.RSAPrivateKey)
        public = self.merchant_key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        header = {
            "wrappedKey" if is_rsa else "ephemeralPublicKey": _b64(sent),
            "publicKeyHash": _b64(sha256(public).digest()),
            "transactionId": name.hex(),
        }
        if application_data:
            header["applicationData"] = application_data.hex()
        return {
            "version": "RSA_v1" if is_rsa else "EC_v1",
            "data": _b64(data),
            "signature": _b64(signature),
            "header": header,
        }

    def _agree(self, merchant_id: str) -> tuple[bytes, bytes]:
        """What the header carries, and the secret that it leads to."""
        key = self.merchant_key
        if isinstance(key, rsa.RSAPrivateKey):
            secret = AESGCM.generate_key(128)
            oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
            return key.public_key().encrypt(secret, oaep), secret
        ephemeral = ec.generate_private_key(ec.SECP256R1())
        shared = ephemeral.exchange(ec.ECDH(), key.public_key())
        info = b"\x0did-aes256-GCM" + b"Apple" + sha256(merchant_id.encode()).digest()
        derived = ConcatKDFHash(hashes.SHA256(), length=32, otherinfo=info).derive(shared)
        spelled = ephemeral.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        return spelled, derived


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
