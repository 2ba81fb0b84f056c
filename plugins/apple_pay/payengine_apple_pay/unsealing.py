"""Is this token genuine, and what does it hold?

`decrypt(token, keys, now)` follows Apple's payment token format step by step: certificates,
signature, age, recipient, key agreement, decryption. Nothing is skipped, and every failure is one
`WalletRefused`. It needs no engine and no network.
"""

from __future__ import annotations

import hmac
import json
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.serialization import load_der_public_key
from payengine.plugin import ApprovedAmount, NetworkToken, WalletRefused

from payengine_apple_pay.chain import check_chain
from payengine_apple_pay.cms import read_signature
from payengine_apple_pay.keys import ApplePayKeys, Keys, keys_of
from payengine_apple_pay.sealed import SealedToken, read_token

__all__ = ["WALLET", "Decrypted", "decrypt"]

#: The wallet's name, and the kind of method whose tokens it opens.
WALLET = "apple_pay"

_NONCE = bytes(16)
_RSA_SECRET_BYTES = 16
_EC_ALGORITHM = b"\x0did-aes256-GCM"


class Decrypted:
    """What a genuine token holds. It has no repr, and no serializer takes it.

    `message` is the decrypted JSON text. `transaction_id` names the token for ever: take each
    once. `signed_at` is when the device signed it, `application_data` the SHA-256 that Apple
    signed of the payment request's application data, empty where there was none.
    """

    __slots__ = ("application_data", "message", "signed_at", "transaction_id", "version")

    def __init__(
        self,
        *,
        message: str,
        version: str,
        transaction_id: str,
        signed_at: datetime,
        application_data: bytes,
    ) -> None:
        self.message = message
        self.version = version
        self.transaction_id = transaction_id
        self.signed_at = signed_at
        self.application_data = application_data

    def __getitem__(self, name: str) -> Any:
        """A field of the payload; raises `KeyError`."""
        return self.payload()[name]

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("what a token holds is never serialized")

    def payload(self) -> dict[str, Any]:
        """The message as an object; raises `WalletRefused` where it is none."""
        try:
            read = json.loads(self.message)
        except (ValueError, RecursionError):
            read = None
        if not isinstance(read, dict):
            raise WalletRefused("malformed", "The message is no JSON object.")
        return read

    def network_token(self) -> NetworkToken:
        """The device's number and its cryptogram; raises `WalletRefused` for other content."""
        payload = self.payload()
        if payload.get("paymentDataType") != "3DSecure":
            raise WalletRefused("unsupported", "Only payment data of the type 3DSecure is taken.")
        details = payload.get("paymentData")
        expires = payload.get("applicationExpirationDate")
        if not isinstance(details, dict) or not isinstance(expires, str) or len(expires) != 6:
            raise WalletRefused("malformed", "The message lacks a field.")
        if not expires.isdigit() or not expires.isascii():
            raise WalletRefused("malformed", "The message has no date of expiry.")
        try:
            return NetworkToken(
                number=payload.get("applicationPrimaryAccountNumber", ""),
                expiry_month=int(expires[2:4]),
                expiry_year=2000 + int(expires[:2]),
                cryptogram=details.get("onlinePaymentCryptogram", ""),
                eci=details.get("eciIndicator") or None,
                wallet=WALLET,
            )
        except ValueError as problem:
            raise WalletRefused("malformed", f"In the message, {problem}.") from None

    def approved(self) -> ApprovedAmount | None:
        """What the buyer approved, where the message says so; raises `WalletRefused`."""
        payload = self.payload()
        minor, number = payload.get("transactionAmount"), payload.get("currencyCode")
        if minor is None or number is None:
            return None
        if type(minor) is not int or minor < 0 or not isinstance(number, str):
            raise WalletRefused("malformed", "The approved amount is no whole number.")
        if not number.isdigit() or not number.isascii() or len(number) > 3:
            raise WalletRefused("malformed", "The approved currency is no number.")
        return ApprovedAmount(minor=minor, currency_number=number.zfill(3))


