"""Webhooks in any order, doubled, forged and malformed: one final state, and never a 5xx.

`PAYENGINE_FUZZ` is how many malformed calls are sent: 1,000 unless it says otherwise.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from payengine.payments import MethodInput, Operation, transitions
from payengine.payments.inbound import WebhookFilter
from payengine.plugin import WebhookEvent

from tests.acceptance.malformed import malformed_calls
from tests.crier import Stage, cry, open_crier, word
from tests.engines import Shop, Till, open_till
from tests.graphql.conftest import serving
from tests.notices import Doorbell, drain, notice, shown
from tests.servers import HomeOfTest, migrated_home

_CRIER = MethodInput(token="tok_any", kind="crier")
_AT_ONCE = 4
_FUZZ = int(os.environ.get("PAYENGINE_FUZZ", "1000"))
_ORDERS = list(itertools.permutations(range(5)))


async def _in_parallel(works: Sequence[Callable[[], Any]]) -> list[Any]:
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(work: Callable[[], Any]) -> Any:
        async with places:
            return await work()

    return await asyncio.gather(*map(one, works))


@dataclass
class Life:
    """A payment's whole life at a provider whose every answer and webhook the test times."""

    stage: Stage
    shop: Shop
    bell: Doorbell
    chance: random.Random
    payment_id: str = ""
    told: int = 0
    merchant: asyncio.Task[Any] | None = field(default=None)

    @classmethod
    async def begin(cls, stage: Stage, seed: int) -> Life:
        """A new tenant, whose calls are answered one by one."""
        shop = await stage.till.shop()
        stage.crier.held.add(str(shop.context.tenant_id))
        bell = await Doorbell.of(shop.engine, shop.context, "crier")
        return cls(stage, shop, bell, random.Random(seed))

    async def run(self, order: Sequence[int], events: Sequence[Any], answers: int) -> None:
        """Let the webhooks and the answers come, in this order and at random places."""
        steps: list[Any] = [events[at] for at in order]
        for event in self.chance.sample(list(events), 3):  # some come twice, at another time
            steps.insert(self.chance.randint(0, len(steps)), event)
        for place in sorted(self.chance.choices(range(len(steps) + 1), k=answers), reverse=True):
            steps.insert(place, None)
        for step in steps:
            if step is None:
                await self.stage.crier.release(str(self.shop.context.tenant_id))
            else:
                await self._hear(step)
            if self.chance.random() < 0.5:
                at = datetime.now(UTC)
                await self.shop.engine.inbound.applier.run_once(at=at)
        assert self.merchant is not None
        await self.merchant

    async def _hear(self, event: WebhookEvent) -> None:
        """Deliver the event, with our key where there is an operation of its kind by now."""
        keys = {each.kind: each.id for each in await self._operations()}
        call = cry(msgspec.structs.replace(event, key=keys.get(event.kind)))
        for receipt in await asyncio.gather(
            *(self.bell.ring(call) for _ in range(self.chance.randint(1, 3)))
        ):
            self.told += len(receipt.stored)

    async def _operations(self) -> list[Operation]:
        if not self.payment_id:
            async with self.shop.engine.database.tenant(self.shop.context.tenant_id) as session:
                found = await session.fetchval(
                    "SELECT id FROM payment WHERE tenant_id = $1", self.shop.context.tenant_id
                )
            self.payment_id = found or ""
        return await self.shop.operations(self.payment_id) if self.payment_id else []

    async def end(self) -> tuple[Any, ...]:
        """The final state: the payment, its operations, its books and what is kept."""
        await self._operations()
        payment = await self.shop.check(self.payment_id)
        await self.shop.assert_sound()
        operations = await self.shop.operations(self.payment_id)
        states = Counter(row.state for row in await self.bell.received())
        assert set(states) <= {"applied", "stale"}, states
        lines = await self.shop.engine.ledger.transfers_of(self.shop.context, self.payment_id)
        return (
            (payment.status, payment.anomalies, payment.needs_review, payment.conflicted),
            (payment.captured_minor, payment.refunded_minor, payment.voided_minor),
            [(each.kind, each.status, each.provider_reference) for each in operations],
            sorted(
                (line.phase, line.debit_account, line.credit_account, line.amount_minor)
                for line in lines
            ),
            sum(states.values()),
            self.told,
        )


def _of_a_life() -> list[WebhookEvent]:
    return [
        word("authorize", "pending", 1_000, reference="authorize", number=1),
        word("authorize", "succeeded", 1_000, reference="authorize", number=2),
        word("capture", "succeeded", 700, reference="capture", captured=True, number=3),
        word("refund", "pending", 300, reference="refund", number=4),
        word("refund", "succeeded", 300, reference="refund", number=5),
    ]


