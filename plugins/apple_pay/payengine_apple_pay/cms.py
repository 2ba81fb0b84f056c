"""What does the detached signature say?

The signature is a CMS SignedData (RFC 5652, section 5) without content: certificates, and one
signer with signed attributes. Only the shape that Apple uses is taken, with SHA-256; another
digest, a second signer or a second value of an attribute is refused, so that nothing in it is
left unchecked.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from payengine.plugin import WalletRefused

from payengine_apple_pay.ber import Element, object_identifier, read

__all__ = ["DetachedSignature", "read_signature"]

_SEQUENCE, _SET, _INTEGER, _BITS, _OCTETS, _NULL = 0x30, 0x31, 0x02, 0x03, 0x04, 0x05
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_CONTEXT_0 = 0xA0

_DATA = "1.2.840.113549.1.7.1"
_SIGNED_DATA = "1.2.840.113549.1.7.2"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_TIME = "1.2.840.113549.1.9.5"
_SHA256 = "2.16.840.1.101.3.4.2.1"
_ECDSA_SHA256 = "1.2.840.10045.4.3.2"
_RSA_SHA256 = "1.2.840.113549.1.1.11"
_RSA = "1.2.840.113549.1.1.1"

_MOST_CERTIFICATES = 4


class DetachedSignature(NamedTuple):
    """A signature whose claims are read and not yet believed; `signed_at` is aware, in UTC."""

    certificates: tuple[x509.Certificate, ...]
    issuer: bytes
    serial: int
    algorithm: str
    signature: bytes
    signed_attributes: bytes
    message_digest: bytes
    signed_at: datetime

    def signer(self) -> x509.Certificate:
        """The one certificate that the signer names; raises `WalletRefused`."""
        found = [
            one
            for one in self.certificates
            if one.serial_number == self.serial and one.issuer.public_bytes() == self.issuer
        ]
        if len(found) != 1:
            raise WalletRefused("signature", "The signer's certificate is not in the signature.")
        return found[0]

    def check(self, signer: x509.Certificate, content: bytes) -> None:
        """Raise `WalletRefused` unless the signer's key signed exactly `content`."""
        if not hmac.compare_digest(sha256(content).digest(), self.message_digest):
            raise WalletRefused("signature", "The signature is of another content.")
        key = signer.public_key()
        try:
            if isinstance(key, ec.EllipticCurvePublicKey) and self.algorithm == _ECDSA_SHA256:
                key.verify(self.signature, self.signed_attributes, ec.ECDSA(hashes.SHA256()))
            elif isinstance(key, rsa.RSAPublicKey) and self.algorithm in (_RSA_SHA256, _RSA):
                key.verify(
                    self.signature, self.signed_attributes, padding.PKCS1v15(), hashes.SHA256()
                )
            else:
                raise WalletRefused("protocol", "The signature's algorithm is not accepted.")
        except WalletRefused:
            raise
        except Exception:
            raise WalletRefused("signature", "The signature is not the signer's.") from None


def read_signature(encoded: bytes) -> DetachedSignature:
    """Read the CMS; raises `ValueError` for what is no such signature, `WalletRefused` too."""
    content_type, wrapped = _expect(read(encoded), _SEQUENCE, 2)
    if object_identifier(content_type) != _SIGNED_DATA:
        raise ValueError("no signed data")
    (signed,) = _expect(wrapped, _CONTEXT_0, 1)
    parts = _expect(signed, _SEQUENCE)
    if len(parts) != 5:
        raise ValueError("signed data of another shape")
    version, digests, content, certificates, signers = parts
    _check_version(version)
    for algorithm in _expect(digests, _SET, 1):
        _check_sha256(algorithm)
    (kind,) = _expect(content, _SEQUENCE, 1)
    if object_identifier(kind) != _DATA:
        raise ValueError("a signature of something else than data")
    (signer,) = _expect(signers, _SET, 1)
    return _with_signer(_certificates(certificates), signer)


