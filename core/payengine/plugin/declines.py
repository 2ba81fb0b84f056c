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
    """One code: its class and whether the same method may be tried again without the buyer.

    `other_gateway` says that another gateway may well take the same method at once: the refusal is
    the way's, or one that banks use for anything. `advice` is for people, in a sentence.
    """

    code: str
    decline_class: DeclineClass
    auto_retry_same_method: bool
    known: bool = True
    other_gateway: bool = False
    advice: str = ""


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

#: Not the money's and not the limits' refusals, which follow the card wherever it goes; and never
#: `duplicate_transaction`, behind which there may be a charge.
_OTHER_GATEWAY = frozenset(
    {
        "do_not_honor",
        "generic_decline",
        "issuer_not_available",
        "processing_error",
        "reenter_transaction",
        "try_again_later",
    }
)

_CLASS_ADVICE: dict[DeclineClass, str] = {
    "hard": "Ask for another payment method and never charge this one again.",
    "new_method": "Ask the buyer for another payment method, or to correct this one.",
    "customer_action": "Bring the buyer back to authenticate or to correct what was entered.",
    "soft": "Try again on another day, or ask the buyer for another payment method.",
    "technical": "Try again in a few minutes, or by another gateway.",
    "integration": "Check the gateway's settings; the buyer can do nothing about it.",
}
_ADVICE: dict[str, str] = {
    "incorrect_number": "Ask the buyer to enter the card again; never charge this number again.",
    "revocation_of_authorization": "The buyer withdrew consent: stop, and ask before charging.",
    "revocation_of_all_authorizations": "The buyer withdrew every consent: stop all charges.",
    "stop_payment_order": "The buyer stopped this payment at the bank: stop, and ask why.",
    "previously_declined_do_not_retry": "Stop: trying again costs fees. Ask for another method.",
    "fraudulent": "Do not tell the buyer why; ask for another payment method.",
    "merchant_blacklist": "The buyer is on your own list; do not tell them so.",
    "highest_risk_level": "Do not tell the buyer why; ask for another payment method.",
    "blocklist": "The card is on a list of blocked cards; ask for another payment method.",
    "expired_card": "Ask for the new card; an account updater may know it already.",
    "card_not_supported": "Ask for a card that allows this kind of purchase.",
    "currency_not_supported": "Offer another currency, or ask for another payment method.",
    "invalid_cvc": "Ask the buyer to enter the security code again.",
    "incorrect_cvc": "Ask the buyer to enter the security code again.",
    "invalid_expiry_year": "Ask the buyer to enter the year of expiry again.",
    "invalid_expiry_month": "Ask the buyer to enter the month of expiry again.",
    "authentication_required": "Bring the buyer back to authenticate (3-D Secure).",
    "online_or_offline_pin_required": "Bring the buyer back: the card wants its PIN.",
    "offline_pin_required": "Bring the buyer back: the card wants its PIN.",
    "approve_with_id": "Ask the buyer to call the bank, then try again.",
    "incorrect_zip": "Ask the buyer to correct the postal code.",
    "incorrect_address": "Ask the buyer to correct the address.",
    "incorrect_pin": "Ask the buyer to enter the PIN again.",
    "invalid_pin": "Ask the buyer to enter the PIN again.",
    "pin_try_exceeded": "Ask for another card: the PIN was tried too often.",
    "insufficient_funds": "Try again on another day, soon after payday at best.",
    "do_not_honor": "Another gateway may succeed; else try on another day or ask for another card.",
    "generic_decline": "Another gateway may succeed; else ask the buyer to call the bank.",
    "card_velocity_exceeded": "Try again tomorrow: the card's limit for this period is reached.",
    "withdrawal_count_limit_exceeded": "Try again tomorrow: the card was used too often.",
    "call_issuer": "Ask the buyer to call the bank, then try again.",
    "invalid_amount": "Check the amount with the bank or the gateway; a smaller one may pass.",
    "reenter_transaction": "Try once more, by another gateway at best.",
    "new_account_information_available": "Fetch the card's newer details, then try again.",
    "try_again_later": "Try again in a few minutes, or by another gateway.",
    "issuer_not_available": "Try again in a few minutes, or by another gateway.",
    "processing_error": "Try again in a few minutes, or by another gateway.",
    "duplicate_transaction": "Find the earlier charge first; only then try again.",
    "testmode_decline": "A test card met a live gateway, or the reverse: check the settings.",
    "live_mode_test_card": "Test cards pay in test worlds only.",
}

#: Every code of the taxonomy.
DECLINE_CODES: dict[str, DeclineRule] = {
    code: DeclineRule(
        code,
        kind,
        kind in _RETRIED,
        other_gateway=code in _OTHER_GATEWAY,
        advice=_ADVICE.get(code, _CLASS_ADVICE[kind]),
    )
    for kind, codes in _CODES.items()
    for code in codes
}


def decline_rule(code: str) -> DeclineRule:
    """The rule for `code`; one that is not in the taxonomy is soft, and not `known`.

    Dunning may retry an unknown code; a fallback of the same request never does: ask `known`.
    """
    return DECLINE_CODES.get(code) or DeclineRule(
        code, "soft", True, known=False, advice=_CLASS_ADVICE["soft"]
    )
