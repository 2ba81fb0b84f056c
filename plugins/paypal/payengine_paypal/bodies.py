"""What is asked of PayPal, word by word?

Pure: the same request makes the same body, so that the same PayPal-Request-Id always carries the
same words. Our key is the `custom_id` of orders and refunds and the `invoice_id` of captures of a
hold: by these they are found again.
"""

from __future__ import annotations

from typing import Any

from payengine.plugin import Amount, Authorize, Capture, PaymentMethod

from payengine_paypal.amounts import value_of
from payengine_paypal.outcomes import CANCELED_MARK

__all__ = [
    "CARD_KIND",
    "REDIRECT_TOKEN",
    "cancel_patches",
    "capture_body",
    "money",
    "order_body",
    "refund_body",
]

#: The token with which a buyer approves at PayPal; every other one is an id of PayPal's vault.
REDIRECT_TOKEN = "paypal"  # noqa: S105
#: A method of this kind is a card in PayPal's vault.
CARD_KIND = "paypal_card"

_LONGEST_TEXT = 127
_LONGEST_NOTE = 255


def money(amount: Amount) -> dict[str, str]:
    """The amount as PayPal writes it; raises `InexpressibleAmount`."""
    return {"currency_code": amount.currency, "value": value_of(amount)}


def order_body(request: Authorize, *, brand: str = "") -> dict[str, Any]:
    """The order that an authorization creates; raises `InexpressibleAmount`."""
    unit: dict[str, Any] = {
        "reference_id": "default",
        "custom_id": request.key,
        # Where the merchant's account insists on unique invoices, no payment is ever paid twice.
        "invoice_id": request.payment_id,
        "amount": money(request.amount),
    }
    if request.description:
        unit["description"] = request.description[:_LONGEST_TEXT]
    return {
        "intent": "CAPTURE" if request.capture else "AUTHORIZE",
        "purchase_units": [unit],
        "payment_source": _source(request, brand),
    }


def capture_body(request: Capture) -> dict[str, Any]:
    """The capture of a hold; raises `InexpressibleAmount`."""
    return {
        "amount": money(request.amount),
        "invoice_id": request.key,
        "final_capture": request.final,
    }


def refund_body(amount: Amount, *, key: str, invoice_id: str, reason: str | None) -> dict[str, Any]:
    """The refund of a capture; raises `InexpressibleAmount`."""
    body: dict[str, Any] = {
        "amount": money(amount),
        "custom_id": key,
        "invoice_id": invoice_id,
    }
    if reason:
        body["note_to_payer"] = reason[:_LONGEST_NOTE]
    return body


def cancel_patches(*, key: str, intent: str) -> list[dict[str, Any]]:
    """What makes an order that waits for its buyer one that nobody can take further.

    The mark keeps later lookups from it. The other intent stops one that has read the order
    before: PayPal refuses an action that does not match the intent.
    """
    unit = "/purchase_units/@reference_id=='default'"
    other = "AUTHORIZE" if intent == "CAPTURE" else "CAPTURE"
    return [
        {"op": "replace", "path": "/intent", "value": other},
        {"op": "replace", "path": f"{unit}/custom_id", "value": f"{CANCELED_MARK}{key}"},
    ]


def _source(request: Authorize, brand: str) -> dict[str, Any]:
    method: PaymentMethod = request.payment_method
    if method.kind == CARD_KIND:
        stored = {
            "payment_initiator": "MERCHANT" if request.off_session else "CUSTOMER",
            "payment_type": "UNSCHEDULED" if request.off_session else "ONE_TIME",
            "usage": "SUBSEQUENT",
        }
        return {"card": {"vault_id": method.token, "stored_credential": stored}}
    if method.token != REDIRECT_TOKEN:
        return {"paypal": {"vault_id": method.token}}
    context: dict[str, Any] = {"shipping_preference": "NO_SHIPPING", "user_action": "PAY_NOW"}
    if request.return_url:
        context |= {"return_url": request.return_url, "cancel_url": request.return_url}
    if brand:
        context["brand_name"] = brand
    return {"paypal": {"experience_context": context}}
