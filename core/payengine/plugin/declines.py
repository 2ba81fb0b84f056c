"""What does a decline mean for the next try?

The closed taxonomy into which every provider's codes are mapped. `hard`: never present this card
again. `new_method`: another or an updated method may work. `customer_action`: the buyer has to do
something on session. `soft`: the same method may work later. `technical`: a short retry, or another
provider, before it counts as a decline. `integration`: the tenant's set-up is at fault.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["DECLINE_CODES", "DeclineClass", "DeclineRule", "decline_rule"]

DeclineClass = Literal["hard", "new_method", "customer_action", "soft", "technical", "integration"]


class DeclineRule(msgspec.Struct, frozen=True):
    """One code: its class and whether the same method may be tried again without the buyer."""

    code: str
    decline_class: DeclineClass
    auto_retry_same_method: bool
    known: bool = True


_CODES: dict[DeclineClass, tuple[str, ...]] = {
    "hard": (
        "incorrect_number",
        "lost_card",
        "pickup_card",
        "stolen_card",
        "revocation_of_authorization",
        "revocation_of_all_authorizations",
        "stop_payment_order",
        "invalid_account",
        "previously_declined_do_not_retry",
        "restricted_card",
        "security_violation",
        "fraudulent",
        "merchant_blacklist",
        "highest_risk_level",
        "blocklist",
    ),
    "new_method": (
        "expired_card",
        "card_not_supported",
        "currency_not_supported",
        "invalid_cvc",
        "incorrect_cvc",
        "invalid_expiry_year",
        "invalid_expiry_month",
        "not_permitted",
        "transaction_not_allowed",
        "service_not_allowed",
        "do_not_try_again",
        "no_action_taken",
    ),
    "customer_action": (
        "authentication_required",
        "online_or_offline_pin_required",
        "offline_pin_required",
        "approve_with_id",
        "incorrect_zip",
        "incorrect_address",
        "incorrect_pin",
        "invalid_pin",
        "pin_try_exceeded",
    ),
    "soft": (
        "insufficient_funds",
        "generic_decline",
        "do_not_honor",
        "card_velocity_exceeded",
        "withdrawal_count_limit_exceeded",
        "call_issuer",
        "invalid_amount",
        "reenter_transaction",
        "new_account_information_available",
    ),
    "technical": (
        "try_again_later",
        "issuer_not_available",
        "processing_error",
        "duplicate_transaction",
    ),
    "integration": (
        "testmode_decline",
        "live_mode_test_card",
    ),
}
_RETRIED: frozenset[DeclineClass] = frozenset({"soft", "technical"})

#: Every code of the taxonomy.
DECLINE_CODES: dict[str, DeclineRule] = {
    code: DeclineRule(code, kind, kind in _RETRIED)
    for kind, codes in _CODES.items()
    for code in codes
}


def decline_rule(code: str) -> DeclineRule:
    """The rule for `code`; one that is not in the taxonomy is soft, and not `known`.

    Dunning may retry an unknown code; a fallback of the same request never does: ask `known`.
    """
    return DECLINE_CODES.get(code) or DeclineRule(code, "soft", True, known=False)
