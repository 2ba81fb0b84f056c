"""Does every line end up in one finding, and every difference in the right one?"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.reports.reconciliation import SettlementLine, needs_work, reconcile


def line(
    amount: int = 100, *, reference: str = "ch_1", kind: str = "capture", fee: int = 3,
    currency: str = "USD",
) -> SettlementLine:  # fmt: skip
    """A line of either side."""
    return SettlementLine(
        reference=reference, kind=kind, amount_minor=amount, currency=currency, fee_minor=fee
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "kinds"),
    [
        ([line()], [line()], ["matched"]),
        ([line()], [], ["missing_there"]),
        ([], [line()], ["missing_here"]),
        ([line()], [line(99)], ["amount_differs"]),
        ([line()], [line(fee=4)], ["fee_differs"]),
        ([line()], [line(99, fee=4)], ["amount_differs"]),
        ([line()], [line(currency="EUR")], ["amount_differs"]),
        ([line()], [line(kind="refund")], ["missing_there", "missing_here"]),
        ([line()], [line(), line()], ["matched", "missing_here"]),
        # The one of 60 is missing; the one of 40 is not taken for it.
        ([line(60), line(40)], [line(40)], ["matched", "missing_there"]),
        ([line(60), line(40, fee=1)], [line(40, fee=2), line(61)],
         ["fee_differs", "amount_differs"]),
    ],
)  # fmt: skip
def test_differences_are_named(
    ours: list[SettlementLine], theirs: list[SettlementLine], kinds: list[str]
) -> None:
    found = reconcile(ours, theirs)
    assert [each.kind for each in found] == kinds
    assert [each.kind for each in needs_work(found)] == [one for one in kinds if one != "matched"]


_LINES = st.lists(
    st.builds(
        line,
        st.integers(1, 3),
        reference=st.sampled_from(["a", "b"]),
        kind=st.sampled_from(["capture", "refund"]),
        fee=st.integers(0, 1),
        currency=st.sampled_from(["USD", "EUR"]),
    ),
    max_size=8,
)


@given(_LINES, _LINES)
def test_every_line_is_in_exactly_one_finding(
    ours: list[SettlementLine], theirs: list[SettlementLine]
) -> None:
    found = reconcile(ours, theirs)
    assert Counter(one.ours for one in found if one.ours) == Counter(ours)
    assert Counter(one.theirs for one in found if one.theirs) == Counter(theirs)
    for one in found:
        if one.ours and one.theirs:
            assert one.ours.reference == one.theirs.reference
            assert one.ours.kind == one.theirs.kind
            assert (one.kind == "matched") == (one.ours == one.theirs)
        if one.amount_difference is not None and one.ours and one.theirs:
            assert one.ours.amount_minor + one.amount_difference == one.theirs.amount_minor


@given(_LINES)
def test_what_both_sides_have_is_no_work(lines: list[SettlementLine]) -> None:
    assert needs_work(reconcile(lines, list(reversed(lines)))) == []
