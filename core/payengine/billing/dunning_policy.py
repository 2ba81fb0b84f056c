"""When is an unpaid invoice tried again, and what happens when nothing helped?

Every time is counted from `t0`, the instant of the first charge, so that a worker who comes late
does not move what follows.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import accumulate
from typing import Literal

import msgspec

from payengine.errors import InputInvalid

__all__ = [
    "FIRST_PAYMENT_WINDOW",
    "MOST_INTERVALS",
    "TECHNICAL_RETRIES",
    "DunningPolicy",
    "FinalAction",
    "technical_delay",
]

FinalAction = Literal["cancel", "unpaid", "leave_past_due"]

#: After Kill Bill's defaults: 300 s, doubled each time, eight times.
TECHNICAL_RETRIES = 8
_FIRST_DELAY = timedelta(minutes=5)

#: How long a new subscription waits for its first payment: 23 hours, as the field has it.
FIRST_PAYMENT_WINDOW = timedelta(hours=23)

#: The scheduled attempts of one policy, and the days of each interval and of the grace.
MOST_INTERVALS = 30
_MOST_DAYS = 366
_INTERVALS = "retry_intervals_days"


class DunningPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The days between attempts, what is done at the deadline, and how long access is kept.

    With `tries_other_methods`, a method that is of no use is followed by the customer's next saved
    one at once.
    """

    retry_intervals_days: tuple[int, ...] = (2, 5, 7, 7)
    final_action: FinalAction = "cancel"
    access_grace_days: int = 7
    tries_other_methods: bool = True

    def check(self) -> None:
        """Refuse a policy that cannot be kept; raises `InputInvalid`."""
        intervals = self.retry_intervals_days
        if len(intervals) > MOST_INTERVALS:
            raise _refused(_INTERVALS, f"Dunning has at most {MOST_INTERVALS} scheduled attempts.")
        if any(type(days) is not int or not 1 <= days <= _MOST_DAYS for days in intervals):
            raise _refused(_INTERVALS, f"An interval lasts 1 to {_MOST_DAYS} days.")
        grace = self.access_grace_days
        if type(grace) is not int or not 0 <= grace <= _MOST_DAYS:
            raise _refused("access_grace_days", f"The grace lasts 0 to {_MOST_DAYS} days.")

    def schedule(self, t0: datetime) -> tuple[datetime, ...]:
        """When attempts 1, 2, … are due."""
        days = accumulate(self.retry_intervals_days)
        return tuple(t0 + timedelta(days=each) for each in days)

    def deadline(self, t0: datetime) -> datetime:
        """When the final action runs if nothing has helped."""
        return t0 + timedelta(days=sum(self.retry_intervals_days))

    def next_attempt(self, t0: datetime, *, after: datetime) -> datetime | None:
        """The first scheduled attempt later than `after`; those that were missed are passed over.

        `None` when there is none left.
        """
        return next((at for at in self.schedule(t0) if at > after), None)

    def grace_ends(self, t0: datetime) -> datetime:
        """Until when access is kept."""
        return t0 + timedelta(days=self.access_grace_days)


def technical_delay(retries: int) -> timedelta | None:
    """How long to wait after a technical failure, `retries` of them done; `None` at their end."""
    return _FIRST_DELAY * 2**retries if retries < TECHNICAL_RETRIES else None


def _refused(name: str, problem: str) -> InputInvalid:
    return InputInvalid(problem, path=(name,))
