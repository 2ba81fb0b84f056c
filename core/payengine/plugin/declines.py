"""Which reasons can a refusal have?

The engine's taxonomy of decline codes. A plugin maps what its provider says onto one of these and
keeps the provider's own words beside it.
"""

from __future__ import annotations

__all__ = ["DECLINE_CODES"]

#: Closed: every `Decline.code` is one of these; `generic_decline` where no other fits.
DECLINE_CODES = frozenset(
    {
        "approve_with_id",
        "authentication_required",
        "blocklist",
        "call_issuer",
        "card_not_supported",
        "card_velocity_exceeded",
        "currency_not_supported",
        "do_not_honor",
        "do_not_try_again",
        "duplicate_transaction",
        "expired_card",
        "fraudulent",
        "generic_decline",
        "highest_risk_level",
        "incorrect_address",
        "incorrect_cvc",
        "incorrect_number",
        "incorrect_pin",
        "incorrect_zip",
        "insufficient_funds",
        "invalid_account",
        "invalid_amount",
        "invalid_cvc",
        "invalid_expiry_month",
        "invalid_expiry_year",
        "invalid_pin",
        "issuer_not_available",
        "live_mode_test_card",
        "lost_card",
        "merchant_blacklist",
        "new_account_information_available",
        "no_action_taken",
        "not_permitted",
        "offline_pin_required",
        "online_or_offline_pin_required",
        "pickup_card",
        "pin_try_exceeded",
        "previously_declined_do_not_retry",
        "processing_error",
        "reenter_transaction",
        "restricted_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "security_violation",
        "service_not_allowed",
        "stolen_card",
        "stop_payment_order",
        "testmode_decline",
        "transaction_not_allowed",
        "try_again_later",
        "withdrawal_count_limit_exceeded",
    }
)
