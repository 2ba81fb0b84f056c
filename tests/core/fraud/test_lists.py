"""Is what a person writes one value, however it is spelled, and shown no further than needed?"""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import InputInvalid
from payengine.fraud.lists import NETWORK_LENGTHS, ListKind, spelled


@pytest.mark.parametrize(
    ("kind", "text", "label", "values"),
    [
        ("email_domain", " @Example.COM. ", "example.com", ("example.com",)),
        ("email", "Ada@Example.com", "a…@example.com", ("ada@example.com",)),
        ("country", "de", "DE", ("DE",)),
        ("issuer_range", "411111", "411111", ("411111",)),
        ("customer", "cus_1", "cus_1", ("cus_1",)),
        ("device", "abcdefghijklm", "ab…jklm", ("abcdefghijklm",)),
        ("card", "short", "…", ("short",)),
        ("ip", "203.0.113.9", "an address in 203.0.113.0/24", ("203.0.113.9/32",)),
        ("ip", "203.0.113.9/24", "203.0.113.0/24", ("203.0.113.0/24",)),
        ("ip", "::ffff:203.0.113.9", "an address in 203.0.113.0/24", ("203.0.113.9/32",)),
        ("ip", "::ffff:203.0.113.0/120", "203.0.113.0/24", ("203.0.113.0/24",)),
        ("ip", "203.0.112.0/23", "203.0.112.0/23", ("203.0.112.0/24", "203.0.113.0/24")),
        ("ip", "2001:db8::1", "an address in 2001:db8::/48", ("2001:db8::1/128",)),
        ("ip", "2001:db8::/47", "2001:db8::/47", ("2001:db8::/48", "2001:db8:1::/48")),
    ],
)
def test_a_value_has_one_spelling(
    kind: ListKind, text: str, label: str, values: tuple[str, ...]
) -> None:
    found = spelled(kind, text)
    assert (found.label, found.values) == (label, values)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("email_domain", "no domain"),
        ("email", "ada"),
        ("country", "DEU"),
        ("issuer_range", "411"),
        ("issuer_range", "411111111"),
        ("ip", "203.0.113.256"),
        ("ip", "0.0.0.0/0"),
        ("ip", "2001::/16"),
        ("ip", "2001:db8::/33"),
        ("customer", ""),
        ("customer", "x" * 256),
        ("customer", "a\nb"),
    ],
)
def test_what_is_none_is_refused(kind: ListKind, text: str) -> None:
    with pytest.raises(InputInvalid):
        spelled(kind, text)


@given(number=st.integers(0, 2**32 - 1), length=st.integers(8, 32), other=st.integers(0, 2**32 - 1))
def test_an_address_is_found_by_a_network_just_where_it_lies_in_it(
    number: int, length: int, other: int
) -> None:
    network = ipaddress.ip_network((number, length), strict=False)
    values = set(spelled("ip", str(network)).values)
    for each in (number, other):
        address = ipaddress.ip_address(each)
        around = {
            str(ipaddress.ip_network((each, bits), strict=False)) for bits in NETWORK_LENGTHS[4]
        }
        assert bool(values & around) == (address in network)
