"""What do Stripe's objects look like? Every field of each, in the types that Stripe gives them."""

from __future__ import annotations

import itertools
import random
import string
import time
from typing import Any

from fake_stripe_cards import Card

__all__ = [
    "EXTRA_FIELDS",
    "balance_transaction",
    "charge",
    "customer",
    "dispute",
    "event",
    "listed",
    "new_id",
    "now",
    "payment_intent",
    "payment_method",
    "refund",
    "setup_intent",
    "uploaded_file",
]

Object = dict[str, Any]

#: What is answered beyond the published example objects: both are documented, and not always there.
EXTRA_FIELDS = frozenset({"payment_method_details.card.capture_before", "account"})

_LETTERS = string.ascii_letters + string.digits
_NUMBER = itertools.count(1)
_HOLD_S = 7 * 86_400


def new_id(prefix: str) -> str:
    """An id that no other object has."""
    tail = "".join(random.choices(_LETTERS, k=16))
    return f"{prefix}_{next(_NUMBER):06d}{tail}"


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())


def listed(url: str, data: list[Object], *, has_more: bool = False) -> Object:
    """A page of a list."""
    return {"object": "list", "url": url, "data": data, "has_more": has_more}


def payment_intent(params: Object, *, live: bool) -> Object:
    """A PaymentIntent as it is first made."""
    made = new_id("pi")
    return {
        "id": made,
        "object": "payment_intent",
        "amount": params["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": params.get("capture_method", "automatic_async"),
        "client_secret": f"{made}_secret_{new_id('x')[2:]}",
        "confirmation_method": "automatic",
        "created": now(),
        "currency": params["currency"],
        "customer": params.get("customer"),
        "customer_account": None,
        "description": params.get("description"),
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": live,
        "managed_payments": {"enabled": False},
        "metadata": dict(params.get("metadata") or {}),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": list(params.get("payment_method_types") or ["card"]),
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }


def setup_intent(params: Object, *, live: bool) -> Object:
    """A SetupIntent as it is first made."""
    made = new_id("seti")
    return {
        "id": made,
        "object": "setup_intent",
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": f"{made}_secret_{new_id('x')[2:]}",
        "created": now(),
        "customer": params.get("customer"),
        "description": None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": live,
        "mandate": None,
        "metadata": dict(params.get("metadata") or {}),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": list(params.get("payment_method_types") or ["card"]),
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": params.get("usage", "off_session"),
    }


def _billing_details() -> Object:
    names = ("city", "country", "line1", "line2", "postal_code", "state")
    address = dict.fromkeys(names)
    return {"address": address, "email": None, "name": None, "phone": None, "tax_id": None}


def _checks() -> Object:
    return {
        "address_line1_check": None,
        "address_postal_code_check": None,
        "cvc_check": "pass",
    }


def payment_method(card: Card, *, live: bool) -> Object:
    """A PaymentMethod of the type card."""
    return {
        "id": new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": _billing_details(),
        "card": {
            "brand": card.brand,
            "checks": _checks(),
            "country": card.country,
            "display_brand": card.brand,
            "exp_month": 8,
            "exp_year": 2034,
            "fingerprint": "f" + card.last4 * 3,
            "funding": card.funding,
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": None,
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": now(),
        "customer": None,
        "customer_account": None,
        "livemode": live,
        "metadata": {},
        "type": "card",
    }


def customer(params: Object, *, live: bool) -> Object:
    """A customer."""
    made = new_id("cus")
    return {
        "id": made,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": now(),
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": params.get("description"),
        "discount": None,
        "email": params.get("email"),
        "invoice_prefix": made[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": live,
        "metadata": dict(params.get("metadata") or {}),
        "name": params.get("name"),
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def charge(
    intent: Object, method: Object, card: Card, *, hold: bool, authenticated: bool
) -> Object:
    """A charge of the intent; `hold` for one that is not taken at once."""
    made = new_id("ch")
    return {
        "id": made,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "FAKE",
        "captured": False,
        "created": now(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": intent["livemode"],
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": None,
            "seller_message": "Payment complete.",
            "type": "authorized",
        },
        "paid": True,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {
            "card": _card_details(card, intent["amount"], hold, authenticated),
            "type": "card",
        },
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "refunds": listed(f"/v1/charges/{made}/refunds", []),
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    }


def _card_details(card: Card, amount: int, hold: bool, authenticated: bool) -> Object:
    three_d_secure = {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": "00000000-0000-0000-0000-000000000000",
        "version": "2.2.0",
    }
    details: Object = {
        "amount_authorized": amount,
        "authorization_code": None,
        "brand": card.brand,
        "checks": _checks(),
        "country": card.country,
        "exp_month": 8,
        "exp_year": 2034,
        "extended_authorization": {"status": "disabled"},
        "fingerprint": "f" + card.last4 * 3,
        "funding": card.funding,
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": card.last4,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card.brand,
        "network_token": {"used": False},
        "network_transaction_id": None,
        "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
        "regulated_status": None,
        "three_d_secure": three_d_secure if authenticated else None,
        "transaction_link_id": None,
        "wallet": None,
    }
    if hold:
        details["capture_before"] = now() + _HOLD_S
    return details


def refund(of: Object, amount: int, params: Object, *, status: str) -> Object:
    """A refund of a charge."""
    return {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": of["id"],
        "created": now(),
        "currency": of["currency"],
        "customer": of["customer"],
        "customer_account": None,
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": dict(params.get("metadata") or {}),
        "payment_intent": of["payment_intent"],
        "payment_method": of["payment_method"],
        "reason": params.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }


def balance_transaction(
    *, amount: int, currency: str, fee: int, kind: str, source: str, description: str | None
) -> Object:
    """A line of the account's books."""
    fees = [
        {
            "amount": fee,
            "application": None,
            "currency": currency,
            "description": "Stripe processing fees",
            "type": "stripe_fee",
        }
    ]
    return {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": now() + 2 * 86_400,
        "balance_type": "payments",
        "created": now(),
        "currency": currency,
        "description": description,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": fees if fee else [],
        "net": amount - fee,
        "reporting_category": {"adjustment": "dispute"}.get(kind, kind),
        "source": source,
        "status": "pending",
        "type": kind,
    }


_EVIDENCE = """
    access_activity_log billing_address cancellation_policy cancellation_policy_disclosure
    cancellation_rebuttal customer_communication customer_email_address customer_name
    customer_purchase_ip customer_signature duplicate_charge_documentation
    duplicate_charge_explanation duplicate_charge_id product_description receipt refund_policy
    refund_policy_disclosure refund_refusal_explanation service_date service_documentation
    shipping_address shipping_carrier shipping_date shipping_documentation
    shipping_tracking_number uncategorized_file uncategorized_text
""".split()  # noqa: SIM905


def dispute(of: Object, *, reason: str, inquiry: bool) -> Object:
    """A dispute of a charge, with its lines still to come."""
    case = "inquiry" if inquiry else "chargeback"
    brand = of["payment_method_details"]["card"]["brand"]
    card = {"brand": brand, "case_type": case, "network_reason_code": "10.4", "network": brand}
    return {
        "id": new_id("dp"),
        "object": "dispute",
        "amount": of["amount_captured"],
        "balance_transactions": [],
        "charge": of["id"],
        "created": now(),
        "currency": of["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(_EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": now() + 9 * 86_400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": of["livemode"],
        "metadata": {},
        "payment_intent": of["payment_intent"],
        "payment_method_details": {"card": card, "type": "card"},
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }


def uploaded_file(*, purpose: str, name: str, size: int, kind: str) -> Object:
    """A file that was uploaded."""
    made = new_id("file")
    return {
        "id": made,
        "object": "file",
        "created": now(),
        "expires_at": None,
        "filename": name,
        "links": listed(f"/v1/file_links?file={made}", []),
        "purpose": purpose,
        "size": size,
        "title": None,
        "type": kind,
        "url": f"https://files.stripe.com/v1/files/{made}/contents",
    }


def event(kind: str, about: Object, *, live: bool, key: str | None, account: str | None) -> Object:
    """An event about an object as it now stands."""
    made: Object = {
        "id": new_id("evt"),
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": now(),
        "data": {"object": about},
        "livemode": live,
        "pending_webhooks": 1,
        "request": {"id": new_id("req"), "idempotency_key": key},
        "type": kind,
    }
    return {**made, "account": account} if account else made
