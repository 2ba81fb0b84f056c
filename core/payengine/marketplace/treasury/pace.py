"""When is a batch looked at again, and when is it a person's?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from payengine.marketplace.treasury.models import Payout, PayoutBatch
from payengine.marketplace.treasury.states import OPEN
from payengine.plugin import RailManifest

__all__ = ["GIVE_UP_AFTER", "GRACE", "first_look", "is_hopeless", "next_look"]

#: What a lease has beyond the calls that it covers.
GRACE = timedelta(seconds=5)

#: A rail that cannot tell for so long will not tell.
GIVE_UP_AFTER = timedelta(days=5)

_FIRST_LOOK_S = 0.5
_LONGEST_UNKNOWN_S = 600.0
_FIRST_TRANSIT_S = 2.0
_LONGEST_TRANSIT_S = 21_600.0
_RETURNS_EVERY = timedelta(hours=12)
#: For how long what a person must decide, or what is on its way, is still looked up.
_LOOKS_END_AFTER = timedelta(days=60)


def next_look(tries: int, *, at: datetime) -> datetime:
    """After `tries` looks at what is unknown: half a second, 1 s, 2 s … at most 10 minutes."""
    return at + timedelta(seconds=min(_FIRST_LOOK_S * 2 ** min(tries, 20), _LONGEST_UNKNOWN_S))


def first_look(
    payouts: Sequence[Payout],
    manifest: RailManifest | None,
    *,
    tries: int,
    sent_at: datetime,
    at: datetime,
) -> datetime | None:
    """When the batch of these payouts is looked at again; None where nothing more can come."""
    age = at - sent_at
    if age > _LOOKS_END_AFTER:
        return None
    statuses = {one.status for one in payouts}
    if statuses & OPEN:
        return next_look(tries, at=at)
    if "in_transit" in statuses:
        wait = min(_FIRST_TRANSIT_S * 2 ** min(tries, 20), _LONGEST_TRANSIT_S)
        return at + timedelta(seconds=wait)
    returns = timedelta(seconds=manifest.returns_s if manifest else 0)
    if "paid" in statuses and age < returns:
        return at + min(_RETURNS_EVERY, max(returns - age, GRACE))
    return None


def is_hopeless(batch: PayoutBatch, manifest: RailManifest | None, *, at: datetime) -> bool:
    """Whether what is unknown of the batch must be found out by a person.

    So where the rail can neither be asked nor sent to again, and where it has not told for days.
    """
    age = at - batch.sent_at
    if age > GIVE_UP_AFTER:
        return True
    if manifest is None:
        return False
    return not manifest.lookup and age >= timedelta(seconds=manifest.key_window_s)
