"""What is kept in escrow, and who lets it go?

A release is due when the conditions are met or the timeout has run out; then it goes by itself. A
person may let a part go earlier where that is what was agreed. While a dispute is open nothing
leaves. A release is posted strictly: what is not there cannot be released twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import (
    AmountNotPositive,
    InputInvalid,
    NotFound,
    TransitionRefused,
)
from payengine.events.writing import insert_event
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.ledger import post
from payengine.ledger.strict import post_strict
from payengine.marketplace import sharing_store as store
from payengine.marketplace.accounts import not_covered
from payengine.marketplace.agenda import Agenda
from payengine.marketplace.crediting import Credit, credited
from payengine.marketplace.escrow import EscrowFacts, check_release
from payengine.marketplace.freezing import freezes_of
from payengine.marketplace.holding import (
    agreed,
    escrow_event,
    facts_of,
    open_milestones,
    refreshed,
    terms_of,
)
from payengine.marketplace.postings import Share, escrow_released
from payengine.marketplace.sharer import share_now
from payengine.marketplace.sharing import Shared, owner_account
from payengine.marketplace.sharing_models import EscrowHold
from payengine.marketplace.sharing_store import ESCROW
from payengine.marketplace.splits import pull_back
from payengine.storage import Database, Session
from payengine.texts import check_id, check_text

__all__ = [
    "BATCH",
    "AcceptMilestone",
    "EscrowRelease",
    "Escrows",
    "RecordDelivery",
    "ReleaseEscrow",
]

BATCH = 200

_GET = f"SELECT {ESCROW.listed} FROM escrow_hold WHERE tenant_id = $1 AND id = ANY ($2)"
_OF_PAYMENTS = f"""
    SELECT {ESCROW.listed} FROM escrow_hold WHERE tenant_id = $1 AND payment_id = ANY ($2)
"""
_PAYMENT = "SELECT payment_id FROM escrow_hold WHERE tenant_id = $1 AND id = $2"
_PAGE = f"""
    SELECT {ESCROW.listed} FROM escrow_hold
    WHERE tenant_id = $1 AND id < coalesce($2, '~') AND ($3::text IS NULL OR status = $3)
    ORDER BY id DESC LIMIT $4
