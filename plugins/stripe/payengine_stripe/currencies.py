"""How does Stripe count money?

In a currency's smallest unit, with exceptions: what ISO 4217 counts in whole units, Stripe takes in
hundredths for two currencies; one with two digits it takes in whole units; and of five currencies
with three digits the last must be 0 (https://docs.stripe.com/currencies). An amount that cannot be
spelled exactly is refused, never rounded.
"""

from __future__ import annotations

from payengine.plugin import Amount

__all__ = ["CURRENCIES", "from_stripe", "nearest", "to_stripe"]

_CODES = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BWP BYN
    BZD CAD CDF CHF CLP CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD
    GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK
    LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD
    OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD STN
    SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XOF XPF YER ZAR
    ZMW
"""
#: What may be charged by card (https://docs.stripe.com/currencies#presentment-currencies).
CURRENCIES: tuple[str, ...] = tuple(_CODES.split())

#: ISO 4217 has no decimals, and Stripe wants hundredths that are 00.
_HUNDREDFOLD = frozenset({"ISK", "UGX"})
#: ISO 4217 has two decimals, and Stripe takes whole units.
_WHOLE = frozenset({"MGA"})
#: Three decimals, of which the last must be 0.
_TENS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
_FACTOR = 100
_STEP = 10
_TAKEN = frozenset(CURRENCIES)


def to_stripe(amount: Amount) -> int | None:
    """The amount as Stripe counts it, or None where Stripe cannot take exactly this amount."""
    minor, currency = amount.minor, amount.currency
    if currency not in _TAKEN or minor <= 0:
        return None
    if currency in _HUNDREDFOLD:
        minor *= _FACTOR
    elif currency in _WHOLE:
        if minor % _FACTOR:
            return None
        minor //= _FACTOR
    elif currency in _TENS and minor % _STEP:
        return None
    return minor


def nearest(amount: Amount) -> Amount:
    """The nearest amount that Stripe can take exactly; a half goes up, and nothing stays nothing.

    What a shop may ask for instead: no amount is changed here.
    """
    step = _STEP if amount.currency in _TENS else _FACTOR if amount.currency in _WHOLE else 1
    return Amount((amount.minor + step // 2) // step * step, amount.currency)


def from_stripe(minor: int, currency: str) -> Amount:
    """Stripe's figure as ISO 4217 counts it; raises `ValueError` where it is no whole number."""
    code = currency.upper()
    if code in _HUNDREDFOLD:
        if minor % _FACTOR:
            raise ValueError(f"{minor} is no whole {code}")
        minor //= _FACTOR
    elif code in _WHOLE:
        minor *= _FACTOR
    return Amount(minor, code)
