"""What does this quantity cost at this price?

A price has one model for each currency that it is offered in; nothing is ever converted. Unit
prices are decimals in minor units, so that a call may cost 0.06 cents; the amount of a line is
summed exactly and rounded once, half away from zero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import msgspec

from payengine.billing.decimals import check_decimal
from payengine.errors import InputInvalid, PriceCurrencyNotAvailable, UnknownCurrency
from payengine.money import currency as currency_of
from payengine.money import round_half_away

__all__ = [
    "MOST_TIERS",
    "Flat",
    "Graduated",
    "Package",
    "PerUnit",
    "Price",
    "PriceModel",
    "Tier",
    "Volume",
    "exact_amount",
    "line_amount",
    "parse_model",
]

#: How many tiers a price has at most.
MOST_TIERS = 100

_ZERO = Decimal(0)
_PLACE = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`")


class _Model(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="model"
):
    """How a quantity becomes an amount."""


class Flat(_Model, frozen=True, kw_only=True, tag="flat"):
    """The same amount, whatever the quantity."""

    flat_amount: Decimal

    def __post_init__(self) -> None:
        """Raise `InputInvalid` for an amount that cannot be one."""
        check_decimal(self.flat_amount, name="flat_amount")


class PerUnit(_Model, frozen=True, kw_only=True, tag="per_unit"):
    """Each unit, and each part of one, costs the same."""

    unit_amount: Decimal

    def __post_init__(self) -> None:
        """Raise `InputInvalid` for an amount that cannot be one."""
        check_decimal(self.unit_amount, name="unit_amount")


class Package(_Model, frozen=True, kw_only=True, tag="package"):
    """Units are sold by the package; what exceeds `free_units` is counted.

    A started package counts as one, unless `rounding` is `floor`: then only full ones are charged.
    """

    package_amount: Decimal
    package_size: Decimal
    free_units: Decimal = _ZERO
    rounding: Literal["ceil", "floor"] = "ceil"

    def __post_init__(self) -> None:
        """Raise `InputInvalid` for a size of zero and for numbers that cannot be."""
        for name in ("package_amount", "package_size", "free_units"):
            check_decimal(getattr(self, name), name=name)
        if self.package_size == 0:
            raise InputInvalid("A package holds something.", path=("package_size",))


class Tier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A range of quantities that ends with `up_to`, itself included; None: it does not end."""

    unit_amount: Decimal = _ZERO
    flat_amount: Decimal = _ZERO
    up_to: Decimal | None = None

    def __post_init__(self) -> None:
        """Raise `InputInvalid` for numbers that cannot be."""
        check_decimal(self.unit_amount, name="unit_amount")
        check_decimal(self.flat_amount, name="flat_amount")
        if self.up_to is not None:
            check_decimal(self.up_to, name="up_to")


class _Tiered(_Model, frozen=True, kw_only=True):
    """A last tier that ends is a cap: no larger quantity can be had."""

    tiers: tuple[Tier, ...]

    def __post_init__(self) -> None:
        """Raise `InputInvalid` unless the tiers rise, and only the last one is open."""
        if not 1 <= len(self.tiers) <= MOST_TIERS:
            raise InputInvalid(f"A price has 1 to {MOST_TIERS} tiers.", path=("tiers",))
        reached = _ZERO
        for number, tier in enumerate(self.tiers, start=1):
            if tier.up_to is None:
                if number < len(self.tiers):
                    raise InputInvalid("Only the last tier is open.", path=("tiers",))
            elif tier.up_to <= reached:
                raise InputInvalid("Each tier ends above the one before it.", path=("tiers",))
            else:
                reached = tier.up_to


class Graduated(_Tiered, frozen=True, kw_only=True, tag="graduated"):
    """The units fill the tiers in their order, and each costs what its own tier says.

    A tier's flat amount is charged as soon as a part of a unit falls into it; that of the first
    tier always.
    """


class Volume(_Tiered, frozen=True, kw_only=True, tag="volume"):
    """All units cost what the tier of the whole quantity says; more units may then cost less."""


