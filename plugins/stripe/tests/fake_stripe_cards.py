"""What does each of Stripe's test payment methods do?

By the names of Stripe's own test mode (https://docs.stripe.com/testing), so that the same tokens
work against it. `pm_fake_…` are the fake's own, for what Stripe's test mode cannot be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["CARDS", "Card", "card_of"]


@dataclass(frozen=True, kw_only=True)
class Card:
    """How charges of a payment method end.

    `code` and `decline_code` are of the refusal; `challenge` is "always", "until_saved" or ""; the
    refusal comes after the challenge. `dispute` is the reason with which a buyer will dispute the
    charge, `inquiry` says that it stays an inquiry. `refund` is how refunds end at first.
    """

    brand: str = "visa"
    last4: str = "4242"
    funding: str = "credit"
    country: str = "US"
    code: str = ""
    decline_code: str = ""
    message: str = "Your card was declined."
    advice_code: str | None = None
    challenge: str = ""
    dispute: str = ""
    inquiry: bool = False
    refund: str = "succeeded"
    processing: bool = False
    flexible: bool = True


def _declined(last4: str, decline_code: str, **more: str) -> Card:
    return replace(Card(last4=last4, code="card_declined", decline_code=decline_code), **more)  # type: ignore[arg-type]


_DECLINES = {
    "chargeDeclined": _declined("0002", "generic_decline"),
    "chargeDeclinedInsufficientFunds": _declined(
        "9995", "insufficient_funds", message="Your card has insufficient funds."
    ),
    "chargeDeclinedLostCard": _declined("9987", "lost_card"),
    "chargeDeclinedStolenCard": _declined("9979", "stolen_card"),
    "chargeDeclinedFraudulent": _declined("0019", "fraudulent"),
    "chargeDeclinedVelocityLimitExceeded": _declined("6975", "card_velocity_exceeded"),
    "chargeDeclinedExpiredCard": Card(
        last4="0069", code="expired_card", message="Your card has expired."
    ),
    "chargeDeclinedIncorrectCvc": Card(
        last4="0127", code="incorrect_cvc", message="Your card's security code is incorrect."
    ),
    "chargeDeclinedProcessingError": Card(
        last4="0119", code="processing_error", message="An error occurred while processing it."
    ),
}

#: Every test payment method by its name without `pm_card_` or `tok_`.
CARDS: dict[str, Card] = {
    "visa": Card(),
    "visa_debit": Card(last4="5556", funding="debit"),
    "mastercard": Card(brand="mastercard", last4="4444"),
    "mastercard_debit": Card(brand="mastercard", last4="8210", funding="debit"),
    "mastercard_prepaid": Card(brand="mastercard", last4="5100", funding="prepaid"),
    "amex": Card(brand="amex", last4="8431"),
    "discover": Card(brand="discover", last4="9424"),
    "diners": Card(brand="diners", last4="0004", flexible=False),
    "jcb": Card(brand="jcb", last4="0505", flexible=False),
    "unionpay": Card(brand="unionpay", last4="0005", flexible=False),
    "de": Card(last4="0016", country="DE"),
    **_DECLINES,
    **{f"visa_{name}": card for name, card in _DECLINES.items()},
    "chargeCustomerFail": _declined("0341", "generic_decline"),
    "radarBlock": _declined("0101", "fraudulent", advice_code="do_not_try_again"),
    "threeDSecure2Required": Card(last4="3220", challenge="always"),
    "threeDSecureRequired": Card(last4="3063", challenge="always"),
    "threeDSecureOptional": Card(last4="3055"),
    "threeDSecureRequiredChargeDeclined": replace(
        _DECLINES["chargeDeclined"], last4="8402", challenge="always"
    ),
    "authenticationRequired": Card(last4="3184", challenge="always"),
    "authenticationRequiredOnSetup": Card(last4="3155", challenge="until_saved"),
    "authenticationRequiredChargeDeclinedInsufficientFunds": replace(
        _DECLINES["chargeDeclinedInsufficientFunds"], last4="8260", challenge="always"
    ),
    "createDispute": Card(last4="0259", dispute="fraudulent"),
    "createDisputeProductNotReceived": Card(last4="2685", dispute="product_not_received"),
    "createDisputeInquiry": Card(last4="1976", dispute="fraudulent", inquiry=True),
    "pendingRefund": Card(last4="7726", refund="pending"),
    "refundFail": Card(last4="5126", refund="failing"),
}


def card_of(token: str) -> Card | None:
    """The card behind a test token; None for a token that stands for nothing."""
    for prefix in ("pm_card_", "tok_"):
        if token.startswith(prefix) and token.removeprefix(prefix) in CARDS:
            return CARDS[token.removeprefix(prefix)]
    if token == "pm_fake_processing":
        return Card(processing=True)
    if token.startswith("pm_fake_decline_"):
        return _declined("0000", token.removeprefix("pm_fake_decline_"))
    return None
