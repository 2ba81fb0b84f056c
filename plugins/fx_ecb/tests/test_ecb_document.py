"""Is the bank's document read exactly, and anything else refused as a whole?"""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine_fx_ecb.document import MAX_BYTES, Unreadable, read_rates

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"'
    ' xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">'
    "<gesmes:subject>Reference rates</gesmes:subject><Cube>"
)
_FOOT = "</Cube></gesmes:Envelope>"


def envelope(body: str) -> bytes:
    """The body in the bank's wrapping."""
    return f"{_HEAD}{body}{_FOOT}".encode()


_FRIDAY = (
    "<Cube time='2024-01-05'><Cube currency='USD' rate='1.0921'/>"
    "<Cube currency='IDR' rate='16967.41'/></Cube>"
)


def test_each_day_keeps_its_texts() -> None:
    told = read_rates(envelope(f"{_FRIDAY}<Cube time='2024-01-04'>"
                               "<Cube currency='USD' rate='1.0950'/></Cube>"))  # fmt: skip
    assert {one.day: one.rates for one in told.days} == {
        date(2024, 1, 5): {"USD": "1.0921", "IDR": "16967.41"},
        date(2024, 1, 4): {"USD": "1.0950"},
    }


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html><body>Sorry</body></html>",
        b"<Cube",
        envelope(""),
        envelope(_FRIDAY + _FRIDAY),
        envelope("<Cube time='today'/>"),
        envelope("<Cube currency='USD' rate='1.0921'/>"),
        envelope("<Cube time='2024-01-05'><Cube currency='usd' rate='1'/></Cube>"),
        envelope("<Cube time='2024-01-05'><Cube currency='USD' rate='1,09'/></Cube>"),
        envelope("<Cube time='2024-01-05'><Cube currency='USD' rate='1e5'/></Cube>"),
        envelope("<Cube time='2024-01-05'><Cube currency='USD'/></Cube>"),
        envelope(
            "<Cube time='2024-01-05'><Cube currency='USD' rate='1'/>"
            "<Cube currency='USD' rate='2'/></Cube>"
        ),
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + envelope(_FRIDAY).partition(b"?>")[2],
        envelope(_FRIDAY) + b" " * MAX_BYTES,
    ],
)
def test_what_is_not_the_banks_is_refused(document: bytes) -> None:
    with pytest.raises(Unreadable):
        read_rates(document)


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_being_refused(document: bytes) -> None:
    with pytest.raises(Unreadable):
        read_rates(document)
