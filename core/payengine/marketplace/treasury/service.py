"""What may a platform do about payouts?

The door of the treasury: payouts are made, called off, released and settled here, and read.
Destinations, schedules and holds have rooms of their own behind it.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from payengine import faults
from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.errors import InputInvalid, NotFound, TransitionRefused
from payengine.idempotency import check_key, claim, fingerprint
from payengine.marketplace.treasury import store
from payengine.marketplace.treasury.creation import Wanted, make_payout
from payengine.marketplace.treasury.destinations import Destinations
from payengine.marketplace.treasury.holds import Holds
from payengine.marketplace.treasury.inputs import (
    CancelPayout,
    CreatePayout,
    ReleasePayout,
    SettlePayout,
)
from payengine.marketplace.treasury.means import Means
from payengine.marketplace.treasury.models import (
    Payout,
    PayoutBatch,
    PayoutEvidence,
    PayoutFilter,
)
from payengine.marketplace.treasury.recording import Learnt, call_off, learn, move, tell
from payengine.marketplace.treasury.schedules import Schedules
from payengine.marketplace.treasury.screening import screen
from payengine.marketplace.treasury.sending import Sender
from payengine.marketplace.treasury.states import CANCELABLE
from payengine.money import currency as find_currency
from payengine.registry import LoadedRail
from payengine.storage import Session
from payengine.texts import check_id, check_text

__all__ = ["Treasury"]

_MOST_EVIDENCE = 1_000
_LONGEST_STATEMENT = 140

_BY_ID = f"SELECT {store.PAYOUT.listed} FROM payout WHERE tenant_id = $1 AND id = ANY ($2)"

_BATCHES_BY_ID = (
    f"SELECT {store.BATCH.listed} FROM payout_batch WHERE tenant_id = $1 AND id = ANY ($2)"
)

_EVIDENCE_OF = f"""
    SELECT {store.EVIDENCE.listed} FROM payout_evidence
    WHERE tenant_id = $1 AND payout_id = ANY ($2) ORDER BY id LIMIT {_MOST_EVIDENCE}
