"""Who pays, and with what?"""

from __future__ import annotations

from datetime import datetime

import msgspec

__all__ = [
    "CreateCustomer",
    "Customer",
    "DetachPaymentMethod",
    "SavePaymentMethod",
    "SavedMethod",
    "UpdateCustomer",
]


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A buyer, as the tenant knows them; `reference` is the tenant's own name for them."""

    id: str
    reference: str | None
    email: str | None
    name: str | None
    metadata: dict[str, str]
    created_at: datetime


class SavedMethod(msgspec.Struct, frozen=True, kw_only=True):
    """A payment method on file; its token stays sealed. `label` is shown to people."""

    id: str
    customer_id: str
    kind: str
    label: str
    created_at: datetime
    detached_at: datetime | None = None


class CreateCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """A new customer."""

    idempotency_key: str
    reference: str | None = None
    email: str | None = None
    name: str | None = None
    metadata: dict[str, str] = {}


class UpdateCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """What is None stays as it is; metadata, where given, replaces what was there."""

    idempotency_key: str
    customer_id: str
    email: str | None = None
    name: str | None = None
    metadata: dict[str, str] | None = None


class SavePaymentMethod(msgspec.Struct, frozen=True, kw_only=True):
    """Keep a provider's token for later payments of the customer.

    `gateway` is the one in whose vault it rests, None where that is not known. `network` is the
    card's, such as "visa": networks limit how often a refused card may be charged again.
    """

    idempotency_key: str
    customer_id: str
    token: str
    kind: str = "card"
    label: str = ""
    gateway: str | None = None
    network: str | None = None


class DetachPaymentMethod(msgspec.Struct, frozen=True, kw_only=True):
    """The method may not be used again; past payments keep their reference to it."""

    idempotency_key: str
    payment_method_id: str
