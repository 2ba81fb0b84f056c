"""What is a run of the crash harness told?"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEADLINE_MS", "GRACE_S", "Options", "planted"]

#: How long the program waits for its gateway here, in milliseconds.
DEADLINE_MS = 1_000
#: What a lease, and the recovery after it, may take beyond that.
GRACE_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """How often to kill, where, and against which provider.

    `lanes` worlds, each with a database, a provider and tenants of its own, are killed side by
    side. `provider` is the address of a stand-in that answers as docs/reference/sandbox-http.md
    says; without it each lane starts the sandbox as a process. `defect` plants a fault into the
    program (see `defects`). `points` are the crash points to use, by default all there are.
    """

    kills: int = 500
    seed: int = 1
    lanes: int = 2
    payments_per_kill: int = 12
    provider: str | None = None
    chaos: int = 300
    defect: str | None = None
    points: tuple[str, ...] | None = None
    random_kills: bool = True


#: Where the program must die for a defect to do harm.
_WHERE = {
    "charge_key": "after_collection_charge_before_record",
    "fresh_key": "before_gateway",
    "no_lookup": "after_gateway",
    "payout_key": "payout_sent",
    "period_twice": "after_renewal_commit",
}
#: How many buyers it takes until some ask at the same moment for more than there is.
_BUYERS = {"no_check": 40}


def planted(defect: str, *, seed: int) -> Options:
    """A short run with one defect planted."""
    point = _WHERE.get(defect, "after_commit")
    return Options(kills=1, seed=seed, lanes=1, defect=defect, points=(point,), random_kills=False)
