"""Is this token genuine, and what does it hold?

`decrypt(token, keys, now)` follows Google's payment data cryptography: the intermediate key by a
root key that has not ended, the signature, the message's tag, decryption, the message's end and
its merchant. Nothing is skipped, and every failure is one `WalletRefused`. It needs no engine and
no network.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_der_public_key
from payengine.plugin import NetworkToken, WalletRefused

from payengine_google_pay.keys import GooglePayKeys, Keys, keys_of, read_instant
from payengine_google_pay.sealed import (
    EncryptedMessage,
    SealedToken,
    read_message,
    read_signed_key,
    read_token,
)

__all__ = ["WALLET", "Decrypted", "decrypt"]

#: The wallet's name, and the kind of method whose tokens it opens.
WALLET = "google_pay"

_SENDER = "Google"
#: The bytes of the cipher's key and of the tag's key, which are of one length.
_KEY_BYTES = {"ECv1": 16, "ECv2": 32}
_NUMBERS = {
    "CARD": ("pan", "cryptogram", "eciIndicator"),
    "TOKENIZED_CARD": ("dpan", "3dsCryptogram", "3dsEciIndicator"),
}


class Decrypted:
    """What a genuine token holds. It has no repr, and no serializer takes it.

    `message` is the decrypted text. `expires_at` is the end that the message itself names, None
    where it names none: such a message was checked for everything else, and yields no network
    token.
    """

    __slots__ = ("expires_at", "message", "version")

    def __init__(self, *, message: str, version: str, expires_at: datetime | None) -> None:
        self.message = message
        self.version = version
        self.expires_at = expires_at

    def __getitem__(self, name: str) -> Any:
        """A field of the payload; raises `KeyError`."""
        return self.payload()[name]

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("what a token holds is never serialized")

    def payload(self) -> dict[str, Any]:
        """The message as an object; raises `WalletRefused` where it is none."""
        read = _object_in(self.message)
        if read is None:
            raise WalletRefused("malformed", "The message is no JSON object.")
        return read

    @property
    def message_id(self) -> str:
        """Google's name of this message; raises `WalletRefused` where it has none."""
        found = self.payload().get("messageId")
        if not isinstance(found, str) or not 0 < len(found) <= 255 or not found.isprintable():
            raise WalletRefused("malformed", "The message has no messageId.")
        return found

    def network_token(self) -> NetworkToken:
        """The device's number and its cryptogram; raises `WalletRefused` for other content.

        A plain card number (`PAN_ONLY`) is refused: no card number is taken here.
        """
        payload = self.payload()
        details = payload.get("paymentMethodDetails")
        names = _NUMBERS.get(str(payload.get("paymentMethod")))
        if self.expires_at is None or names is None or not isinstance(details, dict):
            raise WalletRefused("malformed", "The message lacks a field.")
        method = details.get("authMethod", "3DS" if names[0] == "dpan" else None)
        if method not in ("CRYPTOGRAM_3DS", "3DS"):
            raise WalletRefused(
                "unsupported", "Only CRYPTOGRAM_3DS is taken: ask for no other authMethod."
            )
        number, cryptogram, eci = (details.get(name) for name in names)
        try:
            return NetworkToken(
                number=number or "",
                expiry_month=details.get("expirationMonth", 0),
                expiry_year=details.get("expirationYear", 0),
                cryptogram=cryptogram or "",
                eci=eci or None,
                wallet=WALLET,
            )
        except ValueError as problem:
            raise WalletRefused("malformed", f"In the message, {problem}.") from None


def decrypt(token: str | bytes | Mapping[str, Any], keys: Keys, now: datetime) -> Decrypted:
    """Verify and decrypt one token at the instant `now`, which is aware.

    `token` is the JSON text or object that the browser got as `tokenizationData.token`. `keys` is
    `GooglePayKeys` or a mapping of its fields. Raises `WalletRefused` for every token that is not
    genuine, fresh and meant for these keys, and `ValueError` where `keys` or `now` themselves are
    at fault. Source: Google, Payment data cryptography for merchants.
    """
    opened = keys_of(keys)
    if now.tzinfo is None:
        raise ValueError("now is an aware datetime")
    try:
        return _decrypt(token, opened, now.astimezone(UTC))
    except WalletRefused:
        raise
    except Exception:
        # What a hostile token makes a parser raise says nothing but that it cannot be read.
        raise WalletRefused("malformed", "The token cannot be read.") from None


