"""What does Stripe's refusal mean in the engine's taxonomy?

The taxonomy's codes are mostly Stripe's own words; the rest is mapped here. A code that neither
knows is passed on as it is: the engine counts it and lets no fallback follow
(https://docs.stripe.com/declines/codes, https://docs.stripe.com/error-codes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from payengine.plugin import DECLINE_CODES, Decline, decline_rule

__all__ = ["ALIASES", "decline_of"]

#: Stripe's decline and error codes → the taxonomy's, where the words differ.
ALIASES: dict[str, str] = {
    "amount_too_large": "invalid_amount",
    "amount_too_small": "invalid_amount",
    "authentication_not_handled": "authentication_required",
    "card_decline_rate_limit_exceeded": "card_velocity_exceeded",
    "card_declined": "generic_decline",
    "invalid_charge_amount": "invalid_amount",
    "invalid_number": "incorrect_number",
    "mobile_device_authentication_required": "authentication_required",
    "payment_intent_authentication_failure": "authentication_required",
    "payment_method_currency_mismatch": "currency_not_supported",
    "payment_method_customer_decline": "generic_decline",
    "payment_method_not_available": "issuer_not_available",
    "payment_method_provider_decline": "generic_decline",
    "payment_method_provider_timeout": "processing_error",
    "postal_code_invalid": "incorrect_zip",
    "setup_intent_authentication_failure": "authentication_required",
}
#: The card network's own word, before which every other code that would be tried again gives way.
_STOP = "do_not_try_again"
_NO_METHOD = "invalid_account"


def decline_of(error: Mapping[str, Any]) -> Decline:
    """Put Stripe's error object into our words; `raw_code` is the most precise code it has."""
    code = _text(error.get("code"))
    raw = _text(error.get("decline_code")) or code or _text(error.get("type")) or "unnamed"
    mapped = raw if raw in DECLINE_CODES else ALIASES.get(raw, raw)
    if code == "resource_missing" and _text(error.get("param")).startswith("payment_method"):
        mapped = _NO_METHOD
    if _text(error.get("advice_code")) == _STOP and decline_rule(mapped).auto_retry_same_method:
        mapped = _STOP
    return Decline(code=mapped[:64], raw_code=raw, raw_text=_text(error.get("message")))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
