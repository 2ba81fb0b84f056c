"""What is kept of rates, quotes, conversions and a tenant's choices?"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec

from payengine.fx.conversion import Rounding
from payengine.fx.quotes import Lock

__all__ = [
    "Conversion",
    "ConversionKind",
    "ConvertBalance",
    "CreateFxQuote",
    "FxQuote",
    "FxSettings",
    "PushRates",
    "PushedRate",
    "RefundRate",
    "SetFxSettings",
    "StoredRate",
]

#: `asked`: by the tenant; `settlement`, `refund`: as the provider's file told of it.
ConversionKind = Literal["asked", "settlement", "refund"]
#: At which rate a refund is taken back from the merchant.
RefundRate = Literal["original", "current"]


class StoredRate(msgspec.Struct, frozen=True, kw_only=True):
    """Units of `currency` for 1 of `base`, as somebody told it; of one day, the last told holds."""

    id: str
    source: str
    base: str
    currency: str
    day: date
    rate: str
    told_at: datetime


class FxQuote(msgspec.Struct, frozen=True, kw_only=True):
    """A promise for one amount, used once; both amounts in minor units, rates as exact texts."""

    id: str
    source_currency: str
    source_minor: int
    target_currency: str
    target_minor: int
    mid_minor: int
    markup_minor: int
    mid_rate: str
    customer_rate: str
    markup_bps: int
    rounding: Rounding
    rate_source: str
    rate_date: str
    lock: Lock
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units that an account gave in one currency and got in another.

    Of a payment it is what the buyer saw and what the account has for it. `received_minor` is what
    the provider made of it, with the gain or the loss that this was; None until it is known. A
    `refund` goes the other way: the account gives the target's currency back.
    """

    id: str
    kind: ConversionKind
    account: str
    source_currency: str
    source_minor: int
    target_currency: str
    target_minor: int
    mid_minor: int
    markup_minor: int
    mid_rate: str
    markup_bps: int
    rounding: Rounding
    rate_source: str
    rate_date: str
    created_at: datetime
    quote_id: str | None = None
    payment_id: str | None = None
    operation_id: str | None = None
    received_minor: int | None = None
    gain_minor: int = 0
    loss_minor: int = 0
    settled_at: datetime | None = None


class FxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant chose. `sources` are asked in this order; none: its own, then every plugin's.

    `convert_at_settlement`: what a provider settled in another currency is converted for the
    merchant too. `refund_rate`: at which rate a refund of it is taken back.
    """

    markup_bps: int = 0
    rounding: Rounding = "half_even"
    sources: tuple[str, ...] = ()
    convert_at_settlement: bool = True
    refund_rate: RefundRate = "original"
    updated_at: datetime | None = None


class PushedRate(msgspec.Struct, frozen=True, kw_only=True):
    """Units of `currency` for 1 of the base on a day; an exact decimal, or a ratio `625/97300`."""

    day: date
    currency: str
    rate: str


class PushRates(msgspec.Struct, frozen=True, kw_only=True):
    """Rates of the tenant's own, at most a thousand."""

    idempotency_key: str
    base: str
    rates: tuple[PushedRate, ...]


class CreateFxQuote(msgspec.Struct, frozen=True, kw_only=True):
    """Ask what an amount is worth; None: as the tenant has set it."""

    idempotency_key: str
    source_minor: int
    source_currency: str
    target_currency: str
    lock: Lock = "five_minutes"
    markup_bps: int | None = None
    rounding: Rounding | None = None


class ConvertBalance(msgspec.Struct, frozen=True, kw_only=True):
    """Exchange what an account has: by a quote for its amount, or an amount at the rate of now.

    With a payment it is that payment's money, and what the account then has for it.
    """

    idempotency_key: str
    quote_id: str | None = None
    source_minor: int | None = None
    source_currency: str | None = None
    target_currency: str | None = None
    account: str = "merchant_payable:main"
    payment_id: str | None = None


class SetFxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What shall hold from now on; None stays as it is."""

    idempotency_key: str
    markup_bps: int | None = None
    rounding: Rounding | None = None
    sources: tuple[str, ...] | None = None
    convert_at_settlement: bool | None = None
    refund_rate: RefundRate | None = None
