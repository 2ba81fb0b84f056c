"""Is what is owed collected as the machine says, charge by charge, with real payments?"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from payengine.billing.collection.hearing import (
    customer_authenticated,
    invoice_paid,
    invoice_voided,
    method_updated,
    subscription_canceled,
)
from payengine.billing.collection.rows import ChargeRow
from payengine.billing.collection.standing import mark_paid
from payengine.billing.dunning_policy import DunningPolicy
from payengine.payments.review import ReviewFilter

from tests.debtors import T0, Counter, Debtor

_EXAMPLES = Path(__file__).parents[3] / "data" / "examples" / "examples_dunning.json"
_TIMELINES = [
    case
    for case in json.loads(_EXAMPLES.read_text(encoding="utf-8"))["cases"]
    if "automatic_results" in case["inputs"]
]


def _token(result: str) -> str:
    return "tok_visa" if result == "succeeded" else f"tok_decline_{result}"


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def _policy(plain: dict[str, Any]) -> DunningPolicy:
    given = dict(plain)
    given["retry_intervals_days"] = tuple(given["retry_intervals_days"])
    return DunningPolicy(**given)


async def _act(debtor: Debtor, kind: str) -> None:
    tenant_id, at = debtor.context.tenant_id, debtor.now
    async with debtor.session() as session:
        if kind == "payment_method_updated":
            method = debtor.methods[0]
            await method_updated(session, tenant_id, debtor.subscription_id, method, at=at)
        elif kind == "customer_authenticated":
            await customer_authenticated(session, tenant_id, debtor.invoice_id, at=at)
        else:
            assert kind == "canceled_by_customer"
            await session.execute(
                "UPDATE subscription SET status = 'canceled' WHERE tenant_id = $1 AND id = $2",
                tenant_id,
                debtor.subscription_id,
            )
            await subscription_canceled(session, tenant_id, debtor.subscription_id, at=at)


def _answered(charges: list[ChargeRow]) -> list[ChargeRow]:
    return [charge for charge in charges if charge.outcome is not None]


@pytest.mark.parametrize("case", _TIMELINES, ids=lambda case: case["id"])
async def test_a_worked_example_comes_true_with_real_payments(
    counter: Counter, case: dict[str, Any]
) -> None:
    inputs, expected = case["inputs"], case["expected"]
    automatic = list(inputs["automatic_results"])
    debtor = await counter.debtor("tok_visa", policy=_policy(inputs["policy"]))
    acts = [
        (T0 + timedelta(days=act["day"], seconds=1), act["type"], act.get("result"))
        for act in inputs["events"]
    ]
    suspended_at = None
    for _ in range(100):
        due, before = await debtor.due(), len(_answered(await debtor.charges()))
        if acts and (due is None or acts[0][0] < due):
            at, kind, result = acts.pop(0)
            counter.clock.put(debtor.context.tenant_id, at)
            if result is not None:
                await debtor.becomes(_token(result))
            await _act(debtor, kind)
            await debtor.collect()
        elif due is not None:
            if automatic:
                await debtor.becomes(_token(automatic[0]))
            await debtor.collect(due)
            automatic = automatic[len(_answered(await debtor.charges())) - before :]
        else:
            break
        if suspended_at is None and (await debtor.standing())[1] == "suspended":
            suspended_at = debtor.now
    assert automatic == [], "results of charges that were never made"
    made = [
        {
            "at": _text(charge.made_at),
            "trigger": charge.trigger,
            "result": charge.decline_code or charge.outcome,
        }
        for charge in await debtor.charges()
    ]
    state = await debtor.state()
    status, _, invoice = await debtor.standing()
    assert made == expected["attempts"]
    assert status == expected["final_status"]
    assert invoice == expected["invoice_status"]
    assert _text(state.ended_at) == expected["final_at"]
    assert _text(suspended_at) == expected["access_suspended_at"]


# -- technical failures and unknown outcomes -------------------------------------------------------


async def test_technical_failures_are_tried_again_soon_and_count_for_nothing(
    counter: Counter,
) -> None:
    debtor = await counter.debtor("tok_not_processed")
    for minutes in (0, 5, 15):
        await debtor.collect(T0 + timedelta(minutes=minutes))
    await debtor.becomes("tok_visa")
    await debtor.collect(T0 + timedelta(minutes=35))
    charges = await debtor.charges()
    assert [charge.outcome for charge in charges] == ["failed", "failed", "failed", "succeeded"]
    assert [(c.made_at - T0).total_seconds() / 60 for c in charges] == [0, 5, 15, 35]
    assert await debtor.standing() == ("active", "granted", "paid")
    assert (await debtor.state()).attempts == 0
    assert await debtor.notices() == []
    assert len(await debtor.movements()) == 1


async def test_technical_failures_without_end_count_as_one(counter: Counter) -> None:
    debtor = await counter.debtor("tok_not_processed")
    await debtor.wait(datetime(2025, 6, 2, 6, tzinfo=T0.tzinfo))
    assert len(await debtor.charges()) == 9
    assert (await debtor.standing())[0] == "past_due"
    assert (await debtor.due()) == datetime(2025, 6, 3, 8, tzinfo=T0.tzinfo)


async def test_an_unknown_outcome_is_reconciled_and_never_charged_again(counter: Counter) -> None:
    debtor = await counter.debtor("tok_magic", amount=3_004)  # charges, and never answers
    await debtor.collect()
    assert (await debtor.state()).phase == "unknown"
    assert await debtor.due() is None
    await debtor.wait(T0 + timedelta(days=3))  # however late it becomes
    assert len(await debtor.charges()) == 1
    await debtor.engine.reconciler.run_once(at=datetime.now(UTC) + timedelta(minutes=1))
    await debtor.look()
    assert await debtor.standing() == ("active", "granted", "paid")
    assert len(await debtor.movements()) == 1


async def test_a_charge_that_never_arrived_is_sent_again_under_its_key(counter: Counter) -> None:
    debtor = await counter.debtor("tok_magic", amount=3_003)  # neither charges nor answers
    await debtor.collect()
    assert (await debtor.state()).phase == "unknown"
    for _ in range(3):
        await debtor.engine.reconciler.run_once(at=datetime.now(UTC) + timedelta(minutes=1))
    await debtor.look()
    assert await debtor.standing() == ("active", "granted", "paid")
    assert len(await debtor.charges()) == len(await debtor.movements()) == 1


async def test_a_payment_that_is_pending_is_waited_for(counter: Counter) -> None:
    debtor = await counter.debtor("tok_pending")
    await debtor.collect()
    assert (await debtor.state()).phase == "charging"
    await debtor.wait(T0 + timedelta(days=30))
    assert len(await debtor.charges()) == 1
    assert (await debtor.standing())[2] == "open"


# -- methods ---------------------------------------------------------------------------------------


async def test_another_saved_method_is_charged_where_the_first_is_of_no_use(
    counter: Counter,
) -> None:
    debtor = await counter.debtor("tok_decline_expired_card", "tok_visa")
    await debtor.collect()
    charges = await debtor.charges()
    assert [charge.payment_method_id for charge in charges] == debtor.methods
    assert charges[1].trigger == "other_method"
    assert await debtor.standing() == ("active", "granted", "paid")
    assert await debtor.notices() == [(0, "payment_failed"), (1, "payment_recovered")]


async def test_a_method_that_was_detached_is_never_charged(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_insufficient_funds")
    await debtor.collect()
    await debtor.detach(debtor.methods[0])
    await debtor.wait(T0 + timedelta(days=30))
    assert [charge.outcome for charge in await debtor.charges()] == ["declined", "held"]
    assert await debtor.notices() == [(0, "payment_failed"), (1, "subscription_canceled")]


async def test_a_customer_without_a_method_is_told_of_no_attempt(counter: Counter) -> None:
    debtor = await counter.debtor()
    await debtor.collect()
    assert [charge.outcome for charge in await debtor.charges()] == ["held"]
    assert await debtor.notices() == []
    assert (await debtor.standing())[0] == "past_due"
    await debtor.save("tok_visa")
    async with debtor.session() as session:
        await method_updated(
            session,
            debtor.context.tenant_id,
            debtor.subscription_id,
            debtor.methods[-1],
            at=debtor.now,
        )
    await debtor.collect()
    assert await debtor.standing() == ("active", "granted", "paid")


async def test_a_network_is_not_asked_more_often_than_it_allows(counter: Counter) -> None:
    daily = DunningPolicy(retry_intervals_days=(30,), access_grace_days=30)
    debtor = await counter.debtor(policy=daily)
    card = await debtor.save("tok_decline_insufficient_funds", network="mastercard")
    for number in range(9):
        await debtor.owe(1_000 + number, policy=daily)
    await debtor.collect()
    outcomes = [(await debtor.charges(place))[0].outcome for place in range(10)]
    assert outcomes == ["declined"] * 10
    await debtor.owe(2_000, policy=daily)
    await debtor.collect()
    (held,) = await debtor.charges(10)
    assert (held.outcome, held.payment_method_id) == ("held", card)
    assert await debtor.due() == datetime(2025, 6, 2, tzinfo=UTC)  # the next day, by UTC
    assert (await debtor.state(10)).phase == "retrying"


async def test_other_gateways_than_those_that_refused_are_preferred(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_do_not_honor")
    await debtor.collect()
    await debtor.collect(T0 + timedelta(days=2))
    asked = [charge.request or {} for charge in await debtor.charges()]
    assert [each["avoid_gateways"] for each in asked] == [[], ["sandbox"]]


# -- customers who have to act ---------------------------------------------------------------------


async def _away(counter: Counter) -> Debtor:
    """A customer who was asked to authenticate, and went away for an hour."""
    debtor = await counter.debtor("tok_challenge", kind="first")
    await debtor.collect()
    counter.clock.put(debtor.context.tenant_id, T0 + timedelta(hours=1))
    await debtor.look()
    return debtor


async def test_a_customer_who_is_not_there_cannot_authenticate(counter: Counter) -> None:
    debtor = await counter.debtor("tok_challenge")
    await debtor.collect()
    (charge,) = await debtor.charges()
    assert charge.decline_code == "authentication_required"
    assert (await debtor.state()).phase == "waiting"


async def test_a_customer_who_authenticates_in_the_end_has_paid(counter: Counter) -> None:
    debtor = await _away(counter)
    state = await debtor.state()
    assert (state.phase, state.stopped_by) == ("waiting", "customer_action")
    assert await debtor.notices() == [(0, "payment_failed")]
    payment_id = (await debtor.charges())[0].payment_id
    await _decide(debtor, payment_id)
    collections = debtor.engine.collection.collections
    await collections.look_now(debtor.context.tenant_id, debtor.invoice_id)
    assert await debtor.standing() == ("active", "granted", "paid")
    assert len(await debtor.charges()) == 1


async def _decide(debtor: Debtor, payment_id: str | None) -> None:
    """The buyer says yes on the bank's page."""
    from payengine_sandbox.local import provider_at, store_path

    assert payment_id is not None
    payments = await debtor.engine.payments.get_many(debtor.context, [payment_id])
    url = payments[payment_id].next_action_url
    assert url is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAYENGINE_HOME", str(debtor.counter.home.home))
        await provider_at(store_path()).decide(url.rpartition("/")[2], approve=True)


