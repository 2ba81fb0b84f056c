"""What came in by which means, and what of failed renewals came in after all?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from payengine.reports.ratios import Ratio, ratio

__all__ = ["FailedRenewal", "Outcome", "Recovery", "RevenueLine", "recovery", "revenue_by_method"]

Outcome = Literal["recovered", "lost", "open"]


class RevenueLine(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units that came in by a method, or went back."""

    method: str
    currency: str
    amount_minor: int


class FailedRenewal(msgspec.Struct, frozen=True, kw_only=True):
    """A renewal that failed at first: its minor units, and `via` what it was recovered."""

    amount_minor: int
    outcome: Outcome
    via: str | None = None


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """Rates by number: of those that are decided, and of all; `by_via` counts the recovered."""

    recovered_amount: int
    recovery_rate_closed: Ratio
    recovery_rate_all: Ratio
    by_via: dict[str, int]


def revenue_by_method(lines: Iterable[RevenueLine]) -> dict[str, dict[str, int]]:
    """Minor units by currency and method; amounts of different currencies are never added."""
    found: dict[str, dict[str, int]] = {}
    for line in lines:
        sums = found.setdefault(line.currency, {})
        sums[line.method] = sums.get(line.method, 0) + line.amount_minor
    return found


def recovery(failed: Iterable[FailedRenewal]) -> Recovery:
    """What dunning brought back, of renewals in one currency."""
    known = list(failed)
    recovered = [each for each in known if each.outcome == "recovered"]
    closed = [each for each in known if each.outcome != "open"]
    by_via: dict[str, int] = {}
    for each in recovered:
        if each.via is not None:
            by_via[each.via] = by_via.get(each.via, 0) + 1
    return Recovery(
        recovered_amount=sum(each.amount_minor for each in recovered),
        recovery_rate_closed=ratio(len(recovered), whole=len(closed)),
        recovery_rate_all=ratio(len(recovered), whole=len(known)),
        by_via=by_via,
    )
