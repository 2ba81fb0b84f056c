"""How does PayPal prove that a webhook is its own?

With an authority of the fake's own: a root, an intermediate and the leaf that signs. Forged leaves
are made too: of another root, expired, for another name.
"""

from __future__ import annotations

import base64
import zlib
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["SIGNER", "Authority", "Leaf", "signature_of"]

SIGNER = "messageverificationcerts.sandbox.paypal.com"
_DAY = timedelta(days=1)

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Leaf:
    """A key that signs, and its chain in PEM."""

    def __init__(self, key: rsa.RSAPrivateKey, chain: bytes) -> None:
        self.key = key
        self.chain = chain

    def headers(
        self, body: bytes, *, webhook_id: str, cert_url: str, at: datetime, transmission_id: str
    ) -> dict[str, str]:
        """The headers that go with `body`, in lower case."""
        moment = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "content-type": "application/json",
            "paypal-transmission-id": transmission_id,
            "paypal-transmission-time": moment,
            "paypal-transmission-sig": signature_of(
                self.key, f"{transmission_id}|{moment}|{webhook_id}|{zlib.crc32(body)}"
            ),
            "paypal-cert-url": cert_url,
            "paypal-auth-algo": "SHA256withRSA",
        }


def signature_of(key: rsa.RSAPrivateKey, words: str) -> str:
    """RSA-SHA256 over the words, in base64."""
    return base64.b64encode(key.sign(words.encode(), PKCS1v15(), SHA256())).decode()


class Authority:
    """A root with an intermediate that signs leaves."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._key = ec.generate_private_key(ec.SECP256R1())
        root = _name("Fake Root")
        self._name = _name("Fake Intermediate")
        self.root = _certificate(
            root, self._root_key, root, self._root_key, begins=now - 30 * _DAY, ends=now + 90 * _DAY
        )
        self._intermediate = _certificate(
            self._name,
            self._key,
            root,
            self._root_key,
            begins=now - 30 * _DAY,
            ends=now + 60 * _DAY,
        )
        self.leaf_key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)

    @property
    def root_pem(self) -> bytes:
        """The root alone."""
        return self.root.public_bytes(Encoding.PEM)

    def leaf(
        self,
        name: str = SIGNER,
        *,
        begins: datetime | None = None,
        ends: datetime | None = None,
        with_chain: bool = True,
    ) -> Leaf:
        """A leaf for `name`, valid now unless told otherwise."""
        now = datetime.now(UTC)
        made = _certificate(
            _name(name),
            self.leaf_key,
            self._name,
            self._key,
            begins=begins or now - _DAY,
            ends=ends or now + 30 * _DAY,
            host=name,
        )
        chain = made.public_bytes(Encoding.PEM)
        if with_chain:
            chain += self._intermediate.public_bytes(Encoding.PEM)
        return Leaf(self.leaf_key, chain)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name,
    key: _Key,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    begins: datetime,
    ends: datetime,
    host: str | None = None,
) -> x509.Certificate:
    is_authority = host is None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .add_extension(_usage(is_authority), critical=True)
    )
    if host is not None:
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(names, critical=False)
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer_key, SHA256())


def _usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