async def test_before_another_charge_the_one_that_waits_is_called_off(counter: Counter) -> None:
    debtor = await _away(counter)
    first = (await debtor.charges())[0].payment_id
    card = await debtor.save("tok_visa")
    async with debtor.session() as session:
        tenant_id = debtor.context.tenant_id
        await method_updated(session, tenant_id, debtor.subscription_id, card, at=debtor.now)
    await debtor.collect()
    assert await debtor.standing() == ("active", "granted", "paid")
    payments = await debtor.engine.payments.get_many(debtor.context, [first or ""])
    assert payments[first or ""].status == "CANCELED"
    assert len(await debtor.movements()) == 1


async def test_a_first_invoice_leaves_nothing_that_could_still_be_paid(counter: Counter) -> None:
    debtor = await counter.debtor("tok_challenge", kind="first")
    await debtor.collect()
    assert await debtor.standing() == ("incomplete", "withheld", "open")
    assert (await debtor.state()).phase == "charging"  # the buyer is there
    counter.clock.put(debtor.context.tenant_id, T0 + timedelta(hours=1))
    await debtor.look()
    assert (await debtor.state()).phase == "waiting"
    await debtor.wait(T0 + timedelta(hours=23))
    assert await debtor.standing() == ("incomplete_expired", "withheld", "void")
    await debtor.look()
    payment_id = (await debtor.charges())[0].payment_id or ""
    payments = await debtor.engine.payments.get_many(debtor.context, [payment_id])
    assert payments[payment_id].status == "CANCELED"


