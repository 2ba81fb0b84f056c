"""Are leases short, keys sent in time, strange words told, and steps kept behind repairs?"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from payengine.errors import TransitionRefused
from payengine.plugin import (
    Amount,
    Call,
    Lookup,
    Manifest,
    Outcome,
    hookimpl,
)
from payengine.registry.breaker import Breakers
from payengine.registry.guard import Guard
from payengine.testing import Chaos, ChaosGateway
from payengine_sandbox.gateway import SandboxGateway

from tests.core.payments.odd import ODD, OddGateway
from tests.engines import Shop, Till, open_till
from tests.servers import HomeOfTest


async def test_a_step_repairs_what_is_unknown_before_it_begins(shop: Shop) -> None:
    open_ = await shop.pay(3_102, "tok_magic", capture_method="MANUAL")
    assert open_.payment.status == "PROCESSING"
    captured = await shop.capture(open_.payment.id, 1_000)
    assert captured.payment.captured_minor == 1_000
    assert open_.operation is not None
    (why,) = await shop.evidence(open_.operation.id)
    assert why.source == "lookup"
    await shop.assert_sound()


async def test_a_step_repairs_what_its_engine_left_behind(
    hasty: Till, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = shop.at(hasty)
    held = await shop.hold(1_000)
    recorder = type(hasty.engine.reconciler._recorder)
    record = recorder.record

    async def dies(*_: Any, **__: Any) -> Any:
        raise ConnectionError

    monkeypatch.setattr(recorder, "record", dies)
    with pytest.raises(ConnectionError):
        await shop.capture(held.id, 400, final=False)
    monkeypatch.setattr(recorder, "record", record)
    with pytest.raises(TransitionRefused):
        await shop.refund(held.id, 400)  # within the lease it may still be under way
    with hasty.clock.later(timedelta(days=300)), pytest.raises(TransitionRefused):
        await shop.refund(held.id, 400)  # no test clock ends a lease
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        await session.execute("UPDATE operation SET due_at = sent_at WHERE due_at IS NOT NULL")
    assert (await shop.refund(held.id, 400)).payment.refunded_minor == 400
    await shop.check(held.id)


_FROZEN = Outcome(status="unmodelled", raw_status="frozen_by_court")


async def test_a_status_that_nobody_knows_changes_nothing_and_is_told_once(
    odd_till: Till, shop: Shop
) -> None:
    odd = OddGateway.of(odd_till)
    shop = shop.at(odd_till)
    odd.answers = [Outcome(status="pending", amount=Amount(1_000, "JPY"))]
    odd.found = _FROZEN
    open_ = await shop.pay(**ODD)
    assert open_.operation is not None
    before = odd_till.engine.registry.unmodelled["odd"]
    for after in range(1, 4):
        await shop.look(after=timedelta(hours=after))
    (operation,) = await shop.operations(open_.payment.id)
    assert (operation.status, operation.raw_status) == ("pending", "unmodelled: frozen_by_court")
    assert operation.due_at is not None
    assert odd_till.engine.registry.unmodelled["odd"] == before + 3
    (why,) = await shop.evidence(operation.id)
    assert (why.source, why.data["reason"]) == ("lookup", "unmodelled: frozen_by_court")
    assert (await _types(shop)).count("payment.status_unmodelled") == 1
    odd.found = Outcome(status="unmodelled", raw_status="thawing")
    await shop.look(after=timedelta(hours=5))
    assert (await _types(shop)).count("payment.status_unmodelled") == 2
    odd.found = odd.good
    await shop.look(after=timedelta(hours=6))
    assert (await shop.check(open_.payment.id)).status == "CAPTURED"


async def test_an_answer_that_nobody_knows_is_unknown_and_is_not_sent_again(
    odd_till: Till, shop: Shop
) -> None:
    odd = OddGateway.of(odd_till)
    shop = shop.at(odd_till)
    odd.answers = [_FROZEN]
    odd.found = _FROZEN
    open_ = await shop.pay(**ODD)
    assert open_.operation is not None
    assert (open_.payment.status, open_.operation.status) == ("PROCESSING", "unknown")
    await shop.look()
    assert len(odd.keys) == 1
    assert (await _types(shop)).count("payment.status_unmodelled") == 1
    (why,) = await shop.evidence(open_.operation.id)
    assert (why.source, why.finding) == ("answer", "unknown")


async def _types(shop: Shop) -> list[str]:
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        rows = await session.fetch("SELECT type FROM event ORDER BY seq")
    return [row["type"] for row in rows]


async def test_a_key_is_not_sent_again_where_it_may_arrive_too_late(
    odd_till: Till, shop: Shop
) -> None:
    odd = OddGateway.of(odd_till)
    shop = shop.at(odd_till)
    odd.answers = [RuntimeError("lost")]
    open_ = await shop.pay(**ODD)
    # Half a second before the key's hour is over; a request may take a second to arrive.
    await shop.look(after=timedelta(hours=1) - timedelta(milliseconds=500))
    assert odd.lookups >= 1
    assert len(odd.keys) == 1
    assert (await shop.payment(open_.payment.id)).status == "PROCESSING"


async def test_a_lease_covers_one_call_and_is_renewed_before_the_next(
    odd_till: Till, shop: Shop
) -> None:
    odd = OddGateway.of(odd_till)
    shop = shop.at(odd_till)
    odd.answers = [RuntimeError("lost"), odd.good]
    open_ = await shop.pay(**ODD)
    leases: list[timedelta] = []
    ends: list[datetime] = []
    lookup, authorize = OddGateway.lookup, OddGateway.authorize

    async def watched(self: OddGateway, call: Call, request: Any) -> Outcome:
        (row,) = await shop.operations(open_.payment.id)
        assert row.due_at is not None
        leases.append(row.due_at - datetime.now(UTC))
        ends.append(row.due_at)
        inner = lookup if isinstance(request, Lookup) else authorize
        return await inner(self, call, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OddGateway, "lookup", watched)
        patch.setattr(OddGateway, "authorize", watched)
        await shop.look(after=timedelta(0) + timedelta(seconds=4))
    assert len(leases) == 2
    # The deadline is a second; the round was told that it is four seconds later than it is.
    for lease in leases:
        assert timedelta(seconds=3) < lease <= timedelta(seconds=7.1)
    assert ends[0] < ends[1]
    (row,) = await shop.operations(open_.payment.id)
    assert (row.status, row.tries) == ("succeeded", 1)


async def test_a_lease_that_was_lost_before_the_resend_sends_nothing(
    odd_till: Till, shop: Shop
) -> None:
    odd = OddGateway.of(odd_till)
    shop = shop.at(odd_till)
    odd.answers = [RuntimeError("lost"), odd.good]
    open_ = await shop.pay(**ODD)
    lookup = OddGateway.lookup

    async def overtaken(self: OddGateway, call: Call, request: Any) -> Outcome:
        async with shop.engine.database.tenant(shop.context.tenant_id) as session:
            await session.execute("UPDATE operation SET version = version + 1")
        return await lookup(self, call, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OddGateway, "lookup", overtaken)
        await shop.look()
    assert len(odd.keys) == 1
    (row,) = await shop.operations(open_.payment.id)
    assert row.status == "unknown"


async def test_where_nobody_can_be_asked_a_person_is_asked_at_once(
    mute_till: Till, shop: Shop
) -> None:
    odd = OddGateway.of(mute_till)
    shop = shop.at(mute_till)
    odd.answers = [RuntimeError("lost"), RuntimeError("lost again")]
    open_ = await shop.pay(**ODD)
    await shop.look()
    assert len(odd.keys) == 2
    assert not (await shop.payment(open_.payment.id)).needs_review
    await shop.look(after=timedelta(hours=2))
    after = await shop.check(open_.payment.id)
    assert (after.status, after.needs_review, len(odd.keys)) == ("PROCESSING", True, 2)
    assert odd.lookups == 0


@pytest.mark.parametrize("seed", range(3))
async def test_under_chaos_every_payment_ends_once_and_nothing_is_doubled(
    payment_home: HomeOfTest, seed: int
) -> None:
    chaos = Chaos(
        seed=seed,
        not_sent=50,
        error_before=80,
        error_after=120,
        hang_before=50,
        hang_after=50,
        garbage=100,
        lookups=True,
    )

    class Plugin:
        @hookimpl
        def gateways(self) -> Sequence[Any]:
            inner = SandboxGateway(path=payment_home.home / f"chaos{seed}.sqlite3")
            return [_ChaosYen(inner, chaos)]

    async with open_till(
        payment_home, plugins={"yen": Plugin()}, gateway_deadline_ms=400
    ) as chaotic:
        chaotic.engine.registry.guard = Guard(breakers=Breakers(threshold=10**9))
        shop = await chaotic.shop()
        made = await asyncio.gather(*(shop.pay(100 + n, currency="JPY") for n in range(40)))
        for round_ in range(100):  # chaos strikes nearly every second look
            await shop.look(after=timedelta(hours=1 + round_))
            found = [await shop.payment(each.payment.id) for each in made]
            if not any(each.status == "PROCESSING" for each in found):
                break
        charged: Counter[str] = Counter()
        for gateway in ("chaotic_yen", "sandbox"):
            for line in await chaotic.engine.registry.movements(
                shop.context,
                gateway,
                since=datetime.now(UTC) - timedelta(days=1),
                until=datetime.now(UTC) + timedelta(days=1),
                deadline_ms=10_000,
            ):
                charged[line.key] += 1
        assert max(charged.values()) == 1
        for each in made:
            after = await shop.check(each.payment.id)
            operations = await shop.operations(after.id)
            taken = sum(charged[operation.id] for operation in operations)
            assert taken == (after.status == "CAPTURED"), after
            assert after.status in ("CAPTURED", "CREATED")
        await shop.assert_sound()


class _ChaosYen(ChaosGateway):
    """The sandbox behind chaos, under another name and for yen alone."""

    def describe(self) -> Manifest:
        return msgspec.structs.replace(
            super().describe(), name="chaotic_yen", currencies=("JPY",), webhooks=False
        )
