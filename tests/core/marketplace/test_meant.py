"""Does a refused split say which of its shares is at fault, and why?"""

from __future__ import annotations

import pytest
from payengine.errors import InputInvalid, SplitExceedsAmount, SplitNotExhaustive
from payengine.ids import new_id
from payengine.marketplace.meant import (
    ShareInput,
    SplitInput,
    check_shares,
    check_split,
    share_amounts,
)

_ONE, _TWO = new_id("acc"), new_id("acc")


@pytest.mark.parametrize(
    ("shares", "path"),
    [
        ((), ("shares",)),
        ((ShareInput(account_id=_ONE),), ("shares", "0")),
        ((ShareInput(amount_minor=1, remainder=True),), ("shares", "0")),
        (
            (ShareInput(remainder=True), ShareInput(account_id=_ONE, percent_bps=10_001)),
            ("shares", "1", "percentBps"),
        ),
        ((ShareInput(percent_bps=-1),), ("shares", "0", "percentBps")),
        ((ShareInput(amount_minor=-1),), ("shares", "0", "amountMinor")),
        (
            (ShareInput(amount_minor=1), ShareInput(remainder=True)),
            ("shares", "1", "accountId"),
        ),
        (
            (ShareInput(remainder=True), ShareInput(account_id=_ONE, remainder=True)),
            ("shares", "1", "remainder"),
        ),
    ],
)
def test_a_share_that_nobody_can_read_is_named(
    shares: tuple[ShareInput, ...], path: tuple[str, ...]
) -> None:
    with pytest.raises(InputInvalid) as refused:
        check_shares(shares)
    assert refused.value.path == path


def test_the_share_that_is_too_much_is_named_with_the_sum() -> None:
    shares = (
        ShareInput(account_id=_ONE, amount_minor=700),
        ShareInput(account_id=_TWO, amount_minor=400),
        ShareInput(percent_bps=100),
    )
    with pytest.raises(SplitExceedsAmount, match="1100") as refused:
        check_split(SplitInput(shares=shares), 1_000)
    assert refused.value.path == ("split", "shares", "1")


def test_halves_of_an_odd_unit_leave_no_remainder() -> None:
    halves = (
        ShareInput(account_id=_ONE, percent_bps=5_000),
        ShareInput(account_id=_TWO, percent_bps=5_000),
        ShareInput(remainder=True),
    )
    with pytest.raises(SplitExceedsAmount, match="rounded to more, of an amount of 1"):
        share_amounts(halves, 1)
    assert share_amounts(halves, 2) == [1, 1, 0]


def test_shares_that_leave_something_say_how_much_they_come_to() -> None:
    shares = (ShareInput(account_id=_ONE, percent_bps=5_000), ShareInput(percent_bps=4_900))
    with pytest.raises(SplitNotExhaustive, match="9900 of 10000") as refused:
        share_amounts(shares, 10_000)
    assert refused.value.path == ("shares",)


def test_shares_of_the_whole_are_taken_to_the_unit() -> None:
    whole = (ShareInput(account_id=_ONE, percent_bps=10_000), ShareInput(remainder=True))
    assert share_amounts(whole, 12_345) == [12_345, 0]