async def _whole_life(stage: Stage, order: Sequence[int], seed: int) -> Life:
    """Authorize, capture and refund, each as soon as the one before is answered."""
    life = await Life.begin(stage, seed)

    async def buy() -> None:
        held = await life.shop.pay(1_000, payment_method=_CRIER, capture_method="MANUAL")
        await life.shop.capture(held.payment.id, 700)
        await life.shop.refund(held.payment.id, 300)

    life.merchant = asyncio.create_task(buy())
    await life.run(order, _of_a_life(), answers=3)
    return life


async def test_every_order_of_five_webhooks_and_three_answers_ends_alike(stage: Stage) -> None:
    lives: list[Life] = await _in_parallel(
        [
            lambda order=order, seed=seed: _whole_life(stage, order, seed)  # type: ignore[misc]
            for seed, order in enumerate(_ORDERS)
        ]
    )
    await drain(stage.till.engine)  # what came before its operation was known
    ends = await _in_parallel([life.end for life in lives])
    assert len(ends) == 120
    assert all(end == ends[0] for end in ends), next(end for end in ends if end != ends[0])
    status, amounts, operations, lines, kept, stored = ends[0]
    assert (status, amounts) == (("CAPTURED", (), False, False), (700, 300, 300))
    assert [each[:2] for each in operations] == [
        ("authorize", "succeeded"),
        ("capture", "succeeded"),
        ("refund", "succeeded"),
    ]
    assert (kept, stored) == (5, 5)
    assert lines


def _of_one_operation() -> list[WebhookEvent]:
    return [
        word("authorize", "requires_action", 1_000, number=1),
        word("authorize", "pending", 1_000, number=2),
        word("authorize", "declined", 1_000, number=3),
        word("authorize", "pending", 1_000, number=4),
        word("authorize", "succeeded", 1_000, captured=True, number=5),
    ]


async def _one_operation(stage: Stage, order: Sequence[int], seed: int) -> Life:
    """One charge, of which the provider says all there is to say."""
    life = await Life.begin(stage, seed)
    account = str(life.shop.context.tenant_id)
    stage.crier.answers[account] = random.Random(seed).choice(
        ["pending", "requires_action", "succeeded"]
    )
    life.merchant = asyncio.create_task(life.shop.pay(1_000, payment_method=_CRIER))
    while not await life._operations():  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    await life.run(order, _of_one_operation(), answers=1)
    return life


async def test_every_order_of_five_words_about_one_charge_ends_alike(stage: Stage) -> None:
    lives: list[Life] = await _in_parallel(
        [
            lambda order=order, seed=seed: _one_operation(stage, order, seed)  # type: ignore[misc]
            for seed, order in enumerate(_ORDERS)
        ]
    )
    await drain(stage.till.engine)
    ends = [end[:2] + end[3:] for end in await _in_parallel([life.end for life in lives])]
    assert all(end == ends[0] for end in ends), next(end for end in ends if end != ends[0])
    # It was declined and succeeded: a person is told, in whatever order the two were heard.
    assert ends[0][0] == ("CAPTURED", ("late_success",), True, False)
    assert ends[0][1] == (1_000, 0, 0)


# -- what is not a webhook -------------------------------------------------------------------------


@dataclass(frozen=True)
class House:
    """A served engine and a tenant's endpoint."""

    till: Till
    shop: Shop
    client: httpx.AsyncClient
    path: str


@pytest.fixture
async def house(payment_home: HomeOfTest) -> AsyncIterator[House]:
    """A real server on the payments' database."""
    async with (
        open_till(payment_home) as till,
        serving(till.engine, till.engine.settings) as url,
        httpx.AsyncClient(base_url=url, timeout=120) as client,
    ):
        shop = await till.shop()
        _, path = await till.engine.inbound.endpoints.create(shop.context, "sandbox")
        yield House(till, shop, client, path)


async def _all_rows(home: HomeOfTest) -> dict[str, Any]:
    """Every table's rows, counted and hashed."""
    connection = await asyncpg.connect(home.owner_url)
    try:
        tables = [row["relname"] for row in await connection.fetch(_TABLES)]
        for table in tables:
            await connection.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        try:
            return {
                table: tuple(
                    await connection.fetchrow(
                        f"SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)"
                        f" FROM {table} AS t"
                    )
                )
                for table in tables
            }
        finally:
            for table in tables:
                await connection.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    finally:
        await connection.close()


_TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relforcerowsecurity
    ORDER BY relname
