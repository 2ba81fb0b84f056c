"""Are amounts and days written as each language's readers write them?"""

from __future__ import annotations

from datetime import date

import pytest
from payengine.billing.invoice_words import (
    LANGUAGES,
    amount_text,
    day_text,
    number_text_in,
    words_of,
)


@pytest.mark.parametrize(
    ("language", "shown"),
    [("en", "−1,234,567.89 EUR"), ("de", "−1.234.567,89 EUR"), ("es", "−1.234.567,89 EUR")],
)
def test_amounts_have_the_points_and_groups_of_the_language(language: str, shown: str) -> None:
    assert amount_text(-123_456_789, "EUR", words=LANGUAGES[language]) == shown


def test_digits_are_the_currencys() -> None:
    words = LANGUAGES["en"]
    assert amount_text(1234, "JPY", words=words) == "1,234 JPY"
    assert amount_text(1234, "KWD", words=words) == "1.234 KWD"
    assert amount_text(-5, "USD", words=words) == "−0.05 USD"


def test_digits_after_the_point_are_kept() -> None:
    assert number_text_in("1000.50", words=LANGUAGES["de"]) == "1.000,50"


def test_a_region_finds_its_language_and_none_finds_english() -> None:
    assert words_of("de-AT") is words_of("DE") is LANGUAGES["de"]
    assert words_of("tlh") is LANGUAGES["en"]


def test_days_are_in_the_order_of_the_language() -> None:
    day = date(2025, 6, 1)
    assert [day_text(day, words=LANGUAGES[name]) for name in ("en", "de", "fr")] == [
        "2025-06-01",
        "01.06.2025",
        "01/06/2025",
    ]
