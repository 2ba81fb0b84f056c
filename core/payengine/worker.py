"""How does a worker come up, and how does it go down?

A process of its own for what goes on in the background, beside servers that leave it to it. It says
how it does in lines of named fields on standard output. SIGINT and SIGTERM drain: it takes nothing
more, jobs that are under way may end within ten seconds, and the rest goes back to the queue. A
second signal does not wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import structlog

from payengine.engine import Engine, running_engine
from payengine.jobs import Handler
from payengine.settings import Settings

__all__ = ["run"]

_TELLS_EVERY_S = 10.0

_log = structlog.get_logger(__name__)


class _Signals:
    """What SIGINT and SIGTERM mean: give up before the start is done, drain, then hurry."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.asked_to_stop = asyncio.Event()
        self._task = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._heard)

    def _heard(self) -> None:
        if self.engine is None:
            assert self._task is not None
            self._task.cancel()
        elif self.asked_to_stop.is_set():
            self.engine.jobs.hurry()
        else:
            self.asked_to_stop.set()


def run(settings: Settings, *, only: Collection[str] = (), handlers: Sequence[Handler] = ()) -> int:
    """Work until a signal; 0 after a drain, 130 where it came before anything was begun.

    `only`: do these kinds of jobs, and leave the rest of the background to others. `handlers` of
    jobs are added to the rooms' own. Raises InputInvalid for a kind that nobody does.
    """
    try:
        asyncio.run(_work(settings, only, handlers))
    except asyncio.CancelledError:
        return 130
    return 0


async def _work(settings: Settings, only: Collection[str], handlers: Sequence[Handler]) -> None:
    signals = _Signals()
    async with running_engine(
        settings, background=False, handlers=handlers, only_jobs=only
    ) as engine:
        signals.engine = engine
        engine.background.start(alone=True, jobs_only=bool(only))
        try:
            _log.info(
                "worker_ready",
                kinds=sorted(engine.jobs.handlers),
                concurrency=settings.job_concurrency,
                lease_ms=settings.job_lease_ms,
            )
            while not signals.asked_to_stop.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_TELLS_EVERY_S):
                        await signals.asked_to_stop.wait()
                        break
                await _tell(engine)
            _log.info("worker_draining", under_way=engine.jobs.under_way)
        finally:
            await engine.background.stop()
        _log.info("worker_stopped", **_done(engine))


def _done(engine: Engine) -> dict[str, int]:
    """How many jobs ended how since the start."""
    totals: Counter[str] = Counter()
    for (_, outcome), jobs in engine.jobs.counts.items():
        totals[outcome] += jobs
    return {outcome: totals[outcome] for outcome in ("done", "again", "held", "back", "lost")}


async def _tell(engine: Engine) -> None:
    at = datetime.now(UTC)
    relay = engine.background.relay_seen_at
    try:
        depths = await engine.job_desk.depth(at=at)
    except Exception as failure:
        _log.warning("worker_blind", error=repr(failure))
        return
    _log.info(
        "worker_well",
        under_way=engine.jobs.under_way,
        waiting=sum(each.jobs for each in depths if each.state == "waiting"),
        oldest_s=round(max((each.oldest_s for each in depths), default=0.0), 1),
        relay_silent_s=None if relay is None else round((at - relay).total_seconds(), 1),
        **_done(engine),
    )
