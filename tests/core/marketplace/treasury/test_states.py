"""Does each piece of news move a payout's money at most once, and back at most once?"""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import TransitionRefused
from payengine.marketplace.payouts import PayoutEvent, PayoutState, after_payout
from payengine.marketplace.treasury.states import FOLLOWS, Finding, PayoutStatus, follow

_FINDINGS = st.lists(st.sampled_from(get_args(Finding)), max_size=12)


@given(_FINDINGS)
def test_in_any_order_the_money_goes_once_and_comes_back_at_most_once(news: list[Finding]) -> None:
    status: PayoutStatus = "sending"
    moved: list[str] = []
    for finding in news:
        following = follow(status, finding)
        if following is None:
            continue
        if following.money is not None:
            moved.append(following.money)
        status = following.status
    assert moved in ([], ["paid"], ["back"], ["paid", "back_from_bank"])
    is_back = bool(moved) and moved[-1] != "paid"
    assert is_back == (status in ("failed", "returned"))


@given(_FINDINGS)
def test_what_has_come_back_stays_back(news: list[Finding]) -> None:
    status: PayoutStatus = "failed"
    for finding in news:
        following = follow(status, finding)
        if following is not None:
            assert following.money is None
            status = following.status
    assert status == "failed"


def test_it_agrees_with_the_rule_of_a_payouts_news() -> None:
    for state in get_args(PayoutState):
        for event in get_args(PayoutEvent):
            try:
                standing = after_payout(state, event, amount_minor=7)
            except TransitionRefused:
                following = follow(state, event)
                assert following is None or following.money is None
                continue
            following = follow(state, event)
            assert following is not None
            assert following.status in (standing.state, "returned")
            assert (following.money in ("back", "back_from_bank")) == (standing.returned == 7)


def test_what_was_not_sent_and_what_was_called_off_hears_no_news() -> None:
    assert not {status for status, _ in FOLLOWS} & {"pending", "held", "canceled"}
