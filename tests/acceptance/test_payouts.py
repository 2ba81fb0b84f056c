"""Is every amount paid out at most once, whenever the process dies and however many work?

`PAYENGINE_NIGHTLY=1` plays longer games. The crash tests kill a real process by SIGKILL.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from payengine.errors import InsufficientAvailableBalance, PayoutsNotEnabled, TransitionRefused
from payengine.marketplace.treasury import CancelPayout, PayoutFilter
from payengine.marketplace.treasury.states import FOLLOWS
from payengine.plugin import Amount, Call, PayoutDestination, PayoutOrder, SendPayouts
from payengine_sandbox.payouts import COURSES

from tests.core.marketplace.treasury.vendors import Vendor, open_vendor, paid_by
from tests.engines import Till, key, open_till
from tests.servers import HomeOfTest

_ROOT = Path(__file__).parents[2]
_GAMES = 60 if os.environ.get("PAYENGINE_NIGHTLY") else 4
_RACES = 10_000 if os.environ.get("PAYENGINE_NIGHTLY") else 200
_BACK = {"failed", "returned", "canceled"}


async def _check(vendor: Vendor, *, earned: int) -> None:
    """Nothing is lost or doubled: the rail's books, the rows and the ledger say the same."""
    engine, context = vendor.engine, vendor.context
    payouts = await engine.treasury.page(context, PayoutFilter(), first=10_000)
    orders = paid_by(engine, context.tenant_id)
    times = Counter(one.key for one in orders)
    assert max(times.values(), default=1) == 1, "an order was sent under two keys"
    rows = {each.id: each for each in payouts}
    for one in orders:
        assert rows[one.key].amount_minor == one.amount_minor
    gone = sum(each.amount_minor for each in payouts if each.status == "paid")
    back = sum(each.amount_minor for each in payouts if each.status in _BACK)
    under_way = sum(each.amount_minor for each in payouts) - gone - back
    assert await vendor.balance() == earned - gone - under_way
    assert await vendor.in_transit() == under_way
    for one in orders:
        if one.status in ("accepted", "paid") and rows[one.key].status in _BACK:
            raise AssertionError(f"{one.key} is with the rail, and its money is back")
    await vendor.assert_balanced()


@pytest.mark.parametrize(
    ("point", "token"),
    [
        ("payout_claimed", "acct_ok"),
        ("payout_claimed:3", "acct_ok"),
        ("payout_batched", "acct_ok"),
        ("payout_sent", "acct_ok"),
        ("payout_sent", "acct_lost_answer"),
        ("payout_sent", "acct_closed"),
        ("payout_recorded", "acct_ok"),
    ],
)
async def test_a_process_that_dies_pays_each_amount_once(
    payment_home: HomeOfTest, point: str, token: str
) -> None:
    async with open_till(payment_home) as till:
        vendor = await open_vendor(await till.shop(), token)
        one = key()
        arguments = (
            str(payment_home.home),
            payment_home.login_url,
            str(vendor.context.tenant_id),
            vendor.id,
            one,
        )
        died = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.acceptance.payouts_program", *arguments),
            cwd=_ROOT,
            env={**os.environ, "PAYENGINE_FAULTS": point, "PYTHONPATH": str(_ROOT)},
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await asyncio.wait_for(died.wait(), 240) == -signal.SIGKILL
        for n in range(3):
            try:
                await vendor.pay_out(1_000, idempotency_key=f"{one}.{n}")
            except PayoutsNotEnabled:  # the one before has failed by now
                assert token == "acct_closed"
        for _ in range(5):
            await vendor.go_on()
        payouts = await vendor.engine.treasury.page(vendor.context, PayoutFilter(), first=10)
        expected = "failed" if token == "acct_closed" else "paid"
        assert {each.status for each in payouts} == {expected}
        assert len(payouts) == 3
        assert len(paid_by(vendor.engine, vendor.context.tenant_id)) == 3
        await _check(vendor, earned=10_000)


