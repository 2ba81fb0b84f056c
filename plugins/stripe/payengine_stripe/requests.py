"""What exactly is sent to Stripe?

Pure: the same request of the engine makes the same parameters, because Stripe refuses a key that
comes with others.
"""

from __future__ import annotations

from typing import Any

from payengine.plugin import Authorize, Capture, PaymentMethod, Refund

from payengine_stripe.marks import (
    CAPTURE,
    INCREMENT,
    mark,
    metadata_of_authorization,
    metadata_of_refund,
)
from payengine_stripe.settings import StripeSettings

__all__ = [
    "EXPAND",
    "METHOD_TYPES",
    "cancel_params",
    "capture_params",
    "increment_params",
    "intent_params",
    "method_params",
    "refund_params",
    "split_token",
]

#: The kinds of payment method that are taken → Stripe's types. A wallet's token is a card there,
#: and so is Link's, unless the buyer pays from a bank account.
METHOD_TYPES: dict[str, list[str]] = {
    "card": ["card"],
    "apple_pay": ["card"],
    "google_pay": ["card"],
    "link": ["card", "link"],
}

#: What each answer about a PaymentIntent shows in full: the charge, its fee and the hold's end.
EXPAND = ["latest_charge.balance_transaction"]

_REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})


def split_token(token: str) -> tuple[str | None, str]:
    """The customer and the method of a saved token `cus_…/pm_…`; no customer in any other."""
    customer, slash, method = token.partition("/")
    return (customer, method) if slash and customer.startswith("cus_") else (None, token)


def method_params(method: PaymentMethod) -> dict[str, Any]:
    """The parameters that name what the buyer pays with."""
    customer, token = split_token(method.token)
    named: dict[str, Any] = {"payment_method_types": METHOD_TYPES.get(method.kind, ["card"])}
    if customer is not None:
        named["customer"] = customer
    if token.startswith("tok_"):
        named["payment_method_data"] = {"type": "card", "card": {"token": token}}
    elif token.startswith("ctoken_"):
        named["confirmation_token"] = token
    else:
        named["payment_method"] = token
    return named


def intent_params(
    request: Authorize, settings: StripeSettings, *, minor: int, method: PaymentMethod
) -> dict[str, Any]:
    """Make and confirm a PaymentIntent of `minor`, in Stripe's count."""
    params: dict[str, Any] = {
        "amount": minor,
        "currency": request.amount.currency.lower(),
        "confirm": True,
        "capture_method": "automatic" if request.capture else "manual",
        "metadata": metadata_of_authorization(request),
        "expand": EXPAND,
        **method_params(method),
    }
    return_url = request.return_url or settings.return_url
    if request.off_session:
        params["off_session"] = True
    elif return_url:
        params["return_url"] = return_url
    else:
        params["error_on_requires_action"] = True
    if request.description:
        params["description"] = request.description
    wanted = {"request_multicapture": settings.multicapture}
    wanted["request_incremental_authorization"] = settings.increments
    card = {name: "if_available" for name, is_on in wanted.items() if is_on}
    if request.capture:
        card = {}
    if request.challenge and not request.off_session:
        card["request_three_d_secure"] = "challenge"
    if card:
        params["payment_method_options"] = {"card": card}
    return params


def capture_params(request: Capture, *, minor: int) -> dict[str, Any]:
    """Take `minor`; Stripe releases the rest unless told not to."""
    params: dict[str, Any] = {
        "amount_to_capture": minor,
        "metadata": mark(CAPTURE, request.key, minor),
        "expand": EXPAND,
    }
    if not request.final:
        params["final_capture"] = False
    return params


def cancel_params() -> dict[str, Any]:
    """Release what is held, or end what waits for the buyer."""
    return {"cancellation_reason": "requested_by_customer", "expand": EXPAND}


def refund_params(request: Refund, *, minor: int) -> dict[str, Any]:
    """Give `minor` back; a reason in Stripe's words goes to Stripe, any other stands in a note."""
    params: dict[str, Any] = {
        "payment_intent": request.provider_reference,
        "amount": minor,
        "metadata": metadata_of_refund(request),
    }
    if request.reason in _REASONS:
        params["reason"] = request.reason
    return params


def increment_params(key: str, *, minor: int, total: int) -> dict[str, Any]:
    """Raise the hold by `minor` to `total`."""
    return {"amount": total, "metadata": mark(INCREMENT, key, minor), "expand": EXPAND}
