"""How does one process do jobs?

It takes what has its turn while it has places, does each in a task of its own, and writes down the
outcomes in batches. Delivery is at least once: a process that dies, freezes or loses the database
loses its leases, and another does the jobs again; whatever the first one still writes about them is
refused. A handler that raises whatever it likes harms its own job only.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import structlog

from payengine import faults
from payengine.errors import LeaseLost
from payengine.jobs.leases import Leases, Outcome
from payengine.jobs.models import Claim, Handler
from payengine.jobs.queue import CURRENT
from payengine.jobs.retries import backoff
from payengine.jobs.shape import builder
from payengine.jobs.turns import Load
from payengine.screen import redact
from payengine.storage import Database

__all__ = ["LEASE", "PLACES", "Runner"]

#: Jobs that one process does at the same time, and how long it may be silent about them.
PLACES = 8
LEASE = timedelta(seconds=15)

#: What one tenant may have of the places, so that another need not wait for a job to end.
_TENANT_SHARE = 0.75
_LOOKS_EVERY_S = 0.2
_GATHERS_S = 0.005
_SETTLES_AT_ONCE = 500
_INTERRUPTS_S = 1.0
_MOST_SAID = 500

_log = structlog.get_logger(__name__)

_Key = tuple[int, uuid.UUID]
_Fate = Literal["interrupted", "lost"]


@dataclass(slots=True)
class _Doing:
    """A job in a task; `fate` says why the task is being cancelled, where it is."""

    claim: Claim
    task: asyncio.Task[None]
    fate: _Fate | None = None


class Runner:
    """Does the jobs of its handlers' kinds."""

    def __init__(
        self,
        database: Database,
        handlers: Iterable[Handler],
        *,
        places: int = PLACES,
        lease: timedelta = LEASE,
    ) -> None:
        """`places`: jobs at the same time. Nothing is done before it is asked."""
        each = [*handlers]
        self.handlers = {handler.kind: handler for handler in each}
        assert len(self.handlers) == len(each), "one handler for each kind"
        self._leases = Leases(database, self.handlers, lease=lease)
        self._lease = lease
        self._places = places
        self._doing: dict[_Key, _Doing] = {}
        self._ended: list[Outcome] = []
        self._settling = asyncio.Lock()
        self._is_draining = self._is_ready = False
        self._is_still = asyncio.Event()  # nothing is being taken
        self._is_still.set()
        self._has_room, self._has_ended = asyncio.Event(), asyncio.Event()
        self._hurry = asyncio.Event()
        #: (kind, outcome) → how many since the start; outcomes are done, again, held, back, lost.
        self.counts: Counter[tuple[str, str]] = Counter()

    @property
    def under_way(self) -> int:
        """How many jobs are being done here."""
        return len(self._doing)

    # -- rounds: each is one step of a loop that the background runs -----------------------------

    async def take_round(self) -> None:
        """Take what there is room for; where nothing waits, look again soon."""
        if not self._is_ready:
            await asyncio.to_thread(builder)  # its import must not hold up what else goes on
            self._is_ready = True
        self._has_room.clear()
        if self._has_places() and await self.take():
            return
        with contextlib.suppress(TimeoutError):
            wait_s = _LOOKS_EVERY_S * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
            async with asyncio.timeout(wait_s):  # wait_for may swallow a cancellation
                await self._has_room.wait()

    async def settle_round(self) -> None:
        """Wait for outcomes, gather a few, write them down."""
        await self._has_ended.wait()
        await asyncio.sleep(_GATHERS_S)
        await self.settle()

    async def keep_round(self) -> None:
        """Wait for a third of a lease, then keep ours and take back what others let go."""
        await asyncio.sleep(self._lease.total_seconds() / 3)
        await self.keep()

    # -- steps -------------------------------------------------------------------------------------

    def _has_places(self) -> bool:
        is_behind = len(self._ended) >= _SETTLES_AT_ONCE
        return not (self._is_draining or is_behind) and len(self._doing) < self._places

    async def take(self) -> int:
        """Take jobs and begin them; how many."""
        if not self.handlers or not self._has_places():
            return 0
        self._is_still.clear()
        try:
            claims = await self._leases.claim(self._load())
            for claim in claims:
                if self._is_draining:
                    self._end(claim, "back")
                else:
                    self._begin(claim)
        finally:
            self._is_still.set()
        return len(claims)

    def _load(self) -> Load:
        load = Load(self._places, max(1, int(self._places * _TENANT_SHARE)))
        for doing in self._doing.values():
            load.kinds[doing.claim.kind] += 1
            load.tenants[doing.claim.tenant_id] += 1
        return load

    def _begin(self, claim: Claim) -> None:
        key = (claim.id, claim.token)
        task = asyncio.create_task(self._do(claim, key))
        self._doing[key] = _Doing(claim, task)
        task.add_done_callback(lambda _: self._finish(key))

    def _finish(self, key: _Key) -> None:
        doing = self._doing.pop(key)
        if doing.task.cancelled():  # before it had begun
            self._give_up(doing.claim, doing.fate)
        self._has_room.set()

    async def _do(self, claim: Claim, key: _Key) -> None:
        CURRENT.set(claim)  # this task has a context of its own
        handler = self.handlers[claim.kind]
        try:
            async with asyncio.timeout(handler.deadline_s):
                await handler.handle(claim.tenant_id, claim.row_id)
            faults.point("job_done")
        except LeaseLost:
            self._lose(claim)
        # Whatever it is, SystemExit and a stray CancelledError too: it is this job's failure.
        except BaseException as failure:
            fate = self._doing[key].fate
            if fate is not None and isinstance(failure, asyncio.CancelledError):
                self._give_up(claim, fate)
            else:
                self._fail(claim, handler, failure)
        else:
            self._end(claim, "done")

    def _give_up(self, claim: Claim, fate: _Fate | None) -> None:
        if fate == "lost":
            self._lose(claim)
        else:
            self._end(claim, "back")

    def _fail(self, claim: Claim, handler: Handler, failure: BaseException) -> None:
        is_last = claim.tried + 1 >= handler.tries
        _log.warning(
            "job_held" if is_last else "job_failed",
            job=claim.id,
            kind=claim.kind,
            tries=claim.tried + 1,
            error=redact(repr(failure))[:_MOST_SAID],
        )
        error = type(failure).__name__
        if is_last:
            self._end(claim, "held", error)
        else:
            chance = random.random()  # noqa: S311 - no secret
            self._end(claim, "again", error, after=backoff(claim.tried, chance=chance))

    def _end(
        self,
        claim: Claim,
        kind: Literal["done", "again", "held", "back"],
        error: str | None = None,
        *,
        after: timedelta = timedelta(),
    ) -> None:
        self._ended.append(Outcome(claim, kind, error, after))
        self._has_ended.set()

    def _lose(self, claim: Claim) -> None:
        """Another has it by now: there is nothing that we may say about it."""
        self.counts[claim.kind, "lost"] += 1
        _log.warning("job_lost", job=claim.id, kind=claim.kind)

    async def settle(self) -> int:
        """Write down how jobs ended, as many as one commit takes; how many were ours."""
        async with self._settling:
            batch = self._ended[:_SETTLES_AT_ONCE]
            if not batch:
                self._has_ended.clear()
                return 0
            ours = await self._leases.settle(batch)
            del self._ended[: len(batch)]
            if not self._ended:
                self._has_ended.clear()
        for outcome in batch:
            if outcome.claim.id in ours:
                self.counts[outcome.claim.kind, outcome.kind] += 1
            else:
                self._lose(outcome.claim)
        self._has_room.set()
        return len(ours)

    async def keep(self) -> None:
        """Keep the leases of what is under way here; drop what we have lost; take back."""
        doing = [*self._doing.values()]
        if doing:
            ours = await self._leases.beat([each.claim for each in doing])
            for each in doing:
                if each.claim.id not in ours:
                    self._cancel(each, "lost")
        if self.handlers and await self._leases.take_back():
            self._has_room.set()

    def _cancel(self, doing: _Doing, fate: _Fate) -> None:
        if doing.fate is None and not doing.task.done():
            doing.fate = fate
            doing.task.cancel()

    # -- from outside ------------------------------------------------------------------------------

    async def run_until_idle(self, *, most: int = 10_000) -> int:
        """Do what is due, without a loop of the background; how many jobs, `most` or a few more."""
        taken = 0
        while taken < most:
            now = await self.take()
            taken += now
            tasks = self._tasks()
            if not now and not tasks:
                break
            if tasks:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await self.settle()
        while self._doing or self._ended:
            if tasks := self._tasks():
                await asyncio.wait(tasks)
            await self.settle()
        return taken

    def hurry(self) -> None:
        """End a drain that is under way: what is not done yet goes back."""
        self._hurry.set()

    async def drain(self, *, within_s: float, settle_s: float) -> None:
        """Take no more; wait `within_s` for what is under way, and give the rest back."""
        self._is_draining = True
        await self._wait_for(self._tasks(), within_s)
        for doing in [*self._doing.values()]:
            self._cancel(doing, "interrupted")
        if left := self._tasks():
            await asyncio.wait(left, timeout=_INTERRUPTS_S)
        with contextlib.suppress(Exception):  # what cannot be written now, its lease will say
            async with asyncio.timeout(settle_s):
                await self._is_still.wait()
                while self._ended:
                    await self.settle()

    async def _wait_for(self, tasks: Collection[asyncio.Task[None]], within_s: float) -> None:
        if not tasks:
            return
        all_done = asyncio.ensure_future(asyncio.wait(tasks))
        hurry = asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait([all_done, hurry], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        for each in (all_done, hurry):
            each.cancel()

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [doing.task for doing in self._doing.values()]
