"""Are ISO's currencies all there, and nothing else?"""

from __future__ import annotations

import pytest
from payengine.errors import UnknownCurrency
from payengine.money import currencies, currency


def test_there_are_168_currencies_each_with_its_own_code_and_number() -> None:
    listed = currencies()
    assert len(listed) == 168
    assert len({each.code for each in listed}) == 168
    assert len({each.numeric for each in listed}) == 168
    assert [each.code for each in listed] == sorted(each.code for each in listed)
    assert all(len(each.numeric) == 3 and 0 <= each.exponent <= 4 for each in listed)


@pytest.mark.parametrize(
    ("code", "exponent"), [("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("ISK", 0), ("IQD", 3)]
)
def test_exponents_are_isos_and_not_what_a_locale_displays(code: str, exponent: int) -> None:
    assert currency(code).exponent == exponent


@pytest.mark.parametrize("code", ["", "usd", "XXX", "DEM", "US", "USDT", "ＵＳＤ", None, ["USD"]])
def test_other_codes_are_refused(code: str) -> None:
    with pytest.raises(UnknownCurrency):
        currency(code)
