"""How is an amount written for PayPal, and how is PayPal's read?

As a decimal text, exactly: no float is ever made, nothing is rounded. PayPal has its own list of
currencies (https://developer.paypal.com/api/rest/reference/currency-codes/): three of them take no
decimals there, though ISO 4217 gives two of those three a hundredth.
"""

from __future__ import annotations

import re

from payengine.plugin import Amount

__all__ = ["CURRENCIES", "InexpressibleAmount", "amount_of", "value_of"]

#: currency → its ISO 4217 exponent, which is how the engine counts.
_EXPONENTS = {
    "AUD": 2,
    "BRL": 2,
    "CAD": 2,
    "CHF": 2,
    "CNY": 2,
    "CZK": 2,
    "DKK": 2,
    "EUR": 2,
    "GBP": 2,
    "HKD": 2,
    "HUF": 2,
    "ILS": 2,
    "JPY": 0,
    "MXN": 2,
    "MYR": 2,
    "NOK": 2,
    "NZD": 2,
    "PHP": 2,
    "PLN": 2,
    "SEK": 2,
    "SGD": 2,
    "THB": 2,
    "TWD": 2,
    "USD": 2,
}
#: Those that PayPal takes without decimals.
_WHOLE = frozenset({"HUF", "JPY", "TWD"})

_VALUE = re.compile(r"(?P<units>[0-9]{1,15})(?:\.(?P<part>[0-9]{1,8}))?")

#: Every currency that PayPal takes.
CURRENCIES: tuple[str, ...] = tuple(sorted(_EXPONENTS))


class InexpressibleAmount(Exception):
    """The amount cannot be written as PayPal wants it, or PayPal's cannot be read exactly."""


def value_of(amount: Amount) -> str:
    """The decimal text of a positive amount: `12.00` EUR, `1200` JPY.

    Raises `InexpressibleAmount` for a currency that PayPal does not take, and for a fraction of
    one that it takes in whole units only.
    """
    exponent = _exponent(amount.currency)
    if amount.minor <= 0:
        raise InexpressibleAmount("An amount is positive.")
    if amount.currency in _WHOLE:
        units, rest = divmod(amount.minor, 10**exponent)
        if rest:
            raise InexpressibleAmount(f"PayPal takes {amount.currency} in whole units only.")
        return str(units)
    units, part = divmod(amount.minor, 10**exponent)
    return f"{units}.{part:0{exponent}d}"


def amount_of(value: str, currency: str) -> Amount:
    """The amount that a decimal text of PayPal's means; raises `InexpressibleAmount`."""
    exponent = _exponent(currency)
    read = _VALUE.fullmatch(value)
    if read is None:
        raise InexpressibleAmount(f"{value[:40]!r} is no amount.")
    part = (read["part"] or "").rstrip("0")
    if len(part) > exponent:
        raise InexpressibleAmount(f"{value[:40]!r} is finer than {currency} can be.")
    minor = int(read["units"]) * 10**exponent + int(part.ljust(exponent, "0") or "0")
    return Amount(minor, currency)


def _exponent(currency: str) -> int:
    exponent = _EXPONENTS.get(currency)
    if exponent is None:
        raise InexpressibleAmount(f"PayPal takes no {currency[:8]}.")
    return exponent