def _with_signer(certificates: tuple[x509.Certificate, ...], signer: Element) -> DetachedSignature:
    version, name, digest, attributes, algorithm, signature = _expect(signer, _SEQUENCE, 6)
    _check_version(version)
    _check_sha256(digest)
    issuer, serial = _expect(name, _SEQUENCE, 2)
    if signature.tag != _OCTETS:
        raise ValueError("no signature value")
    found = _attributes(attributes)
    if object_identifier(found[_CONTENT_TYPE]) != _DATA:
        raise ValueError("the signed content type is another one")
    digest_value = found[_MESSAGE_DIGEST]
    if digest_value.tag != _OCTETS or len(digest_value.body) != sha256().digest_size:
        raise ValueError("the signed digest has another size")
    return DetachedSignature(
        certificates=certificates,
        issuer=issuer.raw,
        serial=_integer(serial),
        algorithm=_algorithm(algorithm),
        signature=signature.body,
        # What is signed is the SET itself: RFC 5652, section 5.4.
        signed_attributes=bytes([_SET]) + attributes.raw[1:],
        message_digest=digest_value.body,
        signed_at=_time(found[_SIGNING_TIME]),
    )


def _attributes(element: Element) -> dict[str, Element]:
    """The one value of each signed attribute."""
    if not element.is_definite:
        raise ValueError("signed attributes are DER")
    found: dict[str, Element] = {}
    for attribute in _expect(element, _CONTEXT_0):
        kind, values = _expect(attribute, _SEQUENCE, 2)
        name = object_identifier(kind)
        if name in found:
            raise ValueError("an attribute stands twice")
        (found[name],) = _expect(values, _SET, 1)
    for name in (_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_TIME):
        if name not in found:
            raise ValueError("a signed attribute is missing")
    return found


def _certificates(element: Element) -> tuple[x509.Certificate, ...]:
    listed = _expect(element, _CONTEXT_0)
    encoded = [one.raw for one in listed]
    for one in listed:
        # The count of unused bits is the one octet of a certificate that no signature covers.
        _, _, signature = _expect(one, _SEQUENCE, 3)
        if signature.tag != _BITS or signature.body[:1] != b"\x00":
            raise ValueError("a certificate's signature is not whole octets")
    if not 1 <= len(encoded) <= _MOST_CERTIFICATES or len(set(encoded)) != len(encoded):
        raise ValueError("another number of certificates")
    return tuple(x509.load_der_x509_certificate(one) for one in encoded)


def _expect(element: Element, tag: int, count: int | None = None) -> list[Element]:
    """The children of an element with this tag; raises `ValueError` for another shape."""
    if element.tag != tag:
        raise ValueError("another tag")
    children = element.children()
    if count is not None and len(children) != count:
        raise ValueError("another number of elements")
    return children


def _integer(element: Element) -> int:
    if element.tag != _INTEGER or not element.body:
        raise ValueError("no integer")
    return int.from_bytes(element.body, "big", signed=True)


def _check_version(element: Element) -> None:
    """Version 1 names the signer by issuer and serial number."""
    if _integer(element) != 1 or len(element.body) != 1:
        raise ValueError("another version of CMS")


def _algorithm(element: Element) -> str:
    kind, *parameters = _expect(element, _SEQUENCE)
    if len(parameters) > 1 or any(one.raw != bytes([_NULL, 0]) for one in parameters):
        raise ValueError("an algorithm with parameters")
    return object_identifier(kind)


def _check_sha256(element: Element) -> None:
    if _algorithm(element) != _SHA256:
        raise WalletRefused("protocol", "The signature's digest is not SHA-256.")


def _time(element: Element) -> datetime:
    """An instant in DER's form: UTCTime before 2050, seconds written out, in UTC."""
    text = element.body.decode("ascii")
    if element.tag == _UTC_TIME and len(text) == 13:
        text = ("20" if text[:2] < "50" else "19") + text
    elif element.tag != _GENERALIZED_TIME or len(text) != 15:
        raise ValueError("no instant")
    if text[-1] != "Z" or not text[:-1].isdigit():
        raise ValueError("an instant that is not in UTC")
    fields = (int(text[:4]), *(int(text[at : at + 2]) for at in range(4, 14, 2)))
    year, month, day, hour, minute, second = fields
    # A leap second is the last instant of its minute.
    instant = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    return instant + timedelta(seconds=1) if second == 60 else instant
