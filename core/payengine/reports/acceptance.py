"""How often do issuers approve, and how often do buyers dispute?

Own blocks and refused input never reached an issuer, so they are no attempts; an attempt without a
result yet is none either. A payment counts once in the net rate, however often it was tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from payengine.reports.ratios import Ratio, ratio

__all__ = [
    "AttemptLine",
    "AuthorisationRate",
    "DisputeRate",
    "authorisation_rate",
    "authorisation_rate_by",
    "dispute_rate",
]

_APPROVED = "approved"


class AttemptLine(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: `result` is `approved` or a decline; `not_sent` says why it went nowhere.

    `traits` are what reports group by: method, brand, country of the issuer, and the like.
    """

    payment: str
    result: str | None
    not_sent: str | None = None
    traits: dict[str, str | None] = {}


class AuthorisationRate(msgspec.Struct, frozen=True, kw_only=True):
    """`raw` of attempts; `net` of payments, of which one approval is enough."""

    raw: Ratio
    net: Ratio


class DisputeRate(msgspec.Struct, frozen=True, kw_only=True):
    """`activity`: disputes that came in the month; `cohort`: disputes of the month's payments."""

    activity: Ratio
    cohort: Ratio


def authorisation_rate(attempts: Iterable[AttemptLine]) -> AuthorisationRate:
    """Both rates over all attempts that an issuer answered."""
    return _rate(_answered(attempts))


def authorisation_rate_by(
    attempts: Iterable[AttemptLine], trait: str
) -> dict[str | None, AuthorisationRate]:
    """Both rates for each value of a trait; a payment counts in each group that it was tried in."""
    groups: dict[str | None, list[AttemptLine]] = {}
    for attempt in _answered(attempts):
        groups.setdefault(attempt.traits.get(trait), []).append(attempt)
    return {value: _rate(group) for value, group in groups.items()}


def dispute_rate(
    *, payments_in_month: int, disputes_received: int, disputes_on_payments: int
) -> DisputeRate:
    """Both ways of counting, over the month's payments."""
    return DisputeRate(
        activity=ratio(disputes_received, whole=payments_in_month),
        cohort=ratio(disputes_on_payments, whole=payments_in_month),
    )


def _answered(attempts: Iterable[AttemptLine]) -> list[AttemptLine]:
    return [
        attempt for attempt in attempts if attempt.not_sent is None and attempt.result is not None
    ]


def _rate(attempts: Sequence[AttemptLine]) -> AuthorisationRate:
    approved = [attempt for attempt in attempts if attempt.result == _APPROVED]
    return AuthorisationRate(
        raw=ratio(len(approved), whole=len(attempts)),
        net=ratio(
            len({attempt.payment for attempt in approved}),
            whole=len({attempt.payment for attempt in attempts}),
        ),
    )
