"""Which rooms belong together, and what does each take by itself when it is due?

Three groups, each standing on those before: payments with their fraud rules, the money of others,
and billing with the clocks of test worlds. `payengine.engine` makes them in this order.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol, Self

from payengine.billing.clocked import (
    ClockedRoom,
    TestClocks,
    collections_busy,
    collections_due,
    renewals_due,
)
from payengine.billing.collection.room import CollectionRoom
from payengine.billing.invoices.room import InvoiceRoom
from payengine.billing.subscriptions.room import SubscriptionRoom
from payengine.billing.subscriptions.steps import Steps
from payengine.billing.wakeups import wake_handlers
from payengine.clock import TenantClocks
from payengine.customers import Customers
from payengine.events import EventLog
from payengine.fraud.backfill import Backfill
from payengine.fraud.desk import FraudDesk
from payengine.fraud.screening import Screening
from payengine.fraud.stages import Stages
from payengine.fx.book import RateBook
from payengine.fx.desk import Exchange
from payengine.jobs import Handler
from payengine.marketplace.room import Marketplace
from payengine.marketplace.treasury import Means as TreasuryMeans
from payengine.marketplace.treasury import Treasury
from payengine.payments import Means, Payments, Reconciler, Recorder
from payengine.payments.disputes import Disputes
from payengine.payments.inbound import Inbound
from payengine.payments.payout_judge import payout_judge
from payengine.payments.rescoring import Rescoring
from payengine.payments.review import Reviews
from payengine.pollers import Poller
from payengine.settings import Settings
from payengine.settlements import Settlements
from payengine.storage import Session
from payengine.webhooks import Addresses, Sender, Webhooks
from payengine.webhooks import Means as WebhookMeans

__all__ = ["BillingRooms", "MoneyRooms", "PaymentRooms"]


class _Timed(Protocol):
    """A room that does what is due in one world."""

    async def next_due(
        self, session: Session, tenant_id: uuid.UUID, after: datetime
    ) -> datetime | None: ...

    async def run_tenant(self, tenant_id: uuid.UUID, *, at: datetime) -> int: ...


@dataclass(frozen=True, slots=True)
class PaymentRooms:
    """Payments, what judges them, and what is heard and told of them."""

    means: Means
    fraud: Screening
    fraud_stages: Stages
    fraud_desk: FraudDesk
    rescoring: Rescoring
    backfill: Backfill
    payments: Payments
    customers: Customers
    reconciler: Reconciler
    disputes: Disputes
    reviews: Reviews
    inbound: Inbound
    webhooks: Webhooks

    @classmethod
    def of(cls, settings: Settings, means: Means, fraud: Screening, log: EventLog) -> Self:
        """The rooms that move payments with these means."""
        recorder = Recorder(means)
        disputes = Disputes(means)
        payments = Payments(means, recorder)
        return cls(
            means=means,
            fraud=fraud,
            fraud_stages=Stages(means.database, fraud, nudge=means.nudge),
            fraud_desk=FraudDesk.of(means.database, fraud, clock=means.clock, nudge=means.nudge),
            rescoring=Rescoring(means),
            backfill=Backfill(means.database, fraud.rulebook),
            payments=payments,
            customers=Customers(database=means.database, vault=means.vault, clock=means.clock),
            reconciler=Reconciler(means, recorder),
            disputes=disputes,
            reviews=Reviews(means, recorder, payments),
            inbound=Inbound.of(means, recorder, disputes=disputes),
            webhooks=_webhooks(settings, means, log),
        )

    def pollers(self) -> list[Poller]:
        """What is due of payments."""
        return [
            Poller("reconcile", lambda at: self.reconciler.run_once(at=at), every_s=0.5),
            Poller("disputes", lambda at: self.disputes.run_once(at=at), every_s=1.0),
            Poller("reviews", lambda at: self.reviews.run_once(at=at), every_s=1.0),
            Poller("inbound", lambda at: self.inbound.applier.run_once(at=at), every_s=0.25),
            Poller("webhooks", lambda at: self.webhooks.pump.run_once(at=at), every_s=0.25),
            Poller("fraud_watch", lambda at: self.fraud_desk.watching.run_once(at=at), every_s=5.0),
            Poller("fraud_rescore", lambda at: self.rescoring.run_once(at=at), every_s=2.0),
            Poller("fraud_backfill", lambda at: self.backfill.run_once(at=at), every_s=1.0),
        ]


@dataclass(frozen=True, slots=True)
class MoneyRooms:
    """Whose money it is, in which currency, and where it went."""

    marketplace: Marketplace
    treasury: Treasury
    exchange: Exchange
    settlements: Settlements

    @classmethod
    def of(cls, paying: PaymentRooms, book: RateBook) -> Self:
        """The rooms that divide, change and pay out what was paid."""
        means = paying.means
        return cls(
            marketplace=Marketplace.of(
                means.database,
                registry=means.registry,
                clock=means.clock,
                deadline_ms=means.deadline_ms,
                nudge=means.nudge,
            ),
            treasury=Treasury(
                TreasuryMeans(
                    database=means.database,
                    rails=means.registry.rails,
                    vault=means.vault,
                    clock=means.clock,
                    deadline_ms=means.deadline_ms,
                    nudge=means.nudge,
                    judge=payout_judge(paying.fraud_stages),
                )
            ),
            exchange=Exchange(means.database, book, clock=means.clock, nudge=means.nudge),
            settlements=Settlements(
                means.database, means.registry.parsers, book, clock=means.clock, nudge=means.nudge
            ),
        )

    def pollers(self) -> list[Poller]:
        """What is due of shares, escrow, reserves and payouts."""
        market = self.marketplace
        return [
            # It waits by itself until there are events, half a second at most.
            Poller("shares", lambda at: market.sharer.run_when_woken(), every_s=0.01),
            Poller("escrows", lambda at: market.escrows.run_once(at=at), every_s=1.0),
            Poller("reserves", lambda at: market.reserves.run_once(at=at), every_s=5.0),
            Poller("payouts", lambda at: self.treasury.run_once(at=at), every_s=1.0),
        ]

    def clocked(self) -> list[ClockedRoom]:
        """What is due by a world's own time; what was paid is shared before anything else."""
        market = self.marketplace
        timed: dict[str, _Timed] = {
            "escrows": market.escrows,
            "reserves": market.reserves,
            "payout_schedules": self.treasury.schedules,
        }
        shares = ClockedRoom(
            name="shares",
            next_due=_never,
            run_tenant=lambda tenant_id, at: market.sharer.run_tenant(tenant_id, at=at),
        )
        return [
            shares,
            *(
                ClockedRoom(name=name, next_due=room.next_due, run_tenant=partial(_run, room))
                for name, room in timed.items()
            ),
        ]


