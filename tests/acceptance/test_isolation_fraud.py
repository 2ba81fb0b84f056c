"""What people do about fraud keeps tenants apart on its own too, were the policies gone.

Each test runs twice, as in `test_isolation_services`: as installed, and with a further policy on
every table that lets all rows through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from payengine.context import TenantContext
from payengine.engine import Engine, open_engine
from payengine.errors import NotFound
from payengine.fraud.alerts import SLOT, RuleTally, Slot, slot_of
from payengine.fraud.desk.choices import ConfigureFraud
from payengine.fraud.desk.decisions import DecisionFilter
from payengine.fraud.desk.watching import AlertFilter
from payengine.fraud.lists import AddListEntry, ListFilter, RemoveListEntry
from payengine.fraud.outcomes import OutcomeReport
from payengine.fraud.settings import FraudSettings
from payengine.payments import CreatePayment, FraudInput, MethodInput, Payment
from payengine.payments.review import DecideReview, ReviewFilter
from payengine.settings import Settings

from tests.acceptance.worlds import read_tables
from tests.conftest import make_tenant
from tests.engines import key
from tests.servers import HomeOfTest, migrated_home

_HOUR = timedelta(hours=1)
_BUYER = FraudInput(device="phone", email="ada@example.org", ip="203.0.113.9")


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


@dataclass(frozen=True)
class Pair:
    """Two tenants of one engine."""

    engine: Engine
    mine: TenantContext
    theirs: TenantContext

    async def pay(self, context: TenantContext, token: str = "tok_visa") -> Payment:
        """A payment of the same buyer, whoever sells."""
        request = CreatePayment(
            idempotency_key=key(),
            amount_minor=1_000,
            currency="EUR",
            payment_method=MethodInput(token=token),
            fraud=_BUYER,
        )
        return (await self.engine.payments.create(context, request)).payment

    async def block(self, context: TenantContext, **given: Any) -> str:
        """An entry on the tenant's block list."""
        fields = {"kind": "device", "value": "phone"} | given
        request = AddListEntry(
            idempotency_key=key(), list="block", person="Ada", reason="a test", **fields
        )
        return (await self.engine.fraud_desk.lists.add(context, request)).id


@pytest.fixture
async def pair(engine: Engine, layer: str) -> Pair:
    """Two fresh ones."""
    return Pair(engine, await make_tenant(engine.database), await make_tenant(engine.database))


async def test_lists_of_others_stop_nobody_here(pair: Pair) -> None:
    lists = pair.engine.fraud_desk.lists
    entry_id = await pair.block(pair.theirs)
    assert (await pair.pay(pair.mine)).status == "CAPTURED"
    assert (await pair.pay(pair.theirs)).status == "DECLINED"
    assert await lists.page(pair.mine, ListFilter(), first=5) == []
    assert await lists.get_many(pair.mine, [entry_id]) == {}
    request = RemoveListEntry(
        idempotency_key=key(), entry_id=entry_id, person="Ada", reason="mine now"
    )
    with pytest.raises(NotFound):
        await lists.remove(pair.mine, request)
    paid = await pair.pay(pair.theirs)
    with pytest.raises(NotFound):
        await pair.block(pair.mine, value=None, payment_id=paid.id)
    await pair.block(pair.mine)  # what is listed there may be listed here
    assert len(await lists.page(pair.theirs, ListFilter(), first=5)) == 1


async def test_names_of_one_buyer_differ_between_tenants(pair: Pair) -> None:
    decisions = pair.engine.fraud_desk.decisions
    contexts = []
    for tenant in (pair.mine, pair.theirs):
        paid = await pair.pay(tenant)
        ((decision,),) = (await decisions.of_payments(tenant, [paid.id])).values()
        contexts.append(decision.context)
    for name in ("device", "email", "ip"):
        assert contexts[0][name] != contexts[1][name]


