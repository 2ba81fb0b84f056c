"""What does PayPal know of a merchant's orders, holds, captures and refunds?

The resources and how they are shown. Amounts are whole numbers of the smallest unit that PayPal
writes: cents, or yen, forints and new dollars.
"""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fake_paypal_problems import Problem, bad, refused

__all__ = [
    "HOLD_LIVES",
    "HONOR",
    "Capture",
    "Event",
    "Hold",
    "Merchant",
    "Order",
    "RefundRow",
    "Setup",
    "money_of",
    "read_money",
]

WHOLE = {"HUF", "JPY", "TWD"}
_WITH_CENTS = "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD ILS MXN MYR NOK NZD PHP PLN SEK SGD THB USD"
CURRENCIES = WHOLE.union(_WITH_CENTS.split(" "))
HONOR = timedelta(days=3)
HOLD_LIVES = timedelta(days=29)
_VALUE = re.compile(r"([0-9]{1,15})(?:\.([0-9]+))?")
_PAYER = "QYR5Z8XDVJNXQ"


def money_of(units: int, currency: str) -> dict[str, str]:
    """The amount as JSON shows it."""
    text = str(units) if currency in WHOLE else f"{units // 100}.{units % 100:02}"
    return {"currency_code": currency, "value": text}


def read_money(given: Any) -> tuple[int, str]:
    """The smallest units and the currency of a JSON amount."""
    if not isinstance(given, dict) or not isinstance(given.get("value"), str):
        raise bad("MISSING_REQUIRED_PARAMETER", "/amount")
    currency, found = given.get("currency_code"), _VALUE.fullmatch(given["value"])
    if found is None:
        raise bad("INVALID_PARAMETER_SYNTAX", "/amount/value")
    if currency not in CURRENCIES:
        raise refused("INVALID_CURRENCY_CODE")
    part = found[2] or ""
    if len(part) > 2 or (currency in WHOLE and part.strip("0")):
        raise refused("DECIMAL_PRECISION")
    units = int(found[1])
    if currency not in WHOLE:
        units = units * 100 + int(part.ljust(2, "0") or "0")
    if units <= 0:
        raise refused("CANNOT_BE_ZERO_OR_NEGATIVE")
    return units, str(currency)


def new_id(length: int = 17) -> str:
    """An id as PayPal makes them."""
    alphabet = string.digits + string.ascii_uppercase
    return "".join(secrets.choice(alphabet) for _ in range(length))


