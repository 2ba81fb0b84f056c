"""What comes after what in a subscription: the trial, the first months, and then?

A subscription is laid out as phases. Each is a number of periods of its own interval; the last may
go on without end. A trial is a phase of its own, and the periods that are paid begin anew after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from payengine.billing.periods import Cadence, Interval, Period
from payengine.errors import InputInvalid

__all__ = ["MOST_PHASES", "Phase", "PhaseSpan", "lay_out", "phase_at", "trial_end"]

#: How many phases a subscription has at most.
MOST_PHASES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """`periods` intervals under the same terms, which `name` stands for; None: without end."""

    name: str
    interval: Interval
    periods: int | None = None
    is_trial: bool = False

    def __post_init__(self) -> None:
        """Raise `InputInvalid` for a phase of no period and for a trial without end."""
        if self.periods is not None and (type(self.periods) is not int or self.periods < 1):
            raise InputInvalid("A phase lasts one period or more.", path=("phases", "periods"))
        if self.is_trial and self.periods is None:
            raise InputInvalid("A trial ends.", path=("phases", "periods"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSpan:
    """When a phase holds, and the cadence of its periods; `ends_at` is None where it does not."""

    phase: Phase
    cadence: Cadence
    starts_at: datetime
    ends_at: datetime | None

    def __contains__(self, at: datetime) -> bool:
        """Whether the phase holds at the instant."""
        if self.ends_at is None:
            return self.starts_at <= at
        return at in Period(start=self.starts_at, end=self.ends_at)


def trial_end(starts_at: datetime, *, days: int, time_zone: str = "UTC") -> datetime:
    """The instant, so many local days on, at which a trial ends by the subscriber's clock."""
    interval = Interval(unit="day", count=days)
    return Cadence(anchor=starts_at, interval=interval, time_zone=time_zone).boundary(1)


def lay_out(
    phases: Sequence[Phase],
    *,
    starts_at: datetime,
    time_zone: str = "UTC",
    anchor_day: int | None = None,
) -> tuple[PhaseSpan, ...]:
    """The phases on the calendar, from `starts_at` on.

    A phase with the interval of the one before goes on in its cadence. Another interval begins at
    the boundary, and keeps the day of the month that was meant (from the 31st of January over the
    28th of February to the 31st of March). The end of a trial is a new anchor. Raises
    `InputInvalid` where a phase that does not end is not the last.
    """
    if not 1 <= len(phases) <= MOST_PHASES:
        raise InputInvalid(f"A subscription has 1 to {MOST_PHASES} phases.", path=("phases",))
    if any(phase.periods is None for phase in phases[:-1]):
        raise InputInvalid("Only the last phase goes on without end.", path=("phases",))
    first = phases[0].interval
    cadence = Cadence(anchor=starts_at, interval=first, time_zone=time_zone, anchor_day=anchor_day)
    spans: list[PhaseSpan] = []
    number = 0
    for phase in phases:
        if spans and spans[-1].phase.is_trial:
            cadence, number = cadence.restarted(starts_at, interval=phase.interval), 0
        elif phase.interval != cadence.interval:
            cadence, number = cadence.continued(number, interval=phase.interval), 0
        begins = starts_at
        ends = None
        if phase.periods is not None:
            number += phase.periods
            ends = starts_at = cadence.boundary(number)
        spans.append(PhaseSpan(phase=phase, cadence=cadence, starts_at=begins, ends_at=ends))
    return tuple(spans)


def phase_at(spans: Sequence[PhaseSpan], at: datetime) -> PhaseSpan | None:
    """The phase that holds at the instant; None before the first and after the last."""
    return next((span for span in spans if at in span), None)
