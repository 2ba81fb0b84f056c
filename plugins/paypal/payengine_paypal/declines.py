"""What does a refusal of PayPal's mean?

Four tables: issues that decline a payment, a card's processor codes, what a refused resource says
of itself, and refusals that prove that nothing was done. A code in none of them keeps its own name,
so that it is counted as unmapped. Sources: the issue codes of PayPal's OpenAPI descriptions (Orders
v2, Payments v2) and the page "Card decline errors" of its developer site.
"""

from __future__ import annotations

from payengine.plugin import Decline

from payengine_paypal.records import Problem

__all__ = [
    "IN_PROGRESS",
    "ISSUES",
    "NOT_PROCESSED",
    "OWN_REFUSALS",
    "PROCESSOR_CODES",
    "RESOURCE_CODES",
    "decline_of_code",
    "decline_of_problem",
]

#: issue → the engine's taxonomy.
ISSUES: dict[str, str] = {
    # the buyer's account or instrument
    "AGREEMENT_ALREADY_CANCELLED": "revocation_of_authorization",
    "ALIAS_DECLINED_BY_PROCESSOR": "generic_decline",
    "BILLING_ADDRESS_INVALID": "incorrect_address",
    "BILLING_AGREEMENT_NOT_FOUND": "invalid_account",
    "CARD_BRAND_NOT_SUPPORTED": "card_not_supported",
    "CARD_EXPIRED": "expired_card",
    "COMPLIANCE_VIOLATION": "transaction_not_allowed",
    "CONSENT_NEEDED": "authentication_required",
    "DECLINED_BY_RISK_FRAUD_FILTERS": "highest_risk_level",
    "DECLINED_DUE_TO_RELATED_TXN": "generic_decline",
    "DOMESTIC_TRANSACTION_REQUIRED": "transaction_not_allowed",
    "IDENTIFIER_NOT_FOUND": "invalid_account",
    "INSTRUMENT_DECLINED": "generic_decline",
    "INVALID_EXPIRY_DATE": "expired_card",
    "INVALID_SECURITY_CODE_LENGTH": "invalid_cvc",
    "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED": "card_velocity_exceeded",
    "MISMATCHED_VAULT_ID_TO_PAYMENT_SOURCE": "not_permitted",
    "ORDER_EXPIRED": "authentication_required",
    "ORDER_NOT_APPROVED": "authentication_required",
    "PAYEE_BLOCKED_TRANSACTION": "merchant_blacklist",
    "PAYER_ACCOUNT_LOCKED_OR_CLOSED": "invalid_account",
    "PAYER_ACCOUNT_RESTRICTED": "restricted_card",
    "PAYER_ACTION_REQUIRED": "authentication_required",
    "PAYER_CANNOT_PAY": "not_permitted",
    "PAYMENT_SOURCE_CANNOT_BE_USED": "not_permitted",
    "PAYMENT_SOURCE_DECLINED_BY_PROCESSOR": "generic_decline",
    "PAYMENT_SOURCE_INFO_CANNOT_BE_VERIFIED": "incorrect_address",
    "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING": "not_permitted",
    "REFERENCED_CARD_EXPIRED": "expired_card",
    "TOKEN_EXPIRED": "expired_card",
    "TOKEN_ID_NOT_FOUND": "invalid_account",
    "TRANSACTION_BLOCKED_BY_PAYEE": "merchant_blacklist",
    "TRANSACTION_LIMIT_EXCEEDED": "invalid_amount",
    "TRANSACTION_RECEIVING_LIMIT_EXCEEDED": "service_not_allowed",
    "TRANSACTION_REFUSED": "generic_decline",
    # captures
    "AUTHORIZATION_ALREADY_CAPTURED": "transaction_not_allowed",
    "AUTHORIZATION_DENIED": "generic_decline",
    "AUTHORIZATION_EXPIRED": "transaction_not_allowed",
    "AUTHORIZATION_VOIDED": "transaction_not_allowed",
    "AUTH_CAPTURE_CURRENCY_MISMATCH": "currency_not_supported",
    "MAX_CAPTURE_AMOUNT_EXCEEDED": "invalid_amount",
    "MAX_CAPTURE_COUNT_EXCEEDED": "transaction_not_allowed",
    # voids
    "CANNOT_BE_VOIDED": "transaction_not_allowed",
    "PREVIOUSLY_CAPTURED": "transaction_not_allowed",
    # refunds
    "CAPTURE_FULLY_REFUNDED": "invalid_amount",
    "MAX_NUMBER_OF_REFUNDS_EXCEEDED": "transaction_not_allowed",
    "PARTIAL_REFUND_NOT_ALLOWED": "transaction_not_allowed",
    "PENDING_CAPTURE": "try_again_later",
    "REFUND_AMOUNT_EXCEEDED": "invalid_amount",
    "REFUND_AMOUNT_TOO_LOW": "invalid_amount",
    "REFUND_CAPTURE_CURRENCY_MISMATCH": "currency_not_supported",
    "REFUND_FAILED_INSUFFICIENT_FUNDS": "insufficient_funds",
    "REFUND_IS_RESTRICTED": "transaction_not_allowed",
    "REFUND_NOT_ALLOWED": "transaction_not_allowed",
    "REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK": "transaction_not_allowed",
    "REFUND_TIME_LIMIT_EXCEEDED": "transaction_not_allowed",
    "TRANSACTION_DISPUTED": "transaction_not_allowed",
}

