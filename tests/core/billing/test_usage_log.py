"""Is each usage event taken once, whoever tells it how often, and summed up exactly?"""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, get_args

import pytest
from payengine.billing import Formula, Period, UsageEvent, aggregate
from payengine.billing.catalogue import Catalogue
from payengine.billing.models import CreateMeter, Meter, ToldUsage, UsageReceipt
from payengine.billing.usage_log import MOST_EVENTS, UsageLog
from payengine.clock import FixedClock
from payengine.context import TenantContext
from payengine.errors import InputInvalid, NotFound, PermissionDenied
from payengine.ids import new_id
from payengine.storage import Database

from tests.engines import key

_NOW = datetime(2025, 6, 30, 12, tzinfo=UTC)
_JUNE = Period(start=datetime(2025, 6, 1, tzinfo=UTC), end=datetime(2025, 7, 1, tzinfo=UTC))


class Shop(NamedTuple):
    """A tenant's log with a customer, on a clock that is moved by hand."""

    log: UsageLog
    catalogue: Catalogue
    clock: FixedClock
    database: Database
    context: TenantContext
    customer_id: str

    async def meter(self, formula: Formula = "sum", name: str | None = None) -> Meter:
        request = CreateMeter(idempotency_key=key(), name=name or key(), formula=formula)
        return await self.catalogue.create_meter(self.context, request)

    async def tell(self, *events: ToldUsage) -> list[UsageReceipt]:
        return await self.log.tell(self.context, events)

    async def quantity(self, meter: Meter, *, period: Period = _JUNE) -> Any:
        return await self.log.quantity(
            self.context, meter_id=meter.id, customer_id=self.customer_id, period=period
        )

    def event(self, meter: Meter, name: str, value: str = "1", **given: Any) -> ToldUsage:
        words: dict[str, Any] = {"customer_id": self.customer_id, "at": _NOW}
        words |= {"value": Decimal(value)} | given
        return ToldUsage(meter=meter.name, id=name, **words)


async def _customer(database: Database, context: TenantContext) -> str:
    customer_id = new_id("cus")
    async with database.tenant(context.tenant_id) as session:
        await session.execute(
            "INSERT INTO customer (tenant_id, id, reference, metadata, created_at)"
            " VALUES ($1, $2, $2, '{}', $3)",
            context.tenant_id,
            customer_id,
            _NOW,
        )
    return customer_id


async def _shop(database: Database, context: TenantContext) -> Shop:
    clock = FixedClock(_NOW)
    return Shop(
        UsageLog(database=database, clock=clock),
        Catalogue(database=database, clock=clock),
        clock,
        database,
        context,
        await _customer(database, context),
    )


@pytest.fixture
async def shop(database: Database, tenant: TenantContext) -> Shop:
    """A fresh shop at noon on 30 June."""
    return await _shop(database, tenant)


def _outcomes(receipts: list[UsageReceipt]) -> list[str]:
    return [each.code or each.outcome for each in receipts]


async def test_an_event_counts_once_and_another_content_is_refused(shop: Shop) -> None:
    meter = await shop.meter()
    first, other = shop.event(meter, "a", "5"), shop.event(meter, "a", "500")
    assert _outcomes(await shop.tell(first, first, other)) == [
        "accepted",
        "duplicate",
        "IDEMPOTENCY_CONFLICT",
    ]
    again = shop.event(meter, "a", "5.00")
    assert _outcomes(await shop.tell(other, again)) == ["IDEMPOTENCY_CONFLICT", "duplicate"]
    assert await shop.quantity(meter) == 5


async def test_an_event_is_one_customers_and_one_meters(shop: Shop) -> None:
    meter, beside = await shop.meter(), await shop.meter()
    other = await _customer(shop.database, shop.context)
    assert _outcomes(
        await shop.tell(
            shop.event(meter, "a"),
            shop.event(meter, "a", customer_id=other),
            shop.event(beside, "a"),
        )
    ) == ["accepted", "IDEMPOTENCY_CONFLICT", "accepted"]
    assert await shop.quantity(meter) == await shop.quantity(beside) == 1


async def test_what_is_refused_keeps_nothing_else_out(shop: Shop) -> None:
    meter, keyed = await shop.meter(), await shop.meter("unique")
    receipts = await shop.tell(
        shop.event(meter, "good"),
        shop.event(meter, "old", at=_NOW - timedelta(days=35, seconds=1)),
        shop.event(meter, "early", at=_NOW + timedelta(minutes=5, seconds=1)),
        shop.event(meter, "stranger", customer_id=new_id("cus")),
        shop.event(meter, "nobody", customer_id="x\x00"),
        shop.event(keyed, "keyless"),
        ToldUsage(meter=meter.name, id="empty", customer_id=shop.customer_id, at=_NOW),
        ToldUsage(meter="\x00", id="lost", customer_id=shop.customer_id, at=_NOW),
        shop.event(meter, "bad\x00"),
        shop.event(meter, "4111111111111111"),
        shop.event(meter, "also good"),
    )
    assert _outcomes(receipts) == [
        "accepted",
        "EVENT_TIMESTAMP_OUT_OF_RANGE",
        "EVENT_TIMESTAMP_OUT_OF_RANGE",
        "NOT_FOUND",
        "NOT_FOUND",
        "INPUT_INVALID",
        "INPUT_INVALID",
        "NOT_FOUND",
        "INPUT_INVALID",
        "SENSITIVE_DATA_REFUSED",
        "accepted",
    ]
    assert [each.id for each in receipts][:2] == ["good", "old"]
    assert await shop.quantity(meter) == 2


