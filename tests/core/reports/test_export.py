"""Can an exported text do harm, and does an exported amount lose a digit?"""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.money import currencies
from payengine.reports.export import safe_cell, statement_amount


@given(st.text(max_size=20))
def test_no_cell_begins_a_formula_and_no_text_is_lost(text: str) -> None:
    cell = safe_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell in (text, f"'{text}")


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_a_formula_becomes_a_text(first: str) -> None:
    assert safe_cell(f"{first}1") == f"'{first}1"


@pytest.mark.parametrize("text", ["", "Ann", "3-1", "a=b"])
def test_harmless_texts_stay_as_they_are(text: str) -> None:
    assert safe_cell(text) == text


@given(st.integers(-(10**15), 10**15), st.sampled_from(currencies()))
def test_an_amount_reads_back_as_it_was(minor: int, currency: object) -> None:
    code, exponent = currency.code, currency.exponent  # type: ignore[attr-defined]
    found = statement_amount(minor, code)
    sign = -1 if found.indicator == "DBIT" else 1
    assert sign * Decimal(found.text) * 10**exponent == minor
    assert len(found.text.partition(".")[2]) == exponent
