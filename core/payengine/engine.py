"""What is running?

The one place where the rooms are put together. Nothing below holds a module-level object with a
tenant's data: an `Engine` owns everything, and closing it lets go of everything.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from payengine.background import Background, Poller
from payengine.clock import Clock, SystemClock
from payengine.customers import Customers
from payengine.embedded import running_servers
from payengine.events import EventLog, Feed
from payengine.events.wakeups import WakeUps
from payengine.ledger import Ledger
from payengine.payments import Means, Payments, Reconciler, Recorder
from payengine.registry import Registry
from payengine.settings import Settings
from payengine.storage import Database, migrate
from payengine.vault import Vault

__all__ = ["Engine", "open_engine", "running_engine"]


@dataclass(frozen=True, slots=True)
class Engine:
    """The rooms of one process."""

    settings: Settings
    database: Database
    clock: Clock
    vault: Vault
    registry: Registry
    payments: Payments
    customers: Customers
    ledger: Ledger
    events: EventLog
    feed: Feed
    reconciler: Reconciler
    background: Background


@asynccontextmanager
async def open_engine(
    settings: Settings,
    *,
    login_url: str,
    redis_url: str | None = None,
    clock: Clock | None = None,
    background: bool = True,
    plugins: Mapping[str, object] | None = None,
) -> AsyncIterator[Engine]:
    """An engine on a migrated database; `background` runs the relay and the other loops.

    `plugins` are registered beside those that are installed.
    """
    clock = clock or SystemClock()
    # Where plugins keep files of their own: the data folder, however it was named to us.
    os.environ["PAYENGINE_HOME"] = str(settings.home)
    async with AsyncExitStack() as stack:
        database = await Database.open(login_url, pool_size=settings.pool_size)
        stack.push_async_callback(database.close)
        vault = Vault.from_settings(settings)
        registry = Registry.load(database, vault, clock=clock, extra=plugins)
        stack.push_async_callback(registry.close)
        log = await EventLog.open(database)
        feed = Feed(log)
        stack.push_async_callback(feed.close)
        wake_ups = WakeUps(redis_url, feed)
        wake_ups.start()
        stack.push_async_callback(wake_ups.stop)
        engine = _assemble(
            settings, database, vault, registry, clock=clock, log=log, feed=feed, wake_ups=wake_ups
        )
        if background:
            engine.background.start()
            stack.push_async_callback(engine.background.stop)
        yield engine


def _assemble(
    settings: Settings,
    database: Database,
    vault: Vault,
    registry: Registry,
    *,
    clock: Clock,
    log: EventLog,
    feed: Feed,
    wake_ups: WakeUps,
) -> Engine:
    unpublished = asyncio.Event()
    means = Means(
        database=database,
        registry=registry,
        vault=vault,
        clock=clock,
        deadline_ms=settings.gateway_deadline_ms,
        nudge=unpublished.set,
    )
    recorder = Recorder(means)
    reconciler = Reconciler(means, recorder)
    return Engine(
        settings=settings,
        database=database,
        clock=clock,
        vault=vault,
        registry=registry,
        payments=Payments(means, recorder),
        customers=Customers(database=database, vault=vault, clock=clock),
        ledger=Ledger(database),
        events=log,
        feed=feed,
        reconciler=reconciler,
        background=Background(
            database=database,
            feed=feed,
            wake_ups=wake_ups,
            pollers=[Poller("reconcile", lambda at: reconciler.run_once(at=at), every_s=0.5)],
            unpublished=unpublished,
        ),
    )


@asynccontextmanager
async def running_engine(settings: Settings, *, background: bool = True) -> AsyncIterator[Engine]:
    """An engine with everything it needs: servers started or joined, database migrated."""
    async with running_servers(settings) as servers:
        await migrate(owner_url=servers.owner_url, login_url=servers.login_url)
        async with open_engine(
            settings,
            login_url=servers.login_url,
            redis_url=servers.redis_url,
            background=background,
        ) as engine:
            yield engine
