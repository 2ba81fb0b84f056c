"""Which policy holds for this tenant, which held before, and who changed it?

Nothing is overwritten: a version is added, an activation is added. What holds is read through a
cache that is at most five seconds old and that a tenant's own requests keep fresh beside
themselves, so that no payment waits for it while others come.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from contextvars import Context

import msgspec
import structlog

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import Conflict, InputInvalid, NotFound, RoutingPolicyInvalid
from payengine.ids import new_id
from payengine.routing.models import ActivePolicy, RoutingActivation, RoutingPolicy
from payengine.routing.policy import DEFAULT_POLICY, Policy, parse_policy, spell_policy
from payengine.screen import contains_card_number
from payengine.storage import Database, Session
from payengine.storage.columns import Columns

__all__ = ["Policies"]

_HELD_S = 5.0
#: A policy in use is read anew beside the requests, so that none of them waits for it.
_READ_AHEAD_S = 2.5
_REMEMBERED = 10_000
_MOST_REASON = 500
_MOST_VERSIONS = 10_000

_log = structlog.get_logger(__name__)

_POLICY = Columns(RoutingPolicy)
_ACTIVATION = Columns(RoutingActivation)

#: Versions and activations are numbered without gaps: one writer of a tenant at a time.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"

_SAVE = f"""
    INSERT INTO routing_policy (tenant_id, {_POLICY.listed})
    VALUES ($1, {_POLICY.parameters(2)})
"""

_LAST_VERSION = "SELECT coalesce(max(version), 0) FROM routing_policy WHERE tenant_id = $1"

_ACTIVATE = f"""
    INSERT INTO routing_activation (tenant_id, {_ACTIVATION.listed})
    VALUES ($1, {_ACTIVATION.parameters(2)})
"""

_ACTIVATIONS = f"""
    SELECT {_ACTIVATION.listed} FROM routing_activation
    WHERE tenant_id = $1 ORDER BY number DESC LIMIT $2
"""

_ACTIVATION_BY_ID = f"""
    SELECT {_ACTIVATION.listed} FROM routing_activation WHERE tenant_id = $1 AND id = $2
"""

#: The last activation whose policy is another one than the present one's.
_BEFORE = f"""
    SELECT {_ACTIVATION.listed} FROM routing_activation
    WHERE tenant_id = $1 AND number < $2 AND policy_id IS DISTINCT FROM $3
    ORDER BY number DESC LIMIT 1
"""

_ACTIVE = """
    SELECT policy.id, policy.version, policy.document
    FROM (SELECT policy_id FROM routing_activation
          WHERE tenant_id = $1 ORDER BY number DESC LIMIT 1) AS last
    JOIN routing_policy AS policy ON policy.tenant_id = $1 AND policy.id = last.policy_id
"""

_BY_ID = f"SELECT {_POLICY.listed} FROM routing_policy WHERE tenant_id = $1 AND id = ANY ($2)"

_PAGE = f"""
    SELECT {_POLICY.listed} FROM routing_policy
    WHERE tenant_id = $1 AND id < coalesce($2, '~') ORDER BY id DESC LIMIT $3
