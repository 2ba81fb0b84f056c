"""What time is it in a test world, and what happens while it is moved on?

A tenant of test mode may have one clock. To advance it is a job of its own: from one due instant to
the next the world's renewals, scheduled changes and charges are run, as time would have run them,
until nothing is due there. Worlds without a clock, and other tenants' clocks, do not move.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import asyncpg
import msgspec
import structlog

from payengine.billing.invoices.advancing import retry_failed
from payengine.clock import TenantClocks, wall_now
from payengine.context import TenantContext
from payengine.errors import Conflict, InputInvalid, NotFound
from payengine.idempotency import check_key, claim, fingerprint
from payengine.storage import Database, Session

__all__ = [
    "AdvanceTestClock",
    "ClockedRoom",
    "CreateTestClock",
    "TestClock",
    "TestClocks",
    "collections_busy",
    "collections_due",
    "renewals_due",
]

#: The clocks that one process knows.
_MOST_CLOCKS = 100_000
#: How far one advance goes.
_MOST_ADVANCE = timedelta(days=3_660)
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
#: For so long nobody else moves a clock that a process moves; it says so again at each step.
_LEASE = timedelta(seconds=30)
#: How often the rooms are asked again at one instant, while there is more to do.
_MOST_ROUNDS = 50
#: How long a clock waits for somebody else's charge before it looks again.
_WAIT_S = 0.05
#: After so many failures in a row a clock no longer stops for the retry of one renewal alone.
_MOST_RETRIES_ALONE = 8
#: For so long one look moves one clock, before the next has its turn.
_TURN_S = 5.0

_READ = "SELECT tenant_id, now_at FROM test_clock ORDER BY tenant_id LIMIT $1"

#: Those to be moved, and those that stand before something that is due already.
_TO_MOVE = """
    SELECT tenant_id FROM test_clock
    WHERE (leased_until IS NULL OR leased_until < $1)
      AND (now_at < target_at OR leased_until IS NOT NULL
           OR (SELECT min(due_at) FROM subscription
               WHERE subscription.tenant_id = test_clock.tenant_id AND due_at IS NOT NULL)
              <= now_at)
    ORDER BY tenant_id LIMIT $2
"""
_MINE = """
    SELECT tenant_id, now_at, from_at, target_at, leased_until, version, created_at
    FROM test_clock WHERE tenant_id = $1
"""
_INSERT = """
    INSERT INTO test_clock (tenant_id, now_at, from_at, target_at, version, created_at)
    VALUES ($1, $2, $2, $2, 1, $3)
"""
_AIM = """
    UPDATE test_clock SET from_at = now_at, target_at = $2, version = version + 1
    WHERE tenant_id = $1 AND now_at = target_at AND leased_until IS NULL AND now_at <= $2
"""
_CLAIM = """
    UPDATE test_clock SET leased_until = $2
    WHERE tenant_id = $1 AND (leased_until IS NULL OR leased_until < $3)
    RETURNING now_at, target_at
"""
_MOVE = """
    UPDATE test_clock SET now_at = $3, leased_until = $4
    WHERE tenant_id = $1 AND now_at = $2 AND leased_until = $5 AND target_at >= $3
"""
_RELEASE = """
    UPDATE test_clock SET leased_until = NULL WHERE tenant_id = $1 AND leased_until = $2
"""
#: A renewal that fails again and again stops no clock: it is tried where the clock stops anyway.
_RENEWALS_DUE = """
    SELECT due_at FROM subscription
    WHERE tenant_id = $1 AND due_at > $2 AND NOT EXISTS (
        SELECT FROM renewal_failure AS failure
        WHERE failure.tenant_id = $1 AND failure.subscription_id = subscription.id
          AND failure.resolved_at IS NULL AND failure.attempts >= $3)
    ORDER BY due_at LIMIT 1
"""
_COLLECTIONS_DUE = """
    SELECT min(due_at) FROM collection WHERE tenant_id = $1 AND due_at > $2
"""
_COLLECTIONS_BUSY = """
    SELECT EXISTS (SELECT FROM collection WHERE tenant_id = $1 AND lease_until > $2)
