"""Where is everything about subscriptions?

One record of what this room offers, made by `payengine.engine`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from payengine.billing.invoices.renewals import Renewals
from payengine.billing.invoices.taxing import TaxDesk
from payengine.billing.subscriptions.previews import Previews
from payengine.billing.subscriptions.service import Subscriptions
from payengine.billing.subscriptions.shelf import Coupons, SubscriptionReader
from payengine.clock import Clock
from payengine.storage import Database

__all__ = ["SubscriptionRoom"]


@dataclass(frozen=True, slots=True)
class SubscriptionRoom:
    """Subscriptions, what they would charge, and the coupons that they take."""

    subscriptions: Subscriptions
    previews: Previews
    reader: SubscriptionReader
    coupons: Coupons

    @classmethod
    def of(
        cls,
        database: Database,
        *,
        clock: Clock,
        taxes: TaxDesk,
        renewals: Renewals,
        nudge: Callable[[], None] = lambda: None,
    ) -> Self:
        """The room; `nudge` says that there are new events."""
        return cls(
            subscriptions=Subscriptions(
                database=database, clock=clock, taxes=taxes, renewals=renewals, nudge=nudge
            ),
            previews=Previews(database=database, clock=clock, taxes=taxes, renewals=renewals),
            reader=SubscriptionReader(database=database),
            coupons=Coupons(database=database, clock=clock),
        )
