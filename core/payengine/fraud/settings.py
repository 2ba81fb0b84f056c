"""How does a tenant want fraud to be dealt with?

One document, of which the newest version holds; without one, the defaults do.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from payengine.errors import InputInvalid, UnknownCurrency
from payengine.fraud.alerts import AlertLimits
from payengine.money import currency as find_currency

__all__ = ["FraudSettings", "SavedSettings", "parse_fraud_settings"]

_LONGEST_REVIEW_MINUTES = 30 * 24 * 60
_LONGEST_QUEUE_MINUTES = 30 * 24 * 60
_LARGEST_SHARE = 0.05
_LARGEST_MINOR = 10**15


class FraudSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tenant may set.

    A payment that is held for review and that nobody has decided on after `review_minutes` is
    decided by `review_default`.

    Where the past cannot be read, `on_failure` stands for amounts above `on_failure_above_minor`,
    and others go through. Of what rules would block, a random `challenge_share` (None: 1 % in live
    worlds, none in test worlds) of at most `challenge_most_minor` is let go on by 3-D Secure
    instead, so that what is known of blocked payments is not only what the rules believe.

    Rules compare and add up amounts in `base_currency`; without one, each in its own currency.
    """

    review_minutes: int = 24 * 60
    review_default: Literal["approve", "reject"] = "reject"
    alerts: AlertLimits = AlertLimits()
    on_failure: Literal["allow", "challenge", "block"] = "allow"
    on_failure_above_minor: int = 0
    challenge_share: float | None = None
    challenge_most_minor: int = 50_000
    base_currency: str | None = None


class SavedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One version, as one row; `version` counts from 1, and 0 is the default."""

    version: int
    document: dict[str, Any]
    reason: str
    actor: str
    created_at: datetime


def parse_fraud_settings(plain: object) -> FraudSettings:
    """The settings that `plain` spells; raises `InputInvalid` with what is wrong."""
    try:
        found = msgspec.convert(plain, FraudSettings)
    except msgspec.ValidationError as problem:
        raise InputInvalid(str(problem), path=("settings",)) from None
    limits = found.alerts
    shares = (limits.success_drop, limits.stop_change, limits.rule_errors)
    if not 1 <= found.review_minutes <= _LONGEST_REVIEW_MINUTES:
        raise InputInvalid("review_minutes is 1 to 43200.", path=("settings", "review_minutes"))
    if not all(0 < share <= 1 for share in shares):
        raise InputInvalid("Shares are above 0 and at most 1.", path=("settings", "alerts"))
    if not 1 < limits.fraud_times <= 1_000 or not 0 < limits.stability <= 100:
        raise InputInvalid("These limits can never be reached.", path=("settings", "alerts"))
    _check_decisions(found)
    if found.base_currency is not None:
        try:
            find_currency(found.base_currency)
        except UnknownCurrency as problem:
            raise InputInvalid(problem.message, path=("settings", "base_currency")) from None
    if not 1 <= limits.queue_age_minutes <= _LONGEST_QUEUE_MINUTES:
        raise InputInvalid("queue_age_minutes is 1 to 43200.", path=("settings", "alerts"))
    return found


def _check_decisions(found: FraudSettings) -> None:
    share = found.challenge_share
    if share is not None and not 0 <= share <= _LARGEST_SHARE:
        raise InputInvalid(
            f"challenge_share is 0 to {_LARGEST_SHARE}.", path=("settings", "challenge_share")
        )
    for name in ("on_failure_above_minor", "challenge_most_minor"):
        if not 0 <= getattr(found, name) <= _LARGEST_MINOR:
            raise InputInvalid(f"{name} is 0 or more.", path=("settings", name))