def stamp(at: datetime) -> str:
    """The instant as JSON shows it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Hold:
    """An authorization; `parent` is the one that it renews."""

    id: str
    units: int
    at: datetime
    ends: datetime
    status: str = "CREATED"
    parent: str | None = None


@dataclass
class Capture:
    """Money that was taken."""

    id: str
    units: int
    at: datetime
    status: str
    invoice_id: str | None
    hold: str | None = None
    final: bool = True
    processor: str = ""
    settles: datetime | None = None


@dataclass
class RefundRow:
    """Money that was given back."""

    id: str
    units: int
    at: datetime
    capture: str
    status: str = "COMPLETED"
    custom_id: str | None = None
    invoice_id: str | None = None
    note: str | None = None


@dataclass
class Order:
    """An order and everything that hangs on it."""

    id: str
    intent: str
    currency: str
    units: int
    at: datetime
    status: str
    custom_id: str | None
    invoice_id: str | None
    description: str | None
    source: dict[str, Any]
    holds: list[Hold] = field(default_factory=list)
    captures: list[Capture] = field(default_factory=list)
    refunds: list[RefundRow] = field(default_factory=list)
    behaves: str = ""

    def hold(self, hold_id: str) -> Hold | None:
        """The hold of this id."""
        return next((hold for hold in self.holds if hold.id == hold_id), None)

    def taken(self) -> int:
        """What was captured."""
        lost = ("DECLINED", "FAILED")
        return sum(each.units for each in self.captures if each.status not in lost)

    def given(self, capture: Capture) -> int:
        """What was refunded of a capture."""
        return sum(each.units for each in self.refunds if each.capture == capture.id)


@dataclass
class Setup:
    """A setup token, or the payment token that it became."""

    id: str
    status: str = "PAYER_ACTION_REQUIRED"
    context: dict[str, Any] = field(default_factory=dict)


@dataclass
class Event:
    """A webhook event."""

    id: str
    kind: str
    at: datetime
    resource: dict[str, Any]

    def body(self, base: str) -> dict[str, Any]:
        """The body that is delivered."""
        return {
            "id": self.id,
            "event_version": "1.0",
            "create_time": self.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "resource_type": self.kind.split(".")[1].lower(),
            "resource_version": "2.0",
            "event_type": self.kind,
            "summary": self.kind.replace(".", " ").capitalize(),
            "resource": self.resource,
            "links": [
                {
                    "href": f"{base}/v1/notifications/webhooks-events/{self.id}",
                    "rel": "self",
                    "method": "GET",
                }
            ],
        }


class Merchant:
    """One client id's books."""

    def __init__(self, client_id: str, base: str) -> None:
        self.client_id = client_id
        self.base = base
        self.orders: dict[str, Order] = {}
        self.tokens: dict[str, Setup] = {}
        self.setups: dict[str, Setup] = {}
        self.disputes: dict[str, dict[str, Any]] = {}
        self.invoices: dict[str, str] = {}
        self.events: list[Event] = []
        self.secrets: set[str] = set()

    def find(self, kind: str, resource_id: str) -> tuple[Order, Any] | None:
        """The order and its hold, capture or refund of this id."""
        for order in self.orders.values():
            for each in getattr(order, kind):
                if each.id == resource_id:
                    return order, each
        return None

    def use_invoice(self, invoice_id: str | None, owner: str) -> None:
        """The account insists on unique invoices."""
        if invoice_id is None:
            return
        if self.invoices.get(invoice_id, owner) != owner:
            raise refused("DUPLICATE_INVOICE_ID")
        self.invoices[invoice_id] = owner

    def tell(self, kind: str, resource: dict[str, Any], at: datetime) -> None:
        """An event for the webhooks."""
        self.events.append(Event(f"WH-{new_id()}-{new_id()}", kind, at, resource))

    # -- how things are shown -----------------------------------------------------------------

    def show_order(self, order: Order) -> dict[str, Any]:
        """The whole representation."""
        unit: dict[str, Any] = {
            "reference_id": "default",
            "amount": money_of(order.units, order.currency),
            "payee": {"email_address": "merchant@example.com", "merchant_id": "YK3Z2H5VXL8SJ"},
        }
        for name in ("custom_id", "invoice_id", "description"):
            if getattr(order, name) is not None:
                unit[name] = getattr(order, name)
        payments = {
            "authorizations": [self.show_hold(order, hold) for hold in order.holds],
            "captures": [self.show_capture(order, each) for each in order.captures],
            "refunds": [self.show_refund(order, each) for each in order.refunds],
        }
        present = {name: rows for name, rows in payments.items() if rows}
        if present:
            unit["payments"] = present
        shown: dict[str, Any] = {
            "id": order.id,
            "intent": order.intent,
            "status": order.status,
            "purchase_units": [unit],
            "create_time": stamp(order.at),
            "links": self._order_links(order),
        }
        if "card" in order.source:
            shown["payment_source"] = {"card": {"last_digits": "1111", "brand": "VISA"}}
        elif order.status in ("APPROVED", "COMPLETED"):
            shown["payment_source"] = {
                "paypal": {"email_address": "buyer@example.com", "account_id": _PAYER}
            }
        return shown

    def _order_links(self, order: Order) -> list[dict[str, str]]:
        own = f"{self.base}/v2/checkout/orders/{order.id}"
        links = [{"href": own, "rel": "self", "method": "GET"}]
        if order.status in ("CREATED", "PAYER_ACTION_REQUIRED"):
            page = f"{self.base}/checkoutnow?token={order.id}"
            links.append({"href": page, "rel": "payer-action", "method": "GET"})
        if order.status == "APPROVED":
            verb = order.intent.lower()
            links.append({"href": f"{own}/{verb}", "rel": verb, "method": "POST"})
        return links

    def _common(self, order: Order, row: Any, kind: str) -> dict[str, Any]:
        return {
            "id": row.id,
            "status": row.status,
            "amount": money_of(row.units, order.currency),
            "create_time": stamp(row.at),
            "update_time": stamp(row.at),
            "links": [
                {"href": f"{self.base}/v2/payments/{kind}/{row.id}", "rel": "self", "method": "GET"}
            ],
        }

    def show_hold(self, order: Order, hold: Hold) -> dict[str, Any]:
        """An authorization."""
        related = {"order_id": order.id}
        if hold.parent:
            related["authorization_id"] = hold.parent
        shown = self._common(order, hold, "authorizations") | {
            "seller_protection": {"status": "ELIGIBLE"},
            "expiration_time": stamp(hold.ends),
            "supplementary_data": {"related_ids": related},
        }
        return shown | self._names(order, order.invoice_id)

    def show_capture(self, order: Order, capture: Capture) -> dict[str, Any]:
        """A capture, with its fee once it is complete."""
        related = {"order_id": order.id}
        shown = self._common(order, capture, "captures")
        if capture.hold:
            related["authorization_id"] = capture.hold
            link = f"{self.base}/v2/payments/authorizations/{capture.hold}"
            shown["links"].append({"href": link, "rel": "up", "method": "GET"})
        shown |= {
            "final_capture": capture.final,
            "seller_protection": {"status": "ELIGIBLE"},
            "supplementary_data": {"related_ids": related},
        } | self._names(order, capture.invoice_id)
        if capture.status == "PENDING":
            shown["status_details"] = {"reason": "ECHECK"}
        if capture.processor:
            shown["processor_response"] = {"response_code": capture.processor}
        if capture.status in ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"):
            fee = self.fee_of(order, capture)
            shown["seller_receivable_breakdown"] = {
                "gross_amount": money_of(capture.units, order.currency),
                "paypal_fee": money_of(fee, order.currency),
                "net_amount": money_of(capture.units - fee, order.currency),
            }
        return shown

    def fee_of(self, order: Order, capture: Capture) -> int:
        """What PayPal keeps: 3.49 % and 49 of the smallest units, never more than all."""
        return min(capture.units * 349 // 10_000 + 49, capture.units)

    def show_refund(self, order: Order, refund: RefundRow) -> dict[str, Any]:
        """A refund."""
        up = f"{self.base}/v2/payments/captures/{refund.capture}"
        shown = self._common(order, refund, "refunds")
        shown["links"].append({"href": up, "rel": "up", "method": "GET"})
        for name, value in (
            ("custom_id", refund.custom_id),
            ("invoice_id", refund.invoice_id),
            ("note_to_payer", refund.note),
        ):
            if value is not None:
                shown[name] = value
        return shown

    def _names(self, order: Order, invoice_id: str | None) -> dict[str, str]:
        named = {"custom_id": order.custom_id, "invoice_id": invoice_id}
        return {name: value for name, value in named.items() if value is not None}

    def show_token(self, token: Setup, *, kept: bool) -> dict[str, Any]:
        """A setup token or a payment token."""
        path = "payment-tokens" if kept else "setup-tokens"
        own = f"{self.base}/v3/vault/{path}/{token.id}"
        links = [{"href": own, "rel": "self", "method": "GET"}]
        if not kept and token.status == "PAYER_ACTION_REQUIRED":
            page = f"{self.base}/agreements/approve?approval_session_id={token.id}"
            links.append({"href": page, "rel": "approve", "method": "GET"})
        shown: dict[str, Any] = {"id": token.id, "links": links}
        if not kept:
            shown["status"] = token.status
        if kept or token.status != "PAYER_ACTION_REQUIRED":
            wallet = {"email_address": "buyer@example.com", "account_id": _PAYER}
            shown["payment_source"] = {"paypal": wallet}
        return shown

    # -- sums that tests compare --------------------------------------------------------------

    def sums(self) -> list[dict[str, Any]]:
        """Per order: what was taken, kept as fees and given back, under which key."""
        done = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")
        found = []
        for order in self.orders.values():
            captures = [each for each in order.captures if each.status in done]
            found.append(
                {
                    "id": order.id,
                    "key": order.custom_id,
                    "status": order.status,
                    "currency": order.currency,
                    "captures": [[each.invoice_id, each.units] for each in captures],
                    "refunds": [[each.custom_id, each.units] for each in order.refunds],
                    "fees": sum(self.fee_of(order, each) for each in captures),
                    "holds": [[each.id, each.status, each.parent] for each in order.holds],
                }
            )
        return found


def issue_of(token: str) -> Problem | None:
    """A token `issue_<NAME>` makes PayPal refuse with that issue."""
    name = token.removeprefix("issue_")
    return refused(name) if name != token else None