async def test_labels_settings_and_sums_are_ones_own(pair: Pair) -> None:
    desk = pair.engine.fraud_desk
    theirs = await pair.pay(pair.theirs)
    report = OutcomeReport(idempotency_key=key(), payment_id=theirs.id, is_fraud=True)
    with pytest.raises(NotFound):
        await desk.feedback.report(pair.mine, report)
    await desk.feedback.report(pair.theirs, report)
    assert await desk.feedback.outcomes_of(pair.mine, [theirs.id]) == {}
    saved = ConfigureFraud(idempotency_key=key(), settings={"review_minutes": 5}, reason="a test")
    await desk.choices.save(pair.theirs, saved)
    assert await desk.choices.settings(pair.mine) == FraudSettings()
    assert await desk.choices.saved(pair.mine, first=5) == []
    assert await desk.decisions.of_payments(pair.mine, [theirs.id]) == {}
    assert await desk.decisions.page(pair.mine, DecisionFilter(), first=5) == []
    now = datetime.now(UTC)
    span: dict[str, Any] = {"since": now - _HOUR, "until": now + _HOUR}
    summary = await desk.summaries.summary(pair.mine, **span, matured_after_days=0)
    assert (summary.decisions, summary.quality.missed) == (0, 0)
    impact = await desk.impacts.report(pair.mine, rule="lists", settings={}, **span)
    assert (impact.total, impact.impact.looked_at) == (0, 0)
    await desk.rulebook.save(pair.theirs, "lists", mode="off", settings={}, reason="a test")
    assert await desk.rulebook.versions(pair.mine) == {}
    assert await desk.rulebook.history(pair.mine, "lists") == []


async def test_reviews_of_others_are_not_decided_here(pair: Pair) -> None:
    held = await pair.pay(pair.theirs, "tok_fraud_review")
    assert held.status == "IN_REVIEW"
    reviews = pair.engine.reviews
    assert await reviews.page(pair.mine, ReviewFilter(kind="fraud"), first=5) == []
    request = DecideReview(
        idempotency_key=key(),
        review_id=f"rev_{held.id[4:]}",
        decision="approved",
        person="Ada",
        reason="mine now",
    )
    with pytest.raises(NotFound):
        await reviews.decide(pair.mine, request)
    found = await pair.engine.payments.get_many(pair.theirs, [held.id])
    assert found[held.id].status == "IN_REVIEW"


async def test_slots_and_alerts_are_counted_of_ones_own(pair: Pair) -> None:
    watching = pair.engine.fraud_desk.watching
    end = slot_of(datetime.now(UTC)) + SLOT
    await pair.pay(pair.theirs)
    failing = Slot(begins_at=end - 2 * SLOT, rules={"x": RuleTally(asked=100, errors=50)})
    for tenant, slots in ((pair.mine, []), (pair.theirs, [failing])):
        async with pair.engine.database.tenant(tenant.tenant_id) as session:
            await session.execute(
                "INSERT INTO fraud_watch (tenant_id, next_slot_at, due_at) VALUES ($1, $2, $2)",
                tenant.tenant_id,
                end - SLOT,
            )
            for slot in slots:
                await session.execute(
                    "INSERT INTO fraud_slot (tenant_id, begins_at, document) VALUES ($1, $2, $3)",
                    tenant.tenant_id,
                    slot.begins_at,
                    {"begins_at": slot.begins_at, "rules": {"x": {"asked": 100, "errors": 50}}},
                )
    for tenant in (pair.mine, pair.theirs):
        await watching._watch(tenant.tenant_id, at=end + timedelta(minutes=5))
    assert await watching.page(pair.mine, AlertFilter(), first=5) == []
    (alert,) = await watching.page(pair.theirs, AlertFilter(), first=5)
    assert await watching.get_many(pair.mine, [alert.id]) == {}
    async with pair.engine.database.tenant(pair.mine.tenant_id) as session:
        counted = await session.fetchval(
            "SELECT count(*) FROM fraud_slot WHERE tenant_id = $1", pair.mine.tenant_id
        )
    assert counted == 0
