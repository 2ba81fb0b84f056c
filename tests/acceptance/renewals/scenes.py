"""What happens to the due subscriptions of the worked examples?

Workers that are killed are processes; the others are engines of their own, with pools of their own,
in this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from payengine.billing.wakeups import COLLECT, RENEW, wake
from payengine.errors import DatabaseUnavailable
from payengine.ids import new_id
from payengine.jobs import JobFilter, enqueue

from tests.acceptance.renewals.stage import Stage, Standing
from tests.acceptance.renewals.worker import Manner, work
from tests.crier import cry, open_crier, word
from tests.engines import Till, open_till
from tests.notices import Doorbell, drain
from tests.servers import HomeOfTest

__all__ = [
    "KILLS",
    "campaign",
    "doubled_webhooks",
    "killed_workers",
    "many_workers",
    "start_worker",
    "two_tenants",
]

#: The instant at which an example has a worker killed → the crash point that is passed then.
KILLS = {
    "before_commit": "before_renewal_commit:1",
    "after_commit_before_charge": "after_renewal_commit:1",
    "after_claim": "renewal_claimed:1",
    "after_charge_before_record": "after_gateway:2",
}
_PATIENCE_S = 600.0
_LEFT = """
    SELECT 1 FROM subscription WHERE tenant_id = $1 AND due_at <= now()
    UNION ALL SELECT 1 FROM invoice WHERE tenant_id = $1 AND status = 'open' LIMIT 1
