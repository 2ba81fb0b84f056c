"""Does every model come to the exact price, rounded once?"""

from __future__ import annotations

import os
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payengine.billing import (
    Flat,
    Graduated,
    Package,
    PerUnit,
    Price,
    PriceModel,
    Tier,
    Volume,
    exact_amount,
    line_amount,
    parse_model,
)
from payengine.errors import InputInvalid, PriceCurrencyNotAvailable, UnknownCurrency

_EXAMPLES = 10_000 if os.environ.get("PAYENGINE_NIGHTLY") else 100
_AMOUNTS = st.decimals(0, 10**6, places=6)
_QUANTITIES = st.decimals(0, 500, places=3)


@st.composite
def _tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    ends = draw(st.lists(st.decimals("0.5", 300, places=1), unique=True, max_size=4).map(sorted))
    return tuple(
        Tier(up_to=end, unit_amount=draw(_AMOUNTS), flat_amount=draw(_AMOUNTS))
        for end in [*ends, None]
    )


def _by_halves(tiers: tuple[Tier, ...], halves: int) -> Fraction:
    """A graduated price that is counted by pieces of half a unit."""
    reached, total = {0}, Fraction(tiers[0].flat_amount)
    for piece in range(1, halves + 1):
        end = Fraction(piece, 2)
        number = next(n for n, tier in enumerate(tiers) if tier.up_to is None or end <= tier.up_to)
        if number not in reached:
            reached.add(number)
            total += Fraction(tiers[number].flat_amount)
        total += Fraction(tiers[number].unit_amount) * Fraction(1, 2)
    return total


@st.composite
def _half_tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    ends = draw(st.lists(st.integers(1, 60), unique=True, max_size=4).map(sorted))
    return tuple(
        Tier(
            up_to=None if end is None else Decimal(end) * Decimal("0.5"),
            unit_amount=draw(_AMOUNTS),
            flat_amount=draw(_AMOUNTS),
        )
        for end in [*ends, None]
    )


@settings(max_examples=_EXAMPLES)
@given(tiers=_tiers(), quantities=st.tuples(_QUANTITIES, _QUANTITIES).map(sorted))
def test_a_graduated_price_never_falls(tiers: tuple[Tier, ...], quantities: list[Decimal]) -> None:
    model = Graduated(tiers=tiers)
    fewer, more = (line_amount(model, quantity) for quantity in quantities)
    assert fewer <= more


@settings(max_examples=_EXAMPLES)
@given(tiers=_half_tiers(), halves=st.integers(0, 80))
def test_a_graduated_price_is_what_counting_piece_by_piece_comes_to(
    tiers: tuple[Tier, ...], halves: int
) -> None:
    model = Graduated(tiers=tiers)
    assert exact_amount(model, Fraction(halves, 2)) == _by_halves(tiers, halves)


@settings(max_examples=_EXAMPLES)
@given(tiers=_tiers(), quantity=_QUANTITIES)
def test_with_one_tier_volume_and_graduated_are_a_price_per_unit(
    tiers: tuple[Tier, ...], quantity: Decimal
) -> None:
    only = Tier(unit_amount=tiers[0].unit_amount)
    each = exact_amount(PerUnit(unit_amount=only.unit_amount), quantity)
    assert exact_amount(Volume(tiers=(only,)), quantity) == each
    assert exact_amount(Graduated(tiers=(only,)), quantity) == each
    assert exact_amount(Volume(tiers=tiers), Fraction(0)) == Fraction(tiers[0].flat_amount)


@settings(max_examples=_EXAMPLES)
@given(size=st.integers(1, 50), free=st.integers(0, 60), quantity=_QUANTITIES, amount=_AMOUNTS)
def test_packages_hold_what_exceeds_the_free_units(
    size: int, free: int, quantity: Decimal, amount: Decimal
) -> None:
    paid = max(Fraction(quantity) - free, Fraction(0))
    packages = 0
    while packages * size < paid:
        packages += 1
    full = packages if packages * size == paid else packages - 1
    model = Package(package_amount=amount, package_size=Decimal(size), free_units=Decimal(free))
    assert exact_amount(model, quantity) == packages * Fraction(amount)
    floor = msgspec.structs.replace(model, rounding="floor")
    assert exact_amount(floor, quantity) == full * Fraction(amount)


@settings(max_examples=_EXAMPLES)
@given(amount=_AMOUNTS, quantity=_QUANTITIES)
def test_a_line_is_rounded_once_and_half_away_from_zero(amount: Decimal, quantity: Decimal) -> None:
    model = PerUnit(unit_amount=amount)
    exact = exact_amount(model, quantity)
    assert exact == Fraction(amount) * Fraction(quantity)
    assert line_amount(model, quantity) == (2 * exact + 1) // 2


