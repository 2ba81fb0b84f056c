"""What must be known before an invoice can be drawn up?

All of it is loaded for a whole batch; drawing up reads nothing more. The same terms make the same
invoice, whether it is shown as a preview or issued.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import msgspec

from payengine.billing.coupons import Coupon
from payengine.billing.dunning_policy import DunningPolicy
from payengine.billing.invoice_lines import InvoiceLine, TaxRate
from payengine.billing.models import CatalogPrice
from payengine.errors import TaxNotKnown

__all__ = [
    "NO_TAXES",
    "STANDARD_CLASS",
    "HeldCoupon",
    "ItemTerms",
    "PendingLine",
    "TaxAnswers",
    "TaxTerms",
    "Terms",
    "UsedPeriod",
]

#: The class of products that name none of their own, and of lines without a product.
STANDARD_CLASS = "standard"


class ItemTerms(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a subscription; it counts from `starts_at` on and before `ended_at`."""

    id: str
    price: CatalogPrice
    product_id: str
    product_name: str
    tax_class: str = STANDARD_CLASS
    quantity: Decimal
    starts_at: datetime
    ended_at: datetime | None = None

    def holds_at(self, at: datetime) -> bool:
        """Whether the item is part of the subscription at the instant."""
        return self.starts_at <= at and (self.ended_at is None or at < self.ended_at)


class PendingLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that waits for the next invoice; its id is kept so that it is taken once."""

    id: str
    line: InvoiceLine


class HeldCoupon(msgspec.Struct, frozen=True, kw_only=True):
    """A coupon that a subscription has, for periods that begin from `since` on, before `until`."""

    coupon: Coupon
    since: datetime | None = None
    until: datetime | None = None

    def holds_at(self, at: datetime) -> bool:
        """Whether a period that begins at the instant has it."""
        has_begun = self.since is None or self.since <= at
        return has_begun and (self.until is None or at < self.until)


class UsedPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer used of one metered item between two instants.

    It is invoiced at `bills_at`, the boundary that ends it or, where usage came late, the next one.
    `billed` is what earlier invoices charged, None where there is none yet.
    """

    item_id: str
    start: datetime
    end: datetime
    bills_at: datetime
    quantity: Fraction
    billed: Fraction | None = None


class TaxTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The rates of one customer by the products' classes; `problem` says why nobody knows them."""

    rates: dict[str, TaxRate | None] = {}
    is_taxed: bool = False
    problem: str | None = None

    def rate(self, tax_class: str) -> TaxRate | None:
        """The class's rate, None where it is outside of the tax; raises `TaxNotKnown`."""
        if not self.is_taxed:
            return None
        if self.problem is not None:
            raise TaxNotKnown(self.problem)
        if tax_class not in self.rates:
            raise TaxNotKnown(f"The calculator told no rate for products of {tax_class!r}.")
        return self.rates[tax_class]


class TaxAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """What the tenant's calculator said of each customer, before the transaction was opened.

    Where `is_taxed`, a customer whom nobody asked about has no known rates.
    """

    is_taxed: bool = False
    by_customer: Mapping[str, TaxTerms] = {}

    def of(self, customer_id: str) -> TaxTerms:
        """The customer's terms."""
        if not self.is_taxed:
            return _UNTAXED
        return self.by_customer.get(customer_id, _NOT_ASKED)


_UNTAXED = TaxTerms()
_NOT_ASKED = TaxTerms(is_taxed=True, problem="The calculator was not asked about this customer.")

#: For tenants that put no tax on invoices.
NO_TAXES = TaxAnswers()


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """All that the next invoices of a subscription, or of a customer, are drawn up from.

    `pending` lines go on the first invoice: of a renewal's periods that is the one that begins at
    `first_at`. Amounts are in minor units of `currency`.
    """

    customer_id: str
    currency: str
    subscription_id: str | None = None
    items: tuple[ItemTerms, ...] = ()
    used: tuple[UsedPeriod, ...] = ()
    pending: tuple[PendingLine, ...] = ()
    coupons: tuple[HeldCoupon, ...] = ()
    tax: TaxTerms = TaxTerms()
    tax_rounding: Literal["invoice", "line"] = "invoice"
    product_classes: dict[str, str] = {}
    balance: int = 0
    minimum_charge: int = 0
    policy: DunningPolicy = DunningPolicy()
    payment_method_id: str | None = None
    first_at: datetime | None = None