def _decrypt(
    token: str | bytes | Mapping[str, Any], keys: GooglePayKeys, now: datetime
) -> Decrypted:
    sealed = read_token(token)
    if sealed.version not in keys.protocol_versions:
        raise WalletRefused("protocol", "The version is not one that is accepted here.")
    _verify(sealed, keys, now)
    encrypted = read_message(sealed.signed_message)
    opened = (_opened(encrypted, key, sealed.version) for key in keys.private_keys)
    message = next((one for one in opened if one is not None), None)
    if message is None:
        raise WalletRefused("recipient", "The token cannot be decrypted with these keys.")
    found = Decrypted(
        message=message.decode("utf-8"),
        version=sealed.version,
        expires_at=_end_of(message.decode("utf-8")),
    )
    if found.expires_at is not None and found.expires_at <= now:
        raise WalletRefused("expired", "The message has expired.")
    if keys.gateway_merchant_id is not None:
        named = (_object_in(found.message) or {}).get("gatewayMerchantId")
        if named != keys.gateway_merchant_id:
            raise WalletRefused("recipient", "The message is for another merchant.")
    return found


def _verify(sealed: SealedToken, keys: GooglePayKeys, now: datetime) -> None:
    """Raise `WalletRefused` unless Google signed the message for this recipient."""
    roots = keys.trusted(sealed.version, now)
    if not roots:
        raise WalletRefused("expired", "No root key for this version is valid now.")
    signers: Sequence[ec.EllipticCurvePublicKey] = roots
    if sealed.intermediate is not None:
        signed_key = sealed.intermediate.signed_key
        content = _joined(_SENDER, sealed.version, signed_key)
        if not _is_signed(content, sealed.intermediate.signatures, roots):
            raise WalletRefused("signature", "No root key signed the intermediate key.")
        spelled, end = read_signed_key(signed_key)
        if read_instant(end) <= now:
            raise WalletRefused("expired", "The intermediate key has expired.")
        intermediate = load_der_public_key(spelled)
        if not isinstance(intermediate, ec.EllipticCurvePublicKey):
            raise WalletRefused("protocol", "The intermediate key is of another kind.")
        signers = [intermediate]
    content = _joined(_SENDER, keys.recipient_id, sealed.version, sealed.signed_message)
    if not _is_signed(content, [sealed.signature], signers):
        raise WalletRefused("signature", "The message is not signed for this recipient.")


def _joined(*parts: str) -> bytes:
    """What is signed: each part in UTF-8 behind its length in four bytes, little end first."""
    spelled = [part.encode("utf-8") for part in parts]
    return b"".join(struct.pack("<I", len(part)) + part for part in spelled)


def _is_signed(
    content: bytes, signatures: Iterable[bytes], signers: Iterable[ec.EllipticCurvePublicKey]
) -> bool:
    """Whether one of the signatures is by one of the keys: ECDSA with SHA-256."""
    listed = list(signatures)
    for signer in signers:
        for signature in listed:
            try:
                signer.verify(signature, content, ec.ECDSA(hashes.SHA256()))
            except InvalidSignature:
                continue
            return True
    return False


def _opened(
    encrypted: EncryptedMessage, private: ec.EllipticCurvePrivateKey, version: str
) -> bytes | None:
    """The message, or None where its tag is not of this key: ECIES with HKDF and SHA-256."""
    public = ec.EllipticCurvePublicKey.from_encoded_point(private.curve, encrypted.ephemeral_point)
    size = _KEY_BYTES[version]
    derived = HKDF(
        algorithm=hashes.SHA256(), length=2 * size, salt=None, info=_SENDER.encode()
    ).derive(encrypted.ephemeral_point + private.exchange(ec.ECDH(), public))
    tagged = hmac.HMAC(derived[size:], hashes.SHA256())
    tagged.update(encrypted.cipher_text)
    try:
        tagged.verify(encrypted.tag)
    except InvalidSignature:
        return None
    decryptor = Cipher(algorithms.AES(derived[:size]), modes.CTR(bytes(16))).decryptor()
    return decryptor.update(encrypted.cipher_text) + decryptor.finalize()


def _object_in(message: str) -> dict[str, Any] | None:
    try:
        read = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _end_of(message: str) -> datetime | None:
    """The end that the message names; raises `ValueError` where it is no instant."""
    payload = _object_in(message)
    if payload is None or "messageExpiration" not in payload:
        return None
    return read_instant(payload["messageExpiration"])
