"""How does a vendor's money leave the platform, and what became of it?

`Treasury` is the door. `states` and `pace` are pure, `creation` takes the money from the balance,
`screening` asks the fraud rules, `batching` writes what will be sent, `sending` calls the rail and
looks after what was sent, `recording` moves the books.
"""

from __future__ import annotations

from payengine.marketplace.treasury.inputs import (
    CancelPayout,
    CreatePayout,
    PlacePayoutHold,
    ReleasePayout,
    ReleasePayoutHold,
    SavePayoutDestination,
    SavePayoutSchedule,
    SettlePayout,
)
from payengine.marketplace.treasury.means import Judge, Judged, Means
from payengine.marketplace.treasury.models import (
    Destination,
    Payout,
    PayoutBatch,
    PayoutEvidence,
    PayoutFilter,
    PayoutHold,
    StoredSchedule,
)
from payengine.marketplace.treasury.service import Treasury

__all__ = [
    "CancelPayout",
    "CreatePayout",
    "Destination",
    "Judge",
    "Judged",
    "Means",
    "Payout",
    "PayoutBatch",
    "PayoutEvidence",
    "PayoutFilter",
    "PayoutHold",
    "PlacePayoutHold",
    "ReleasePayout",
    "ReleasePayoutHold",
    "SavePayoutDestination",
    "SavePayoutSchedule",
    "SettlePayout",
    "StoredSchedule",
    "Treasury",
]
