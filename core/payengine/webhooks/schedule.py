"""When is a delivery that failed tried again, and when is it given up?"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

__all__ = ["GIVE_UP_AFTER", "PAUSES", "next_try"]

#: How long an endpoint may fail before it is disabled.
GIVE_UP_AFTER = timedelta(days=3)
_JITTER = 0.1

#: The pause behind the first failure, the second, and so on; the last one repeats.
PAUSES = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=8),
)


def next_try(
    tries: int, *, first_tried_at: datetime, at: datetime, chance: random.Random
) -> datetime | None:
    """When to try again after `tries` failures, of which the latest was at `at`.

    A tenth sooner or later, so that endpoints that failed together do not come back together. The
    last try is three days after the first; None once that has failed.
    """
    end = first_tried_at + GIVE_UP_AFTER
    if at >= end:
        return None
    pause = PAUSES[min(tries, len(PAUSES)) - 1]
    return min(at + pause * chance.uniform(1 - _JITTER, 1 + _JITTER), end)