#: A card's processor code → the engine's taxonomy.
PROCESSOR_CODES: dict[str, str] = {
    "00N7": "incorrect_cvc",
    "0100": "call_issuer",
    "0390": "invalid_account",
    "0500": "do_not_honor",
    "0580": "not_permitted",
    "0800": "processing_error",
    "0880": "processing_error",
    "0890": "invalid_pin",
    "0960": "processing_error",
    "0R00": "stop_payment_order",
    "10BR": "generic_decline",
    "1300": "processing_error",
    "1310": "invalid_amount",
    "1312": "transaction_not_allowed",
    "1320": "currency_not_supported",
    "1330": "invalid_account",
    "1335": "invalid_account",
    "1350": "service_not_allowed",
    "1352": "restricted_card",
    "1380": "invalid_expiry_year",
    "1382": "invalid_cvc",
    "1393": "generic_decline",
    "5100": "generic_decline",
    "5110": "incorrect_cvc",
    "5120": "insufficient_funds",
    "5130": "invalid_pin",
    "5135": "pin_try_exceeded",
    "5140": "invalid_account",
    "5150": "pickup_card",
    "5160": "not_permitted",
    "5170": "incorrect_address",
    "5180": "restricted_card",
    "5190": "incorrect_address",
    "5200": "duplicate_transaction",
    "5210": "transaction_not_allowed",
    "5400": "expired_card",
    "5500": "incorrect_pin",
    "5650": "authentication_required",
    "5700": "transaction_not_allowed",
    "5710": "withdrawal_count_limit_exceeded",
    "5910": "issuer_not_available",
    "5920": "issuer_not_available",
    "5930": "restricted_card",
    "5950": "new_account_information_available",
    "6300": "invalid_account",
    "7700": "authentication_required",
    "7710": "authentication_required",
    "7900": "incorrect_pin",
    "8000": "processing_error",
    "9100": "try_again_later",
    "9500": "fraudulent",
    "9510": "security_violation",
    "9520": "stolen_card",
    "9530": "call_issuer",
    "9540": "restricted_card",
    "PCVV": "incorrect_cvc",
    "PP06": "invalid_account",
    "PPAB": "restricted_card",
    "PPAD": "incorrect_address",
    "PPAI": "invalid_amount",
    "PPCE": "card_not_supported",
    "PPRN": "previously_declined_do_not_retry",
}

