"""What is kept of a shop's catalogue, and what is asked to change it?"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from payengine.billing.periods import IntervalUnit
from payengine.billing.usage import Formula, LatePolicy, Receipt

__all__ = [
    "ArchivePrice",
    "ArchiveProduct",
    "CatalogPrice",
    "CreateMeter",
    "CreatePrice",
    "CreateProduct",
    "Meter",
    "Product",
    "TaxBehavior",
    "ToldUsage",
    "UsageReceipt",
]

#: Whether the tax comes on top of the price or is part of it.
TaxBehavior = Literal["exclusive", "inclusive"]


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """What is sold; `reference` is the shop's own name for it, `features` what comes with it."""

    id: str
    reference: str
    name: str
    features: dict[str, Any]
    metadata: dict[str, Any]
    created_at: datetime
    archived_at: datetime | None = None


class Meter(msgspec.Struct, frozen=True, kw_only=True):
    """What usage events are told of, by `name`, and what they come to."""

    id: str
    name: str
    formula: Formula
    late_policy: LatePolicy
    created_at: datetime


class CatalogPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A price as it is kept: `options` spells a model for each currency.

    Without an interval it is charged once; with a meter its quantity is the period's usage.
    """

    id: str
    product_id: str
    options: dict[str, Any]
    interval_unit: IntervalUnit | None
    interval_count: int | None
    meter_id: str | None
    tax_behavior: TaxBehavior
    created_at: datetime
    archived_at: datetime | None = None


class CreateProduct(msgspec.Struct, frozen=True, kw_only=True):
    """`features` has a limit for each name, such as {"seats": {"limit": 5, "perUnit": true}}."""

    idempotency_key: str
    reference: str
    name: str
    features: dict[str, Any] = {}
    metadata: dict[str, Any] = {}


class ArchiveProduct(msgspec.Struct, frozen=True, kw_only=True):
    """From then on nobody new may have it."""

    idempotency_key: str
    product_id: str


class CreateMeter(msgspec.Struct, frozen=True, kw_only=True):
    """A meter never changes."""

    idempotency_key: str
    name: str
    formula: Formula
    late_policy: LatePolicy = "next_invoice"


class CreatePrice(msgspec.Struct, frozen=True, kw_only=True):
    """`options` has a model for each currency, as `parse_model` reads it."""

    idempotency_key: str
    product_id: str
    options: dict[str, Any]
    interval_unit: IntervalUnit | None = None
    interval_count: int | None = None
    meter_id: str | None = None
    tax_behavior: TaxBehavior = "exclusive"


class ArchivePrice(msgspec.Struct, frozen=True, kw_only=True):
    """From then on no new subscription may have it; those that do keep it."""

    idempotency_key: str
    price_id: str


class ToldUsage(msgspec.Struct, frozen=True, kw_only=True):
    """A usage event as a shop tells it; `meter` is the meter's name."""

    meter: str
    customer_id: str
    id: str
    at: datetime
    value: Decimal | None = None
    key: str | None = None


class UsageReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an event: taken, taken before, or refused with an error's code and words."""

    meter: str
    id: str
    outcome: Receipt | Literal["refused"]
    code: str | None = None
    message: str | None = None
