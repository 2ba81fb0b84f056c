"""Does a quote keep what was promised, and no longer than it was promised?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import AmountNotPositive, AmountTooSmall, FxQuoteExpired
from payengine.fx.conversion import parse_rate
from payengine.fx.quotes import LOCKS, Lock, Quote, check_usable, expires_at, quote, worth

_AT = datetime(2025, 6, 1, 10, tzinfo=UTC)


def promise(amount: int, *, rate: str = "1.0956", target: str = "USD") -> Quote:
    """A quote from euros for five minutes, with a markup of one percent."""
    return quote(
        amount,
        source="EUR",
        target=target,
        mid=parse_rate(rate),
        markup_bps=100,
        created_at=_AT,
        lock="five_minutes",
        rate_source="push",
        rate_date="2025-06-01",
    )


def test_a_quote_keeps_both_amounts_and_both_rates() -> None:
    made = promise(10_000)
    assert (made.source_minor, made.target_minor, made.mid_minor) == (10_000, 10_846, 10_956)
    assert (made.mid_rate, made.customer_rate, made.markup_minor) == ("1.0956", "1.084644", 110)
    assert (made.rounding, made.expires_at) == ("half_even", _AT + timedelta(minutes=5))


@pytest.mark.parametrize("lock", LOCKS)
def test_a_promise_ends_at_its_very_instant(lock: Lock) -> None:
    end = expires_at(_AT, lock)
    with pytest.raises(FxQuoteExpired):
        check_usable(end, at=end)
    if lock != "none":
        check_usable(end, at=end - timedelta(microseconds=1))


def test_what_is_worth_nothing_is_not_promised() -> None:
    with pytest.raises(AmountTooSmall):
        promise(1, rate="0.001")
    with pytest.raises(AmountNotPositive):
        promise(0)


@given(st.integers(1, 10**12), st.integers(0, 9_999), st.fractions(Fraction(1, 1000), 1000))
def test_the_markup_is_what_lies_between_the_two_amounts(
    amount: int, bps: int, mid: Fraction
) -> None:
    found = worth(amount, source="EUR", target="USD", mid=mid, markup_bps=bps)
    assert found.customer_minor + found.markup_minor == found.mid_minor
    assert found.markup_minor >= 0