async def test_a_day_that_died_after_its_payout_pays_no_second_time(
    payment_home: HomeOfTest,
) -> None:
    async with open_till(payment_home) as till:
        vendor = await open_vendor(await till.shop())
        made = await vendor.pay_out(1_000)
        engines = [vendor.engine]
        at = datetime.now(UTC) + timedelta(minutes=1)
        async with open_till(payment_home) as other:
            engines.append(other.engine)
            await asyncio.gather(
                *(each.treasury.run_once(at=at) for _ in range(4) for each in engines)
            )
        await vendor.go_on()
        assert Counter(one.key for one in paid_by(vendor.engine, vendor.context.tenant_id)) == {
            made.id: 1
        }
        await _check(vendor, earned=10_000)


@pytest.mark.parametrize("seed", range(_GAMES))
async def test_random_payouts_failures_and_returns_keep_the_books(till: Till, seed: int) -> None:
    chosen = random.Random(seed)
    vendor = await open_vendor(await till.shop(), earned=0)
    earned = 0
    for _ in range(25):
        match chosen.randrange(6):
            case 0:
                amount = chosen.randrange(1, 5_000)
                earned += amount
                await vendor.earn(amount)
            case 1:
                await vendor.bank_at(chosen.choice(sorted(COURSES)))
            case 2 | 3:
                with contextlib.suppress(InsufficientAvailableBalance, PayoutsNotEnabled):
                    await vendor.pay_out(chosen.choice([None, chosen.randrange(1, 2_000)]))
            case 4:
                payouts = await vendor.engine.treasury.page(vendor.context, PayoutFilter(), first=1)
                if payouts:
                    request = CancelPayout(
                        idempotency_key=key(), payout_id=payouts[0].id, reason="a game"
                    )
                    with contextlib.suppress(TransitionRefused):
                        await vendor.engine.treasury.cancel(vendor.context, request)
            case _:
                minutes = chosen.choice([1, 20, 600, 3_000])
                await vendor.go_on(after=timedelta(minutes=minutes))
        await vendor.assert_balanced()
    for _ in range(5):
        await vendor.go_on(after=timedelta(hours=13))
    await _check(vendor, earned=earned)


async def test_an_unknown_that_is_taken_for_a_failure_is_caught(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: silence gives the money back."""
    monkeypatch.setitem(FOLLOWS, ("sending", "unknown"), FOLLOWS["sending", "failed"])
    vendor = await open_vendor(await till.shop(), "acct_lost_answer")
    await vendor.pay_out(1_000)
    await vendor.go_on()
    await vendor.go_on()
    with pytest.raises(AssertionError, match="is with the rail, and its money is back"):
        await _check(vendor, earned=10_000)


async def test_two_keys_for_one_payout_are_caught(till: Till) -> None:
    """The planted fault: what was sent is sent again under a key of its own."""
    vendor = await open_vendor(await till.shop())
    made = await vendor.pay_out(1_000)
    await vendor.go_on()
    rail = vendor.engine.registry.rails.rail("sandbox").rail
    destination = PayoutDestination(kind="token", number="acct_ok")
    order = PayoutOrder(key=made.id, amount=Amount(1_000, "EUR"), destination=destination)
    call = Call(account=str(vendor.context.tenant_id), settings=None, deadline_ms=1_000)
    await rail.send(call, SendPayouts(key="another", orders=(order,)))
    with pytest.raises(AssertionError, match="under two keys"):
        await _check(vendor, earned=10_000)


async def test_races_never_take_more_than_the_balance(till: Till) -> None:
    vendor = await open_vendor(await till.shop(), earned=0)
    places = asyncio.Semaphore(16)
    taken = 0

    async def race() -> None:
        nonlocal taken
        async with places:
            with contextlib.suppress(InsufficientAvailableBalance):
                made = await vendor.pay_out(7)
                taken += made.amount_minor

    await vendor.earn(7 * (_RACES // 4) + 3)
    await asyncio.gather(*(race() for _ in range(_RACES)))
    assert taken == 7 * (_RACES // 4)
    assert await vendor.balance() == 3
    await vendor.assert_balanced()