#: What a resource says of itself that was refused: its status where it gives no reason, or one that
#: tells no more.
RESOURCE_CODES: dict[str, str] = {
    "CANCELLED": "generic_decline",
    "DECLINED": "generic_decline",
    "DENIED": "generic_decline",
    "FAILED": "generic_decline",
    "OTHER": "generic_decline",
    "VOIDED": "generic_decline",
}

_UNNAMED = "UNNAMED"

#: The plugin's own refusals: it sent nothing that could move money.
OWN_REFUSALS: tuple[str, ...] = (
    "AMOUNT_NOT_EXPRESSIBLE",
    "EXCEEDS_WHAT_IS_HELD",
    "NOTHING_HELD",
    "REFERENCE_NOT_READABLE",
)

#: Error names and issues with which PayPal says that it did nothing, and that are no decline.
NOT_PROCESSED: tuple[str, ...] = (
    "AUTHENTICATION_FAILURE",
    "AUTH_CAPTURE_NOT_ENABLED",
    "CANNOT_BE_ZERO_OR_NEGATIVE",
    "DECIMALS_NOT_SUPPORTED",
    "DECIMAL_PRECISION",
    "INVALID_ACCOUNT_STATUS",
    "INVALID_CURRENCY_CODE",
    "INVALID_PARAMETER_SYNTAX",
    "INVALID_PARAMETER_VALUE",
    "INVALID_REQUEST",
    "INVALID_RESOURCE_ID",
    "INVALID_STRING_LENGTH",
    "INVALID_STRING_MAX_LENGTH",
    "MALFORMED_REQUEST_JSON",
    "MAX_VALUE_EXCEEDED",
    "MISSING_REQUIRED_PARAMETER",
    "NOT_AUTHORIZED",
    "NOT_ELIGIBLE_FOR_TOKEN_PROCESSING",
    "NOT_ENABLED_FOR_CARD_PROCESSING",
    "NOT_ENABLED_TO_VAULT_PAYMENT_SOURCE",
    "NOT_SUPPORTED",
    "PAYEE_ACCOUNT_INVALID",
    "PAYEE_ACCOUNT_LOCKED_OR_CLOSED",
    "PAYEE_ACCOUNT_NOT_VERIFIED",
    "PAYEE_ACCOUNT_RESTRICTED",
    "PAYPAL_REQUEST_ID_REQUIRED",
    "PERMISSION_DENIED",
    "RATE_LIMIT_REACHED",
    "RESOURCE_NOT_FOUND",
    "UNSUPPORTED_INTENT",
    "UNSUPPORTED_INTENT_FOR_PAYMENT_SOURCE",
    "invalid_token",
    *OWN_REFUSALS,
)

#: The outcome of an earlier request is not known yet, or is the one that was looked for.
IN_PROGRESS: tuple[str, ...] = (
    "DUPLICATE_INVOICE_ID",
    "ORDER_COMPLETION_IN_PROGRESS",
    "PREVIOUS_REQUEST_IN_PROGRESS",
)


def decline_of_problem(problem: Problem) -> Decline:
    """The decline that an error with an issue tells of."""
    raw = problem.code
    return Decline(
        code=ISSUES.get(raw) or _unmapped(raw),
        raw_code=raw or _UNNAMED,
        raw_text=problem.text,
    )


def decline_of_code(*, processor: str, reason: str, status: str) -> Decline:
    """The decline that a resource with a refused status tells of.

    `processor` is a card's response code, `reason` the status details', `status` the resource's.
    """
    if processor:
        code = PROCESSOR_CODES.get(processor, f"processor_{processor.lower()[:32]}")
        return Decline(code=code, raw_code=processor, raw_text=reason)
    raw = reason or status
    code = ISSUES.get(raw) or RESOURCE_CODES.get(raw) or _unmapped(raw)
    return Decline(code=code, raw_code=raw or _UNNAMED)


def _unmapped(raw: str) -> str:
    """The name of a code in no table: the taxonomy knows none such, and counts it as unmapped."""
    return (raw or _UNNAMED).lower()[:64]
