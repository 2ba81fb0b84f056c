"""Do invoices move as their table says, and are they numbered without a gap?"""

from __future__ import annotations

import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.billing.invoice_states import (
    INVOICE_TRANSITIONS,
    InvoiceEvent,
    InvoiceStatus,
    finalized_status,
    invoice_numbers,
    next_invoice_status,
    number_text,
)
from payengine.errors import InputInvalid, InvoiceInvalidTransition

_EVENTS: tuple[InvoiceEvent, ...] = typing.get_args(InvoiceEvent)


@pytest.mark.parametrize("status", INVOICE_TRANSITIONS)
@pytest.mark.parametrize("event", _EVENTS)
def test_what_the_table_does_not_name_is_refused(
    status: InvoiceStatus, event: InvoiceEvent
) -> None:
    if event in INVOICE_TRANSITIONS[status]:
        assert next_invoice_status(status, event) == INVOICE_TRANSITIONS[status][event]
    else:
        with pytest.raises(InvoiceInvalidTransition):
            next_invoice_status(status, event)


def test_every_status_has_its_row_and_ends_stay_ends() -> None:
    assert set(INVOICE_TRANSITIONS) == set(typing.get_args(InvoiceStatus))
    assert [status for status, moves in INVOICE_TRANSITIONS.items() if not moves] == [
        "paid",
        "void",
        "deleted",
    ]


def test_an_invoice_over_nothing_is_paid_at_once() -> None:
    assert (finalized_status(0), finalized_status(1)) == ("paid", "open")


@given(st.integers(0, 10**6), st.lists(st.lists(st.booleans(), max_size=10), max_size=10))
def test_numbers_have_no_gap_over_many_transactions(last: int, batches: list[list[bool]]) -> None:
    given_out, counter = [], last
    for batch in batches:
        numbers, counter = invoice_numbers(counter, batch)
        assert [number is not None for number in numbers] == batch
        given_out += [number for number in numbers if number is not None]
    assert given_out == list(range(last + 1, counter + 1))


def test_a_negative_counter_is_refused() -> None:
    with pytest.raises(InputInvalid):
        invoice_numbers(-1, [True])


def test_numbers_are_printed_whole() -> None:
    assert number_text(42, prefix="INV-") == "INV-000042"
    assert number_text(12_345_678, prefix="") == "12345678"
