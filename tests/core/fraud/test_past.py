"""PostgreSQL and the replay in memory know the same past, exactly."""

from __future__ import annotations

import asyncio
import os
import random
from datetime import UTC, datetime, timedelta

import asyncpg
from payengine.context import TenantContext
from payengine.fraud.labels import write_label
from payengine.fraud.memory import MemoryPast, Value
from payengine.fraud.past import Reading, read_past, record_past
from payengine.fraud.plan import FeaturePlan
from payengine.plugin.features import (
    Feature,
    distinct,
    known_fraud,
    recent,
    seen,
    velocity,
)
from payengine.plugin.fraud import FraudContext, Label
from payengine.storage import Database

_START = datetime(2026, 3, 1, tzinfo=UTC)
_MANY = 100_000 if os.environ.get("PAYENGINE_NIGHTLY") else 2_000

PLAN = FeaturePlan.of(
    [
        *(velocity("card", m, w) for m in ("count", "sum", "mean", "max") for w in ("10m", "1d")),
        velocity("card", "count", "1h", where="declined"),
        velocity("card", "sum", "1h", where="approved"),
        velocity("ip", "count", "1d", where="small", below_minor=500),
        distinct("device", "card", "1d"),
        distinct("ip", "email_domain", "1h", where="declined"),
        recent("card", "median", last=5),
        recent("seller", "mean", last=60),
        Feature(entity="card", measure="max", last=3, window_s=3_600),
        Feature(entity="customer", measure="median", window_s=86_400),
        Feature(entity="customer", measure="age"),
        seen("card", "gap"),
        seen("customer", "previous", of="ip"),
        Feature(entity="customer", measure="age", window_s=7_200),
        known_fraud("seller"),
        known_fraud("seller", "labeled", window="6h"),
        known_fraud("seller", "fraud", window="1d"),
        known_fraud("seller", "run"),
        known_fraud("card", "last_label"),
    ]
)


def _attempt(n: int, at: datetime, chance: random.Random) -> FraudContext:
    def one_of(kind: str, many: int) -> str | None:
        return None if chance.random() < 0.05 else f"{kind}{chance.randrange(many)}"

    return FraudContext(
        tenant="t",
        stage="pre_auth",
        as_of=at,
        payment_id=f"pay_{n:06}",
        amount_minor=(amount := chance.randrange(1, 3_000)),
        currency="EUR",
        base_minor=amount,
        base_currency="EUR",
        card=one_of("card", 60),
        customer=one_of("cus", 80),
        device=one_of("dev", 50),
        ip=one_of("ip", 40),
        email_domain=one_of("example.", 6),
        seller=one_of("seller", 9),
    )


async def _read(
    database: Database, tenant: TenantContext, *given: FraudContext
) -> list[dict[str, Value]]:
    readings = [Reading(tenant_id=tenant.tenant_id, plan=PLAN, context=each) for each in given]
    async with database.tenant(tenant.tenant_id) as session:
        recalled = await read_past(session, readings)
        for each in recalled.values():
            await record_past(session, tenant.tenant_id, each)
    return [recalled[each.payment_id].facts for each in given]


async def test_database_and_memory_say_the_same_of_every_payment(
    database: Database, tenant: TenantContext
) -> None:
    chance, at, memory = random.Random(20_260_301), _START, MemoryPast(PLAN)
    late: list[tuple[int, FraudContext]] = []
    mismatches, n = 0, 0
    while n < _MANY:
        batch = []
        for _ in range(chance.randrange(1, 40)):
            at += timedelta(seconds=chance.choice((0, 0, 1, 20, 90)))
            batch.append(_attempt(n, at, chance))
            n += 1
        said = await _read(database, tenant, *batch)
        for each, facts in zip(batch, said, strict=True):
            mismatches += memory.observe(each) != facts
        late += [(n + chance.choice((0, 0, 100)), each) for each in batch]
        due, late = [e for d, e in late if d <= n], [x for x in late if x[0] > n]
        async with database.tenant(tenant.tenant_id) as session:
            for each in due:
                declined = chance.random() < 0.3
                memory.outcome(each.payment_id, declined=declined)
                await session.execute(
                    "UPDATE fraud_event SET declined = $3 WHERE tenant_id = $1 AND payment_id = $2",
                    tenant.tenant_id,
                    each.payment_id,
                    declined,
                )
                for _ in range(chance.choice((0, 0, 1, 2))):
                    label = Label(
                        payment_id=each.payment_id,
                        is_fraud=chance.random() < 0.5,
                        observed_at=at + timedelta(seconds=chance.randrange(1, 20_000)),
                        source="import",
                    )
                    memory.label(label)
                    await write_label(session, tenant.tenant_id, label)
    assert mismatches == 0


async def test_two_hundred_at_once_on_one_card_see_each_number_once(
    database: Database, tenant: TenantContext
) -> None:
    plan = FeaturePlan.of([velocity("card", "count", "1h"), distinct("ip", "card", "1h")])

    async def attempt(n: int) -> int:
        context = FraudContext(
            tenant="t",
            stage="pre_auth",
            as_of=_START,  # a clock that stands still makes no two payments the same
            payment_id=f"pay_{n}",
            amount_minor=1,
            currency="EUR",
            base_minor=1,
            base_currency="EUR",
            card="one",
            ip=f"ip{n % 7}",
            device=f"device{n}",
        )
        reading = Reading(tenant_id=tenant.tenant_id, plan=plan, context=context)
        while True:
            try:
                async with database.tenant(tenant.tenant_id) as session:
                    recalled = (await read_past(session, [reading]))[context.payment_id]
                    await record_past(session, tenant.tenant_id, recalled)
            except asyncpg.LockNotAvailableError:
                continue  # a busy machine; it has left nothing behind
            count = recalled.facts["card.count.1h"]
            assert isinstance(count, int)
            return count

    seen = await asyncio.gather(*(attempt(n) for n in range(200)))
    assert sorted(seen) == list(range(200))


async def test_payments_of_another_tenant_are_not_in_the_past(
    database: Database, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    first, second = (_attempt(n, _START, random.Random(1)) for n in (1, 2))
    await _read(database, other_tenant, first)
    assert (await _read(database, tenant, second))[0]["card.count.1d"] == 0
    assert (await _read(database, other_tenant, second))[0]["card.count.1d"] == 1
