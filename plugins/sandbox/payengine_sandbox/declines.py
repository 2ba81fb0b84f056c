"""Which refusals can a buyer's bank give?

The closed table of decline codes in the engine's taxonomy, with the words that the sandbox says
for each. Every code has the test token `tok_decline_<code>` and a magic amount.
"""

from __future__ import annotations

__all__ = ["DECLINES"]

#: code → what the provider says. The order is part of the contract: magic amounts count along it.
DECLINES: dict[str, str] = {
    "incorrect_number": "The number of the card is wrong.",
    "lost_card": "The card was reported lost.",
    "pickup_card": "The card must be kept by whoever holds it.",
    "stolen_card": "The card was reported stolen.",
    "revocation_of_authorization": "The buyer withdrew consent to this charge.",
    "revocation_of_all_authorizations": "The buyer withdrew consent to every charge of this shop.",
    "stop_payment_order": "The buyer told the bank to stop this payment.",
    "invalid_account": "The account behind the card does not exist.",
    "previously_declined_do_not_retry": "This was refused before and must not be tried again.",
    "restricted_card": "The card is restricted.",
    "security_violation": "The bank refused for a reason of security.",
    "fraudulent": "The bank believes this to be fraud.",
    "merchant_blacklist": "The buyer is on the shop's list of refused buyers.",
    "highest_risk_level": "The provider judged the risk too high.",
    "blocklist": "The card is on a list of blocked cards.",
    "expired_card": "The card has expired.",
    "card_not_supported": "The card does not support this kind of purchase.",
    "currency_not_supported": "The card does not support this currency.",
    "invalid_cvc": "The security code has a wrong form.",
    "incorrect_cvc": "The security code is wrong.",
    "invalid_expiry_year": "The year of expiry is wrong.",
    "invalid_expiry_month": "The month of expiry is wrong.",
    "not_permitted": "The bank does not permit this payment.",
    "transaction_not_allowed": "The card is not allowed to make this payment.",
    "service_not_allowed": "The card is not allowed to use this service.",
    "do_not_try_again": "The bank asks not to be tried again.",
    "no_action_taken": "The bank took no action.",
    "authentication_required": "The buyer must authenticate first.",
    "online_or_offline_pin_required": "The card's PIN is needed.",
    "offline_pin_required": "The card's PIN is needed at a terminal.",
    "approve_with_id": "The payment cannot be approved without an identification.",
    "incorrect_zip": "The postal code is wrong.",
    "incorrect_address": "The address is wrong.",
    "incorrect_pin": "The PIN is wrong.",
    "invalid_pin": "The PIN has a wrong form.",
    "pin_try_exceeded": "The PIN was tried too often.",
    "insufficient_funds": "The account does not hold enough.",
    "generic_decline": "The bank refused and gave no reason.",
    "do_not_honor": "The bank refused to honour the card.",
    "card_velocity_exceeded": "The card's limit for this period is reached.",
    "withdrawal_count_limit_exceeded": "The card was used too often in this period.",
    "call_issuer": "The buyer must call the bank.",
    "invalid_amount": "The amount cannot be accepted.",
    "reenter_transaction": "The bank could not process this and asks to enter it again.",
    "new_account_information_available": "The card or account has newer details.",
    "try_again_later": "The bank asks to try again later.",
    "issuer_not_available": "The bank could not be reached.",
    "processing_error": "An error happened while the card was processed.",
    "duplicate_transaction": "The same amount was taken from this card a moment ago.",
    "testmode_decline": "A test card was refused.",
    "live_mode_test_card": "A test card was used where only real cards are taken.",
}
