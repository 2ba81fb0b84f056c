"""Which input is refused before any row is written?"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from payengine.errors import (
    InputInvalid,
    PaymentMethodInvalid,
    UnknownCurrency,
)
from payengine.idempotency import check_key
from payengine.marketplace.meant import check_split
from payengine.money import check_amount
from payengine.payments.inputs import ConfirmPayment, CreatePayment, FraudInput, MethodInput
from payengine.texts import check_id, check_metadata, check_text

__all__ = [
    "check_confirm",
    "check_create",
    "check_method",
]

_COUNTRY = re.compile(r"[A-Z]{2}")
_CARD_DIGITS = re.compile(r"[0-9]{4,8}")
_MAX_TOKEN = 255
_MAX_NAME = 255
_MAX_EMAIL = 254
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")
_OLDEST_ACCOUNT_DAYS = 100_000
_MAX_WALLET_TOKEN = 16_384


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
    _check_fraud(request.fraud)
    if request.split is not None:
        check_split(request.split, request.amount_minor)


def _check_fraud(given: FraudInput | None) -> None:
    if given is None:
        return
    for name in ("device", "card_fingerprint", "seller_id"):
        check_text(getattr(given, name), field="fraud", most=_MAX_NAME)
    check_text(given.email, field="fraud", most=_MAX_EMAIL)
    if given.email is not None and not _EMAIL.fullmatch(given.email):
        raise InputInvalid("This is no e-mail address.", path=("fraud", "email"))
    if given.ip is not None:
        try:
            ipaddress.ip_address(given.ip)
        except ValueError:
            raise InputInvalid("This is no IP address.", path=("fraud", "ip")) from None
    for name in ("ip_country", "billing_country", "shipping_country"):
        value = getattr(given, name)
        if value is not None and not _COUNTRY.fullmatch(value):
            raise InputInvalid(
                "A country is an ISO 3166 code of two capital letters.", path=("fraud", name)
            )
    age = given.account_age_days
    if age is not None and not 0 <= age <= _OLDEST_ACCOUNT_DAYS:
        raise InputInvalid("An age is 0 to 100000 days.", path=("fraud", "accountAgeDays"))


def check_confirm(request: ConfirmPayment) -> None:
    """Raise the typed error of the first field that cannot be accepted."""
    check_key(request.idempotency_key)
    check_id(request.payment_id, "pay", field="paymentId")
    if request.payment_method is not None or request.saved_payment_method_id is not None:
        check_method(request.payment_method, request.saved_payment_method_id, wallets_too=True)
    _check_fraud(request.fraud)


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