"""

_Change = Callable[[Session, Payout, datetime], Awaitable[Payout]]


class Treasury:
    """Payouts with their destinations, schedules and holds, and the poller that sends them."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self.destinations = Destinations(means)
        self.schedules = Schedules(means)
        self.holds = Holds(means)
        self.sender = Sender(means)

    async def run_once(self, *, at: datetime) -> int:
        """Make what schedules want, send what waits, look after what was sent; how many.

        `at` is the wall's instant. Harmless where several processes do it.
        """
        return await self.schedules.run_once(at=at) + await self.sender.run_once(at=at)

    async def create(self, context: TenantContext, request: CreatePayout) -> Payout:
        """Take the money from the balance and let it be paid out.

        Raises as `make_payout`, and what the key raises. Fraud rules may leave it held or canceled.
        """
        context.require("payouts:write")
        check_key(request.idempotency_key)
        check_id(request.account_id, "acc", field="accountId")
        find_currency(request.currency)
        check_text(request.statement, field="statement", most=_LONGEST_STATEMENT)
        wanted = Wanted(
            account_id=request.account_id,
            currency=request.currency,
            origin="manual",
            amount_minor=request.amount_minor,
            statement=request.statement,
        )
        at = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            earlier = await self._claim(
                session, context, "createPayout", request, wanted.payout_id, at=at
            )
            if earlier is not None:
                return await self._one(session, context, earlier)
            payout = await make_payout(
                session, context, self._means.rails, wanted, at=at, due_at=wall_now()
            )
        faults.point("payout_claimed")
        self._means.nudge()
        with contextlib.suppress(Exception):  # whoever sends asks the rules again
            return await screen(self._means, context, payout)
        return payout

    async def cancel(self, context: TenantContext, request: CancelPayout) -> Payout:
        """Call off what was not sent; raises `NotFound`, `TransitionRefused`."""
        check_text(request.reason, field="reason")

        async def work(session: Session, payout: Payout, at: datetime) -> Payout:
            if payout.status not in CANCELABLE:
                raise TransitionRefused(f"A payout that is {payout.status} cannot be called off.")
            return await call_off(
                session, context.tenant_id, payout, at=at, code=None, text=request.reason
            )

        return await self._change(context, "cancelPayout", request, request.payout_id, work)

    async def release(self, context: TenantContext, request: ReleasePayout) -> Payout:
        """Let a held payout go on; raises `NotFound`, `TransitionRefused`."""
        _check_person(request.person, request.reason)

        async def work(session: Session, payout: Payout, at: datetime) -> Payout:
            if payout.status != "held":
                raise TransitionRefused(f"A payout that is {payout.status} is not held.")
            released = await move(
                session,
                context.tenant_id,
                payout,
                at=at,
                status="pending",
                held_because=None,
                screened=True,
                due_at=wall_now(),
            )
            await tell(session, context.tenant_id, released, "payout.released", at=at)
            return released

        return await self._change(context, "releasePayout", request, request.payout_id, work)

    async def settle(self, context: TenantContext, request: SettlePayout) -> Payout:
        """Say what became of a payout whose rail cannot, in a person's name.

        Raises `NotFound`, and `TransitionRefused` where it was not sent, is still being asked
        about, or is known to have ended otherwise.
        """
        _check_person(request.person, request.reason)
        check_text(request.reference, field="reference", most=255)

        async def work(session: Session, payout: Payout, at: datetime) -> Payout:
            waits = payout.needs_review and payout.status in ("sending", "unknown")
            if not (waits or payout.status in ("in_transit", "paid")):
                raise TransitionRefused(f"A payout that is {payout.status} is not yours to settle.")
            if payout.status == "paid" and request.outcome == "paid":
                raise TransitionRefused("This payout has arrived already.")
            learnt = Learnt(
                finding=request.outcome,
                source="person",
                actor=request.person,
                detail=request.reason,
                provider_reference=request.reference,
            )
            return await learn(session, context, payout, learnt, at=at)

        return await self._change(context, "settlePayout", request, request.payout_id, work)

    async def get_many(self, context: TenantContext, ids: Sequence[str]) -> dict[str, Payout]:
        """The payouts that exist, by id."""
        context.require("payouts:read")
        async with self._means.database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_BY_ID, context.tenant_id, list(ids))
        return {row["id"]: store.PAYOUT.read(row) for row in rows}

    async def page(
        self, context: TenantContext, wanted: PayoutFilter, *, first: int, after: str | None = None
    ) -> list[Payout]:
        """Newest first, after the payout `after`; one more than `first` where there is."""
        context.require("payouts:read")
        async with self._means.database.tenant(context.tenant_id) as session:
            return await store.page(session, context.tenant_id, wanted, first=first, after=after)

    async def batches(self, context: TenantContext, ids: Sequence[str]) -> dict[str, PayoutBatch]:
        """The batches that exist, by id."""
        context.require("payouts:read")
        async with self._means.database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_BATCHES_BY_ID, context.tenant_id, list(ids))
        return {row["id"]: store.BATCH.read(row) for row in rows}

    async def evidence_of(
        self, context: TenantContext, payout_ids: Sequence[str]
    ) -> dict[str, list[PayoutEvidence]]:
        """Why each payout's state is believed, the oldest first."""
        context.require("payouts:read")
        found: dict[str, list[PayoutEvidence]] = defaultdict(list)
        async with self._means.database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_EVIDENCE_OF, context.tenant_id, list(payout_ids))
        for row in rows:
            found[row["payout_id"]].append(store.EVIDENCE.read(row))
        return found

    async def rails(self, context: TenantContext) -> Sequence[LoadedRail]:
        """The rails by which the tenant may pay out, in the order of their names."""
        context.require("payouts:read")
        return await self._means.rails.for_tenant(context)

    async def _change(
        self,
        context: TenantContext,
        mutation: str,
        request: msgspec.Struct,
        payout_id: str,
        work: _Change,
    ) -> Payout:
        context.require("payouts:write")
        key: str = request.idempotency_key  # type: ignore[attr-defined]
        check_key(key)
        check_id(payout_id, "po", field="payoutId")
        at = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            earlier = await self._claim(session, context, mutation, request, payout_id, at=at)
            payout = await store.get(session, context.tenant_id, payout_id, lock=True)
            if payout is None:
                raise NotFound("There is no such payout.", path=("payoutId",))
            if earlier is None:
                payout = await work(session, payout, at)
        self._means.nudge()
        return payout

    async def _claim(
        self,
        session: Session,
        context: TenantContext,
        mutation: str,
        request: Any,
        resource_id: str,
        *,
        at: datetime,
    ) -> str | None:
        return await claim(
            session,
            context.tenant_id,
            key=request.idempotency_key,
            mutation=mutation,
            fingerprint=fingerprint(mutation, request),
            resource_id=resource_id,
            at=at,
        )

    async def _one(self, session: Session, context: TenantContext, payout_id: str) -> Payout:
        found = await store.get(session, context.tenant_id, payout_id)
        if found is None:
            raise NotFound("There is no such payout.", path=("payoutId",))
        return found


def _check_person(person: str, reason: str) -> None:
    for field, text in (("person", person), ("reason", reason)):
        if not text.strip():
            raise InputInvalid("A person and a reason are needed.", path=(field,))
        check_text(text, field=field)
