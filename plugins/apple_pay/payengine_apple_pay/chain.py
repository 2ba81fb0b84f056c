"""Did Apple issue the certificate that signed?

Leaf, intermediate and root must each be what Apple's payment token format says: marked by
Apple's own extensions, linked by their signatures, valid at the instant of signing, and ended by
the trusted root itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from payengine.plugin import WalletRefused

__all__ = ["check_chain"]

#: Apple's marks: their presence counts, their values do not.
_LEAF_MARK = x509.ObjectIdentifier("1.2.840.113635.100.6.29")
_INTERMEDIATE_MARK = x509.ObjectIdentifier("1.2.840.113635.100.6.2.14")
_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_SMALLEST_RSA_BITS = 2_048


def check_chain(
    certificates: Sequence[x509.Certificate],
    *,
    signer: x509.Certificate,
    roots: Sequence[x509.Certificate],
    at: datetime,
) -> None:
    """Raise `WalletRefused` unless `signer` is Apple's for payments, and was valid at `at`."""
    leaf = _marked(certificates, _LEAF_MARK)
    intermediate = _marked(certificates, _INTERMEDIATE_MARK)
    if leaf is intermediate or leaf is not signer:
        raise _refused("The signer is not the certificate that is marked for payments.")
    trusted = [root for root in roots if root.subject == intermediate.issuer]
    root = next((one for one in trusted if _issued(intermediate, one)), None)
    if root is None or not _issued(root, root):
        raise _refused("The certificates do not lead to the trusted root.")
    if not _issued(leaf, intermediate):
        raise _refused("The intermediate certificate did not issue the leaf.")
    known = {_bytes_of(one) for one in (leaf, intermediate, root)}
    if any(_bytes_of(one) not in known for one in certificates):
        raise _refused("The signature carries a certificate that is not in the chain.")
    for certificate, is_authority in ((leaf, False), (intermediate, True), (root, True)):
        _check_use(certificate, is_authority=is_authority)
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            raise WalletRefused("expired", "A certificate was not valid when it signed.")


def _marked(
    certificates: Sequence[x509.Certificate], mark: x509.ObjectIdentifier
) -> x509.Certificate:
    found = [one for one in certificates if any(each.oid == mark for each in one.extensions)]
    if len(found) != 1:
        raise _refused("A certificate with Apple's mark is missing, or stands twice.")
    return found[0]


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if not isinstance(certificate.signature_hash_algorithm, _STRONG):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:
        # Whatever the library says of names, algorithms or the signature: it did not issue it.
        return False
    return True


def _check_use(certificate: x509.Certificate, *, is_authority: bool) -> None:
    key = certificate.public_key()
    is_strong_rsa = isinstance(key, rsa.RSAPublicKey) and key.key_size >= _SMALLEST_RSA_BITS
    if not is_strong_rsa and not isinstance(key, ec.EllipticCurvePublicKey):
        raise WalletRefused("protocol", "A certificate's key is too weak.")
    extensions = certificate.extensions
    try:
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
        may_issue = basic.ca
    except x509.ExtensionNotFound:
        may_issue = False
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        fits = usage.key_cert_sign if is_authority else usage.digital_signature
    except x509.ExtensionNotFound:
        fits = True
    if may_issue is not is_authority or not fits:
        raise _refused("A certificate is used for what it is not meant for.")


def _bytes_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _refused(detail: str) -> WalletRefused:
    return WalletRefused("signature", detail)
