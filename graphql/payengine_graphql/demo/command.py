"""How is the demo run on demand?"""

from __future__ import annotations

import time

from payengine.embedded import running_servers
from payengine.errors import ConfigurationError
from payengine.money import decimal_text
from payengine.settings import Settings
from payengine.storage import Database, migrate
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from payengine_graphql.demo.buyer import Buyer, replay
from payengine_graphql.demo.tenants import DemoTenant, ensure_demo_tenants, read_demo_tenants

__all__ = ["run"]


async def run(
    settings: Settings, *, count: int, rate: str, concurrency: int, url: str | None
) -> int:
    """Replay `count` purchases and say what became of them."""
    if count < 1 or concurrency < 1:
        raise ConfigurationError("--count and --concurrency are 1 or more.")
    per_second = _rate(rate)
    tenants = read_demo_tenants(settings) or await _make(settings)
    console = Console(stderr=True)
    started = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("purchases", total=count)
        buyer = await replay(
            url or f"http://{settings.host}:{settings.port}",
            tenants,
            number=count,
            rate=per_second,
            concurrency=concurrency,
            told=lambda _, done: progress.update(task, completed=done),
        )
    _summary(buyer, count, seconds=time.monotonic() - started)
    return 0


def _rate(text: str) -> float | None:
    if text == "max":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1e6:
        raise ConfigurationError("--rate is a number of purchases a second, or max.")
    return rate


async def _make(settings: Settings) -> list[DemoTenant]:
    async with running_servers(settings) as servers:
        await migrate(owner_url=servers.owner_url, login_url=servers.login_url)
        database = await Database.open(servers.login_url, pool_size=1)
        try:
            return await ensure_demo_tenants(database, settings)
        finally:
            await database.close()


def _summary(buyer: Buyer, count: int, *, seconds: float) -> None:
    statuses = ", ".join(f"{number} {status}" for status, number in buyer.seen.most_common())
    amounts = ", ".join(
        f"{decimal_text(minor, code)} {code}" for code, minor in sorted(buyer.amounts.items())
    )
    print(f"{count} purchases in {seconds:.1f} s ({count / seconds:.0f} a second): {statuses}")
    print(f"captured: {amounts}")
