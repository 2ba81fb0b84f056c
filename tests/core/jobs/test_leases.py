"""Who holds a job may write about it, nobody else; what is let go comes back as a try."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from payengine.context import TenantContext
from payengine.errors import LeaseLost
from payengine.jobs import Handler, JobDesk, JobFilter, fence
from payengine.jobs import leases as leases_module
from payengine.jobs.leases import Leases, Outcome
from payengine.jobs.models import Claim
from payengine.jobs.queue import CURRENT
from payengine.jobs.turns import Load, Waiting
from payengine.storage import Database, Session

from tests.conftest import make_tenant
from tests.core.jobs.asking import (
    KIND,
    LONG,
    Diary,
    ask,
    jobs_of,
    let_leases_run_out,
    worker,
)

_ROOM = Load(100, 100)


class _Late(Leases):
    """Between its look at what waits and its taking of it, jobs end."""

    ending: tuple[Claim, ...] = ()

    async def _waiting(self, session: Session) -> list[Waiting]:
        seen = await super()._waiting(session)
        await self.settle([Outcome(claim, "done") for claim in self.ending])
        return seen


def _leases(queue: Database, *, per_tenant: int = 100, tries: int = 10) -> Leases:
    handler = Diary().handler(at_once=100, per_tenant=per_tenant, tries=tries)
    return Leases(queue, {KIND: handler}, lease=LONG)


async def _claim_anew(queue: Database) -> Claim:
    """The only job's claim by another worker, after the first one's lease has run out."""
    await let_leases_run_out(queue)
    other = _leases(queue)
    assert await other.take_back() == 1
    (claim,) = await other.claim(_ROOM)
    return claim


async def test_jobs_that_end_meanwhile_give_no_tenant_the_places_of_another(
    queue: Database, seller: TenantContext, other_seller: TenantContext
) -> None:
    leases = _Late(queue, {KIND: Diary().handler(at_once=100, per_tenant=5)}, lease=LONG)
    await ask(queue, seller.tenant_id, (f"{number}" for number in range(20)))
    began = await leases.claim(Load(4, 4))
    assert len(began) == 4
    await ask(queue, other_seller.tenant_id, ["only one"])
    leases.ending = tuple(began[:3])
    load = Load(6, 5, Counter({KIND: 4}), Counter({seller.tenant_id: 4}))
    taken = Counter(claim.tenant_id for claim in await leases.claim(load))
    assert taken[seller.tenant_id] <= 1, "it took the place that was the other's"
    leases.ending = ()
    rest = await leases.claim(Load(100, 100))
    assert {claim.tenant_id for claim in rest} == {seller.tenant_id, other_seller.tenant_id}
    assert len(rest) == 4, "all that the bounds allow, and what was given back too"


@pytest.mark.parametrize("kind", ["done", "again", "held", "back"])
async def test_whatever_a_zombie_writes_is_refused(
    queue: Database, seller: TenantContext, kind: str
) -> None:
    await ask(queue, seller.tenant_id, ["a"])
    leases = _leases(queue)
    (old,) = await leases.claim(_ROOM)
    new = await _claim_anew(queue)
    assert (new.id, new.tried) == (old.id, 1)
    assert new.token != old.token
    assert await leases.settle([Outcome(old, kind, "Late")]) == set()  # type: ignore[arg-type]
    assert await leases.beat([old]) == set()
    (job,) = await jobs_of(queue, seller.tenant_id)
    assert (job.state, job.error) == ("running", "LeaseRanOut")
    assert await leases.beat([new]) == {new.id}
    assert await leases.settle([Outcome(new, "done")]) == {new.id}
    assert await jobs_of(queue, seller.tenant_id) == []


async def test_a_zombies_own_write_is_refused_by_the_fence(
    queue: Database, seller: TenantContext
) -> None:
    await ask(queue, seller.tenant_id, ["a"])
    (old,) = await _leases(queue).claim(_ROOM)
    new = await _claim_anew(queue)
    for claim, is_ours in ((old, False), (new, True)):
        CURRENT.set(claim)
        try:
            async with queue.tenant(seller.tenant_id) as session:
                await fence(session)
            assert is_ours
        except LeaseLost:
            assert not is_ours
        finally:
            CURRENT.set(None)


async def test_behind_the_fence_a_lease_cannot_be_taken(
    queue: Database, seller: TenantContext
) -> None:
    await ask(queue, seller.tenant_id, ["a"])
    leases = _leases(queue)
    (claim,) = await leases.claim(_ROOM)
    await let_leases_run_out(queue)
    CURRENT.set(claim)
    try:
        async with queue.tenant(seller.tenant_id) as session:
            await fence(session)
            assert await leases.take_back() == 0
        assert await leases.take_back() == 0  # passing it was a heartbeat, too
    finally:
        CURRENT.set(None)


async def test_a_job_that_ends_its_worker_is_held_in_the_end(
    queue: Database, seller: TenantContext
) -> None:
    await ask(queue, seller.tenant_id, ["a"])
    leases = _leases(queue, tries=3)
    for tried in range(3):
        (claim,) = await leases.claim(_ROOM)
        assert claim.tried == tried
        await let_leases_run_out(queue)
        assert await leases.take_back() == 1
    (job,) = await jobs_of(queue, seller.tenant_id)
    assert (job.state, job.tries, job.error) == ("held", 3, "LeaseRanOut")
    assert await leases.claim(_ROOM) == []


async def test_a_lease_that_is_kept_is_not_taken(queue: Database, seller: TenantContext) -> None:
    await ask(queue, seller.tenant_id, ["a"])
    leases = _leases(queue)
    (claim,) = await leases.claim(_ROOM)
    await let_leases_run_out(queue, LONG - timedelta(seconds=30))
    assert await leases.take_back() == 0
    assert await leases.beat([claim]) == {claim.id}
    await let_leases_run_out(queue, LONG - timedelta(seconds=30))
    assert await leases.take_back() == 0


async def test_claims_of_many_workers_never_meet(queue: Database) -> None:
    tenants = [await make_tenant(queue) for _ in range(4)]
    for tenant in tenants:
        await ask(queue, tenant.tenant_id, (f"{number}" for number in range(25)))
    workers = [_leases(queue) for _ in range(6)]
    claimed: list[int] = []
    for _ in range(40):
        for claims in await asyncio.gather(*(each.claim(Load(5, 5)) for each in workers)):
            claimed += [claim.id for claim in claims]
    assert len(claimed) == len(set(claimed)) == 100


async def test_all_workers_together_keep_a_tenants_bound(
    queue: Database, seller: TenantContext
) -> None:
    await ask(queue, seller.tenant_id, (f"{number}" for number in range(30)))
    workers = [_leases(queue, per_tenant=3) for _ in range(5)]
    held: list[Claim] = []
    for _ in range(6):
        for claims in await asyncio.gather(*(each.claim(_ROOM) for each in workers)):
            held += claims
        assert len(held) <= 3
    assert len(held) == 3
    await workers[0].settle([Outcome(held[0], "done")])
    assert [len(await each.claim(_ROOM)) for each in workers] == [1, 0, 0, 0, 0]


async def test_turns_go_on_behind_the_last_one(queue: Database) -> None:
    tenants = [await make_tenant(queue) for _ in range(5)]
    for tenant in tenants:
        await ask(queue, tenant.tenant_id, ["a", "b"])
    leases = _leases(queue)
    turns = [(await leases.claim(Load(1, 1)))[0].tenant_id for _ in range(10)]
    assert set(turns[:5]) == {tenant.tenant_id for tenant in tenants}
    assert turns[5:] == turns[:5]
    assert await leases.claim(Load(1, 1)) == []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("_IN_TURN", ("", [KIND], 10)),
        ("_BEAT", ([], [])),
        ("_STILL_MINE", ([], [])),
        ("_RUN_OUT", ([KIND], [3], LONG, 10)),
    ],
)
async def test_plans_made_for_an_empty_queue_suit_a_long_one(
    queue: Database, name: str, arguments: tuple[object, ...]
) -> None:
    async with queue.worker() as session:
        await session.execute(leases_module._MANNER)
        rows = await session.fetch(f"EXPLAIN {getattr(leases_module, name)}", *arguments)
    plan = "\n".join(row[0] for row in rows)
    assert "pgqueuer" in plan
    assert "Seq Scan on pgqueuer" not in plan


async def test_another_workers_kinds_are_left_alone(queue: Database, seller: TenantContext) -> None:
    await ask(queue, seller.tenant_id, ["a"], kind="test.other")
    leases = _leases(queue)
    assert await leases.claim(_ROOM) == []
    other = Leases(queue, {"test.other": Diary().handler("test.other")}, lease=LONG)
    assert len(await other.claim(_ROOM)) == 1
    await let_leases_run_out(queue)
    assert await leases.take_back() == 0


@pytest.mark.parametrize(
    "payload",
    [
        None,
        b"",
        b"{}",
        b'{"tenant_id": "00000000-0000-0000-0000-000000000001", "kind": "test.go", "row_id": "a"}',
        b'{"tenant_id": "TENANT", "kind": "test.other", "row_id": "a"}',
        b'{"tenant_id": "TENANT", "kind": "test.go", "row_id": ""}',
    ],
)
async def test_a_row_that_nobody_wrote_by_enqueue_is_held(
    queue: Database, seller: TenantContext, payload: bytes | None
) -> None:
    spelled = payload and payload.replace(b"TENANT", str(seller.tenant_id).encode())
    async with queue.tenant(seller.tenant_id) as session:
        await session.execute(
            "INSERT INTO pgqueuer (tenant_id, entrypoint, priority, status, payload)"
            " VALUES ($1, $2, 0, 'queued', $3)",
            seller.tenant_id,
            f"{KIND}:{seller.tenant_id}",
            spelled,
        )
    diary = Diary()
    await worker(queue, diary.handler()).run_until_idle()
    assert diary.done == []
    async with queue.worker() as session:
        assert await session.fetchval("SELECT status::text FROM pgqueuer") == "failed"
    if payload is not None:
        (job,) = await jobs_of(queue, seller.tenant_id)
        assert job.error == "PayloadBroken"


async def test_nothing_of_an_error_but_its_class_is_kept(
    queue: Database, seller: TenantContext
) -> None:
    def fail(row_id: str) -> None:
        raise ValueError("4242 4242 4242 4242")

    await ask(queue, seller.tenant_id, ["a"])
    await worker(queue, Handler(KIND, Diary(fail).handle, tries=1)).run_until_idle()
    async with queue.worker() as session:
        kept = await session.fetch("SELECT * FROM pgqueuer, pgqueuer_log")
    assert "ValueError" in str(kept)
    assert "4242" not in str(kept)
    assert (await JobDesk(queue).find(JobFilter()))[0].error == "ValueError"
