"""Which input is refused before any row is written?"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from payengine.errors import (
    IdempotencyKeyMalformed,
    InputInvalid,
    PaymentMethodInvalid,
    SensitiveDataRefused,
    UnknownCurrency,
)
from payengine.ids import is_id
from payengine.money import check_amount
from payengine.payments.inputs import ConfirmPayment, CreatePayment, MethodInput
from payengine.screen import contains_card_number

__all__ = [
    "check_confirm",
    "check_create",
    "check_id",
    "check_key",
    "check_metadata",
    "check_method",
    "check_text",
    "fingerprint",
]

_KEY = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")
_COUNTRY = re.compile(r"[A-Z]{2}")
_CARD_DIGITS = re.compile(r"[0-9]{4,8}")
_MAX_METADATA_ENTRIES = 50
_MAX_METADATA_KEY = 40
_MAX_METADATA_VALUE = 500
_MAX_TEXT = 500
_MAX_TOKEN = 255
_MAX_WALLET_TOKEN = 16_384


def fingerprint(mutation: str, request: msgspec.Struct) -> bytes:
    """What makes two requests the same: the mutation and every field but the key (SHA-256)."""
    plain = msgspec.to_builtins(request)
    plain.pop("idempotency_key")
    body = msgspec.json.encode((mutation, plain), order="deterministic")
    return hashlib.sha256(body).digest()


def check_key(key: str) -> None:
    """Raise `IdempotencyKeyMalformed` unless 1 to 255 printable ASCII characters."""
    if not _KEY.fullmatch(key):
        raise IdempotencyKeyMalformed(path=("idempotencyKey",))
    _screen(key, field="idempotencyKey")


def check_id(text: str, prefix: str, *, field: str) -> None:
    """Raise `InputInvalid` unless `text` has the form of such an id."""
    if not is_id(text, prefix):
        raise InputInvalid(f"This is not an id of the form {prefix}_….", path=(field,))


def check_text(text: str | None, *, field: str, most: int = _MAX_TEXT) -> None:
    """Raise where a free text is too long, has control characters or holds a card number."""
    if text is None:
        return
    if len(text) > most:
        raise InputInvalid(f"At most {most} characters are allowed.", path=(field,))
    if any(character < " " or character == "\x7f" for character in text):
        raise InputInvalid("Control characters are not allowed.", path=(field,))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputInvalid("The text is not valid Unicode.", path=(field,)) from None
    _screen(text, field=field)


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Raise where metadata has over 50 entries, keys over 40 or values over 500 characters."""
    if len(metadata) > _MAX_METADATA_ENTRIES:
        raise InputInvalid(
            f"At most {_MAX_METADATA_ENTRIES} metadata entries are allowed.", path=("metadata",)
        )
    for key, value in metadata.items():
        if not isinstance(value, str):
            raise InputInvalid("Metadata values are texts.", path=("metadata", key[:40]))
        check_text(key, field="metadata", most=_MAX_METADATA_KEY)
        check_text(value, field="metadata", most=_MAX_METADATA_VALUE)


def check_method(
    method: MethodInput | None, saved_id: str | None, *, wallets_too: bool = False
) -> None:
    """Raise unless exactly one way to pay is named, and well-formed.

    `wallets_too` takes the encrypted token of a wallet as well, which pays once and is not kept.
    """
    if (method is None) == (saved_id is None):
        raise PaymentMethodInvalid(
            "Give exactly one of paymentMethod and savedPaymentMethodId.", path=("paymentMethod",)
        )
    if saved_id is not None:
        check_id(saved_id, "pm", field="savedPaymentMethodId")
    if method is not None:
        if not method.token or method.token != method.token.strip():
            raise PaymentMethodInvalid("The token is empty.", path=("paymentMethod", "token"))
        if method.is_wallet_token and not wallets_too:
            raise PaymentMethodInvalid(
                "A wallet's token pays once and cannot be kept.", path=("paymentMethod", "token")
            )
        most = _MAX_WALLET_TOKEN if method.is_wallet_token else _MAX_TOKEN
        check_text(method.token, field="paymentMethod", most=most)
        check_text(method.kind, field="paymentMethod", most=40)
        check_text(method.gateway, field="paymentMethod", most=60)
        _check_told(method)


def _check_told(method: MethodInput) -> None:
    if method.country is not None and not _COUNTRY.fullmatch(method.country):
        raise PaymentMethodInvalid(
            "A country is an ISO 3166 code of two capital letters.",
            path=("paymentMethod", "country"),
        )
    if method.card_digits is not None and not _CARD_DIGITS.fullmatch(method.card_digits):
        raise PaymentMethodInvalid(
            "Give the first 4 to 8 digits of the card, and no more.",
            path=("paymentMethod", "cardDigits"),
        )


def check_create(request: CreatePayment) -> None:
    """Raise the typed error of the first field that cannot be accepted."""
    check_key(request.idempotency_key)
    _check_amount(request.amount_minor, request.currency)
    check_method(request.payment_method, request.saved_payment_method_id, wallets_too=True)
    if request.capture_method not in ("AUTOMATIC", "MANUAL"):
        raise InputInvalid("captureMethod is AUTOMATIC or MANUAL.", path=("captureMethod",))
    if request.customer_id is not None:
        check_id(request.customer_id, "cus", field="customerId")
    check_text(request.description, field="description")
    check_text(request.return_url, field="returnUrl", most=2_000)
    if request.return_url is not None and not _is_web_address(request.return_url):
        raise InputInvalid("returnUrl is an absolute http or https URL.", path=("returnUrl",))
    check_metadata(request.metadata)


def check_confirm(request: ConfirmPayment) -> None:
    """Raise the typed error of the first field that cannot be accepted."""
    check_key(request.idempotency_key)
    check_id(request.payment_id, "pay", field="paymentId")
    if request.payment_method is not None or request.saved_payment_method_id is not None:
        check_method(request.payment_method, request.saved_payment_method_id, wallets_too=True)


def _check_amount(amount_minor: int, currency: str) -> None:
    try:
        check_amount(amount_minor, currency)
    except UnknownCurrency as refused:
        raise UnknownCurrency(refused.message, path=("amount", "currency")) from None
    except InputInvalid as refused:
        raise type(refused)(refused.message, path=("amount", "amountMinor")) from None


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _screen(text: str, *, field: str) -> None:
    if contains_card_number(text):
        raise SensitiveDataRefused(path=(field,))
