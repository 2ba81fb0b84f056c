"""What is running?

The one place where the rooms are put together. Nothing below holds a module-level object with a
tenant's data: an `Engine` owns everything, and closing it lets go of everything.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from payengine.assembly import BillingRooms, MoneyRooms, PaymentRooms
from payengine.background import Background
from payengine.billing.catalogue import Catalogue
from payengine.billing.clocked import (
    TestClocks,
)
from payengine.billing.collection.room import CollectionRoom
from payengine.billing.invoices.room import InvoiceRoom
from payengine.billing.subscriptions.room import SubscriptionRoom
from payengine.billing.usage_log import UsageLog
from payengine.clock import Clock, TenantClocks
from payengine.customers import Customers
from payengine.embedded import running_servers
from payengine.errors import InputInvalid
from payengine.events import EventLog, Feed
from payengine.events.wakeups import WakeUps
from payengine.fraud.backfill import Backfill
from payengine.fraud.desk import FraudDesk
from payengine.fraud.screening import Screening
from payengine.fraud.stages import Stages
from payengine.fx.book import ASKING, RateBook, asking_handler
from payengine.fx.desk import Exchange
from payengine.jobs import Cron, CronTable, Handler, JobDesk, Runner
from payengine.jobs.tidy import NIGHTLY, tidy_handler
from payengine.ledger import Ledger
from payengine.marketplace.room import Marketplace
from payengine.marketplace.treasury import Treasury
from payengine.payments import Means, PaymentBatches, Payments, Reconciler
from payengine.payments.disputes import Disputes
from payengine.payments.inbound import Inbound
from payengine.payments.rescoring import Rescoring
from payengine.payments.review import Reviews
from payengine.registry import Hosting, Registry
from payengine.reports.finance import FinanceReports
from payengine.retention import FORGETTING, retention_handler
from payengine.routing import Router
from payengine.settings import Settings
from payengine.settlements import Settlements
from payengine.storage import Database, migrate
from payengine.vault import Vault
from payengine.webhooks import Webhooks

__all__ = ["Engine", "open_engine", "running_engine"]


@dataclass(frozen=True, slots=True)
class Engine:
    """The rooms of one process."""

    settings: Settings
    database: Database
    clock: Clock
    vault: Vault
    registry: Registry
    router: Router
    fraud: Screening
    fraud_stages: Stages
    fraud_desk: FraudDesk
    rescoring: Rescoring
    backfill: Backfill
    payments: Payments
    customers: Customers
    catalogue: Catalogue
    usage: UsageLog
    collection: CollectionRoom
    invoicing: InvoiceRoom
    subscribing: SubscriptionRoom
    test_clocks: TestClocks
    ledger: Ledger
    exchange: Exchange
    settlements: Settlements
    reports: FinanceReports
    marketplace: Marketplace
    treasury: Treasury
    events: EventLog
    feed: Feed
    reconciler: Reconciler
    disputes: Disputes
    reviews: Reviews
    inbound: Inbound
    webhooks: Webhooks
    jobs: Runner
    job_desk: JobDesk
    background: Background


#: What happens by the calendar, each in a job of its kind.
_CALENDAR: tuple[Cron, ...] = (NIGHTLY, FORGETTING, ASKING)


def _handlers(database: Database, settings: Settings, book: RateBook) -> list[Handler]:
    """The jobs of the rooms, a handler for each kind."""
    return [
        tidy_handler(database),
        retention_handler(database, settings),
        asking_handler(database, book),
    ]


@asynccontextmanager
async def open_engine(
    settings: Settings,
    *,
    login_url: str,
    redis_url: str | None = None,
    clock: Clock | None = None,
    background: bool = True,
    plugins: Mapping[str, object] | None = None,
    handlers: Sequence[Handler] = (),
    only_jobs: Collection[str] = (),
) -> AsyncIterator[Engine]:
    """An engine on a migrated database; `background` runs the relay and the other loops.

    `plugins` are registered beside those that are installed, `handlers` of jobs beside the rooms'
    own. `only_jobs`: the kinds that this process does, where not all.
    """
    clock = clock or TenantClocks()
    # Where plugins keep files of their own: the data folder, however it was named to us.
    os.environ["PAYENGINE_HOME"] = str(settings.home)
    async with AsyncExitStack() as stack:
        database = await Database.open(login_url, pool_size=settings.pool_size)
        stack.push_async_callback(database.close)
        vault = Vault.from_settings(settings)
        registry = Registry.load(
            database, vault, clock=clock, extra=plugins, hosting=Hosting.from_settings(settings)
        )
        stack.push_async_callback(registry.close)
        router = Router(database, clock=clock, gateways=registry.installed.gateways)
        stack.push_async_callback(router.close)
        log = await EventLog.open(database)
        feed = Feed(log)
        stack.push_async_callback(feed.close)
        wake_ups = WakeUps(redis_url, feed)
        wake_ups.start()
        stack.push_async_callback(wake_ups.stop)
        book = RateBook(database, registry.rates, clock=clock)
        unpublished = asyncio.Event()
        fraud = Screening(
            database,
            vault=vault,
            plugins=registry.installed,
            clock=clock,
            scorers=registry.scorers,
        )
        means = _means(settings, database, vault, registry, router, clock, fraud, unpublished)
        own = [*_handlers(database, settings, book), *handlers]
        engine = _assemble(
            settings,
            means,
            fraud,
            log=log,
            feed=feed,
            wake_ups=wake_ups,
            book=book,
            jobs=lambda more: _runner(settings, database, [*own, *more], only=only_jobs),
            unpublished=unpublished,
        )
        if isinstance(clock, TenantClocks):
            await engine.test_clocks.refresh()
            keeping = asyncio.create_task(engine.test_clocks.keep())
            stack.push_async_callback(_ended, keeping)
        stack.push_async_callback(engine.webhooks.pump.close)
        stack.push_async_callback(engine.inbound.applier.rest)
        if background:
            engine.background.start()
            stack.push_async_callback(engine.background.stop)
        yield engine


def _means(
    settings: Settings,
    database: Database,
    vault: Vault,
    registry: Registry,
    router: Router,
    clock: Clock,
    fraud: Screening,
    unpublished: asyncio.Event,
) -> Means:
    """What payments need of everybody else; `unpublished` is set where events wait."""
    return Means(
        database=database,
        batches=PaymentBatches(database),
        registry=registry,
        router=router,
        vault=vault,
        clock=clock,
        deadline_ms=settings.gateway_deadline_ms,
        nudge=unpublished.set,
        fraud=fraud,
    )


def _assemble(
    settings: Settings,
    means: Means,
    fraud: Screening,
    *,
    log: EventLog,
    feed: Feed,
    wake_ups: WakeUps,
    book: RateBook,
    jobs: Callable[[Sequence[Handler]], Runner],
    unpublished: asyncio.Event,
) -> Engine:
    """`jobs` makes the runner of the rooms' jobs, beside those that need no room."""
    database, clock = means.database, means.clock
    paying = PaymentRooms.of(settings, means, fraud, log)
    money = MoneyRooms.of(paying, book)
    billing = BillingRooms.of(paying, money)
    runner = jobs(billing.handlers())
    feed.listen(money.marketplace.sharer.wake)
    return Engine(
        settings=settings,
        database=database,
        clock=clock,
        vault=means.vault,
        registry=means.registry,
        router=means.router,
        fraud=fraud,
        fraud_stages=paying.fraud_stages,
        fraud_desk=paying.fraud_desk,
        rescoring=paying.rescoring,
        backfill=paying.backfill,
        payments=paying.payments,
        customers=paying.customers,
        catalogue=Catalogue(database=database, clock=clock),
        usage=UsageLog(database=database, clock=clock),
        collection=billing.collection,
        invoicing=billing.invoicing,
        subscribing=billing.subscribing,
        test_clocks=billing.test_clocks,
        ledger=Ledger(database),
        exchange=money.exchange,
        settlements=money.settlements,
        reports=FinanceReports(database),
        marketplace=money.marketplace,
        treasury=money.treasury,
        events=log,
        feed=feed,
        reconciler=paying.reconciler,
        disputes=paying.disputes,
        reviews=paying.reviews,
        inbound=paying.inbound,
        webhooks=paying.webhooks,
        jobs=runner,
        job_desk=JobDesk(database),
        background=Background(
            database=database,
            feed=feed,
            wake_ups=wake_ups,
            pollers=[*paying.pollers(), *billing.pollers(), *money.pollers()],
            jobs=runner,
            calendar=CronTable(database, _CALENDAR),
            unpublished=unpublished,
        ),
    )


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _runner(
    settings: Settings,
    database: Database,
    handlers: Sequence[Handler],
    *,
    only: Collection[str],
) -> Runner:
    kinds = {handler.kind for handler in handlers}
    if unknown := set(only) - kinds:
        raise InputInvalid(
            f"Nobody here does jobs of the kind {', '.join(sorted(unknown))}; there are: "
            f"{', '.join(sorted(kinds))}."
        )
    return Runner(
        database,
        [handler for handler in handlers if not only or handler.kind in only],
        places=settings.job_concurrency,
        lease=timedelta(milliseconds=settings.job_lease_ms),
    )


@asynccontextmanager
async def running_engine(
    settings: Settings,
    *,
    background: bool = True,
    handlers: Sequence[Handler] = (),
    only_jobs: Collection[str] = (),
) -> AsyncIterator[Engine]:
    """An engine with everything it needs: servers started or joined, database migrated."""
    async with running_servers(settings) as servers:
        await migrate(owner_url=servers.owner_url, login_url=servers.login_url)
        async with open_engine(
            settings,
            login_url=servers.login_url,
            redis_url=servers.redis_url,
            background=background,
            handlers=handlers,
            only_jobs=only_jobs,
        ) as engine:
            yield engine
