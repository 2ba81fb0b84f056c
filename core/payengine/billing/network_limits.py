"""May this card be presented once more, by its network's rules?

Networks charge, or fine, those who present a refused card too often. Sources: TabaPay's page on
excessive retries and Recurly's changelog of 4 August 2026.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

__all__ = [
    "NETWORK_LIMITS",
    "NETWORK_RETRY_LIMIT",
    "CardHistory",
    "NetworkLimit",
    "Presentment",
    "may_present",
]

#: Why a charge is not sent.
NETWORK_RETRY_LIMIT = "NETWORK_RETRY_LIMIT"

_WINDOW = timedelta(days=30)


class NetworkLimit(msgspec.Struct, frozen=True, kw_only=True):
    """One network's limits on declines of one card; `None` where it sets none.

    A decline of one of the `never_again` kinds ends it for good: Visa's category, Mastercard's
    merchant advice code.
    """

    declines_per_day: int | None = None
    declines_per_30_days_same_amount: int | None = None
    never_again: frozenset[str] = frozenset()


NETWORK_LIMITS = {
    "visa": NetworkLimit(declines_per_30_days_same_amount=20, never_again=frozenset({"1"})),
    "mastercard": NetworkLimit(
        declines_per_day=10,
        declines_per_30_days_same_amount=35,
        never_again=frozenset({"03", "21"}),
    ),
}
_NO_LIMIT = NetworkLimit()


class CardHistory(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one card so far: its declines, and the advice that came with the last one.

    `declines_30d` counts those of the same amount; `oldest_30d` is the instant of the first.
    """

    declines_today: int = 0
    declines_30d: int = 0
    oldest_30d: datetime | None = None
    advice: str | None = None


class Presentment(msgspec.Struct, frozen=True, kw_only=True):
    """Whether to send, why not, and from when on again; `None` where nobody can say or never."""

    send: bool
    reason: str | None = None
    retry_at: datetime | None = None


def may_present(network: str, history: CardHistory, *, at: datetime) -> Presentment:
    """Whether the card of this network, by its lower-case name, may be presented at the instant.

    A day is a day of UTC. Networks without known limits set none.
    """
    limit = NETWORK_LIMITS.get(network, _NO_LIMIT)
    if history.advice in limit.never_again:
        return Presentment(send=False, reason=NETWORK_RETRY_LIMIT)
    most = limit.declines_per_30_days_same_amount
    if most is not None and history.declines_30d >= most:
        oldest = history.oldest_30d
        retry_at = None if oldest is None else oldest + _WINDOW
        return Presentment(send=False, reason=NETWORK_RETRY_LIMIT, retry_at=retry_at)
    if limit.declines_per_day is not None and history.declines_today >= limit.declines_per_day:
        midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        retry_at = midnight + timedelta(days=1)
        return Presentment(send=False, reason=NETWORK_RETRY_LIMIT, retry_at=retry_at)
    return Presentment(send=True)
