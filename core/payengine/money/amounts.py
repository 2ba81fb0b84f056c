"""May this amount be charged, and how is it written?

`Money` is an exact amount of one currency, of any sign. Arithmetic stays inside one currency and
refuses floats; only an exchange rate leads from one currency to another.
"""

from __future__ import annotations

from dataclasses import dataclass

from payengine.errors import AmountNotPositive, AmountTooLarge, CurrencyMismatch, InputInvalid
from payengine.money.arithmetic import allocate, round_half_away
from payengine.money.currencies import currency as find_currency

__all__ = ["MAX_MINOR", "Money", "check_amount", "decimal_text"]

#: The largest amount of one payment, in minor units.
MAX_MINOR = 999_999_999_999


def check_amount(minor: int, currency: str) -> None:
    """Refuse what cannot be charged.

    Raises `UnknownCurrency`, `AmountNotPositive`, `AmountTooLarge` (above `MAX_MINOR`), and
    `InputInvalid` where `minor` is no integer at all (`True` and `1.0` are none).
    """
    find_currency(currency)
    if type(minor) is not int:
        raise InputInvalid("The amount must be an integer of minor units.")
    if minor <= 0:
        raise AmountNotPositive
    if minor > MAX_MINOR:
        raise AmountTooLarge


def decimal_text(minor: int, currency: str) -> str:
    """The amount in major units with all digits of its exponent: 1234 USD is `12.34`; exact."""
    if type(minor) is not int:
        raise TypeError(f"Minor units are an integer, not {type(minor).__name__}.")
    exponent = find_currency(currency).exponent
    sign = "-" if minor < 0 else ""
    if exponent == 0:
        return f"{sign}{abs(minor)}"
    major, rest = divmod(abs(minor), 10**exponent)
    return f"{sign}{major}.{rest:0{exponent}d}"


@dataclass(frozen=True, slots=True)
class Money:
    """`minor` units of `currency`.

    Raises `TypeError` for a float, a bool or any other type, `UnknownCurrency` for another code.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise TypeError(f"Minor units are an integer, not {type(self.minor).__name__}.")
        find_currency(self.currency)

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._minor_of(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._minor_of(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._minor_of(other)

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._minor_of(other)

    def __str__(self) -> str:
        return f"{decimal_text(self.minor, self.currency)} {self.currency}"

    def scaled(self, numerator: int, *, denominator: int) -> Money:
        """The amount times an exact ratio, rounded once, half away from zero."""
        product = self.minor * numerator
        return Money(round_half_away(product, denominator=denominator), self.currency)

    def split(self, weights: list[int]) -> list[Money]:
        """The amount shared out by `allocate`."""
        return [Money(part, self.currency) for part in allocate(self.minor, weights)]

    def _minor_of(self, other: Money) -> int:
        if type(other) is not Money:
            raise TypeError(f"Money does not mix with {type(other).__name__}.")
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} do not mix.")
        return other.minor
