"""Do an account's capabilities follow its onboarding, and does nothing leave that is not there?"""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import (
    AmountNotPositive,
    InsufficientAvailableBalance,
    PayoutsNotEnabled,
    TransitionRefused,
)
from payengine.marketplace.accounts import (
    TRANSITIONS,
    OnboardingEvent,
    OnboardingStatus,
    advance,
    capabilities,
    check_leaving,
    check_payout,
)

_ALL = list(product(get_args(OnboardingStatus), get_args(OnboardingEvent)))


@pytest.mark.parametrize(("status", "event"), _ALL)
def test_every_step_is_in_the_table_or_refused(
    status: OnboardingStatus, event: OnboardingEvent
) -> None:
    if (status, event) in TRANSITIONS:
        assert advance(status, event) == TRANSITIONS[status, event]
    else:
        with pytest.raises(TransitionRefused):
            advance(status, event)


@given(st.lists(st.sampled_from(get_args(OnboardingEvent)), max_size=12))
def test_an_account_is_active_only_after_it_was_verified(events: list[OnboardingEvent]) -> None:
    status: OnboardingStatus = "created"
    is_verified = False
    for event in events:
        try:
            status = advance(status, event)
        except TransitionRefused:
            continue
        is_verified = event == "verified" or (is_verified and event.startswith("platform_"))
        can = capabilities(status)
        assert can.charges_enabled == can.payouts_enabled == (status == "active")
        assert status != "active" or is_verified


def test_rejection_is_final() -> None:
    assert not [pair for pair in TRANSITIONS if pair[0] == "rejected"]


def test_a_payout_needs_the_capability_and_then_the_money() -> None:
    check_payout("active", available_minor=9_000, amount_minor=9_000)
    with pytest.raises(PayoutsNotEnabled):
        check_payout("paused", available_minor=0, amount_minor=9_000)
    with pytest.raises(InsufficientAvailableBalance):
        check_payout("active", available_minor=8_999, amount_minor=9_000)
    with pytest.raises(AmountNotPositive):
        check_leaving(available_minor=5, amount_minor=0)


def test_a_balance_that_does_not_cover_it_says_both_amounts() -> None:
    with pytest.raises(InsufficientAvailableBalance, match=r"0\.05 EUR .* 1\.00 EUR") as refused:
        check_leaving(available_minor=5, amount_minor=100, currency="EUR", path=("amount",))
    assert refused.value.path == ("amount",)
