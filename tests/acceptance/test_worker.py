"""Workers are killed, frozen and stopped; what they were asked to do shows once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from payengine.context import TenantContext
from payengine.ids import new_tenant_id
from payengine.jobs import HOUSE, Job, JobDesk, JobFilter, enqueue
from payengine.storage import Database

from tests.acceptance.programs import Program, payengine, serving, start
from tests.conftest import make_tenant
from tests.servers import HomeOfTest, migrated_home

_PROGRAM = Path(__file__).with_name("worker_program.py")
_PATIENCE_S = 240.0
_HASTY = {"PAYENGINE_JOB_LEASE_MS": "1500"}


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.05)


class Site:
    """A data folder with running servers, its database and one tenant."""

    def __init__(self, home: HomeOfTest, database: Database, tenant: TenantContext) -> None:
        self.home = home
        self.database = database
        self.tenant_id = tenant.tenant_id
        self.gate = home.home.parent / "gate"

    async def ask(self, kind: str, row_id: str) -> None:
        async with self.database.tenant(self.tenant_id) as session:
            await enqueue(
                session, self.tenant_id, kind=kind, row_id=row_id, due_at=datetime.now(UTC)
            )

    async def marks(self, what: str) -> list[str]:
        """The process ids that left this mark."""
        async with self.database.tenant(self.tenant_id) as session:
            rows = await session.fetch(
                "SELECT resource_id FROM idempotency_key WHERE key LIKE $1 ORDER BY created_at",
                f"{what}:%",
            )
        return [row["resource_id"] for row in rows]

    async def jobs(self) -> list[Job]:
        return await JobDesk(self.database).find(JobFilter(self.tenant_id))

    async def until(self, what: str, count: int) -> list[str]:
        """Wait for so many marks."""

        async def are_there() -> bool:
            return len(await self.marks(what)) >= count

        await _until(are_there)
        return await self.marks(what)

    async def until_done(self) -> None:
        """Wait until nothing of the tenant is in the queue."""

        async def is_empty() -> bool:
            return not await self.jobs()

        await _until(is_empty)

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Program]:
        """The test's worker, at work; gone at the end of the block."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        program = Program(
            await asyncio.create_subprocess_exec(
                sys.executable,
                str(_PROGRAM),
                str(self.home.home),
                self.home.login_url,
                env=kept | _HASTY,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        )
        try:
            await program.said("worker_ready")
            yield program
        finally:
            await program.kill()


@pytest.fixture(scope="module")
async def place() -> AsyncIterator[tuple[HomeOfTest, Database]]:
    """Servers for these tests alone."""
    async with migrated_home() as home:
        database = await Database.open(home.login_url)
        yield home, database
        await database.close()


@pytest.fixture
async def site(place: tuple[HomeOfTest, Database]) -> AsyncIterator[Site]:
    """A new tenant there, and a closed gate."""
    home, database = place
    made = Site(home, database, await make_tenant(database))
    yield made
    made.gate.unlink(missing_ok=True)
    async with database.worker() as session:
        await session.execute("DELETE FROM pgqueuer")


async def test_what_a_killed_worker_was_doing_is_done_by_another(site: Site) -> None:
    await site.ask("mark.slow", "a")
    async with site.worker() as first:
        began = await site.until("began", 1)
        assert began == [str(first.process.pid)]
        await first.kill()
    (job,) = await site.jobs()
    assert job.state == "running", "nobody has noticed yet"
    site.gate.touch()
    async with site.worker() as second:
        done = await site.until("done", 1)
        await site.until_done()
        assert done == [str(second.process.pid)]
        ended = await second.ended(signal.SIGTERM)
    assert ended.code == 0
    assert await site.marks("done") == done, "it is done once"
    assert len(await site.marks("began")) == 2


async def test_a_worker_that_thaws_behind_its_lease_writes_nothing(site: Site) -> None:
    await site.ask("mark.frozen", "a")
    async with site.worker() as frozen:
        await site.until("began", 1)  # and then it stops itself
        site.gate.touch()
        async with site.worker() as second:
            assert await site.until("done", 1) == [str(second.process.pid)]
            await site.until_done()
            frozen.process.send_signal(signal.SIGCONT)
            await frozen.said("job_lost")
            done = await frozen.ended(signal.SIGTERM)
            assert (done.code, "Traceback" in done.complaints) == (0, False)
            assert await site.marks("done") == [str(second.process.pid)]


async def test_a_worker_that_is_asked_to_stop_finishes_what_it_does(site: Site) -> None:
    await site.ask("mark.slow", "a")
    async with site.worker() as program:
        await site.until("began", 1)
        await site.ask("mark.slow", "b")
        program.process.send_signal(signal.SIGTERM)
        await program.said("worker_draining")
        site.gate.touch()
        done = await program.ended()
    assert done.code == 0
    assert "worker_stopped" in done.output
    finished = await site.marks("done")
    left = [job.row_id for job in await site.jobs()]
    assert len(finished) + len(left) == 2
    assert len(finished) >= 1
    assert {job.tries for job in await site.jobs()} <= {0}


