"""Ids say what they name, sort by the time they were made and never repeat."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.ids import PREFIXES, first_id, is_id, new_id, new_tenant_id


@pytest.mark.parametrize("prefix", sorted(PREFIXES))
def test_an_id_has_its_prefix_and_no_other(prefix: str) -> None:
    made = new_id(prefix)
    assert is_id(made, prefix)
    assert not any(is_id(made, other) for other in PREFIXES if other != prefix)


def test_ids_sort_by_the_millisecond_they_were_made_in() -> None:
    made = []
    for _ in range(5):
        made.append(new_id("pay"))
        time.sleep(0.002)
    assert made == sorted(made)


def test_ids_of_one_millisecond_sort_by_when_they_were_made() -> None:
    made = [new_id("pay") for _ in range(2_000)]
    # A clock may be set back, and may stand still for a moment.
    ordered = sum(one < other for one, other in pairwise(made))
    assert ordered > 1_900


def test_ids_do_not_repeat() -> None:
    assert len({new_id("pay") for _ in range(10_000)}) == 10_000


def test_a_tenants_id_is_a_uuid_of_version_7_that_tells_its_time() -> None:
    before = time.time_ns() // 1_000_000
    made = new_tenant_id()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000


@pytest.mark.parametrize(
    "text", ["", "pay_", "pay", f"pay_{'0' * 25}", f"pay_{'0' * 27}", f"pay_{'w' * 26}"]
)
def test_what_has_another_form_is_no_id(text: str) -> None:
    assert not is_id(text, "pay")


def test_case_and_line_ends_count() -> None:
    made = new_id("pay")
    assert not is_id(made.upper(), "pay")
    assert not is_id(made + "\n", "pay")


@given(st.text(max_size=40))
def test_any_text_can_be_asked_about(text: str) -> None:
    assert is_id(text, "pay") in (True, False)


def test_first_id_parts_what_was_made_before_from_what_came_after() -> None:
    before = new_id("pay")
    time.sleep(0.002)
    bound = first_id("pay", datetime.now(UTC))
    time.sleep(0.002)
    assert before < bound < new_id("pay")
    assert is_id(bound, "pay")
    assert first_id("pay", datetime(1900, 1, 1, tzinfo=UTC)) < before
    assert is_id(first_id("pay", datetime(9999, 1, 1, tzinfo=UTC)), "pay")
