"""What is read of PayPal's answers?

Only what decides something; all else is left alone, so that a new field or a new value of one that
does not matter breaks nothing. Statuses stay texts: one that is not known is never taken for
another.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

__all__ = [
    "Authorization",
    "Capture",
    "Link",
    "Money",
    "Order",
    "Problem",
    "Refund",
    "Related",
    "Unclear",
    "read",
]

T = TypeVar("T")

_EVER = datetime(1, 1, 1, tzinfo=UTC)


class Unclear(Exception):
    """What PayPal did cannot be told from what it said, or did not say."""


class Link(msgspec.Struct, frozen=True):
    """Where an answer leads."""

    href: str
    rel: str


class Money(msgspec.Struct, frozen=True):
    """A decimal text and its currency."""

    currency_code: str
    value: str


class _ProcessorResponse(msgspec.Struct, frozen=True):
    """What a card's bank said."""

    response_code: str = ""


class _StatusDetails(msgspec.Struct, frozen=True):
    """Why something is pending or was declined."""

    reason: str = ""


class Related(msgspec.Struct, frozen=True):
    """The ids of what a resource belongs to."""

    order_id: str | None = None
    authorization_id: str | None = None
    capture_id: str | None = None


class _SupplementaryData(msgspec.Struct, frozen=True):
    """Holds the related ids."""

    related_ids: Related = msgspec.field(default_factory=Related)


class _Breakdown(msgspec.Struct, frozen=True):
    """What a capture brings: the fee among it."""

    paypal_fee: Money | None = None


class _Resource(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    status: str
    amount: Money
    custom_id: str | None = None
    invoice_id: str | None = None
    create_time: datetime | None = None
    status_details: _StatusDetails = msgspec.field(default_factory=_StatusDetails)
    processor_response: _ProcessorResponse = msgspec.field(default_factory=_ProcessorResponse)
    supplementary_data: _SupplementaryData = msgspec.field(default_factory=_SupplementaryData)
    links: list[Link] = msgspec.field(default_factory=list)

    @property
    def related(self) -> Related:
        """The ids of what this belongs to."""
        return self.supplementary_data.related_ids


class Authorization(_Resource, frozen=True, kw_only=True):
    """A hold."""

    expiration_time: datetime | None = None


class Capture(_Resource, frozen=True, kw_only=True):
    """Money that was taken."""

    seller_receivable_breakdown: _Breakdown = msgspec.field(default_factory=_Breakdown)

    @property
    def of_hold(self) -> bool:
        """Whether it took what an authorization held."""
        up = any(link.rel == "up" and "/authorizations/" in link.href for link in self.links)
        return up or self.related.authorization_id is not None


class Refund(_Resource, frozen=True, kw_only=True):
    """Money that was given back."""

    def capture_id(self) -> str | None:
        """The capture that it refunds, where the links tell."""
        for link in self.links:
            if link.rel == "up" and "/captures/" in link.href:
                return link.href.rsplit("/captures/", 1)[1].split("/")[0]
        return self.related.capture_id


class _Payments(msgspec.Struct, frozen=True):
    authorizations: list[Authorization] = msgspec.field(default_factory=list)
    captures: list[Capture] = msgspec.field(default_factory=list)
    refunds: list[Refund] = msgspec.field(default_factory=list)


class _Unit(msgspec.Struct, frozen=True):
    amount: Money | None = None
    custom_id: str | None = None
    payments: _Payments = msgspec.field(default_factory=_Payments)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order with its one purchase unit."""

    id: str
    status: str
    intent: str = ""
    purchase_units: list[_Unit] = msgspec.field(default_factory=list)
    links: list[Link] = msgspec.field(default_factory=list)

    @property
    def unit(self) -> _Unit:
        """Our orders have one unit; raises `Unclear` for another number."""
        if len(self.purchase_units) != 1:
            raise Unclear(f"the order {self.id} has {len(self.purchase_units)} purchase units")
        return self.purchase_units[0]

    @property
    def payments(self) -> _Payments:
        """What was held, taken and given back."""
        return self.unit.payments

    @property
    def holds(self) -> list[Authorization]:
        """The authorizations, the oldest first: the others renew it."""
        return sorted(self.payments.authorizations, key=lambda hold: hold.create_time or _EVER)


class _Detail(msgspec.Struct, frozen=True):
    issue: str = ""
    description: str = ""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error's body, of the resources' kind or of the token endpoint's."""

    name: str = ""
    message: str = ""
    details: list[_Detail] = msgspec.field(default_factory=list)
    links: list[Link] = msgspec.field(default_factory=list)
    error: str = ""
    error_description: str = ""

    @property
    def code(self) -> str:
        """The first issue, else the name of the error."""
        issue = next((detail.issue for detail in self.details if detail.issue), "")
        return issue or self.name or self.error

    @property
    def text(self) -> str:
        """What is said to people."""
        said = next((detail.description for detail in self.details if detail.description), "")
        return said or self.message or self.error_description

    def has(self, *issues: str) -> bool:
        """Whether one of the issues is named."""
        named = {detail.issue for detail in self.details} | {self.name}
        return not named.isdisjoint(issues)


_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}
#: The first decoder of a class reads its fields' types, and keeps them with the class: two threads
#: that do so at once crash the process.
_making = threading.Lock()


def _make_decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    with _making:
        return _decoders.get(kind) or _decoders.setdefault(kind, msgspec.json.Decoder(kind))


def read(body: bytes, kind: type[T]) -> T:
    """The record that `body` spells; raises `Unclear`."""
    decoder = _decoders.get(kind) or _make_decoder(kind)
    try:
        found: T = decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as problem:
        raise Unclear(f"the answer cannot be read: {problem}"[:300]) from None
    return found