"""


async def test_malformed_calls_are_refused_and_change_nothing(
    house: House, payment_home: HomeOfTest
) -> None:
    payment = await house.shop.charge(1_000)
    (operation,) = await house.shop.operations(payment.id)
    genuine = shown(operation)
    before = await _all_rows(payment_home)
    statuses: Counter[int] = Counter()
    answers: Counter[str] = Counter()

    async def send(calls: Any) -> None:
        for call in calls:
            response = await house.client.post(house.path, content=call.body, headers=call.raw)
            statuses[response.status_code] += 1
            answers[response.text] += 1

    calls = malformed_calls(house.shop.context, genuine, count=_FUZZ, seed=7)
    await asyncio.gather(*(send(calls) for _ in range(_AT_ONCE)))
    assert statuses == {400: _FUZZ}, statuses
    (answer,) = answers
    assert json.loads(answer)["errors"][0]["extensions"]["code"] == "WEBHOOK_REJECTED"
    assert await _all_rows(payment_home) == before
    # And the door still opens.
    good = notice(house.shop.context, genuine)
    taken = await house.client.post(house.path, content=good.body, headers=good.headers)
    assert taken.status_code == 200


# -- the guards are what does it -------------------------------------------------------------------


async def test_without_the_unique_index_a_fact_is_kept_more_than_once() -> None:
    async with migrated_home() as home, open_crier(home) as stage:
        shop = await stage.till.shop()
        bell = await Doorbell.of(shop.engine, shop.context, "crier")
        call = cry(word("authorize", "succeeded", 1_000, reference="authorize"))
        await asyncio.gather(*(bell.ring(call) for _ in range(5)))
        assert len(await bell.received()) == 1
        async with stage.till.as_owner() as owner:
            await owner.execute("DROP INDEX received_webhook_once")
        await asyncio.gather(*(bell.ring(call) for _ in range(5)))
        assert len(await bell.received()) == 6


async def test_without_the_guard_of_transitions_the_order_matters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lax = {status: tuple(transitions.OPERATION_TRANSITIONS) for status in _STATUSES}
    monkeypatch.setattr(transitions, "OPERATION_TRANSITIONS", lax)
    async with migrated_home() as home, open_crier(home, gateway_deadline_ms=60_000) as stage:
        async with stage.till.as_owner() as owner:
            await owner.execute("DROP TRIGGER operation_transition ON operation")
            await owner.execute("DROP TRIGGER payment_transition ON payment")
        states = set()
        for late in ("pending", "requires_action"):
            shop = await stage.till.shop()
            paid = await shop.pay(1_000, payment_method=_CRIER)
            assert paid.operation is not None
            bell = await Doorbell.of(shop.engine, shop.context, "crier")
            await bell.ring(cry(word("authorize", late, 1_000, key=paid.operation.id)))
            await drain(shop.engine)
            states.add((await shop.payment(paid.payment.id)).status)
        assert states == {"PROCESSING", "REQUIRES_ACTION"}  # CAPTURED is gone


_STATUSES = tuple(transitions.OPERATION_TRANSITIONS)


async def test_a_fact_that_is_applied_twice_is_booked_once(stage: Stage) -> None:
    shop = await stage.till.shop()
    stage.crier.answers[str(shop.context.tenant_id)] = "pending"
    paid = await shop.pay(1_000, payment_method=_CRIER)
    assert paid.operation is not None
    bell = await Doorbell.of(shop.engine, shop.context, "crier")
    told = word("authorize", "succeeded", 1_000, key=paid.operation.id, captured=True)
    for number in range(3):  # the same fact under other names, as after a lost index
        await bell.ring(cry(msgspec.structs.replace(told, event_id=f"evt_{number}")))
    await drain(shop.engine)
    assert sorted(row.state for row in await bell.received()) == ["applied", "stale", "stale"]
    assert (await shop.check(paid.payment.id)).captured_minor == 1_000
    await shop.assert_sound()


# -- the sandbox calls us --------------------------------------------------------------------------


async def test_the_sandbox_tells_the_platform_what_the_buyer_did(
    payment_home: HomeOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        open_till(payment_home, background=True) as till,
        serving(till.engine, till.engine.settings) as url,
        httpx.AsyncClient(base_url=url, timeout=120) as client,
    ):
        monkeypatch.setenv("PAYENGINE_PUBLIC_URL", url)
        shop = await till.shop()
        _, path = await till.engine.inbound.endpoints.create(shop.context, "sandbox")
        await till.engine.registry.save_settings(
            shop.context, "sandbox", settings={"webhook_url": url + path, "base_url": url}
        )
        paid = await shop.pay(1_000, "tok_visa")
        waiting = await shop.pay(2_000, "tok_challenge")
        assert waiting.payment.status == "REQUIRES_ACTION"
        assert waiting.operation is not None
        page = f"/plugins/sandbox/challenge/{waiting.operation.provider_reference}"
        assert (await client.post(page, content=b"decision=approve")).status_code == 303
        expected = {paid.payment.id, waiting.payment.id}
        async with asyncio.timeout(60):
            told: set[str | None] = set()
            while told != expected:
                await asyncio.sleep(0.05)
                rows = await till.engine.inbound.received.page(
                    shop.context, WebhookFilter(states=("applied", "stale")), first=10
                )
                told = {row.payment_id for row in rows}
        assert (await shop.payment(waiting.payment.id)).status == "CAPTURED"
        await shop.assert_sound()
