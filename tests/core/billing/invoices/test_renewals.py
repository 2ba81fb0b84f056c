"""Is each due period invoiced once, and does a row that fails stop nobody?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from payengine.billing.invoices.drafting import draft_of, load_terms
from payengine.billing.invoicing import compute_invoice, invoice_hash
from payengine.billing.periods import Period

from tests.acceptance.renewals.stage import Stage
from tests.bench.renewals import explain_claim, grow
from tests.core.billing.invoices.selling import JULY, JUNE, Seller
from tests.engines import Till

_AUGUST = datetime(2025, 8, 1, tzinfo=UTC)


async def test_each_due_subscription_is_invoiced_and_advanced(shop: Seller) -> None:
    price = await shop.price(1_250)
    names = await shop.subscribe(price, number=120, quantity="2")
    assert await shop.renew() == 120
    invoices = await shop.documents()
    assert [row["number"] for row in invoices] == list(range(1, 121))
    assert {row["subscription_id"] for row in invoices} == set(names)
    assert {(row["total"], row["amount_due"], row["status"]) for row in invoices} == {
        (2_500, 2_500, "open")
    }
    assert {row["period_start"] for row in invoices} == {JULY}
    found = await shop.subscription(names[0])
    assert (found["period_start"], found["period_end"]) == (JULY, _AUGUST)
    assert found["due_at"] == _AUGUST
    assert await shop.renew() == 0
    assert len(await shop.events("invoice.finalized")) == 120
    assert len(await shop.events("subscription.renewed")) == 120
    begun = await shop.rows("SELECT * FROM collection WHERE tenant_id = $1")
    assert {row["invoice_id"] for row in begun} == {row["id"] for row in invoices}


async def test_workers_at_once_invoice_each_period_once_without_a_gap(shop: Seller) -> None:
    names = await shop.subscribe(await shop.price(), number=230)
    await asyncio.gather(*(shop.renew() for _ in range(8)))
    while await shop.renew():
        pass
    invoices = await shop.documents()
    assert sorted(row["subscription_id"] for row in invoices) == sorted(names)
    assert [row["number"] for row in invoices] == list(range(1, 231))


async def test_a_preview_is_the_invoice_that_follows_byte_for_byte(shop: Seller) -> None:
    (name,) = await shop.subscribe(await shop.price(999), quantity="3.5")
    row = await shop.subscription(name)
    await shop.wait_line(row["customer_id"], -777, subscription_id=name)
    async with shop.database.tenant(shop.tenant_id) as session:
        terms = (await load_terms(session, shop.tenant_id, [name], at=JULY))[name]
    preview = compute_invoice(
        draft_of(terms, Period(start=JULY, end=_AUGUST), "subscription_cycle")
    )
    await shop.renew()
    (invoice,) = await shop.documents()
    assert invoice["hash"] == invoice_hash(preview)
    assert invoice["total"] == 3_497 - 777


async def test_a_row_that_fails_is_set_aside_told_and_tried_again(shop: Seller) -> None:
    price = await shop.price()
    good = await shop.subscribe(price, number=20)
    (bad,) = await shop.subscribe(price)
    # Only a defect writes this: no quantity is a word.
    await shop.execute(
        "UPDATE subscription SET time_zone = 'Nowhere' WHERE tenant_id = $1 AND id = $2", bad
    )
    await shop.renew()
    invoices = await shop.documents()
    assert sorted(row["subscription_id"] for row in invoices) == sorted(good)
    assert [row["number"] for row in invoices] == list(range(1, 21))
    failure = await shop.row("SELECT * FROM renewal_failure WHERE tenant_id = $1")
    assert (failure["subscription_id"], failure["attempts"]) == (bad, 1)
    assert failure["retry_at"] == JULY + timedelta(minutes=1)
    (told,) = await shop.events("subscription.renewal_failed")
    assert told["data"]["subscription_id"] == bad
    assert told["data"]["code"] == "INPUT_INVALID"
    assert await shop.renew() == 0
    await shop.renew(JULY + timedelta(minutes=1))
    failure = await shop.row("SELECT * FROM renewal_failure WHERE tenant_id = $1")
    assert failure["attempts"] == 2
    assert failure["retry_at"] == JULY + timedelta(minutes=3)
    await shop.execute(
        "UPDATE subscription SET time_zone = 'UTC' WHERE tenant_id = $1 AND id = $2", bad
    )
    await shop.renew(JULY + timedelta(minutes=3))
    assert (await shop.documents())[-1]["subscription_id"] == bad
    failure = await shop.row("SELECT * FROM renewal_failure WHERE tenant_id = $1")
    assert failure["resolved_at"] is not None


async def test_a_clock_that_jumped_makes_an_invoice_for_each_period(shop: Seller) -> None:
    (name,) = await shop.subscribe(await shop.price())
    await shop.renew(datetime(2025, 9, 15, tzinfo=UTC))
    invoices = await shop.documents()
    assert [row["period_start"].month for row in invoices] == [7, 8, 9]
    ends = [row["period_end"] for row in invoices]
    assert ends[:-1] == [row["period_start"] for row in invoices[1:]]
    assert (await shop.subscription(name))["period_end"] == ends[-1]


async def test_a_tenant_that_halts_is_told_and_invoices_nothing(shop: Seller) -> None:
    (name,) = await shop.subscribe(await shop.price())
    await shop.set(catch_up="halt")
    await shop.renew(datetime(2025, 9, 15, tzinfo=UTC))
    assert await shop.documents() == []
    row = await shop.subscription(name)
    assert (row["status"], row["due_at"]) == ("needs_operator", None)
    assert len(await shop.events("subscription.needs_operator")) == 1


@pytest.mark.parametrize(("cancels", "status"), [(True, "canceled"), (False, "paused")])
async def test_one_that_ends_or_pauses_is_not_invoiced(
    shop: Seller, cancels: bool, status: str
) -> None:
    (name,) = await shop.subscribe(await shop.price(), cancels=cancels, pauses=True)
    await shop.renew()
    assert await shop.documents() == []
    row = await shop.subscription(name)
    assert (row["status"], row["due_at"], row["period_end"]) == (status, None, JULY)
    assert len(await shop.events(f"subscription.{status}")) == 1
    if cancels:
        assert (row["access"], row["ended_at"]) == ("ended", JULY)


async def test_a_trial_becomes_active_from_its_end(shop: Seller) -> None:
    end = datetime(2025, 1, 31, 12, tzinfo=UTC)
    (name,) = await shop.subscribe(
        await shop.price(), status="trialing", start=end - timedelta(days=14), end=end
    )
    await shop.renew(end + timedelta(hours=1))
    row = await shop.subscription(name)
    assert row["status"] == "active"
    assert (row["period_start"], row["period_end"]) == (end, datetime(2025, 2, 28, 12, tzinfo=UTC))
    (invoice,) = await shop.documents()
    assert invoice["period_start"] == end


async def test_customers_balances_are_used_up_invoice_by_invoice(shop: Seller) -> None:
    customer = await shop.customer()
    price = await shop.price(1_000)
    for _ in range(3):
        await shop.subscribe(price, customer_id=customer)
    await shop.execute("INSERT INTO customer_balance VALUES ($1, $2, 'EUR', 1500)", customer)
    await shop.renew()
    invoices = await shop.documents()
    assert sorted(row["amount_due"] for row in invoices) == [0, 500, 1_000]
    assert sorted(row["status"] for row in invoices) == ["open", "open", "paid"]
    balance = await shop.row("SELECT balance FROM customer_balance WHERE tenant_id = $1")
    assert balance["balance"] == 0
    entries = await shop.rows("SELECT amount FROM customer_balance_entry WHERE tenant_id = $1")
    assert sorted(row["amount"] for row in entries) == [-1_000, -500]


async def test_what_is_too_little_to_charge_waits_for_the_next_invoice(shop: Seller) -> None:
    await shop.set(minimum_charge={"EUR": 50})
    await shop.subscribe(await shop.price(30))
    await shop.renew()
    await shop.renew(_AUGUST)
    invoices = await shop.documents()
    assert [(row["amount_due"], row["status"]) for row in invoices] == [(0, "paid"), (60, "open")]


async def test_waiting_lines_are_taken_once_each_by_its_own_subscription(shop: Seller) -> None:
    customer = await shop.customer()
    price = await shop.price(1_000)
    (first,) = await shop.subscribe(price, customer_id=customer)
    (second,) = await shop.subscribe(price, customer_id=customer)
    await shop.wait_line(customer, 11, subscription_id=first)
    await shop.wait_line(customer, 22, subscription_id=second)
    await shop.wait_line(customer, 44)
    await shop.renew()
    totals = {row["subscription_id"]: row["total"] for row in await shop.documents()}
    assert totals in (
        {first: 1_055, second: 1_022},
        {first: 1_011, second: 1_066},
    )
    await shop.renew(_AUGUST)
    assert [row["total"] for row in (await shop.documents())[2:]] == [1_000, 1_000]


async def test_metered_usage_is_billed_after_its_period_and_late_usage_after_that(
    shop: Seller,
) -> None:
    meter = await shop.meter()
    price = await shop.price(meter_id=meter.id, model={"model": "per_unit", "unit_amount": "25"})
    (name,) = await shop.subscribe([price, await shop.price(1_000)])
    customer = (await shop.subscription(name))["customer_id"]
    shop.clock.advance(-timedelta(days=1))
    assert await shop.use(meter, customer, "100", JUNE + timedelta(days=20)) == "accepted"
    await shop.renew(JULY)
    shop.clock.advance(timedelta(days=2))
    late = JULY - timedelta(seconds=1)
    assert await shop.use(meter, customer, "4", late) == "accepted"
    assert await shop.use(meter, customer, "10", JULY + timedelta(days=1)) == "accepted"
    await shop.renew(_AUGUST)
    first, second = await shop.documents()
    assert first["total"] == 100 * 25 + 1_000
    assert second["total"] == 10 * 25 + 4 * 25 + 1_000
    lines = msgspec.json.decode(second["document"])["lines"]
    found = {(line["line"]["kind"], line["line"]["quantity"]) for line in lines}
    assert found == {("recurring", "1"), ("usage", "10"), ("adjustment", "4")}
    await shop.renew(datetime(2025, 9, 1, tzinfo=UTC))
    assert (await shop.documents())[2]["total"] == 1_000


async def test_the_usage_of_a_subscription_that_ends_is_billed_at_its_end(shop: Seller) -> None:
    meter = await shop.meter()
    price = await shop.price(meter_id=meter.id, model={"model": "per_unit", "unit_amount": "25"})
    (name,) = await shop.subscribe(price, cancels=True)
    customer = (await shop.subscription(name))["customer_id"]
    shop.clock.advance(-timedelta(days=1))
    await shop.use(meter, customer, "3", JUNE + timedelta(days=20))
    await shop.renew(JULY)
    (invoice,) = await shop.documents()
    assert (invoice["reason"], invoice["total"]) == ("usage_cycle", 75)
    assert (invoice["period_start"], invoice["period_end"]) == (JUNE, JULY)


async def test_usage_that_is_told_after_the_end_is_billed_once_none_can_follow(
    shop: Seller,
) -> None:
    meter = await shop.meter()
    tiers = [{"up_to": "10", "unit_amount": "1000"}, {"up_to": None, "unit_amount": "500"}]
    price = await shop.price(meter_id=meter.id, model={"model": "graduated", "tiers": tiers})
    (name,) = await shop.subscribe(price, cancels=True)
    customer = (await shop.subscription(name))["customer_id"]
    shop.clock.advance(-timedelta(days=1))
    await shop.use(meter, customer, "9", JUNE + timedelta(days=20))
    await shop.renew(JULY)
    shop.clock.advance(timedelta(days=10))
    await shop.use(meter, customer, "3", JULY - timedelta(seconds=1))
    await shop.use(meter, customer, "7", JULY)  # it had ended
    grace = JULY + timedelta(days=35)
    await shop.renew(grace - timedelta(seconds=1))
    assert [row["total"] for row in await shop.documents()] == [9_000]
    await shop.renew(grace)
    await shop.renew(grace + timedelta(days=1))
    documents = await shop.documents()
    assert [row["total"] for row in documents] == [9_000, 1_000 + 2 * 500]
    (line,) = msgspec.json.decode(documents[1]["document"])["lines"]
    assert (line["line"]["kind"], line["line"]["quantity"]) == ("adjustment", "3")
    after = await shop.subscription(name)
    assert (after["status"], after["due_at"]) == ("canceled", None)


async def test_usage_of_before_a_long_pause_is_billed_after_it(shop: Seller) -> None:
    meter = await shop.meter()
    price = await shop.price(meter_id=meter.id, model={"model": "per_unit", "unit_amount": "25"})
    (name,) = await shop.subscribe(price, pauses=True)
    customer = (await shop.subscription(name))["customer_id"]
    shop.clock.advance(-timedelta(days=1))
    await shop.use(meter, customer, "3", JUNE + timedelta(days=20))
    await shop.renew(JULY)
    shop.clock.advance(timedelta(days=10))
    await shop.use(meter, customer, "4", JULY - timedelta(seconds=1))
    again = datetime(2025, 11, 1, tzinfo=UTC)
    await shop.execute(
        "UPDATE subscription SET status = 'active', period_start = $2, period_end = $3,"
        " due_at = $3 WHERE tenant_id = $1",
        again - timedelta(days=31),
        again,
    )
    await shop.renew(again)
    assert [row["total"] for row in await shop.documents()] == [75, 100]


async def test_coupons_hold_for_the_periods_that_they_name(shop: Seller) -> None:
    await shop.execute(
        "INSERT INTO coupon VALUES ($1, 'cpn_x', 'TEN', '{\"percent_bps\": 1000}', $2)", JUNE
    )
    held = {"coupon": "cpn_x", "since": JUNE.isoformat(), "until": _AUGUST.isoformat()}
    await shop.subscribe(await shop.price(1_000), coupons=[held])
    await shop.renew()
    await shop.renew(_AUGUST)
    assert [row["total"] for row in await shop.documents()] == [900, 1_000]


async def test_a_meter_that_takes_no_late_usage_refuses_what_is_invoiced(shop: Seller) -> None:
    meter = await shop.meter("reject")
    price = await shop.price(meter_id=meter.id, model={"model": "per_unit", "unit_amount": "25"})
    (name,) = await shop.subscribe(price)
    customer = (await shop.subscription(name))["customer_id"]
    shop.clock.advance(-timedelta(days=1))
    assert await shop.use(meter, customer, "3", JUNE + timedelta(days=20)) == "accepted"
    await shop.renew(JULY)
    shop.clock.advance(timedelta(days=1))
    last = JULY - timedelta(seconds=1)
    assert await shop.use(meter, customer, "4", last) == "EVENT_PERIOD_FINALIZED"
    assert await shop.use(meter, customer, "5", JULY) == "accepted"
    await shop.renew(_AUGUST)
    assert [row["total"] for row in await shop.documents()] == [75, 125]


async def test_the_claim_is_served_by_the_partial_index_alone(till: Till) -> None:
    stage = await Stage.open(till, 20)
    async with till.as_owner(stage.context.tenant_id) as connection:
        await grow(stage, connection, begin=1, end=3_000)
    plan = "\n".join(await explain_claim(stage))
    assert "Index Only Scan using subscription_due on subscription" in plan
    assert "Index Scan using subscription_due on subscription" in plan
    assert "Sort" not in plan
    assert "Filter: (due_at" not in plan