def test_tiers_are_summed_before_they_are_rounded() -> None:
    tiers = tuple(
        Tier(up_to=end, unit_amount=Decimal("0.4")) for end in (Decimal(1), Decimal(2), None)
    )
    assert line_amount(Graduated(tiers=tiers), 3) == 1


def test_a_flat_price_does_not_look_at_the_quantity() -> None:
    model = Flat(flat_amount=Decimal(1_999))
    assert [line_amount(model, quantity) for quantity in (0, 1, 7)] == [1_999] * 3


def test_the_first_flat_amount_is_charged_for_nothing_and_the_others_for_a_part() -> None:
    model = Graduated(
        tiers=(
            Tier(up_to=Decimal(10), flat_amount=Decimal(200)),
            Tier(flat_amount=Decimal(300)),
        )
    )
    quantities = ("0", "10", "10.000000000001")
    assert [line_amount(model, Decimal(each)) for each in quantities] == [200, 200, 500]


def test_a_last_tier_that_ends_is_a_cap() -> None:
    for model in (
        Graduated(tiers=(Tier(up_to=Decimal(5), unit_amount=Decimal(100)),)),
        Volume(tiers=(Tier(up_to=Decimal(5), unit_amount=Decimal(100)),)),
    ):
        assert line_amount(model, 5) == 500
        with pytest.raises(InputInvalid):
            line_amount(model, 6)


@pytest.mark.parametrize("quantity", [Decimal(-1), Decimal("NaN"), Decimal("1e30"), -1])
def test_a_quantity_that_cannot_be_is_refused(quantity: Decimal) -> None:
    with pytest.raises(InputInvalid):
        line_amount(PerUnit(unit_amount=Decimal(1)), quantity)


def test_each_currency_has_its_own_price_and_none_is_converted() -> None:
    price = Price(
        options={
            "USD": PerUnit(unit_amount=Decimal(1_000)),
            "KWD": Volume(tiers=(Tier(unit_amount=Decimal(3_100)),)),
        }
    )
    assert price.amount_minor(3, currency="USD") == 3_000
    assert price.amount_minor(3, currency="KWD") == 9_300
    with pytest.raises(PriceCurrencyNotAvailable):
        price.amount_minor(3, currency="EUR")


def test_a_price_without_a_currency_is_none() -> None:
    with pytest.raises(InputInvalid):
        Price(options={})
    with pytest.raises(UnknownCurrency):
        Price(options={"XXL": Flat(flat_amount=Decimal(1))})


@pytest.mark.parametrize(
    "model",
    [
        Flat(flat_amount=Decimal("9.5")),
        PerUnit(unit_amount=Decimal("0.0006")),
        Package(package_amount=Decimal(5), package_size=Decimal(10), rounding="floor"),
        Graduated(tiers=(Tier(up_to=Decimal(5)), Tier(unit_amount=Decimal(2)))),
        Volume(tiers=(Tier(flat_amount=Decimal(3)),)),
    ],
)
def test_a_model_is_read_back_from_the_document_it_makes(model: PriceModel) -> None:
    assert parse_model(msgspec.json.decode(msgspec.json.encode(model))) == model


def _volume(*ends: Any) -> dict[str, Any]:
    return {"model": "volume", "tiers": [{"up_to": end} for end in ends]}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({}, ()),
        ({"model": "auction"}, ("model",)),
        ({"model": "per_unit"}, ()),
        ({"model": "per_unit", "unit_amount": "1", "surprise": 1}, ()),
        ({"model": "per_unit", "unit_amount": 1.5}, ()),
        ({"model": "per_unit", "unit_amount": "-1"}, ("unit_amount",)),
        ({"model": "per_unit", "unit_amount": "NaN"}, ("unit_amount",)),
        ({"model": "per_unit", "unit_amount": "0.1234567890123"}, ("unit_amount",)),
        ({"model": "package", "package_amount": "1", "package_size": 0}, ("package_size",)),
        (
            {"model": "package", "package_amount": "1", "package_size": 1, "rounding": "half"},
            ("rounding",),
        ),
        (_volume(), ("tiers",)),
        (_volume(None, 5), ("tiers",)),
        (_volume(5, 5, None), ("tiers",)),
        (_volume(5, 3, None), ("tiers",)),
        (_volume(0, None), ("tiers",)),
        (_volume(*range(1, 102)), ("tiers",)),
        ({"model": "volume", "tiers": [{"unit_amount": {"x": 0.5}}]}, ()),
    ],
)
def test_a_document_that_nobody_knows_is_refused(
    document: dict[str, Any], path: tuple[str, ...]
) -> None:
    with pytest.raises(InputInvalid) as refused:
        parse_model(document)
    assert refused.value.path == path
