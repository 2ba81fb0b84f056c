"""Is each open outcome looked up at the right moment, whatever clocks and crowds do?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from payengine.payments import reconcile as reconciling
from payengine.plugin import Call, Lookup, Manifest, Outcome, hookimpl
from payengine.registry.breaker import Breakers
from payengine.registry.guard import Guard

from tests.core.payments.odd import ODD, OddGateway
from tests.engines import Shop, Till, open_till
from tests.servers import HomeOfTest

_SHIFTS = [timedelta(days=4_000), timedelta(), timedelta(days=-4_000)]


@pytest.mark.parametrize("shift", _SHIFTS, ids=["ahead", "right", "behind"])
async def test_an_unknown_outcome_is_looked_up_by_the_walls_time(
    odd_till: Till, shop: Shop, shift: timedelta
) -> None:
    odd = OddGateway.of(odd_till)
    shop = shop.at(odd_till)
    odd.answers = [RuntimeError("lost")] * 3
    with odd_till.clock.later(shift):
        made = await shop.pay(**ODD)
        assert abs(made.payment.created_at - datetime.now(UTC) - shift) < timedelta(minutes=1)
        (row,) = await shop.operations(made.payment.id)
        assert abs(row.sent_at - datetime.now(UTC)) < timedelta(minutes=1)
        asked, sent = odd.asked.count(row.id), odd.keys.count(row.id)
        assert row.due_at is not None
        await shop.engine.reconciler.run_once(at=row.due_at - timedelta(milliseconds=1))
        assert odd.asked.count(row.id) == asked
        await shop.look(after=timedelta(seconds=2))
        assert odd.asked.count(row.id) > asked
        assert odd.keys.count(row.id) == sent + 1  # its key is known for an hour
        odd.found = Outcome(status="not_found")
        await shop.look(after=timedelta(minutes=80))
        assert (await shop.payment(made.payment.id)).status == "PROCESSING"
        await shop.look(after=timedelta(hours=2))  # consistent after ninety minutes
        after = await shop.check(made.payment.id)
        assert (after.status, odd.keys.count(row.id)) == ("CREATED", sent + 1)


@pytest.mark.parametrize("shift", _SHIFTS, ids=["ahead", "right", "behind"])
async def test_what_is_being_sent_is_left_alone_until_its_lease_is_over(
    odd_till: Till, shop: Shop, shift: timedelta
) -> None:
    odd = OddGateway.of(odd_till)
    shop = shop.at(odd_till)
    asked, answered = asyncio.Event(), asyncio.Event()
    authorize = OddGateway.authorize

    async def slow(self: OddGateway, call: Call, request: Any) -> Outcome:
        asked.set()
        await answered.wait()
        return await authorize(self, call, request)

    odd.answers = [odd.good]
    with odd_till.clock.later(shift), pytest.MonkeyPatch.context() as patch:
        patch.setattr(OddGateway, "authorize", slow)
        paying = asyncio.ensure_future(shop.pay(**ODD))
        await asked.wait()
        async with shop.engine.database.tenant(shop.context.tenant_id) as session:
            sending = await session.fetchrow("SELECT due_at, sent_at FROM operation")
        assert sending is not None
        due_at = sending["due_at"]
        assert due_at == sending["sent_at"] + timedelta(seconds=3)  # a deadline of one, and grace
        await shop.engine.reconciler.run_once(at=due_at - timedelta(milliseconds=1))
        assert odd.keys == []
        assert odd.asked == []
        answered.set()
        assert (await paying).payment.status == "CAPTURED"


class _Narrow(OddGateway):
    """It takes two lookups at a time, and one of each tenant's."""

    takes_s = 0.01
    is_mute = True

    def describe(self) -> Manifest:
        """A small provider."""
        return msgspec.structs.replace(super().describe(), max_concurrency=8)

    async def authorize(self, call: Call, request: Any) -> Outcome:
        """It does what it is asked, and says nothing."""
        self.keys.append(request.key)
        raise RuntimeError("lost")

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        """It took the money, and may not say so."""
        if self.is_mute:
            raise RuntimeError("lost too")
        self.asked.append(request.key)
        await asyncio.sleep(self.takes_s)
        return self.good


class _NarrowPlugin:
    @hookimpl
    def gateways(self) -> Sequence[Any]:
        return [_Narrow()]


@pytest.fixture
async def narrow_till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    """An engine with the narrow gateway."""
    async with open_till(
        payment_home, plugins={"odd": _NarrowPlugin()}, gateway_deadline_ms=60_000
    ) as opened:
        opened.engine.registry.guard = Guard(breakers=Breakers(threshold=10**9))
        yield opened


async def _lose(shop: Shop, odd: _Narrow, many: int) -> list[str]:
    """Payments of which nobody told what became; from now on the gateway can be asked."""
    odd.is_mute = True
    made = [await shop.pay(**ODD) for _ in range(many)]
    assert {each.payment.status for each in made} == {"PROCESSING"}
    odd.is_mute = False
    return [each.payment.id for each in made]


async def test_a_crowd_of_open_outcomes_ends_in_one_round_at_a_narrow_gateway(
    narrow_till: Till, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "_PATIENCE", timedelta(minutes=1))
    odd = OddGateway.of(narrow_till)
    assert isinstance(odd, _Narrow)
    shop = shop.at(narrow_till)
    payment_ids = await _lose(shop, odd, 24)
    await shop.look()
    statuses = {(await shop.payment(each)).status for each in payment_ids}
    assert statuses == {"CAPTURED"}
    for payment_id in payment_ids:
        (row,) = await shop.operations(payment_id)
        assert (row.tries, odd.asked.count(row.id)) == (1, 1)
    await shop.assert_sound()


async def test_who_finds_no_place_at_a_gateway_has_not_tried(narrow_till: Till, shop: Shop) -> None:
    odd = OddGateway.of(narrow_till)
    assert isinstance(odd, _Narrow)
    shop = shop.at(narrow_till)
    payment_ids = await _lose(shop, odd, 6)
    odd.takes_s = 1.5
    at = datetime.now(UTC) + timedelta(minutes=1)
    await shop.engine.reconciler.run_once(at=at)
    rows = [row for each in payment_ids for row in await shop.operations(each)]
    left = [row for row in rows if row.status == "unknown"]
    assert len(left) == 5
    for row in left:
        assert odd.asked.count(row.id) == 0
        assert row.due_at is not None
        assert (row.tries, row.due_at - at < timedelta(seconds=30)) == (0, True)
    odd.takes_s = 0.01
    await shop.look(after=timedelta(minutes=2))
    assert {(await shop.payment(each)).status for each in payment_ids} == {"CAPTURED"}