async def test_a_first_payment_gives_access(counter: Counter) -> None:
    debtor = await counter.debtor("tok_visa", kind="first")
    await debtor.collect()
    assert await debtor.standing() == ("active", "granted", "paid")
    assert await debtor.events() == [
        "invoice.paid",
        "subscription.activated",
        "subscription.access_changed",
    ]


# -- several invoices ------------------------------------------------------------------------------


async def test_a_subscription_recovers_with_the_last_of_its_invoices(counter: Counter) -> None:
    policy = DunningPolicy(final_action="leave_past_due")
    debtor = await counter.debtor("tok_decline_insufficient_funds", policy=policy)
    await debtor.collect()
    await debtor.becomes("tok_visa")
    await debtor.owe(policy=policy)
    await debtor.collect()
    assert await debtor.standing(1) == ("past_due", "granted", "paid")
    await debtor.collect(T0 + timedelta(days=2))
    assert await debtor.standing(0) == ("active", "granted", "paid")


async def test_it_recovers_too_where_the_last_one_never_failed(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_insufficient_funds")
    await debtor.collect()
    await debtor.becomes("tok_pending")
    await debtor.owe()
    await debtor.collect()  # the second is under way while the first is paid
    async with debtor.session() as session:
        await invoice_paid(session, debtor.context.tenant_id, debtor.invoices[0], at=debtor.now)
    assert await debtor.standing(0) == ("past_due", "granted", "paid")
    async with debtor.session() as session:
        await invoice_paid(session, debtor.context.tenant_id, debtor.invoices[1], at=debtor.now)
    assert await debtor.standing(1) == ("active", "granted", "paid")


async def test_the_final_action_of_one_stops_all(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_stolen_card")
    await debtor.collect()
    counter.clock.put(debtor.context.tenant_id, T0 + timedelta(days=20))
    await debtor.owe()
    await debtor.collect()
    await debtor.wait(T0 + timedelta(days=21))
    assert (await debtor.standing())[:2] == ("canceled", "ended")
    assert (await debtor.state(1)).phase == "canceled"
    assert await debtor.due() is None


async def test_usage_never_ends_the_access(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_insufficient_funds", kind="usage")
    await debtor.wait(T0 + timedelta(days=60))
    assert await debtor.standing() == ("active", "granted", "open")
    assert len(await debtor.charges()) == 5


# -- what ends in between --------------------------------------------------------------------------


async def test_what_is_voided_is_charged_no_more(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_insufficient_funds")
    await debtor.collect()
    async with debtor.session() as session:
        await invoice_voided(session, debtor.context.tenant_id, debtor.invoice_id, at=debtor.now)
    assert await debtor.standing() == ("active", "granted", "void")
    await debtor.wait(T0 + timedelta(days=60))
    assert len(await debtor.charges()) == 1


async def test_money_that_comes_after_the_end_opens_a_review(counter: Counter) -> None:
    debtor = await counter.debtor("tok_magic", amount=3_004)  # charges, and never answers
    await debtor.collect()
    async with debtor.session() as session:
        await session.execute(
            "UPDATE subscription SET status = 'canceled' WHERE tenant_id = $1",
            debtor.context.tenant_id,
        )
        await subscription_canceled(
            session, debtor.context.tenant_id, debtor.subscription_id, at=debtor.now
        )
    await debtor.engine.reconciler.run_once(at=datetime.now(UTC) + timedelta(minutes=1))
    await debtor.look()
    assert await debtor.standing() == ("canceled", "ended", "paid")
    reviews = await debtor.engine.reviews.page(debtor.context, ReviewFilter(), first=5)
    assert [each.payment_id for each in reviews] == [(await debtor.charges())[0].payment_id]
    ((_, told),) = await debtor.told("invoice.needs_review")
    assert told["reason"] == "paid_after_end"


async def test_an_invoice_that_was_paid_otherwise_is_not_charged(counter: Counter) -> None:
    debtor = await counter.debtor("tok_visa")
    async with debtor.session() as session:
        await mark_paid(session, debtor.context.tenant_id, debtor.invoice_id, at=debtor.now)
    await debtor.collect()
    assert list(await debtor.movements()) == []
    assert (await debtor.state()).phase == "settled"


# -- leases ----------------------------------------------------------------------------------------


async def test_who_has_lost_the_lease_writes_nothing_and_charges_nothing_twice(
    counter: Counter,
) -> None:
    debtor = await counter.debtor("tok_visa")
    collections = debtor.engine.collection.collections
    tenant_id = debtor.context.tenant_id
    frozen = await collections._claim(tenant_id, debtor.invoice_id, wall=datetime.now(UTC))
    assert frozen is not None
    assert frozen.charge is not None
    assert not await collections.work(tenant_id, debtor.invoice_id, wall=datetime.now(UTC))
    await debtor.look()  # another one, when the lease has run out
    assert await debtor.standing() == ("active", "granted", "paid")
    before = await debtor.state(), await debtor.charges(), await debtor.events()
    await collections._do(frozen)  # thawed
    assert (await debtor.state(), await debtor.charges(), await debtor.events()) == before
    assert len(await debtor.movements()) == 1


async def test_a_charge_that_was_given_up_is_not_sent_by_who_was_frozen_with_it(
    counter: Counter,
) -> None:
    debtor = await counter.debtor("tok_visa")
    collections = debtor.engine.collection.collections
    tenant_id = debtor.context.tenant_id
    frozen = await collections._claim(tenant_id, debtor.invoice_id, wall=datetime.now(UTC))
    assert frozen is not None
    await debtor.detach(debtor.methods[0])
    await debtor.look()  # nothing can be sent with it: the key is used up
    assert [charge.outcome for charge in await debtor.charges()] == ["held"]
    await debtor.as_owner("UPDATE payment_method SET detached_at = NULL")
    await collections._do(frozen)  # thawed
    assert list(await debtor.movements()) == []


async def test_many_workers_charge_each_invoice_once(counter: Counter) -> None:
    debtors = [await counter.debtor("tok_visa") for _ in range(4)]
    collections = counter.engine.collection.collections
    wall = datetime.now(UTC) + timedelta(seconds=1)
    await asyncio.gather(*(collections.run_once(at=wall) for _ in range(6)))
    for debtor in debtors:
        assert (await debtor.standing())[2] == "paid"
        assert len(await debtor.movements()) == 1
        assert (await debtor.events("invoice.")) == ["invoice.paid"]
