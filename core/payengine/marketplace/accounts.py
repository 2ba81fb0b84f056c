"""May this connected account take payments, and may it be paid out?

A connected account is a vendor's standing with the platform. Its onboarding is a table of
transitions; both capabilities hang on the state alone, so that they cannot contradict it.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from payengine.errors import (
    AmountNotPositive,
    InsufficientAvailableBalance,
    PayoutsNotEnabled,
    TransitionRefused,
)
from payengine.money import decimal_text

__all__ = [
    "TRANSITIONS",
    "Capabilities",
    "OnboardingEvent",
    "OnboardingStatus",
    "advance",
    "capabilities",
    "check_leaving",
    "check_payout",
    "not_covered",
]

OnboardingStatus = Literal[
    "created",
    "pending_verification",
    "action_required",
    "active",
    "paused",
    "rejected",
    "closed",
]

#: `submit` by the vendor; `request_information`, `verified` and `reject` by whoever verifies;
#: `platform_pause` and `platform_resume` by the platform, and `close` once nothing is left.
OnboardingEvent = Literal[
    "submit",
    "request_information",
    "verified",
    "reject",
    "platform_pause",
    "platform_resume",
    "close",
]

#: (state, event) → the next state; what is not listed is refused. `rejected` and `closed` are
#: final.
TRANSITIONS: dict[tuple[OnboardingStatus, OnboardingEvent], OnboardingStatus] = {
    ("created", "submit"): "pending_verification",
    ("created", "reject"): "rejected",
    ("pending_verification", "verified"): "active",
    ("pending_verification", "request_information"): "action_required",
    ("pending_verification", "reject"): "rejected",
    ("action_required", "submit"): "pending_verification",
    ("action_required", "reject"): "rejected",
    ("active", "request_information"): "action_required",
    ("active", "reject"): "rejected",
    ("active", "platform_pause"): "paused",
    ("paused", "platform_resume"): "active",
    ("paused", "reject"): "rejected",
    ("created", "close"): "closed",
    ("action_required", "close"): "closed",
    ("active", "close"): "closed",
    ("paused", "close"): "closed",
}


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an account may do in its present state."""

    charges_enabled: bool
    payouts_enabled: bool


def advance(status: OnboardingStatus, event: OnboardingEvent) -> OnboardingStatus:
    """The state after `event`; raises `TransitionRefused` where the table has no such step."""
    following = TRANSITIONS.get((status, event))
    if following is None:
        known = status in get_args(OnboardingStatus) and event in get_args(OnboardingEvent)
        what = f"An account that is {status} does not take the step {event}."
        raise TransitionRefused(what if known else "There is no such step of an onboarding.")
    return following


def capabilities(status: OnboardingStatus) -> Capabilities:
    """Both while the account is active, neither otherwise."""
    is_active = status == "active"
    return Capabilities(charges_enabled=is_active, payouts_enabled=is_active)


def check_leaving(
    *,
    available_minor: int,
    amount_minor: int,
    currency: str | None = None,
    path: tuple[str, ...] = (),
) -> None:
    """Refuse a payout, a transfer or a voluntary reversal that the balance does not cover.

    Raises `AmountNotPositive` and `InsufficientAvailableBalance`, which names both amounts where
    the currency is told. Refunds, disputes and fees do not ask: they alone may take an account
    below zero.
    """
    if amount_minor <= 0:
        raise AmountNotPositive(path=path)
    if available_minor < amount_minor:
        if currency is None:
            raise InsufficientAvailableBalance(path=path)
        raise not_covered(
            available_minor=available_minor, amount_minor=amount_minor, currency=currency, path=path
        )


def not_covered(
    *, available_minor: int, amount_minor: int, currency: str, path: tuple[str, ...] = ()
) -> InsufficientAvailableBalance:
    """The error that names what is there and what was asked for."""
    there, asked = (decimal_text(minor, currency) for minor in (available_minor, amount_minor))
    return InsufficientAvailableBalance(
        f"{there} {currency} are available, {asked} {currency} are asked for.", path=path
    )


def check_payout(status: OnboardingStatus, *, available_minor: int, amount_minor: int) -> None:
    """Refuse a payout; raises `PayoutsNotEnabled` before it looks at the money."""
    if not capabilities(status).payouts_enabled:
        raise PayoutsNotEnabled
    check_leaving(available_minor=available_minor, amount_minor=amount_minor)