"""

_log = structlog.get_logger(__name__)


class TestClock(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's clock; on its way from `from_at` to `target_at` it stands at `now_at`."""

    __test__ = False

    tenant_id: uuid.UUID
    now_at: datetime
    from_at: datetime
    target_at: datetime
    leased_until: datetime | None
    version: int
    created_at: datetime

    @property
    def status(self) -> Literal["ready", "advancing"]:
        """Whether all is done that was due by `target_at`."""
        moving = self.now_at < self.target_at or self.leased_until is not None
        return "advancing" if moving else "ready"

    @property
    def progress(self) -> int:
        """How much of the way is done, in hundredths; 100 only when it is ready."""
        if self.status == "ready":
            return 100
        way = self.target_at - self.from_at
        done = self.now_at - self.from_at
        return min(done * 100 // way, 99) if way else 99


class CreateTestClock(msgspec.Struct, frozen=True, kw_only=True):
    """From now on it is `now_at` in this world, until the clock is advanced."""

    idempotency_key: str
    now_at: datetime


class AdvanceTestClock(msgspec.Struct, frozen=True, kw_only=True):
    """Let time pass until `to`."""

    idempotency_key: str
    to: datetime


class ClockedRoom(msgspec.Struct, frozen=True, kw_only=True):
    """A room in which things are due by the tenant's own time.

    `next_due` is the first instant after the given one at which something is due, `run_tenant` does
    what is due by the given one and answers how much that was. `is_busy` says that somebody else
    does some of it just now: the clock waits for them.
    """

    name: str
    next_due: Callable[[Session, uuid.UUID, datetime], Awaitable[datetime | None]]
    run_tenant: Callable[[uuid.UUID, datetime], Awaitable[int]]
    is_busy: Callable[[Session, uuid.UUID], Awaitable[bool]] | None = None


async def renewals_due(session: Session, tenant_id: uuid.UUID, after: datetime) -> datetime | None:
    """When a subscription of the tenant is due next."""
    found: datetime | None = await session.fetchval(
        _RENEWALS_DUE, tenant_id, after, _MOST_RETRIES_ALONE
    )
    return found


async def collections_due(
    session: Session, tenant_id: uuid.UUID, after: datetime
) -> datetime | None:
    """When an invoice of the tenant is to be charged, or given up, next."""
    found: datetime | None = await session.fetchval(_COLLECTIONS_DUE, tenant_id, after)
    return found


async def collections_busy(session: Session, tenant_id: uuid.UUID) -> bool:
    """Whether somebody charges an invoice of the tenant just now; leases are on the wall's time."""
    found: bool = await session.fetchval(_COLLECTIONS_BUSY, tenant_id, wall_now())
    return found


class TestClocks:
    """The test clocks of all tenants, as one process sees to them."""

    __test__ = False

    def __init__(
        self,
        *,
        database: Database,
        clocks: TenantClocks,
        rooms: Sequence[ClockedRoom],
        wall: Callable[[], datetime] = wall_now,
    ) -> None:
        self._database = database
        self._clocks = clocks
        self._rooms = rooms
        self._wall = wall

    async def create(self, context: TenantContext, request: CreateTestClock) -> TestClock:
        """Give this world a clock of its own; raises `Conflict` in live mode or for a second."""
        _check(context, request.idempotency_key)
        at = _instant(request.now_at, field="nowAt")
        try:
            async with self._database.tenant(context.tenant_id) as session:
                if not await self._claimed(session, context, "createTestClock", request):
                    await session.execute(_INSERT, context.tenant_id, at, self._wall())
                clock = await _read(session, context.tenant_id)
        except asyncpg.UniqueViolationError:
            raise Conflict("This world has a test clock already.") from None
        self._clocks.move(context.tenant_id, clock.now_at)
        return clock

    async def advance(self, context: TenantContext, request: AdvanceTestClock) -> TestClock:
        """Begin to let time pass; `get` says how far it is.

        What could not be renewed before is tried again first: its cause may be mended by now.
        Raises `NotFound` without a clock, `InputInvalid` for an instant that is past or too far,
        and `Conflict` while an earlier advance is under way.
        """
        _check(context, request.idempotency_key)
        to = _instant(request.to, field="to")
        tenant_id = context.tenant_id
        async with self._database.tenant(tenant_id) as session:
            clock = await _read(session, tenant_id)
            if not await self._claimed(session, context, "advanceTestClock", request):
                if not clock.now_at <= to <= clock.now_at + _MOST_ADVANCE:
                    raise InputInvalid("A clock goes forward, ten years at most.", path=("to",))
                if await session.execute(_AIM, tenant_id, to) != "UPDATE 1":
                    raise Conflict("The test clock is being advanced.")
                await retry_failed(session, tenant_id, clock.now_at)
            return await _read(session, tenant_id)

    async def get(self, context: TenantContext) -> TestClock | None:
        """This world's clock, None where it has none."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            row = await session.fetchrow(_MINE, context.tenant_id)
        return None if row is None else TestClock(**dict(row))

    async def refresh(self) -> None:
        """Read where all clocks stand, which other processes may have moved."""
        async with self._database.worker() as session:
            rows = await session.fetch(_READ, _MOST_CLOCKS)
        self._clocks.read({row["tenant_id"]: row["now_at"] for row in rows})

    async def keep(self, *, every_s: float = 0.5) -> None:
        """Refresh for ever; a database that is away is asked again."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.refresh()
            except Exception as failure:
                _log.warning("clocks_unread", error=repr(failure))

    async def run_once(self, *, at: datetime, limit: int = 20) -> int:
        """Move the clocks that are to be moved, each for a turn; how many there were.

        `at` is the wall's instant. What fails in one world is told, and tried again at the next
        look; the others go on.
        """
        async with self._database.worker() as session:
            rows = await session.fetch(_TO_MOVE, at, limit)
        for row in rows:
            try:
                await self._turn(row["tenant_id"])
            except Exception as failure:
                _log.warning("clock_stopped", tenant=str(row["tenant_id"]), error=repr(failure))
        return len(rows)

    async def _turn(self, tenant_id: uuid.UUID) -> None:
        wall = self._wall()
        lease = wall + _LEASE
        async with self._database.tenant(tenant_id) as session:
            row = await session.fetchrow(_CLAIM, tenant_id, lease, wall)
        if row is None:
            return
        now, target = row["now_at"], row["target_at"]
        self._clocks.move(tenant_id, now)
        ends = wall + timedelta(seconds=_TURN_S)
        while True:
            await self._run(tenant_id, now)
            if now >= target:
                break
            following = await self._next(tenant_id, now, target)
            renewed = self._wall() + _LEASE
            async with self._database.tenant(tenant_id) as session:
                moved = await session.execute(_MOVE, tenant_id, now, following, renewed, lease)
            if moved != "UPDATE 1":
                return  # it took too long, and another process goes on from there
            now, lease = following, renewed
            self._clocks.move(tenant_id, now)
            if self._wall() > ends and now < target:
                break
        async with self._database.tenant(tenant_id) as session:
            await session.execute(_RELEASE, tenant_id, lease)

    async def _run(self, tenant_id: uuid.UUID, now: datetime) -> None:
        """Do what is due at the instant, until a round of all rooms finds nothing more."""
        for _ in range(_MOST_ROUNDS):
            done = 0
            for room in self._rooms:
                done += await room.run_tenant(tenant_id, now)
            if not done and not await self._is_busy(tenant_id):
                return
            if not done:
                await asyncio.sleep(_WAIT_S)

    async def _is_busy(self, tenant_id: uuid.UUID) -> bool:
        asked = [room.is_busy for room in self._rooms if room.is_busy is not None]
        async with self._database.tenant(tenant_id) as session:
            return any([await is_busy(session, tenant_id) for is_busy in asked])

    async def _next(self, tenant_id: uuid.UUID, now: datetime, target: datetime) -> datetime:
        instants = [target]
        async with self._database.tenant(tenant_id) as session:
            for room in self._rooms:
                due = await room.next_due(session, tenant_id, now)
                if due is not None and due > now:
                    instants.append(due)
        return min(instants)

    async def _claimed(
        self, session: Session, context: TenantContext, mutation: str, request: msgspec.Struct
    ) -> bool:
        key: str = request.idempotency_key  # type: ignore[attr-defined]
        earlier = await claim(
            session,
            context.tenant_id,
            key=key,
            mutation=mutation,
            fingerprint=fingerprint(mutation, request),
            resource_id=str(context.tenant_id),
            at=self._wall(),
        )
        return earlier is not None


def _check(context: TenantContext, key: str) -> None:
    context.require("billing:write")
    check_key(key)
    if context.mode != "test":
        raise Conflict("Only a test world has a clock of its own.")


def _instant(at: datetime, *, field: str) -> datetime:
    if at.utcoffset() is None:
        raise InputInvalid("An instant carries its offset from UTC.", path=(field,))
    if not _EARLIEST <= at <= _LATEST:
        raise InputInvalid("A test clock stands between 2000 and 2200.", path=(field,))
    return at.astimezone(UTC)


async def _read(session: Session, tenant_id: uuid.UUID) -> TestClock:
    row = await session.fetchrow(_MINE, tenant_id)
    if row is None:
        raise NotFound("This world has no test clock.")
    return TestClock(**dict(row))