"""
_MANNERS: tuple[Manner, ...] = ("doubled", "woken", "once")


async def many_workers(till: Till, due: int, workers: int, *, manner: Manner = "once") -> Standing:
    """All workers begin at the same instant; those that wait to be woken are woken once."""
    stage = await Stage.open(till, due)
    async with stage.engine.database.tenant(stage.tenant_id) as session:
        await wake(session, stage.tenant_id, RENEW)
    async with AsyncExitStack() as stack:
        engines = [
            (await stack.enter_async_context(open_till(till.home, pool_size=3))).engine
            for _ in range(workers)
        ]
        await asyncio.gather(*(work(engine, manner=manner) for engine in engines))
    await stage.settle()
    return await stage.standing()


async def killed_workers(till: Till, due: int, workers: int, kills: Sequence[str]) -> Standing:
    """Worker `n` is killed at the n-th of `kills`; those beyond are not, and go on alone."""
    stage = await Stage.open(till, due)
    running = []
    for number in range(workers):
        fault = KILLS[kills[number]] if number < len(kills) else ""
        running.append(await start_worker(till.home, fault))
        if fault:  # it begins alone, so that it comes as far as where it is killed
            assert await _ended(running[-1]) == -signal.SIGKILL, f"{fault} was never passed"
    codes = [await _ended(each) for each in running[len(kills) :]]
    assert set(codes) <= {0}, "a worker fell over that nobody killed"
    await stage.settle()
    return await stage.standing()


async def start_worker(
    home: HomeOfTest, fault: str = "", *, manner: Manner = "once"
) -> asyncio.subprocess.Process:
    """A worker in a process of its own."""
    environment = {**os.environ, "PAYENGINE_FAULTS": fault}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.acceptance.renewals.worker",
        str(home.home),
        home.login_url,
        manner,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def _ended(process: asyncio.subprocess.Process) -> int:
    return await asyncio.wait_for(process.wait(), _PATIENCE_S)


async def two_tenants(till: Till, due_each: int) -> tuple[Standing, Standing, float]:
    """Tenants A and B have subscriptions of the same names; A's are poison, and a worker dies of
    what it claims again and again, while another one works.

    What there is of A and of B, and how late in seconds the last of B's invoices was.
    """
    names = [new_id("sub") for _ in range(due_each)]
    a = await Stage.open(till, due_each, names=names)
    b = await Stage.open(till, due_each, names=names)
    await a.poison()
    began = datetime.now(UTC)
    assert await _ended(await start_worker(till.home, KILLS["after_claim"])) == -signal.SIGKILL
    dying = await start_worker(till.home, KILLS["after_claim"])
    async with open_till(till.home, pool_size=3) as other:
        await work(other.engine)
    await _ended(dying)
    finished = max([row["finalized_at"] for row in await b.invoices()], default=datetime.now(UTC))
    await b.settle()
    return await a.standing(), await b.standing(), (finished - began).total_seconds()


async def doubled_webhooks(till: Till, due: int, webhooks: int) -> Standing:
    """The provider tells of each success `webhooks` times, once before it answers the charge."""
    async with open_crier(till.home) as crier:
        stage = await Stage.open(crier.till, due, kind="crier")
        account = str(stage.context.tenant_id)
        crier.crier.held.add(account)
        await stage.engine.invoicing.renewals.run_once(at=datetime.now(UTC))
        bell = await Doorbell.of(stage.engine, stage.context, "crier")
        for _ in range(due):
            collecting = asyncio.create_task(
                stage.engine.collection.collections.run_once(at=datetime.now(UTC), limit=1)
            )
            operation = await stage.operation_sent()
            told = word(
                "authorize",
                "succeeded",
                operation["amount_minor"],
                key=operation["id"],
                reference="authorize",
                captured=True,
            )
            await bell.ring(cry(told))
            await drain(stage.engine)
            await crier.crier.release(account)
            await collecting
            for _ in range(webhooks - 1):
                await bell.ring(cry(told))
            await drain(stage.engine)
        await stage.settle()
        return await stage.standing(has_statement=False)


async def campaign(till: Till, due: int, workers: int, *, seed: int) -> Standing:
    """All workers begin at once; three are killed at points of their own, and begin again.

    Of every three, one looks twice at once, one does only what wake-ups tell of, and one hears of
    none. Meanwhile wake-ups that wait are lost, or doubled, by chance.
    """
    chance = random.Random(seed)
    stage = await Stage.open(till, due)
    meddling = asyncio.create_task(_meddle(stage, random.Random(seed)))
    faults = [
        f"before_renewal_commit:{chance.randint(1, 2)}",
        f"after_renewal_commit:{chance.randint(1, 2)}",
        f"after_gateway:{chance.randint(1, 20)}",
    ]
    looking: list[asyncio.subprocess.Process] = []
    woken: list[asyncio.subprocess.Process] = []
    for number in range(workers):
        manner = _MANNERS[number % 3]
        fault = faults[number] if number < len(faults) else ""
        started = await start_worker(till.home, fault, manner=manner)
        (woken if manner == "woken" else looking).append(started)
    codes = await asyncio.gather(*map(_ended, looking))
    # What a killed one left open waits for the reconciler: nobody need be woken for it for ever.
    meddling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await meddling
    codes += await asyncio.gather(*map(_ended, woken))
    assert -signal.SIGKILL in codes, "nobody was killed"
    again = [await start_worker(till.home) for code in codes if code]
    assert set(await asyncio.gather(*map(_ended, again))) <= {0}
    await stage.settle()
    return await stage.standing()


async def _meddle(stage: Stage, chance: random.Random) -> None:
    """Let wake-ups of the tenant come twice, or never, until nothing is left to be done."""
    while await _is_left(stage):
        with contextlib.suppress(DatabaseUnavailable):  # it has so much else to do
            await _lose_or_double(stage, chance)
        await asyncio.sleep(chance.uniform(0.01, 0.1))


async def _is_left(stage: Stage) -> bool:
    try:
        return bool(await stage.rows(_LEFT))
    except DatabaseUnavailable:
        return True


async def _lose_or_double(stage: Stage, chance: random.Random) -> None:
    tenant_id, at = stage.tenant_id, datetime.now(UTC)
    if chance.random() < 0.5:
        await stage.engine.job_desk.drop(JobFilter(tenant_id, state="waiting"))
        return
    async with stage.engine.database.tenant(tenant_id) as session:
        for kind in (RENEW, RENEW, COLLECT, COLLECT):
            await enqueue(session, tenant_id, kind=kind, row_id=str(tenant_id), due_at=at)
