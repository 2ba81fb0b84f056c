"""Counts stay exact whoever dies meanwhile, and whatever a cache forgets."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from payengine.payments import FraudInput

from tests.core.fraud.test_screening import decisions, only
from tests.engines import Shop, Till, open_till
from tests.servers import HomeOfTest

_AT_ONCE = 60
_COUNT = "card.count.1h"


@pytest.fixture(scope="module")
async def till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    async with open_till(payment_home) as opened:
        yield opened


@pytest.fixture
async def shop(till: Till) -> Shop:
    made = await till.shop()
    await only(made, "card_velocity", "decline_streak")
    # What is counted, and nothing that is stopped for it.
    await made.engine.fraud.rulebook.save(
        made.context, "card_velocity", mode="shadow", settings={}, reason="a test"
    )
    return made


async def _counts(shop: Shop) -> list[int]:
    return sorted(row["document"]["context"]["features"][_COUNT] for row in await decisions(shop))


async def _killed_while_paying(shop: Shop, *, after: int) -> None:
    """Another process pays for the same tenant, and is killed in the midst of it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.core.fraud.paying_program"),
        *(str(shop.till.home.home), shop.till.home.login_url, str(shop.context.tenant_id)),
        env=kept,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        for _ in range(after):
            assert await asyncio.wait_for(process.stdout.readline(), timeout=240)
    finally:
        process.kill()
        await process.wait()


async def _flush(shop: Shop) -> None:
    import redis.asyncio

    assert shop.till.home.redis_url is not None
    async with redis.asyncio.Redis.from_url(shop.till.home.redis_url) as cache:
        await cache.flushall()


async def test_counts_are_exact_after_killed_processes_and_a_flushed_cache(shop: Shop) -> None:
    buyer = FraudInput(card_fingerprint="one")
    for after in (4, 12):
        await _killed_while_paying(shop, after=after)
        await _flush(shop)
        # What was cut off gives its locks back when its connections are found dead.
        await asyncio.sleep(0.3)
    before = await _counts(shop)
    assert len(before) >= 16
    assert before == list(range(len(before)))
    made = await asyncio.gather(*(shop.pay(fraud=buyer) for _ in range(_AT_ONCE)))
    assert len({each.payment.id for each in made}) == _AT_ONCE
    assert await _counts(shop) == list(range(len(before) + _AT_ONCE))
    assert await _events(shop) == len(before) + _AT_ONCE


async def _events(shop: Shop) -> Any:
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        return await session.fetchval(
            "SELECT count(*) FROM fraud_event WHERE tenant_id = $1", shop.context.tenant_id
        )