"""


class _Held(msgspec.Struct, frozen=True):
    active: ActivePolicy
    read_at: float


class Policies:
    """The policies of all tenants, as one process sees them."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        gateways: Collection[str],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """`gateways` are the installed ones; `seconds` measures the age of what is held."""
        self._database = database
        self._clock = clock
        self._gateways = gateways
        self._seconds = seconds
        self._held: OrderedDict[uuid.UUID, _Held] = OrderedDict()
        self._reading: dict[uuid.UUID, asyncio.Task[None]] = {}
        self._saves = 0

    async def active(self, tenant_id: uuid.UUID) -> ActivePolicy:
        """What holds, as it stood at most five seconds ago; raises `DatabaseUnavailable`."""
        held = self._held.get(tenant_id)
        age = self._seconds() - held.read_at if held is not None else _HELD_S
        if held is None or age >= _HELD_S:
            return await self._read(tenant_id)
        if age > _READ_AHEAD_S and tenant_id not in self._reading:
            task = asyncio.create_task(self._read_ahead(tenant_id), context=Context())
            self._reading[tenant_id] = task
        return held.active

    async def close(self) -> None:
        """Stop reading beside the requests."""
        for task in list(self._reading.values()):
            task.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)

    def parse(self, plain: object) -> Policy:
        """The policy that `plain` spells for this installation; raises `RoutingPolicyInvalid`."""
        return parse_policy(plain, gateways=self._gateways)

    async def save(
        self, context: TenantContext, plain: object, *, reason: str, activate: bool
    ) -> RoutingPolicy:
        """Add a version, which holds at once where `activate` says so.

        Raises `RoutingPolicyInvalid`, `InputInvalid` for a bad reason, `Conflict` at 10,000.
        """
        context.require("routing:write")
        _check_reason(reason)
        document = spell_policy(self.parse(plain))
        async with self._changing(context) as session:
            last = await session.fetchval(_LAST_VERSION, context.tenant_id)
            if last >= _MOST_VERSIONS:
                raise Conflict(f"A tenant has at most {_MOST_VERSIONS} versions of its policy.")
            saved = RoutingPolicy(
                id=new_id("rtp"),
                version=last + 1,
                document=document,
                reason=reason,
                actor=context.actor,
                created_at=self._clock.now(context.tenant_id),
            )
            await session.execute(_SAVE, context.tenant_id, *_POLICY.values(saved))
            if activate:
                await self._activate(session, context, saved.id, reason=reason)
        self._forget(context.tenant_id)
        return saved

    async def activate(
        self, context: TenantContext, policy_id: str | None, *, reason: str
    ) -> RoutingActivation:
        """Let a version hold, or the default where `policy_id` is None.

        Raises `NotFound`, and `RoutingPolicyInvalid` where it names what is not installed any more.
        """
        context.require("routing:write")
        _check_reason(reason)
        async with self._changing(context) as session:
            if policy_id is not None:
                found = await session.fetchrow(_BY_ID, context.tenant_id, [policy_id])
                if found is None:
                    raise NotFound("There is no such routing policy.", path=("routingPolicyId",))
                self.parse(found["document"])
            activation = await self._activate(session, context, policy_id, reason=reason)
        self._forget(context.tenant_id)
        return activation

    async def roll_back(self, context: TenantContext, *, reason: str) -> RoutingActivation:
        """Let hold again what held before the present policy; raises `Conflict` where none did."""
        context.require("routing:write")
        _check_reason(reason)
        async with self._changing(context) as session:
            last = await session.fetch(_ACTIVATIONS, context.tenant_id, 1)
            if not last or last[0]["policy_id"] is None:
                raise Conflict("The default holds: there is nothing to go back from.")
            present = _ACTIVATION.read(last[0])
            before = await session.fetchrow(
                _BEFORE, context.tenant_id, present.number, present.policy_id
            )
            policy_id = before["policy_id"] if before is not None else None
            activation = await self._activate(session, context, policy_id, reason=reason)
        self._forget(context.tenant_id)
        return activation

    async def page(
        self, context: TenantContext, *, first: int, after: str | None = None
    ) -> list[RoutingPolicy]:
        """The newest first, behind the policy `after`; one more than `first` where there is."""
        context.require("routing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_PAGE, context.tenant_id, after, first + 1)
        return [_POLICY.read(row) for row in rows]

    async def get_many(
        self, context: TenantContext, ids: Sequence[str]
    ) -> dict[str, RoutingPolicy]:
        """The policies that exist, by id."""
        context.require("routing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_BY_ID, context.tenant_id, list(ids))
        return {row["id"]: _POLICY.read(row) for row in rows}

    async def find(self, context: TenantContext, policy_id: str) -> RoutingPolicy | None:
        """A policy that the actor has just saved: needs the scope that saving needs."""
        context.require("routing:write")
        async with self._database.tenant(context.tenant_id) as session:
            row = await session.fetchrow(_BY_ID, context.tenant_id, [policy_id])
        return None if row is None else _POLICY.read(row)

    async def find_activation(
        self, context: TenantContext, activation_id: str
    ) -> RoutingActivation | None:
        """An activation that the actor has just made: needs the scope that making it needs."""
        context.require("routing:write")
        async with self._database.tenant(context.tenant_id) as session:
            row = await session.fetchrow(_ACTIVATION_BY_ID, context.tenant_id, activation_id)
        return None if row is None else _ACTIVATION.read(row)

    async def activations(self, context: TenantContext, *, first: int) -> list[RoutingActivation]:
        """The last `first` activations, the newest first: the first of them holds."""
        context.require("routing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_ACTIVATIONS, context.tenant_id, first)
        return [_ACTIVATION.read(row) for row in rows]

    @asynccontextmanager
    async def _changing(self, context: TenantContext) -> AsyncIterator[Session]:
        """A transaction beside which no other one changes the tenant's policies."""
        async with self._database.tenant(context.tenant_id) as session:
            await session.execute(_LOCK, f"routing {context.tenant_id}")
            yield session

    async def _activate(
        self, session: Session, context: TenantContext, policy_id: str | None, *, reason: str
    ) -> RoutingActivation:
        last = await session.fetch(_ACTIVATIONS, context.tenant_id, 1)
        activation = RoutingActivation(
            id=new_id("rta"),
            number=1 + (last[0]["number"] if last else 0),
            policy_id=policy_id,
            reason=reason,
            actor=context.actor,
            created_at=self._clock.now(context.tenant_id),
        )
        await session.execute(_ACTIVATE, context.tenant_id, *_ACTIVATION.values(activation))
        return activation

    def _forget(self, tenant_id: uuid.UUID) -> None:
        self._saves += 1
        self._held.pop(tenant_id, None)

    async def _read_ahead(self, tenant_id: uuid.UUID) -> None:
        """Read anew; what fails is tried again by a payment that needs it."""
        try:
            await self._read(tenant_id)
        except Exception as failure:
            _log.warning("routing_policy_unread", error=repr(failure))
        finally:
            del self._reading[tenant_id]

    async def _read(self, tenant_id: uuid.UUID) -> ActivePolicy:
        # The age counts from before the read, so that a change is never missed for longer.
        read_at, saves = self._seconds(), self._saves
        async with self._database.tenant(tenant_id) as session:
            row = await session.fetchrow(_ACTIVE, tenant_id)
        active = ActivePolicy()
        if row is not None:
            active = ActivePolicy(
                policy=_stored(row["document"]), id=row["id"], version=row["version"]
            )
        if saves == self._saves:
            self._held[tenant_id] = _Held(active, read_at)
            self._held.move_to_end(tenant_id)
        while len(self._held) > _REMEMBERED:
            self._held.popitem(last=False)
        return active


def _stored(document: object) -> Policy:
    """A version that an older or newer program saved may say what this one cannot read."""
    try:
        return parse_policy(document)
    except RoutingPolicyInvalid as problem:
        _log.error("routing_policy_unreadable", error=problem.message)
        return DEFAULT_POLICY


def _check_reason(reason: str) -> None:
    if not 1 <= len(reason.strip()) <= _MOST_REASON or not reason.isprintable():
        raise InputInvalid("A reason has 1 to 500 printable characters.", path=("reason",))
    if contains_card_number(reason):
        raise InputInvalid("The reason looks like a card number.", path=("reason",))
