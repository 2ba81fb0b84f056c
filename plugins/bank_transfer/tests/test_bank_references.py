"""Does every operation have a name of its own, which survives what payers do to it?"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine_bank_transfer.amounts import AmountUnreadable, read_amount, spell_amount
from payengine_bank_transfer.ibans import check_bic, check_iban, masked
from payengine_bank_transfer.references import (
    batch_id,
    end_to_end_id,
    find_references,
    is_reference,
    message_id,
    virtual_reference,
)

_KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)


@given(_KEYS)
def test_a_reference_is_a_creditor_reference_and_fits_sepa(key: str) -> None:
    reference = virtual_reference(account="a", key=key)
    assert is_reference(reference)
    assert len(reference) == 25
    for name in (end_to_end_id(account="a", key=key), message_id(account="a", key=key)):
        assert re.fullmatch(r"[0-9A-Z]{34}", name)


def test_the_same_key_has_the_same_names_and_another_account_others() -> None:
    assert virtual_reference(account="a", key="k") == virtual_reference(account="a", key="k")
    assert virtual_reference(account="a", key="k") != virtual_reference(account="b", key="k")
    assert end_to_end_id(account="a", key="k") != end_to_end_id(account="a", key="K")
    # Where account ends and key begins is part of the name.
    assert message_id(account="ab", key="c") != message_id(account="a", key="bc")
    assert batch_id(account="a", keys=["x", "y"]) == batch_id(account="a", keys=["y", "x"])
    assert batch_id(account="a", keys=["x"]) != batch_id(account="a", keys=["x", "y"])


@pytest.mark.parametrize("known", ["RF18539007547034", "RF471234567890"])
def test_references_of_others_are_known_by_their_check_digits(known: str) -> None:
    assert is_reference(known)
    assert not is_reference(known[:-1] + str((int(known[-1]) + 1) % 10))


@given(key=_KEYS, data=st.data())
def test_a_slip_of_the_pen_is_noticed(key: str, data: st.DataObject) -> None:
    reference = virtual_reference(account="a", key=key)
    at = data.draw(st.integers(2, 24))
    other = data.draw(st.sampled_from([c for c in "0123456789AOI" if c != reference[at]]))
    assert find_references([reference[:at] + other + reference[at + 1 :]]) == []
    swap = data.draw(st.integers(2, 23))
    swapped = reference[:swap] + reference[swap + 1] + reference[swap] + reference[swap + 2 :]
    assert swapped == reference or find_references([swapped]) == []


@given(key=_KEYS, data=st.data())
def test_a_reference_is_found_however_it_is_spaced(key: str, data: st.DataObject) -> None:
    reference = virtual_reference(account="a", key=key)
    cuts = data.draw(st.lists(st.integers(1, 24), max_size=5, unique=True).map(sorted))
    parts = [reference[i:j] for i, j in zip([0, *cuts], [*cuts, 25], strict=True)]
    between = data.draw(st.sampled_from([" ", "-", ".", "/", "\n"]))
    assert reference in find_references([f"Order 7: {between.join(parts).lower()} thanks"])


def test_two_references_in_one_text_are_both_found() -> None:
    one, two = (virtual_reference(account="a", key=k) for k in "xy")
    assert set(find_references([f"{one} and {two}", one])) == {one, two}


@given(st.integers(0, 10**14))
def test_an_amount_is_read_as_it_was_spelled(minor: int) -> None:
    assert read_amount(spell_amount(minor)) == minor


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("1", 100),
        ("1.5", 150),
        ("1.50", 150),
        ("1.500", 150),
        ("0.01", 1),
        ("+2.00", 200),
        ("0", 0),
    ],
)
def test_amounts_are_read_by_their_digits(text: str, minor: int) -> None:
    assert read_amount(text) == minor


@pytest.mark.parametrize(
    "text", ["", ".", "-1", "1,00", "1e2", "0.001", "1.2.3", "NaN", "٣", "1 000", "0x10", "9" * 17]
)
def test_what_is_no_amount_in_euros_is_refused(text: str) -> None:
    with pytest.raises(AmountUnreadable):
        read_amount(text)


def test_ibans_are_checked_by_form_country_and_digits() -> None:
    assert check_iban("de89 3704 0044 0532 0130 00") == "DE89370400440532013000"
    for wrong in ("DE88370400440532013000", "DE8937040044053201300", "", "X" * 100, "é"):
        with pytest.raises(ValueError, match="IBAN"):
            check_iban(wrong)
    with pytest.raises(ValueError, match="SEPA does not reach"):
        check_iban("BR1800360305000010009795493C1")
    assert masked("DE89370400440532013000") == "DE … 3000"
    assert check_bic("COBADEFFXXX") == "COBADEFFXXX"
    with pytest.raises(ValueError, match="BIC"):
        check_bic("COBA")
