"""Where is everything about collection?

One record of what this room offers, made by `payengine.engine`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from payengine.billing.collection.desk import CollectionDesk
from payengine.billing.collection.entitled import Entitlements
from payengine.billing.collection.hearing import Resume
from payengine.billing.collection.links import Links
from payengine.billing.collection.postman import Postman
from payengine.billing.collection.recovery import Recovery
from payengine.billing.collection.report import RecoveryReport
from payengine.billing.collection.service import Collections
from payengine.customers import Customers
from payengine.payments import Means, Payments
from payengine.pollers import Poller

__all__ = ["CollectionRoom"]


@dataclass(frozen=True, slots=True)
class CollectionRoom:
    """What is collected, and what customers may use."""

    collections: Collections
    entitlements: Entitlements
    desk: CollectionDesk
    links: Links
    postman: Postman
    recovery: Recovery
    report: RecoveryReport

    @classmethod
    def of(
        cls,
        means: Means,
        payments: Payments,
        customers: Customers,
        *,
        resume: Resume | None = None,
    ) -> Self:
        """The room; `resume` begins a new period of a subscription that was unpaid."""
        links = Links(means.database, means.vault)
        collections = Collections(
            database=means.database,
            clock=means.clock,
            payments=payments,
            nudge=means.nudge,
            resume=resume,
        )
        return cls(
            collections=collections,
            entitlements=Entitlements(database=means.database, clock=means.clock),
            desk=CollectionDesk(
                database=means.database,
                clock=means.clock,
                collections=collections,
                nudge=means.nudge,
            ),
            links=links,
            postman=Postman(
                database=means.database,
                vault=means.vault,
                clock=means.clock,
                notifiers=means.registry.notifiers,
                links=links,
            ),
            recovery=Recovery(
                database=means.database,
                clock=means.clock,
                customers=customers,
                collections=collections,
                links=links,
            ),
            report=RecoveryReport(means.database),
        )

    def pollers(self) -> list[Poller]:
        """What is taken by itself when it is due."""
        return [
            Poller("collections", lambda at: self.collections.run_once(at=at), every_s=1.0),
            Poller("notices", lambda at: self.postman.run_once(at=at), every_s=1.0),
        ]
