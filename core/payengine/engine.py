"""What is running?

The one place where the rooms are put together. Nothing below holds a module-level object with a
tenant's data: an `Engine` owns everything, and closing it lets go of everything.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from payengine.background import Background, Poller
from payengine.billing.catalogue import Catalogue
from payengine.billing.usage_log import UsageLog
from payengine.clock import Clock, SystemClock
from payengine.customers import Customers
from payengine.embedded import running_servers
from payengine.errors import InputInvalid
from payengine.events import EventLog, Feed
from payengine.events.wakeups import WakeUps
from payengine.fraud.desk import FraudDesk
from payengine.fraud.screening import Screening
from payengine.jobs import Cron, CronTable, Handler, JobDesk, Runner
from payengine.jobs.tidy import NIGHTLY, tidy_handler
from payengine.ledger import Ledger
from payengine.payments import Means, PaymentBatches, Payments, Reconciler, Recorder
from payengine.payments.disputes import Disputes
from payengine.payments.inbound import Inbound
from payengine.payments.review import Reviews
from payengine.registry import Hosting, Registry
from payengine.retention import FORGETTING, retention_handler
from payengine.routing import Router
from payengine.settings import Settings
from payengine.storage import Database, migrate
from payengine.vault import Vault
from payengine.webhooks import Addresses, Sender, Webhooks
from payengine.webhooks import Means as WebhookMeans

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
    fraud_desk: FraudDesk
    payments: Payments
    customers: Customers
    catalogue: Catalogue
    usage: UsageLog
    ledger: Ledger
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
_CALENDAR: tuple[Cron, ...] = (NIGHTLY, FORGETTING)


def _handlers(database: Database, settings: Settings) -> list[Handler]:
    """The jobs of the rooms, a handler for each kind."""
    return [tidy_handler(database), retention_handler(database, settings)]


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
    clock = clock or SystemClock()
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
        engine = _assemble(
            settings,
            database,
            vault,
            registry,
            router,
            clock=clock,
            log=log,
            feed=feed,
            wake_ups=wake_ups,
            jobs=_runner(
                settings, database, [*_handlers(database, settings), *handlers], only=only_jobs
            ),
        )
        stack.push_async_callback(engine.webhooks.pump.close)
        stack.push_async_callback(engine.inbound.applier.rest)
        if background:
            engine.background.start()
            stack.push_async_callback(engine.background.stop)
        yield engine


def _assemble(
    settings: Settings,
    database: Database,
    vault: Vault,
    registry: Registry,
    router: Router,
    *,
    clock: Clock,
    log: EventLog,
    feed: Feed,
    wake_ups: WakeUps,
    jobs: Runner,
) -> Engine:
    unpublished = asyncio.Event()
    fraud = Screening(database, vault=vault, plugins=registry.installed, clock=clock)
    means = Means(
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
    webhooks = _webhooks(settings, means, log)
    recorder = Recorder(means)
    reconciler = Reconciler(means, recorder)
    disputes = Disputes(means)
    inbound = Inbound.of(means, recorder, disputes=disputes)
    payments = Payments(means, recorder)
    reviews = Reviews(means, recorder, payments)
    fraud_desk = FraudDesk.of(database, fraud, clock=clock, nudge=unpublished.set)
    return Engine(
        settings=settings,
        database=database,
        clock=clock,
        vault=vault,
        registry=registry,
        router=router,
        fraud=fraud,
        fraud_desk=fraud_desk,
        payments=payments,
        customers=Customers(database=database, vault=vault, clock=clock),
        catalogue=Catalogue(database=database, clock=clock),
        usage=UsageLog(database=database, clock=clock),
        ledger=Ledger(database),
        events=log,
        feed=feed,
        reconciler=reconciler,
        disputes=disputes,
        reviews=reviews,
        inbound=inbound,
        webhooks=webhooks,
        jobs=jobs,
        job_desk=JobDesk(database),
        background=Background(
            database=database,
            feed=feed,
            wake_ups=wake_ups,
            pollers=_pollers(reconciler, disputes, reviews, fraud_desk, inbound, webhooks),
            jobs=jobs,
            calendar=CronTable(database, _CALENDAR),
            unpublished=unpublished,
        ),
    )


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


def _pollers(
    reconciler: Reconciler,
    disputes: Disputes,
    reviews: Reviews,
    fraud_desk: FraudDesk,
    inbound: Inbound,
    webhooks: Webhooks,
) -> list[Poller]:
    """What each room takes by itself when it is due."""
    return [
        Poller("reconcile", lambda at: reconciler.run_once(at=at), every_s=0.5),
        Poller("disputes", lambda at: disputes.run_once(at=at), every_s=1.0),
        Poller("reviews", lambda at: reviews.run_once(at=at), every_s=1.0),
        Poller("fraud_watch", lambda at: fraud_desk.watching.run_once(at=at), every_s=5.0),
        Poller("inbound", lambda at: inbound.applier.run_once(at=at), every_s=0.25),
        Poller("webhooks", lambda at: webhooks.pump.run_once(at=at), every_s=0.25),
    ]


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
