"""What does the sandbox make of a network token?

It has no network to ask, so it checks the form and goes on with one of its own test tokens: the
number itself stays here and reaches neither the books nor the wire. A few numbers of no card act
as test tokens do.
"""

from __future__ import annotations

from datetime import UTC, datetime

from payengine.plugin import NetworkToken, PaymentMethod

from payengine_sandbox.cards import MAGIC_TOKEN

__all__ = ["NETWORK_NUMBERS", "token_for"]

#: Numbers that act by themselves; every other one with a right check digit is approved.
NETWORK_NUMBERS = {
    "4000000000000002": "tok_decline_generic_decline",
    "4000000000009995": "tok_decline_insufficient_funds",
    "4000000000003220": "tok_challenge",
    "4000000000000077": MAGIC_TOKEN,
}


def token_for(method: PaymentMethod, *, at: datetime | None = None) -> str:
    """The test token that stands for the method; `at` is the wall's instant."""
    token = method.network_token
    if token is None:
        return method.token
    now = at or datetime.now(UTC)
    if (token.expiry_year, token.expiry_month) < (now.year, now.month):
        return "tok_decline_expired_card"
    if token.number in NETWORK_NUMBERS:
        return NETWORK_NUMBERS[token.number]
    return "tok_visa" if _has_check_digit(token) else "tok_decline_incorrect_number"


def _has_check_digit(token: NetworkToken) -> bool:
    digits = [int(digit) for digit in reversed(token.number)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
