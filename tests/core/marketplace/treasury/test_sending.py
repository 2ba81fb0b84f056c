"""Does each payout leave once, whatever the rail says and whoever sends it?"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine.errors import PayoutsNotEnabled
from payengine.marketplace.treasury import PayoutFilter
from payengine.marketplace.treasury.pace import GIVE_UP_AFTER
from payengine.plugin import (
    LookUpPayouts,
    PayoutRail,
    PayoutResult,
    PayoutsTold,
    RailManifest,
    SendPayouts,
    hookimpl,
)

from tests.core.marketplace.treasury.vendors import Vendor, open_vendor, paid_by
from tests.engines import Shop, Till, open_till
from tests.servers import HomeOfTest


async def _sends(vendor: Vendor) -> dict[str, int]:
    """payout id → how many orders the rail has of it."""
    return Counter(one.key for one in paid_by(vendor.engine, vendor.context.tenant_id))


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("acct_closed", "account_closed"),
        ("acct_refused", "account_invalid"),
        ("acct_never_heard_of", "account_invalid"),
    ],
)
async def test_a_failure_gives_the_money_back_and_flags_the_destination(
    shop: Shop, token: str, code: str
) -> None:
    vendor = await open_vendor(shop, token, earned=9_000)
    made = await vendor.pay_out(9_000)
    assert await vendor.balance() == 0
    await vendor.go_on()
    await vendor.go_on()
    failed = await vendor.payout(made.id)
    assert (failed.status, failed.failure_code) == ("failed", code)
    assert (await vendor.balance(), await vendor.in_transit()) == (9_000, 0)
    (destination,) = await vendor.engine.treasury.destinations.of_account(vendor.context, vendor.id)
    assert destination.status == "requires_update"
    with pytest.raises(PayoutsNotEnabled, match="did not arrive"):
        await vendor.pay_out(9_000)
    await vendor.bank_at()
    assert (await vendor.pay_out(9_000)).status == "pending"
    await vendor.assert_balanced()


async def test_a_rail_that_is_short_of_money_does_not_blame_the_receiver(shop: Shop) -> None:
    vendor = await open_vendor(shop, "acct_no_funds")
    made = await vendor.pay_out(4_000)
    await vendor.go_on()
    failed = await vendor.payout(made.id)
    assert (failed.status, failed.failure_code) == ("failed", "insufficient_funds")
    (destination,) = await vendor.engine.treasury.destinations.of_account(vendor.context, vendor.id)
    assert destination.status == "usable"


async def test_what_arrived_and_came_back_is_the_vendors_again(shop: Shop) -> None:
    vendor = await open_vendor(shop, "acct_returned")
    made = await vendor.pay_out(4_000)
    await vendor.go_on()
    await vendor.go_on()
    assert (await vendor.payout(made.id)).status == "paid"
    await vendor.go_on(after=timedelta(days=1))
    back = await vendor.payout(made.id)
    assert (back.status, back.failure_code) == ("returned", "account_closed")
    assert (await vendor.balance(), await vendor.in_transit()) == (10_000, 0)
    assert await vendor.events() == [
        "payout.created",
        "payout.in_transit",
        "payout.paid",
        "payout.returned",
    ]
    await vendor.assert_balanced()


async def test_an_answer_that_was_lost_is_looked_up_and_nothing_is_sent_again(shop: Shop) -> None:
    vendor = await open_vendor(shop, "acct_lost_answer")
    made = await vendor.pay_out(4_000)
    await vendor.go_on()
    assert (await vendor.payout(made.id)).status == "unknown"
    assert (await vendor.balance(), await vendor.in_transit()) == (6_000, 4_000)
    await vendor.go_on()
    assert (await vendor.payout(made.id)).status == "paid"
    assert await vendor.evidence(made.id) == [("answer", "unknown"), ("lookup", "paid")]
    assert await _sends(vendor) == {made.id: 1}


async def test_a_request_that_was_lost_is_sent_again_with_its_key(shop: Shop) -> None:
    vendor = await open_vendor(shop, "acct_lost_request")
    made = await vendor.pay_out(4_000)
    await vendor.go_on()
    assert (await vendor.payout(made.id)).status == "unknown"
    await vendor.go_on()
    sent = await vendor.payout(made.id)
    assert sent.status == "in_transit"
    (order,) = paid_by(vendor.engine, vendor.context.tenant_id)
    assert order.sending == sent.batch_id
    assert await vendor.evidence(made.id) == [("answer", "unknown"), ("resend", "accepted")]


async def test_what_provably_was_not_sent_is_sent_later(shop: Shop) -> None:
    vendor = await open_vendor(shop, "acct_down")
    made = await vendor.pay_out(4_000)
    await vendor.go_on()
    assert (await vendor.payout(made.id)).status == "sending"
    assert await _sends(vendor) == {}
    await vendor.go_on(after=timedelta(days=3))
    assert (await vendor.payout(made.id)).status == "in_transit"
    assert await _sends(vendor) == {made.id: 1}


async def test_when_the_key_is_forgotten_not_found_is_proof_and_the_money_returns(
    shop: Shop,
) -> None:
    vendor = await open_vendor(shop, "acct_lost_request")
    made = await vendor.pay_out(4_000)
    await vendor.go_on()
    await vendor.go_on(after=timedelta(days=2))
    failed = await vendor.payout(made.id)
    assert (failed.status, failed.failure_code) == ("failed", "not_sent")
    assert (await vendor.balance(), await _sends(vendor)) == (10_000, {})


async def test_what_nobody_can_tell_waits_for_a_person_and_is_never_presumed(shop: Shop) -> None:
    vendor = await open_vendor(shop, "acct_mute")
    made = await vendor.pay_out(4_000)
    for _ in range(4):
        await vendor.go_on()
    assert (await vendor.payout(made.id)).status == "unknown"
    await vendor.go_on(after=GIVE_UP_AFTER)
    waits = await vendor.payout(made.id)
    assert (waits.status, waits.needs_review) == ("unknown", True)
    assert (await vendor.balance(), await vendor.in_transit()) == (6_000, 4_000)
    found = await vendor.engine.treasury.page(
        vendor.context, PayoutFilter(needs_review=True), first=5
    )
    assert [each.id for each in found] == [made.id]
    assert await _sends(vendor) == {made.id: 1}


async def test_many_workers_at_once_send_each_payout_once(shop: Shop) -> None:
    vendor = await open_vendor(shop)
    made = [await vendor.pay_out(100) for _ in range(30)]
    at = datetime.now(UTC) + timedelta(minutes=1)
    await asyncio.gather(*(vendor.engine.treasury.run_once(at=at) for _ in range(8)))
    await vendor.go_on()
    assert await _sends(vendor) == {each.id: 1 for each in made}
    await vendor.go_on()
    assert (await vendor.balance(), await vendor.in_transit()) == (7_000, 0)
    await vendor.assert_balanced()


async def test_payouts_of_one_rail_and_currency_go_in_one_batch(shop: Shop) -> None:
    vendor = await open_vendor(shop)
    made = [await vendor.pay_out(100) for _ in range(3)]
    await vendor.go_on()
    batches = {(await vendor.payout(each.id)).batch_id for each in made}
    assert len(batches) == 1
    found = await vendor.engine.treasury.batches(vendor.context, [str(one) for one in batches])
    (batch,) = found.values()
    assert (batch.payouts, batch.amount_minor, batch.status) == (3, 300, "sent")


# --- odd rails ------------------------------------------------------------------------------------


class _OddRail:
    """A rail that says what it is told to say."""

    def __init__(self) -> None:
        self.manifest = RailManifest(
            name="odd", title="Odd", version="1", max_batch=10, lookup_consistent_after_ms=60_000
        )
        self.says: Any = None
        self.finds: Any = None
        self.sent: list[str] = []
        self.gate: asyncio.Event | None = None
        self.reached = asyncio.Event()

    def describe(self) -> RailManifest:
        return self.manifest

    async def send(self, call: Any, request: SendPayouts) -> Any:
        self.sent.append(request.key)
        self.reached.set()
        if self.gate is not None and len(self.sent) == 1:
            await self.gate.wait()
        return _say(self.says, request.orders)

    async def look_up(self, call: Any, request: LookUpPayouts) -> Any:
        return _say(self.finds, request.orders)


def _say(words: Any, orders: Sequence[Any]) -> Any:
    if isinstance(words, str):
        return PayoutsTold(
            results=tuple(PayoutResult(key=one.key, status=words) for one in orders)  # type: ignore[arg-type]
        )
    return words


class _OddPlugin:
    def __init__(self, rail: _OddRail) -> None:
        self.rail = rail

    @hookimpl
    def payout_rails(self) -> Sequence[PayoutRail]:
        return [self.rail]


async def _odd_vendor(till: Till, rail: _OddRail) -> Vendor:
    shop = await till.shop()
    await till.engine.registry.save_settings(shop.context, "oddity", enabled=True)
    vendor = await open_vendor(shop, token=None)
    await vendor.bank_at("somewhere", rail="odd")
    return vendor


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        {"results": []},
        PayoutsTold(results=()),
        PayoutsTold(results=(PayoutResult(key="po_other", status="paid"),)),
        "not_found",
    ],
)
async def test_nonsense_is_unknown_and_moves_nothing(
    payment_home: HomeOfTest, nonsense: Any
) -> None:
    rail = _OddRail()
    rail.says = nonsense
    async with open_till(payment_home, plugins={"oddity": _OddPlugin(rail)}) as till:
        vendor = await _odd_vendor(till, rail)
        made = await vendor.pay_out(4_000)
        await vendor.go_on(after=timedelta(seconds=1))
        assert (await vendor.payout(made.id)).status == "unknown"
        assert (await vendor.balance(), await vendor.in_transit()) == (6_000, 4_000)


async def test_not_found_too_early_proves_nothing_where_the_key_is_forgotten(
    payment_home: HomeOfTest,
) -> None:
    rail = _OddRail()
    rail.manifest = RailManifest(
        name="odd",
        title="Odd",
        version="1",
        key_window_s=0,
        lookup_consistent_after_ms=3_600_000,
    )
    rail.finds = "not_found"
    async with open_till(payment_home, plugins={"oddity": _OddPlugin(rail)}) as till:
        vendor = await _odd_vendor(till, rail)
        made = await vendor.pay_out(4_000)
        await vendor.go_on(after=timedelta(seconds=1))
        await vendor.go_on(after=timedelta(minutes=1))
        assert (await vendor.payout(made.id)).status == "unknown"
        await vendor.go_on(after=timedelta(hours=2))
        failed = await vendor.payout(made.id)
        assert (failed.status, failed.failure_code, len(rail.sent)) == ("failed", "not_sent", 1)


async def test_a_worker_that_froze_past_its_lease_writes_nothing(
    payment_home: HomeOfTest,
) -> None:
    rail = _OddRail()
    rail.says, rail.finds, rail.gate = "failed", "paid", asyncio.Event()
    async with open_till(payment_home, plugins={"oddity": _OddPlugin(rail)}) as till:
        vendor = await _odd_vendor(till, rail)
        made = await vendor.pay_out(4_000)
        frozen = asyncio.create_task(
            vendor.engine.treasury.run_once(at=datetime.now(UTC) + timedelta(seconds=1))
        )
        await rail.reached.wait()
        await vendor.go_on(after=timedelta(minutes=10))
        assert (await vendor.payout(made.id)).status == "paid"
        rail.gate.set()
        await frozen
        paid = await vendor.payout(made.id)
        assert (paid.status, await vendor.balance()) == ("paid", 6_000)
        assert len(rail.sent) == 1
