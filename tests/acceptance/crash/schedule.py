"""When and where does the program die?

Pure: the same seed makes the same kills. Every crash point gets the same share, and random moments
a share as large as two points'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random

__all__ = ["ANY_MOMENT", "Death", "Kill", "kills_of"]

#: What a kill at a random moment is called in the tables.
ANY_MOMENT = "any moment"

_MOMENT_SHARES = 2
#: What a worker of its own passes, and what it passes too.
_BACKGROUND = frozenset(
    {
        "after_collection_charge_before_record",
        "after_renewal_commit",
        "before_renewal_commit",
        "collection_charge_prepared",
        "collection_charge_recorded",
        "dunning_claimed",
        "job_claimed",
        "job_done",
        "notice_sent",
        "payout_batched",
        "payout_recorded",
        "payout_sent",
        "reconciler_claimed",
        "relay_published",
        "renewal_claimed",
        "split_posted",
        "webhook_applied",
        "webhook_sent",
    }
)
_ANYWHERE = frozenset(
    {ANY_MOMENT, "after_commit", "after_gateway", "before_commit", "before_gateway"}
)
#: At most so many passes of a point come before the one that kills: those that each request
#: passes fall into the thick of it, and the others are reached in about the same time.
_MOST_PASSES = {
    "after_collection_charge_before_record": 6,
    "after_renewal_commit": 2,
    "before_renewal_commit": 2,
    "collection_charge_prepared": 6,
    "collection_charge_recorded": 6,
    "dunning_claimed": 6,
    "job_claimed": 1,
    "job_done": 4,
    "notice_sent": 1,
    "payout_batched": 2,
    "payout_claimed": 2,
    "payout_recorded": 2,
    "payout_sent": 2,
    "reconciler_claimed": 3,
    "refund_reserved": 4,
    "relay_published": 6,
    "renewal_claimed": 2,
    "split_posted": 4,
    "webhook_sent": 6,
}
#: A worker alone meets the gateway only where something went wrong before.
_PASSES_OF_WORKER = 4
_PASSES = 40
_LONGEST_WAIT_S = 1.5
#: One in so many kills comes without leaving time for recovery from the one before.
_IMPATIENT_ONE_IN = 5


@dataclass(frozen=True, kw_only=True)
class Kill:
    """One death: at the `passes`th passing of `point`, or `after_s` seconds after serving again.

    `target` is the process that dies, `serve` or `worker`.

    `is_patient`: what the kill before left open is settled first, and only then come the buyers.
    """

    target: str
    point: str
    passes: int
    after_s: float
    is_patient: bool

    @property
    def name(self) -> str:
        """What the kill is called in the tables."""
        return self.point if self.target == "serve" else f"{self.point}, worker"

    @property
    def faults(self) -> str:
        """The value of PAYENGINE_FAULTS."""
        return "" if self.point == ANY_MOMENT else f"{self.point}:{self.passes}"


@dataclass(frozen=True, kw_only=True)
class Death:
    """One kill that happened; `point` is where, `left_open` which operations it left behind."""

    point: str
    at: datetime
    left_open: frozenset[str]


def kills_of(
    number: int, *, points: Sequence[str], random_kills: bool, has_worker: bool, seed: str
) -> tuple[Kill, ...]:
    """The kills of one lane, in the order in which they happen."""
    chance = Random(seed)
    places = [*sorted(points), *([ANY_MOMENT] * _MOMENT_SHARES if random_kills else ())]
    # Places that a short round leaves out differ from seed to seed.
    chance.shuffle(places)
    chosen = [places[index % len(places)] for index in range(number)]
    chance.shuffle(chosen)
    return tuple(_kill(point, chance, has_worker=has_worker) for point in chosen)


def _kill(point: str, chance: Random, *, has_worker: bool) -> Kill:
    in_worker = point in _BACKGROUND or (point in _ANYWHERE and chance.random() < 0.3)
    in_worker = has_worker and in_worker
    most = _MOST_PASSES.get(point, _PASSES_OF_WORKER if in_worker else _PASSES)
    return Kill(
        target="worker" if in_worker else "serve",
        point=point,
        passes=chance.randint(1, most),
        after_s=chance.uniform(0.0, _LONGEST_WAIT_S),
        is_patient=chance.randrange(_IMPATIENT_ONE_IN) > 0,
    )