@dataclass(frozen=True, slots=True)
class BillingRooms:
    """Subscriptions, their invoices, how these are collected, and the clocks of test worlds."""

    collection: CollectionRoom
    invoicing: InvoiceRoom
    subscribing: SubscriptionRoom
    test_clocks: TestClocks

    @classmethod
    def of(cls, paying: PaymentRooms, money: MoneyRooms) -> Self:
        """The rooms that bill by these payments; a test world's clock runs the others' too."""
        means, steps = paying.means, Steps()
        collection = CollectionRoom.of(
            means, paying.payments, paying.customers, resume=steps.resume_unpaid
        )
        invoicing = InvoiceRoom.of(means, paying.payments, paying.customers, steps=steps)
        return cls(
            collection=collection,
            invoicing=invoicing,
            subscribing=SubscriptionRoom.of(
                means.database,
                clock=means.clock,
                taxes=invoicing.taxes,
                renewals=invoicing.renewals,
                nudge=means.nudge,
            ),
            test_clocks=_test_clocks(means, [*money.clocked(), *_clocked(invoicing, collection)]),
        )

    def pollers(self) -> list[Poller]:
        """What is due of subscriptions and invoices."""
        renewals, notes = self.invoicing.renewals, self.invoicing.credit_notes
        return [
            *self.collection.pollers(),
            Poller("renewals", lambda at: renewals.run_once(at=at), every_s=1.0),
            Poller("credit_notes", lambda at: notes.run_once(at=at), every_s=2.0),
            Poller("test_clocks", lambda at: self.test_clocks.run_once(at=at), every_s=0.25),
        ]

    def handlers(self) -> list[Handler]:
        """What hears the wake-ups; what they tell of, the pollers find as well."""
        return wake_handlers(
            renew=self.invoicing.renewals.take_turn, collect=self.collection.collections.take_turn
        )


def _clocked(invoicing: InvoiceRoom, collection: CollectionRoom) -> list[ClockedRoom]:
    """What is due of billing by a world's own time."""
    renewals, collections = invoicing.renewals, collection.collections
    return [
        ClockedRoom(
            name="renewals",
            next_due=renewals_due,
            run_tenant=lambda tenant_id, at: renewals.run_tenant(tenant_id, at=at),
        ),
        ClockedRoom(
            name="collections",
            next_due=collections_due,
            run_tenant=lambda tenant_id, at: collections.run_tenant(tenant_id, at=at),
            is_busy=collections_busy,
        ),
    ]


def _test_clocks(means: Means, rooms: Sequence[ClockedRoom]) -> TestClocks:
    """The clocks of test worlds; what is due there by the world's own time, in this order."""
    clocks = means.clock if isinstance(means.clock, TenantClocks) else TenantClocks()
    return TestClocks(database=means.database, clocks=clocks, rooms=tuple(rooms))


async def _run(room: _Timed, tenant_id: uuid.UUID, at: datetime) -> int:
    return await room.run_tenant(tenant_id, at=at)


async def _never(session: Session, tenant_id: uuid.UUID, after: datetime) -> datetime | None:
    """Nothing of it is due by time alone."""
    return None


def _webhooks(settings: Settings, means: Means, log: EventLog) -> Webhooks:
    return Webhooks.of(
        WebhookMeans(
            database=means.database,
            vault=means.vault,
            clock=means.clock,
            log=log,
            sender=Sender(Addresses.from_settings(settings)),
            nudge=means.nudge,
        )
    )