async def test_an_event_that_was_taken_is_a_duplicate_however_old(shop: Shop) -> None:
    meter = await shop.meter()
    event = shop.event(meter, "a")
    await shop.tell(event)
    shop.clock.advance(timedelta(days=400))
    late = shop.event(meter, "late")
    other = shop.event(meter, "a", "2")
    assert _outcomes(await shop.tell(late, event, other)) == [
        "EVENT_TIMESTAMP_OUT_OF_RANGE",
        "duplicate",
        "IDEMPOTENCY_CONFLICT",
    ]


async def test_an_event_at_the_end_belongs_to_the_next_period(shop: Shop) -> None:
    meter = await shop.meter("count")
    shop.clock.advance(timedelta(days=1))
    await shop.tell(
        shop.event(meter, "end", at=_JUNE.end),
        shop.event(meter, "start", at=_JUNE.start),
        shop.event(meter, "before", at=_JUNE.start - timedelta(microseconds=1)),
    )
    assert await shop.quantity(meter) == 1


@pytest.mark.parametrize("formula", get_args(Formula))
async def test_the_database_sums_as_the_rules_do(shop: Shop, formula: Formula) -> None:
    draw = random.Random(f"usage {formula}")
    meter = await shop.meter(formula)
    events = [
        shop.event(
            meter,
            f"event-{number}",
            str(Decimal(draw.randint(-(10**18), 10**18)) / 10 ** draw.randint(0, 6)),
            at=_NOW - timedelta(hours=draw.randint(0, 30)),
            key=draw.choice("abcd"),
        )
        for number in range(60)
    ]
    told: list[UsageEvent] = []
    while len(told) < len(events):
        batch = events[len(told) : len(told) + draw.randint(1, 12)]
        assert set(_outcomes(await shop.tell(*batch))) == {"accepted"}
        told += [UsageEvent(id=e.id, at=e.at, value=e.value, key=e.key) for e in batch]
        expected = aggregate(told, formula=formula, period=_JUNE)
        assert await shop.quantity(meter) == expected


@pytest.mark.parametrize("formula", get_args(Formula))
async def test_nothing_comes_to_nothing_and_never_to_less(shop: Shop, formula: Formula) -> None:
    meter = await shop.meter(formula)
    assert await shop.quantity(meter) == 0
    if formula in ("sum", "max", "last"):
        await shop.tell(shop.event(meter, "a", "-5"))
        assert await shop.quantity(meter) == 0


async def test_batches_at_the_same_time_take_each_event_once(shop: Shop) -> None:
    meter = await shop.meter()
    events = [shop.event(meter, f"event-{number}", "2") for number in range(200)]
    draw = random.Random(7)
    batches = [draw.sample(events, len(events)) for _ in range(6)]
    receipts = await asyncio.gather(*(shop.tell(*batch) for batch in batches))
    outcomes = [outcome for each in receipts for outcome in _outcomes(each)]
    assert (outcomes.count("accepted"), outcomes.count("duplicate")) == (200, 1_000)
    assert await shop.quantity(meter) == 400


async def test_a_batch_has_a_size(shop: Shop) -> None:
    meter = await shop.meter()
    for events in ([], [shop.event(meter, "a")] * (MOST_EVENTS + 1)):
        with pytest.raises(InputInvalid):
            await shop.tell(*events)
    full = [shop.event(meter, f"event-{number}") for number in range(MOST_EVENTS)]
    assert set(_outcomes(await shop.tell(*full))) == {"accepted"}


async def test_what_is_another_tenants_is_not_there(
    shop: Shop, database: Database, other_tenant: TenantContext
) -> None:
    theirs = await _shop(database, other_tenant)
    name = key()
    mine, other = await shop.meter(name=name), await theirs.meter(name=name)
    await shop.tell(shop.event(mine, "a", "3"))
    foreign = theirs.event(other, "b", customer_id=shop.customer_id)
    assert _outcomes(await theirs.tell(theirs.event(other, "a", "4"), foreign)) == [
        "accepted",
        "NOT_FOUND",
    ]
    assert (await shop.quantity(mine), await theirs.quantity(other)) == (3, 4)
    with pytest.raises(NotFound):
        await theirs.quantity(mine)
    beside = await shop.meter()
    assert _outcomes(await theirs.tell(theirs.event(beside, "c"))) == ["NOT_FOUND"]


async def test_telling_needs_its_scope(shop: Shop) -> None:
    meter = await shop.meter()
    reader = TenantContext(shop.context.tenant_id, "test", "reader", frozenset({"billing:read"}))
    with pytest.raises(PermissionDenied):
        await shop.log.tell(reader, [shop.event(meter, "a")])
