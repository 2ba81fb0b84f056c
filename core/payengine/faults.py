"""Where may the program be killed?

`point("name")` does nothing unless `PAYENGINE_FAULTS` names it: `name` kills the process by
SIGKILL the first time it is passed, `name:7` the seventh time, `name:hang` stops the passing
thread for ever. Crash tests switch the points on; nothing else does.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

__all__ = ["POINTS", "point"]

#: Closed: every crash point in the code.
POINTS = frozenset(
    {
        "after_collection_charge_before_record",
        "after_commit",
        "after_gateway",
        "after_intent",
        "before_commit",
        "before_gateway",
        "before_response",
        "collection_charge_prepared",
        "collection_charge_recorded",
        "dunning_claimed",
        "job_claimed",
        "job_done",
        "notice_sent",
        "payout_batched",
        "payout_claimed",
        "payout_recorded",
        "payout_sent",
        "reconciler_claimed",
        "after_renewal_commit",
        "before_renewal_commit",
        "renewal_claimed",
        "refund_reserved",
        "relay_published",
        "split_posted",
        "webhook_sent",
        "webhook_applied",
        "webhook_stored",
    }
)


def _armed() -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, os.environ.get("PAYENGINE_FAULTS", "").split(",")):
        name, _, how = part.partition(":")
        if name not in POINTS:
            raise ValueError(f"PAYENGINE_FAULTS names {name!r}; known: {', '.join(sorted(POINTS))}")
        found[name] = how or "1"
    return found


_ARMED = _armed()
_PASSED: Counter[str] = Counter()


def point(name: str) -> None:
    """Pass the crash point `name`."""
    if _ARMED and name in _ARMED:
        _strike(name, _ARMED[name])


def _strike(name: str, how: str) -> None:
    _PASSED[name] += 1
    if how == "hang":
        while True:
            time.sleep(3600)
    if _PASSED[name] == int(how):
        os.kill(os.getpid(), signal.SIGKILL)
