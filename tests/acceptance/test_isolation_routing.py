"""Routing keeps tenants apart on its own too, were the policies of the database gone.

Each test runs twice, as in `test_isolation_services`: as installed, and with a further policy on
every table that lets all rows through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from payengine.context import TenantContext
from payengine.engine import Engine, open_engine
from payengine.errors import Conflict, NotFound
from payengine.ids import new_id
from payengine.payments import CreatePayment, MethodInput
from payengine.payments.simulating import simulate_routing
from payengine.settings import Settings

from tests.acceptance.worlds import read_tables
from tests.conftest import make_tenant
from tests.engines import key
from tests.servers import HomeOfTest, migrated_home


@pytest.fixture(scope="module")
async def own_home(servers: Any) -> AsyncIterator[HomeOfTest]:
    """Servers for this engine alone; `servers` come first, as they name the home."""
    async with migrated_home() as home:
        yield home


@pytest.fixture(scope="module")
async def engine(own_home: HomeOfTest) -> AsyncIterator[Engine]:
    """The engine without its background loops."""
    settings = Settings(home=own_home.home)
    async with open_engine(settings, login_url=own_home.login_url, background=False) as opened:
        yield opened


@pytest.fixture(params=["with policies", "without policies"])
async def layer(request: pytest.FixtureRequest, own_home: HomeOfTest) -> AsyncIterator[str]:
    """Whether the policies hold or let everything through."""
    connection = await asyncpg.connect(own_home.owner_url)
    tables = [table.name for table in await read_tables(connection)]
    try:
        for table in tables if request.param == "without policies" else ():
            await connection.execute(f"CREATE POLICY opened ON {table} USING (true)")
        yield request.param
    finally:
        for table in tables:
            await connection.execute(f"DROP POLICY IF EXISTS opened ON {table}")
        await connection.close()


async def _pay(engine: Engine, context: TenantContext, token: str = "tok_visa") -> str:
    request = CreatePayment(
        idempotency_key=key(),
        amount_minor=1_000,
        currency="EUR",
        payment_method=MethodInput(token=token),
    )
    return (await engine.payments.create(context, request)).payment.id


async def _worlds(engine: Engine) -> tuple[TenantContext, TenantContext]:
    return await make_tenant(engine.database), await make_tenant(engine.database)


async def test_policies_of_others_are_not_there(engine: Engine, layer: str) -> None:
    mine, theirs = await _worlds(engine)
    policies = engine.router.policies
    saved = await policies.save(theirs, {"exclude": ["sandbox"]}, reason="theirs", activate=True)
    assert await policies.page(mine, first=10) == []
    assert await policies.get_many(mine, [saved.id]) == {}
    assert await policies.find(mine, saved.id) is None
    assert await policies.activations(mine, first=10) == []
    (activation,) = await policies.activations(theirs, first=10)
    assert await policies.find_activation(mine, activation.id) is None
    assert (await policies.active(mine.tenant_id)).id is None
    for policy_id in (saved.id, new_id("rtp")):
        with pytest.raises(NotFound):
            await policies.activate(mine, policy_id, reason="mine now")
    with pytest.raises(Conflict):
        await policies.roll_back(mine, reason="mine now")
    own = await policies.save(mine, {}, reason="mine", activate=True)
    assert (own.version, (await policies.active(theirs.tenant_id)).id) == (1, saved.id)
    await _pay(engine, mine)


async def test_statistics_reports_and_simulations_know_ones_own_alone(
    engine: Engine, layer: str
) -> None:
    mine, theirs = await _worlds(engine)
    for token in ("tok_decline_lost_card", "tok_visa"):
        await _pay(engine, theirs, token)
    assert await engine.router.declines.codes(mine) == []
    assert len(await engine.router.declines.codes(theirs)) == 1
    now = datetime.now(UTC)
    counts = []
    for context in (mine, theirs):
        report = await simulate_routing(
            context,
            {},
            since=now - timedelta(hours=1),
            until=now + timedelta(hours=1),
            registry=engine.registry,
            router=engine.router,
        )
        segment = engine.router.statistics.segment(context.tenant_id, currency="EUR", method="card")
        await engine.router.statistics.seeded(context.tenant_id)
        counts.append((report.payments, sum(arm.seen for arm in segment._arms.values())))
    assert counts == [(0, 0), (2, 2)]