async def test_a_second_signal_does_not_wait_and_nothing_is_lost(site: Site) -> None:
    await site.ask("mark.stubborn", "a")
    async with site.worker() as program:
        await site.until("began", 1)
        program.process.send_signal(signal.SIGINT)
        await program.said("worker_draining")
        done = await program.ended(signal.SIGINT)
    assert done.code == 0
    (job,) = await site.jobs()
    assert (job.state, job.tries) == ("waiting", 0)


# -- the installed program -------------------------------------------------------------------------


async def _ask_the_house(database: Database) -> None:
    async with database.worker() as session:
        at = datetime.now(UTC)
        await enqueue(session, HOUSE, kind="queue.tidy", row_id=at.isoformat(), due_at=at)


async def _listed(home: Path, *arguments: str) -> list[dict[str, Any]]:
    done = await payengine("jobs", "list", "--json", *arguments, home=home)
    assert done.code == 0, done.complaints
    return [json.loads(line) for line in done.output.splitlines()]


@pytest.mark.parametrize("point", ["job_claimed", "job_done"])
async def test_the_installed_worker_is_killed_at_each_point_and_the_next_one_goes_on(
    site: Site, point: str
) -> None:
    home = site.home.home
    await _ask_the_house(site.database)
    killed = await start("worker", home=home, PAYENGINE_FAULTS=point, **_HASTY)
    assert (await killed.ended()).code == -signal.SIGKILL
    (job,) = await _listed(home, "--kind", "queue.tidy")
    assert (job["state"], job["tenant_id"]) == ("running", str(HOUSE))
    worker = await start("worker", "--only", "queue.tidy", home=home, **_HASTY)
    try:
        await _until(lambda: _is_house_in_order(site.database))
        done = await worker.ended(signal.SIGINT)
    finally:
        await worker.kill()
    assert done.code == 0
    assert "done=1" in done.output


async def test_a_kind_that_nobody_does_is_explained(site: Site) -> None:
    done = await payengine("worker", "--only", "nobody.knows", home=site.home.home)
    assert (done.code, done.output) == (2, "")
    assert "nobody.knows" in done.complaints
    assert "queue.tidy" in done.complaints


async def test_jobs_are_listed_retried_and_dropped(site: Site) -> None:
    home, tenant = site.home.home, str(site.tenant_id)
    for row_id in ("a", "b", "c"):
        await site.ask("test.go", row_id)
    async with site.database.worker() as session:
        await session.execute("UPDATE pgqueuer SET status = 'failed', attempts = 9")
    held = await _listed(home, "--tenant", tenant, "--state", "held")
    assert [job["row_id"] for job in held] == ["a", "b", "c"]
    assert {job["tries"] for job in held} == {10}
    assert await _listed(home, "--tenant", str(new_tenant_id()), "--kind", "test.go") == []
    table = await payengine("jobs", "list", home=home)
    assert all(word in table.output for word in ("held", "test.go", tenant, "tries"))

    none = await payengine("jobs", "retry", home=home)
    assert (none.code, none.output) == (1, "")
    assert "--all" in none.complaints
    first = str(held[0]["id"])
    done = await payengine("jobs", "retry", first, "--json", home=home)
    assert (done.code, json.loads(done.output)) == (0, {"retried": [held[0]["id"]]})
    rest = await payengine("jobs", "drop", "--tenant", tenant, home=home)
    assert (rest.code, rest.output) == (0, "2 jobs dropped.")
    (left,) = await _listed(home, "--tenant", tenant)
    assert (left["row_id"], left["state"], left["tries"]) == ("a", "waiting", 0)
    again = await payengine("jobs", "retry", first, home=home)
    assert (again.code, again.output) == (1, "0 jobs retried.")


async def test_a_server_without_a_worker_leaves_the_work_to_one(site: Site) -> None:
    home = site.home.home
    await _ask_the_house(site.database)
    async with serving(home, "--no-worker") as server:
        tenant = await server.tenant()
        payment = await server.pay(tenant["api_key"])
        assert payment["status"] == "CAPTURED"
        async with httpx.AsyncClient() as client:
            ready = await client.get(f"{server.url}/readyz")
            assert ready.json() == {"status": "ok", "checks": {"database": "ok", "relay": "ok"}}
            numbers = (await client.get(f"{server.url}/metrics")).text
        assert 'payengine_jobs{kind="queue.tidy",state="waiting"} 1.0' in numbers
        assert not await _is_all_placed(site.database), "the relay does not run here"
        worker = await start("worker", home=home, **_HASTY)
        try:
            await _until(lambda: _is_house_in_order(site.database))
            await _until(lambda: _is_all_placed(site.database))
        finally:
            await worker.kill()
        await server.program.ended(signal.SIGINT)


async def test_a_server_that_runs_alone_does_the_work_itself(site: Site) -> None:
    await _ask_the_house(site.database)
    async with serving(site.home.home) as server:
        await _until(lambda: _is_house_in_order(site.database))
        await server.program.ended(signal.SIGINT)


async def _is_all_placed(database: Database) -> bool:
    """Whether every event has its position."""
    async with database.worker() as session:
        found = await session.fetchval("SELECT count(*) FROM event WHERE position IS NULL")
    return bool(found == 0)


async def _is_house_in_order(database: Database) -> bool:
    """Whether the house has no job any more."""
    return not await JobDesk(database).find(JobFilter(HOUSE))
