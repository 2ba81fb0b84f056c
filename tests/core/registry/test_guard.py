"""Does the guard hold against a pack of hostile plugins, and do the others notice nothing?"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from typing import Any

import pytest
from payengine.plugin import Amount, Lookup, NotSent, Outcome
from payengine.registry import Answer, Breakers, BreakerState, Guard
from payengine.registry.answers import AnswerKind

from tests.core.registry.gateways import (
    HOSTILE,
    GoodGateway,
    authorize_request,
    call_of,
    good_outcome,
)


def check_answer(answer: object, *, kind: AnswerKind | str, reason: str) -> None:
    """The assertion that every hostile plugin is held to."""
    assert isinstance(answer, Answer)
    assert (answer.kind, answer.reason) == (kind, reason), answer
    assert answer.kind != "outcome"
    assert len(answer.detail) <= 500
    assert answer.detail.isprintable()


async def authorized(
    guard: Guard, gateway: GoodGateway, tenant_id: uuid.UUID, *, deadline_ms: int = 200
) -> Answer:
    return await guard.call(
        tenant_id,
        gateway,
        gateway.manifest,
        call_of(deadline_ms),
        "authorize",
        authorize_request(),
    )


async def looked_up(guard: Guard, gateway: GoodGateway, tenant_id: uuid.UUID) -> Answer:
    request = Lookup(key="key_1", kind="authorize")
    return await guard.call(
        tenant_id,
        gateway,
        gateway.manifest,
        call_of(60_000),
        "lookup",
        request,
        asked=Amount(1000, "EUR"),
    )


async def settle(guard: Guard, gateway: str) -> None:
    """Wait until every abandoned call of the gateway has ended."""
    for _ in range(6_000):
        if not guard.in_flight(gateway):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("calls are still in flight")


@pytest.mark.parametrize("deed", HOSTILE)
async def test_hostile_plugin_gets_the_right_answer_in_time(deed: str) -> None:
    authorizes, kind, reason = HOSTILE[deed]
    guard = Guard()
    gateway = GoodGateway("hostile", authorizes=authorizes)
    began = time.perf_counter()
    deadline_ms = 200 if reason == "timeout" else 60_000
    answer = await authorized(guard, gateway, uuid.uuid4(), deadline_ms=deadline_ms)
    assert time.perf_counter() - began < 30
    check_answer(answer, kind=kind, reason=reason)
    await settle(guard, "hostile")


@pytest.mark.parametrize(
    "deed", [name for name, (_, _, reason) in HOSTILE.items() if reason == "nonsense"]
)
async def test_the_same_assertion_goes_red_without_the_guard(deed: str) -> None:
    authorizes, kind, reason = HOSTILE[deed]
    gateway = GoodGateway("hostile", authorizes=authorizes)
    said = await gateway.authorize(call_of(), authorize_request())
    # What an engine would do that believes its plugins.
    believed = Answer(kind="outcome", outcome=said)
    with pytest.raises(AssertionError):
        check_answer(believed, kind=kind, reason=reason)


async def test_good_answer_passes_unharmed() -> None:
    answer = await authorized(Guard(), GoodGateway(), uuid.uuid4(), deadline_ms=60_000)
    assert answer == Answer(kind="outcome", outcome=good_outcome(authorize_request()))


async def test_others_are_unharmed_while_fifty_calls_hang() -> None:
    guard, let_go = Guard(), asyncio.Event()

    async def clings(call: Any, request: Any) -> Outcome:
        while not let_go.is_set():
            with suppress(asyncio.CancelledError):
                await let_go.wait()
        return good_outcome(request)

    hanging = GoodGateway("hanging", authorizes=clings)
    good = GoodGateway("good")
    bystander = uuid.uuid4()
    tenants = [uuid.uuid4() for _ in range(50)]
    hung = [asyncio.create_task(authorized(guard, hanging, tenant)) for tenant in tenants]
    await asyncio.sleep(0)
    assert guard.in_flight("hanging") == 50
    answers = [await authorized(guard, good, bystander, deadline_ms=60_000) for _ in range(200)]
    assert [answer.kind for answer in answers] == ["outcome"] * 200
    # They refuse to end: each has its answer, and keeps its own gateway's place and no other.
    for answer in await asyncio.gather(*hung):
        check_answer(answer, kind="unknown", reason="timeout")
    assert guard.in_flight("hanging") == 50
    assert guard.in_flight("good") == 0
    let_go.set()
    await settle(guard, "hanging")


async def test_full_bulkhead_sends_nothing_and_leaves_lookups_alone() -> None:
    guard = Guard()
    gateway = GoodGateway("narrow", authorizes=HOSTILE["hangs"][0], max_concurrency=4)
    first, second, third = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    hung = [
        asyncio.create_task(authorized(guard, gateway, tenant, deadline_ms=60_000))
        for tenant in (first, first, second, second)
    ]
    await asyncio.sleep(0)
    check_answer(await authorized(guard, gateway, third), kind="not_sent", reason="bulkhead_full")
    await asyncio.sleep(0)
    assert len(gateway.calls) == 4
    assert (await looked_up(guard, gateway, first)).kind == "outcome"
    for each in hung:
        each.cancel()
    await asyncio.gather(*hung, return_exceptions=True)


async def test_one_tenant_takes_half_of_the_places_only() -> None:
    guard = Guard()
    gateway = GoodGateway("narrow", authorizes=HOSTILE["hangs"][0], max_concurrency=4)
    greedy, modest = uuid.uuid4(), uuid.uuid4()
    answers = [asyncio.create_task(authorized(guard, gateway, greedy)) for _ in range(4)]
    modest_answer = asyncio.create_task(authorized(guard, gateway, modest))
    reasons = sorted(answer.reason for answer in await asyncio.gather(*answers))
    assert reasons == ["bulkhead_full", "bulkhead_full", "timeout", "timeout"]
    assert (await modest_answer).reason == "timeout"


class _Later(Breakers):
    """Breakers for whom it is later than it is."""

    by_s = 0.0

    def state(self, tenant_id: uuid.UUID, gateway: str, *, at: float) -> BreakerState:
        return super().state(tenant_id, gateway, at=at + self.by_s)

    def admits(self, tenant_id: uuid.UUID, gateway: str, *, at: float) -> bool:
        return super().admits(tenant_id, gateway, at=at + self.by_s)

    def settle(self, tenant_id: uuid.UUID, gateway: str, *, failed: bool, at: float) -> None:
        super().settle(tenant_id, gateway, failed=failed, at=at + self.by_s)


async def test_breaker_opens_for_one_tenant_rests_and_probes_once() -> None:
    healthy = False

    async def answers(call: Any, request: Any) -> Outcome:
        await asyncio.sleep(0)
        if not healthy:
            raise ConnectionResetError
        return good_outcome(request)

    breakers = _Later(threshold=3, open_for_s=60)
    guard = Guard(breakers=breakers)
    gateway = GoodGateway("flaky", authorizes=answers)
    troubled, other = uuid.uuid4(), uuid.uuid4()
    for _ in range(3):
        assert (await authorized(guard, gateway, troubled)).reason == "raised"
    check_answer(await authorized(guard, gateway, troubled), kind="not_sent", reason="breaker_open")
    assert len(gateway.calls) == 3
    assert guard.breaker_state(troubled, "flaky") == "open"
    # Another tenant's account is another account; and a lookup is how an unknown ends.
    assert (await authorized(guard, gateway, other)).reason == "raised"
    assert (await looked_up(guard, gateway, troubled)).kind == "outcome"

    breakers.by_s += 60
    assert guard.breaker_state(troubled, "flaky") == "half_open"
    probes = await asyncio.gather(*(authorized(guard, gateway, troubled) for _ in range(5)))
    assert sorted(probe.reason for probe in probes) == ["breaker_open"] * 4 + ["raised"]

    breakers.by_s += 60
    healthy = True
    assert (await authorized(guard, gateway, troubled)).kind == "outcome"
    assert guard.breaker_state(troubled, "flaky") == "closed"


async def test_a_success_or_a_decline_ends_the_row_of_failures() -> None:
    deeds = iter([RuntimeError(), RuntimeError(), None, RuntimeError(), RuntimeError()])

    async def answers(call: Any, request: Any) -> Outcome:
        deed = next(deeds)
        if deed is not None:
            raise deed
        return good_outcome(request)

    guard = Guard(breakers=Breakers(threshold=3))
    gateway = GoodGateway("flaky", authorizes=answers)
    tenant = uuid.uuid4()
    for _ in range(5):
        await authorized(guard, gateway, tenant)
    assert guard.breaker_state(tenant, "flaky") == "closed"


async def test_cancelled_probe_lets_the_next_one_go() -> None:
    guard = Guard(breakers=Breakers(threshold=1, open_for_s=0.0))
    gateway = GoodGateway("slow", authorizes=HOSTILE["hangs"][0])
    tenant = uuid.uuid4()
    await authorized(guard, gateway, tenant, deadline_ms=1)
    probe = asyncio.create_task(authorized(guard, gateway, tenant, deadline_ms=60_000))
    await asyncio.sleep(0.01)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert guard.breaker_state(tenant, "slow") == "half_open"


async def test_callers_cancellation_goes_through_and_stops_the_plugin() -> None:
    stopped = asyncio.Event()

    async def answers(call: Any, request: Any) -> Outcome:
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            stopped.set()
            raise
        return good_outcome(request)

    guard = Guard()
    gateway = GoodGateway("slow", authorizes=answers)
    caller = asyncio.create_task(authorized(guard, gateway, uuid.uuid4(), deadline_ms=60_000))
    await asyncio.sleep(0.01)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await asyncio.wait_for(stopped.wait(), 60)
    await settle(guard, "slow")


async def test_nothing_is_sent_without_time_or_without_the_operation() -> None:
    guard = Guard()
    gateway = GoodGateway("good", operations=("authorize",))
    tenant = uuid.uuid4()
    check_answer(
        await authorized(guard, gateway, tenant, deadline_ms=0),
        kind="not_sent",
        reason="deadline_passed",
    )
    refused = await guard.call(
        tenant, gateway, gateway.manifest, call_of(), "refund", authorize_request()
    )
    check_answer(refused, kind="not_sent", reason="not_supported")
    assert gateway.calls == []


async def test_refused_connections_open_the_breaker_too() -> None:
    async def refuses(call: Any, request: Any) -> Outcome:
        raise NotSent("connection refused")

    guard = Guard(breakers=Breakers(threshold=2))
    gateway = GoodGateway("down", authorizes=refuses)
    tenant = uuid.uuid4()
    for _ in range(2):
        assert (await authorized(guard, gateway, tenant)).reason == "refused_connection"
    assert (await authorized(guard, gateway, tenant)).reason == "breaker_open"