PriceModel: TypeAlias = Flat | PerUnit | Package | Graduated | Volume


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What a product costs, by currency; a `metered` one takes its quantity from the usage."""

    options: dict[str, PriceModel]
    metered: bool = False

    def __post_init__(self) -> None:
        """Raise `InputInvalid` for a price without currency and `UnknownCurrency`."""
        if not self.options:
            raise InputInvalid("A price is offered in one currency or more.", path=("options",))
        for code in self.options:
            try:
                currency_of(code)
            except UnknownCurrency as problem:
                raise UnknownCurrency(problem.message, path=("options", code[:12])) from None

    def model_in(self, currency: str) -> PriceModel:
        """The model in this currency; raises `PriceCurrencyNotAvailable` where there is none."""
        try:
            return self.options[currency]
        except KeyError:
            raise PriceCurrencyNotAvailable(path=("currency",)) from None

    def amount_minor(self, quantity: Decimal | Fraction | int, *, currency: str) -> int:
        """What the quantity costs, in minor units; raises as `model_in` and `exact_amount` do."""
        return line_amount(self.model_in(currency), quantity)


def parse_model(document: Mapping[str, Any]) -> PriceModel:
    """The model that a JSON document spells; raises `InputInvalid` for what nobody knows.

    Decimals are texts or whole numbers: a float has already lost what was meant.
    """
    _refuse_inexact(document)
    try:
        model: PriceModel = msgspec.convert(dict(document), PriceModel)
    except msgspec.ValidationError as problem:
        words = str(problem)
        place = _PLACE.search(words)
        path = tuple(re.findall(r"\w+|\.\.\.", place[1])) if place else ()
        said = _PLACE.sub("", words)[:200]
        if path == ("model",):
            said += "; the models are flat, per_unit, package, graduated and volume"
        raise InputInvalid(f"The price does not fit its form: {said}.", path=path) from None
    return model


def line_amount(model: PriceModel, quantity: Decimal | Fraction | int) -> int:
    """What the quantity costs, in minor units, rounded once, half away from zero."""
    exact = exact_amount(model, quantity)
    return round_half_away(exact.numerator, denominator=exact.denominator)


def exact_amount(model: PriceModel, quantity: Decimal | Fraction | int) -> Fraction:
    """What the quantity costs, in minor units, before it is rounded.

    Raises `InputInvalid` for a negative quantity, and for one beyond a price's last tier.
    """
    if isinstance(quantity, Decimal):
        check_decimal(quantity, name="quantity")
    units = Fraction(quantity)
    if units < 0:
        raise InputInvalid("A quantity is not negative.", path=("quantity",))
    match model:
        case Flat():
            return Fraction(model.flat_amount)
        case PerUnit():
            return Fraction(model.unit_amount) * units
        case Package():
            return Fraction(model.package_amount) * _packages(model, units)
        case Graduated():
            return _graduated(model.tiers, units)
        case Volume():
            tier = _tier_of(model.tiers, units)
            return Fraction(tier.flat_amount) + Fraction(tier.unit_amount) * units


def _packages(model: Package, units: Fraction) -> int:
    counted = max(units - Fraction(model.free_units), Fraction(0))
    size = Fraction(model.package_size)
    return counted // size if model.rounding == "floor" else -(-counted // size)


def _tier_of(tiers: tuple[Tier, ...], units: Fraction) -> Tier:
    for tier in tiers:
        if tier.up_to is None or units <= tier.up_to:
            return tier
    raise InputInvalid("The quantity is beyond the last tier of the price.", path=("quantity",))


def _graduated(tiers: tuple[Tier, ...], units: Fraction) -> Fraction:
    _tier_of(tiers, units)
    total, reached = Fraction(tiers[0].flat_amount), Fraction(0)
    for number, tier in enumerate(tiers):
        end = units if tier.up_to is None else min(units, Fraction(tier.up_to))
        if end <= reached:
            break
        total += Fraction(tier.unit_amount) * (end - reached)
        if number:
            total += Fraction(tier.flat_amount)
        reached = end
    return total


def _refuse_inexact(document: object) -> None:
    match document:
        case None | str() | int():
            return
        case Mapping():
            for value in document.values():
                _refuse_inexact(value)
        case list() | tuple():
            for value in document:
                _refuse_inexact(value)
        case _:
            raise InputInvalid("A decimal is written as a text or as a whole number.")