def decrypt(token: str | bytes | Mapping[str, Any], keys: Keys, now: datetime) -> Decrypted:
    """Verify and decrypt one token at the instant `now`, which is aware.

    `token` is the JSON text or object of `paymentData`, or the object that wraps it. `keys` are
    `ApplePayKeys` or a mapping of its fields; of several, the token's own hash picks one. Raises
    `WalletRefused` for every token that is not genuine, fresh and meant for these keys, and
    `ValueError` where `keys` or `now` themselves are at fault. Source: Apple, Payment token
    format reference.
    """
    opened = keys_of(keys)
    if now.tzinfo is None:
        raise ValueError("now is an aware datetime")
    try:
        with warnings.catch_warnings():
            # Of odd certificates, libraries warn: whether they are taken is decided here.
            warnings.simplefilter("ignore")
            return _decrypt(token, opened, now.astimezone(UTC))
    except WalletRefused:
        raise
    except Exception:
        # What a hostile token makes a parser raise says nothing but that it cannot be read.
        raise WalletRefused("malformed", "The token cannot be read.") from None


def _decrypt(
    token: str | bytes | Mapping[str, Any], keys: tuple[ApplePayKeys, ...], now: datetime
) -> Decrypted:
    sealed = read_token(token)
    chosen = next(
        (one for one in keys if hmac.compare_digest(one.public_key_hash, sealed.public_key_hash)),
        None,
    )
    if chosen is None:
        raise WalletRefused("recipient", "The token was made for another key.")
    signed_at = _verify(sealed, chosen, now)
    if isinstance(chosen.key, ec.EllipticCurvePrivateKey):
        secret = _agreed_key(sealed, chosen, chosen.key)
    else:
        secret = _unwrapped_key(sealed, chosen.key)
    try:
        message = AESGCM(secret).decrypt(_NONCE, sealed.data, None)
    except Exception:
        raise WalletRefused("recipient", "The token cannot be decrypted with this key.") from None
    return Decrypted(
        message=message.decode("utf-8"),
        version=sealed.version,
        transaction_id=sealed.transaction_id.hex(),
        signed_at=signed_at,
        application_data=sealed.application_data,
    )


def _verify(sealed: SealedToken, keys: ApplePayKeys, now: datetime) -> datetime:
    """When Apple's certificate signed this content; raises `WalletRefused`."""
    is_elliptic = isinstance(keys.key, ec.EllipticCurvePrivateKey)
    if sealed.version != ("EC_v1" if is_elliptic else "RSA_v1"):
        raise WalletRefused("protocol", "The version is not the one of this key.")
    signature = read_signature(sealed.signature)
    signer = signature.signer()
    if isinstance(signer.public_key(), ec.EllipticCurvePublicKey) is not is_elliptic:
        raise WalletRefused("protocol", "The signature's algorithm is not the version's.")
    check_chain(signature.certificates, signer=signer, roots=keys.roots, at=signature.signed_at)
    signature.check(signer, sealed.signed_content)
    if signature.signed_at < now - keys.max_age:
        raise WalletRefused("expired", "The token was signed too long ago.")
    if signature.signed_at > now + keys.max_ahead:
        raise WalletRefused("expired", "The token was signed in the future.")
    return signature.signed_at


def _agreed_key(
    sealed: SealedToken, keys: ApplePayKeys, private: ec.EllipticCurvePrivateKey
) -> bytes:
    """EC_v1: the key by NIST SP 800-56A, section 5.8.1, from an ephemeral Diffie-Hellman."""
    public = load_der_public_key(sealed.key)
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise WalletRefused("malformed", "The ephemeral key is of another kind.")
    if public.curve.name != private.curve.name:
        raise WalletRefused("malformed", "The ephemeral key is on another curve.")
    info = _EC_ALGORITHM + b"Apple" + keys.merchant_hash
    shared = private.exchange(ec.ECDH(), public)
    return ConcatKDFHash(hashes.SHA256(), length=32, otherinfo=info).derive(shared)


def _unwrapped_key(sealed: SealedToken, private: rsa.RSAPrivateKey) -> bytes:
    """RSA_v1: the key as it was wrapped for the merchant, with OAEP and SHA-256."""
    oaep = padding.OAEP(
        mgf=padding.MGF1(algorithm=hashes.SHA256()), algorithm=hashes.SHA256(), label=None
    )
    try:
        secret = private.decrypt(sealed.key, oaep)
    except ValueError:
        raise WalletRefused("recipient", "The token cannot be decrypted with this key.") from None
    if len(secret) != _RSA_SECRET_BYTES:
        raise WalletRefused("protocol", "The wrapped key is not one of 128 bits.")
    return secret
