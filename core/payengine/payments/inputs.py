"""What may be asked of a payment?

Each input carries the client's idempotency key. `payengine.payments.checks` refuses bad values
before any row is written.
"""

from __future__ import annotations

import msgspec

from payengine.marketplace.meant import ShareInput, SplitInput
from payengine.payments.models import CaptureMethod

__all__ = [
    "CapturePayment",
    "ConfirmPayment",
    "CreatePayment",
    "FraudInput",
    "IncrementAuthorization",
    "MethodInput",
    "RefundPayment",
    "VoidPayment",
]


class MethodInput(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's token, or what a wallet's device encrypted, as JSON; never a card number.

    `gateway` is the one that made the token, None where any may be asked. `country` and
    `card_digits`, the card's first 4 to 8, are what the client was told of it.
    """

    token: str
    kind: str = "card"
    gateway: str | None = None
    country: str | None = None
    card_digits: str | None = None

    @property
    def is_wallet_token(self) -> bool:
        """Whether a wallet has to open it: no provider's token is a JSON object."""
        return self.token.startswith("{")


class FraudInput(msgspec.Struct, frozen=True, kw_only=True):
    """What the client knows of the buyer; nothing of it is kept but by keyed hashes.

    `card_fingerprint` is any stable name of the card, `device` of the buyer's device. Countries
    are ISO 3166 codes of two capital letters.
    """

    device: str | None = None
    ip: str | None = None
    ip_country: str | None = None
    email: str | None = None
    card_fingerprint: str | None = None
    billing_country: str | None = None
    shipping_country: str | None = None
    account_age_days: int | None = None
    seller_id: str | None = None


class CreatePayment(msgspec.Struct, frozen=True, kw_only=True):
    """A new payment; exactly one of `payment_method` and `saved_payment_method_id`.

    Other gateways than those of `avoid_gateways` are preferred, where another one may take it.
    """

    idempotency_key: str
    amount_minor: int
    currency: str
    capture_method: CaptureMethod = "AUTOMATIC"
    payment_method: MethodInput | None = None
    saved_payment_method_id: str | None = None
    customer_id: str | None = None
    off_session: bool = False
    return_url: str | None = None
    description: str | None = None
    metadata: dict[str, str] = {}
    fraud: FraudInput | None = None
    avoid_gateways: tuple[str, ...] = ()
    split: SplitInput | None = None


class ConfirmPayment(msgspec.Struct, frozen=True, kw_only=True):
    """Go on with a payment: with another method after a decline, or after the buyer's action."""

    idempotency_key: str
    payment_id: str
    payment_method: MethodInput | None = None
    saved_payment_method_id: str | None = None
    fraud: FraudInput | None = None


class IncrementAuthorization(msgspec.Struct, frozen=True, kw_only=True):
    """Raise what is held by `amount_minor`."""

    idempotency_key: str
    payment_id: str
    amount_minor: int


class CapturePayment(msgspec.Struct, frozen=True, kw_only=True):
    """Take `amount_minor` (None: all that is held); `final` releases the rest.

    `shares` divide this capture, whatever the payment's own split says.
    """

    idempotency_key: str
    payment_id: str
    amount_minor: int | None = None
    final: bool = True
    shares: tuple[ShareInput, ...] = ()


class VoidPayment(msgspec.Struct, frozen=True, kw_only=True):
    """Release what is held, or cancel a payment that waits for the buyer."""

    idempotency_key: str
    payment_id: str


class RefundPayment(msgspec.Struct, frozen=True, kw_only=True):
    """Give back `amount_minor` (None: all that is left).

    `shares` say which owners give back how much; without them each in proportion.
    `in_spite_of_fraud` is why it is to be sent though fraud rules stop it; it needs `fraud:write`.
    """

    idempotency_key: str
    payment_id: str
    amount_minor: int | None = None
    reason: str | None = None
    in_spite_of_fraud: str | None = None
    shares: tuple[ShareInput, ...] = ()