"""
_AGENDA = Agenda(table="escrow_hold", due="due_at", waits="status = 'held'")
_INSERT_RELEASE = """
    INSERT INTO escrow_release (tenant_id, id, escrow_id, amount_minor, actor, reason, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_RELEASES = """
    SELECT id, escrow_id, amount_minor, actor, reason, created_at FROM escrow_release
    WHERE tenant_id = $1 AND escrow_id = ANY ($2) ORDER BY escrow_id, id LIMIT 10000
"""


class ReleaseEscrow(msgspec.Struct, frozen=True, kw_only=True):
    """A person lets `amount_minor` go (None: all that is held)."""

    idempotency_key: str
    escrow_id: str
    amount_minor: int | None = None
    reason: str | None = None


class RecordDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """The goods came, at `delivered_at` (None: now)."""

    idempotency_key: str
    escrow_id: str
    delivered_at: datetime | None = None


class AcceptMilestone(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the work was accepted; `number` counts from 0."""

    idempotency_key: str
    escrow_id: str
    number: int = 0


class EscrowRelease(msgspec.Struct, frozen=True, kw_only=True):
    """What left an escrow at once, and who let it go."""

    id: str
    escrow_id: str
    amount_minor: int
    actor: str
    reason: str | None
    created_at: datetime


Request = ReleaseEscrow | RecordDelivery | AcceptMilestone


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """An escrow under lock, with its payment's parts as they now are."""

    escrow: EscrowHold
    shared: Shared
    facts: EscrowFacts


class Escrows:
    """The escrows of all tenants; needs `accounts:read` or `accounts:write`."""

    def __init__(self, database: Database, *, clock: Clock, nudge: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._nudge = nudge

    async def release(self, context: TenantContext, request: ReleaseEscrow) -> EscrowHold:
        """Let go what is held, or a part of it.

        Where `manual` is a condition, this is the word that it waits for. Raises
        `TransitionRefused` where the other conditions are not met or a dispute is open,
        `AmountNotPositive` and `InsufficientAvailableBalance`.
        """
        check_text(request.reason, field="reason")
        amount = request.amount_minor
        if amount is not None and amount <= 0:
            raise AmountNotPositive(path=("amountMinor",))

        async def work(session: Session, held: _Held, at: datetime) -> EscrowHold:
            escrow, facts = held.escrow, held.facts
            if escrow.status != "held":
                raise TransitionRefused(f"Nothing is held any more: it is {escrow.status}.")
            minor = escrow.held_minor if amount is None else amount
            if agreed(escrow).milestones_bps:
                raise TransitionRefused("What is held is released milestone by milestone.")
            if "manual" in agreed(escrow).conditions:
                approved = msgspec.structs.replace(facts, approved_at=facts.approved_at or at)
                if minor == escrow.held_minor:
                    escrow = msgspec.structs.replace(escrow, approved_at=approved.approved_at)
                facts = approved
            check_release(terms_of(escrow), facts, at=at)
            if minor > escrow.held_minor:
                raise not_covered(
                    available_minor=escrow.held_minor,
                    amount_minor=minor,
                    currency=escrow.currency,
                    path=("amountMinor",),
                )
            return await self._let_go(
                session,
                context.tenant_id,
                msgspec.structs.replace(held, escrow=escrow),
                minor,
                actor=context.actor,
                reason=request.reason,
                at=at,
            )

        return await self._change(context, "releaseEscrow", request, work)

    async def deliver(self, context: TenantContext, request: RecordDelivery) -> EscrowHold:
        """Record that the goods came; raises `TransitionRefused` where nothing waits for that."""

        async def work(session: Session, held: _Held, at: datetime) -> EscrowHold:
            escrow = held.escrow
            when = request.delivered_at or at
            if when.tzinfo is None or when > at:
                raise InputInvalid("A delivery is not in the future.", path=("deliveredAt",))
            if "delivered" not in agreed(escrow).conditions:
                raise TransitionRefused("This escrow does not wait for a delivery.")
            if escrow.delivered_at is not None:
                raise TransitionRefused("The delivery has been recorded.")
            escrow = msgspec.structs.replace(escrow, delivered_at=max(when, held.facts.captured_at))
            return await self._keep(session, context.tenant_id, escrow, held.shared, at=at)

        return await self._change(context, "recordDelivery", request, work)

    async def accept(self, context: TenantContext, request: AcceptMilestone) -> EscrowHold:
        """Accept a milestone; what it pays is released at once, unless a dispute is open.

        Raises `TransitionRefused` where it was accepted before, `InputInvalid`.
        """

        async def work(session: Session, held: _Held, at: datetime) -> EscrowHold:
            escrow = held.escrow
            meant = agreed(escrow)
            count = len(meant.milestones_bps) or 1
            if "milestone" not in meant.conditions:
                raise TransitionRefused("This escrow has no milestones.")
            if not 0 <= request.number < count:
                raise InputInvalid("The escrow has no such milestone.", path=("number",))
            accepted = list(escrow.progress.get("accepted", ()))
            if request.number in accepted:
                raise TransitionRefused("The milestone has been accepted.")
            accepted.append(request.number)
            escrow = msgspec.structs.replace(
                escrow,
                progress={**escrow.progress, "accepted": accepted},
                milestone_at=at if len(accepted) == count else escrow.milestone_at,
            )
            escrow = await self._keep(session, context.tenant_id, escrow, held.shared, at=at)
            held = msgspec.structs.replace(held, escrow=escrow)
            return await self._pay_due(session, context.tenant_id, held, context.actor, at=at)

        return await self._change(context, "acceptMilestone", request, work)

    async def run_once(self, *, at: datetime, limit: int = BATCH) -> int:
        """Release what is due, of all tenants; how many escrows were looked at.

        Harmless where other processes do the same.
        """
        looked = await _AGENDA.run_all(self._database, self._release_due, at=at, limit=limit)
        if looked:
            self._nudge()
        return looked

    async def run_tenant(self, tenant_id: uuid.UUID, *, at: datetime) -> int:
        """Release what is due in a world whose clock stands at `at`; how many escrows."""
        return await _AGENDA.run_tenant(
            self._database, partial(self._release_due, at=at), tenant_id, at=at
        )

    async def next_due(
        self, session: Session, tenant_id: uuid.UUID, after: datetime
    ) -> datetime | None:
        """When an escrow of the tenant's is due next."""
        return await _AGENDA.next_due(session, tenant_id, after)

    async def _release_due(
        self, tenant_id: uuid.UUID, escrow_id: str, at: datetime | None = None
    ) -> None:
        at = at or self._clock.now(tenant_id)
        async with self._database.tenant(tenant_id) as session:
            held = await _locked(session, tenant_id, escrow_id, at=at)
            if held is not None:
                await self._pay_due(session, tenant_id, held, "engine", at=at)

    async def get_many(
        self, context: TenantContext, ids: Sequence[str]
    ) -> Mapping[str, EscrowHold]:
        """Escrows by id; those that are not this tenant's are left out."""
        return {each.id: each for each in await self._read(context, _GET, ids)}

    async def of_payments(
        self, context: TenantContext, payment_ids: Sequence[str]
    ) -> Mapping[str, EscrowHold]:
        """The escrow of each payment that has one."""
        return {
            each.payment_id: each for each in await self._read(context, _OF_PAYMENTS, payment_ids)
        }

    async def _read(
        self, context: TenantContext, statement: str, ids: Sequence[str]
    ) -> list[EscrowHold]:
        context.require("accounts:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(statement, context.tenant_id, list(ids))
        return [ESCROW.read(row) for row in rows]

    async def releases_of(
        self, context: TenantContext, ids: Sequence[str]
    ) -> Mapping[str, list[EscrowRelease]]:
        """What left each escrow, oldest first."""
        context.require("accounts:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_RELEASES, context.tenant_id, list(ids))
        found: dict[str, list[EscrowRelease]] = {}
        for row in rows:
            found.setdefault(row["escrow_id"], []).append(EscrowRelease(**row))
        return found

    async def page(
        self,
        context: TenantContext,
        *,
        first: int,
        after: str | None = None,
        status: str | None = None,
    ) -> list[EscrowHold]:
        """Up to `first` + 1 escrows before the id `after`, the newest first."""
        context.require("accounts:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_PAGE, context.tenant_id, after, status, first + 1)
        return [ESCROW.read(row) for row in rows]

    async def _change(
        self,
        context: TenantContext,
        mutation: str,
        request: Request,
        work: Callable[[Session, _Held, datetime], Any],
    ) -> EscrowHold:
        context.require("accounts:write")
        check_key(request.idempotency_key)
        check_id(request.escrow_id, "esc", field="escrowId")
        at = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            payment_id = await _payment_of(session, context.tenant_id, request.escrow_id)
            earlier = await claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation=mutation,
                fingerprint=fingerprint(mutation, request),
                resource_id=request.escrow_id,
                at=at,
            )
            held = await _locked(session, context.tenant_id, request.escrow_id, at=at)
            if earlier is not None:
                return await _standing(session, context.tenant_id, payment_id)
            if held is None:
                raise TransitionRefused("Nothing has been captured into this escrow yet.")
            escrow: EscrowHold = await work(session, held, at)
        self._nudge()
        return escrow

    async def _pay_due(
        self, session: Session, tenant_id: uuid.UUID, held: _Held, actor: str, *, at: datetime
    ) -> EscrowHold:
        """Release what is due now: accepted milestones, or everything."""
        escrow = held.escrow
        if escrow.due_at is None or escrow.due_at > at or escrow.held_minor == 0:
            return escrow
        milestones = open_milestones(escrow)
        minor = escrow.held_minor
        if milestones:
            minor = min(sum(milestones.values()), minor)
            paid = [*escrow.progress.get("paid", ()), *milestones]
            escrow = msgspec.structs.replace(escrow, progress={**escrow.progress, "paid": paid})
            held = msgspec.structs.replace(held, escrow=escrow)
        if minor == 0:
            return await self._keep(session, tenant_id, escrow, held.shared, at=at)
        return await self._let_go(session, tenant_id, held, minor, actor=actor, reason=None, at=at)

    async def _keep(
        self,
        session: Session,
        tenant_id: uuid.UUID,
        escrow: EscrowHold,
        shared: Shared,
        *,
        at: datetime,
    ) -> EscrowHold:
        """Write the escrow with its state and its due instant worked out anew."""
        freezes = await freezes_of(session, tenant_id, escrow.id)
        escrow = refreshed(escrow, shared.parts, freezes, at=at)
        escrow = await store.write_escrow(session, tenant_id, escrow, at=at)
        await insert_event(session, tenant_id, escrow_event("escrow.updated", escrow, at=at))
        return escrow

    async def _let_go(
        self,
        session: Session,
        tenant_id: uuid.UUID,
        held: _Held,
        minor: int,
        *,
        actor: str,
        reason: str | None,
        at: datetime,
    ) -> EscrowHold:
        """Give `minor` units to the owners, in proportion to what each has in escrow."""
        escrow, parts = held.escrow, held.shared.parts
        shares = pull_back([part.escrowed_minor for part in parts], minor)
        release_id = new_id("esr")
        await post_strict(
            session,
            tenant_id,
            escrow_released(
                release_id=release_id,
                payment_id=escrow.payment_id,
                escrow=escrow.id,
                currency=escrow.currency,
                shares=[
                    Share(account=owner_account(part), amount_minor=share)
                    for part, share in zip(parts, shares, strict=True)
                ],
            ),
            at=at,
        )
        await session.execute(
            _INSERT_RELEASE, tenant_id, release_id, escrow.id, minor, actor, reason, at
        )
        left = [
            msgspec.structs.replace(part, escrowed_minor=part.escrowed_minor - share)
            for part, share in zip(parts, shares, strict=True)
        ]
        await store.update_parts(session, tenant_id, escrow.payment_id, left)
        credits = [
            Credit(
                account_id=part.account_id,
                sale_minor=minor if part.account_id == held.shared.split.vendor_id else share,
                net_minor=share,
            )
            for part, share in zip(parts, shares, strict=True)
            if part.account_id is not None and share
        ]
        kept = await credited(
            session,
            tenant_id,
            credits,
            payment_id=escrow.payment_id,
            step_id=release_id,
            currency=escrow.currency,
            sold_at=held.facts.captured_at,
            at=at,
        )
        if kept:
            await post(session, tenant_id, kept, at=at)
        escrow = msgspec.structs.replace(escrow, released_minor=escrow.released_minor + minor)
        freezes = await freezes_of(session, tenant_id, escrow.id)
        escrow = refreshed(escrow, left, freezes, at=at)
        escrow = await store.write_escrow(session, tenant_id, escrow, at=at)
        kind = "escrow.released" if escrow.held_minor == 0 else "escrow.partly_released"
        told = escrow_event(kind, escrow, at=at, release_id=release_id)
        await insert_event(session, tenant_id, told)
        return escrow


async def _payment_of(session: Session, tenant_id: uuid.UUID, escrow_id: str) -> str:
    found: str | None = await session.fetchval(_PAYMENT, tenant_id, escrow_id)
    if found is None:
        raise NotFound("There is no such escrow.", path=("escrowId",))
    return found


async def _standing(session: Session, tenant_id: uuid.UUID, payment_id: str) -> EscrowHold:
    found = await store.escrow_of(session, tenant_id, payment_id)
    if found is None:
        raise NotFound("There is no such escrow.", path=("escrowId",))
    return found


async def _locked(
    session: Session, tenant_id: uuid.UUID, escrow_id: str, *, at: datetime
) -> _Held | None:
    """The escrow under lock, after everything that happened to its payment has been shared."""
    payment_id = await _payment_of(session, tenant_id, escrow_id)
    shared = await share_now(session, tenant_id, payment_id, at=at)
    escrow = await store.escrow_of(session, tenant_id, payment_id)
    if shared is None or escrow is None:
        return None
    facts = facts_of(escrow, await freezes_of(session, tenant_id, escrow.id))
    return None if facts is None else _Held(escrow=escrow, shared=shared, facts=facts)
