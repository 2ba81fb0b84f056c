"""Who has said that an account's payouts must wait?

A hold refuses new payouts and keeps back those that were not sent. Lifting the last one lets what
it kept go on.
"""

from __future__ import annotations

from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.errors import InputInvalid, NotFound
from payengine.events import NewEvent
from payengine.events.writing import insert_event
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.marketplace.treasury import store
from payengine.marketplace.treasury.inputs import PlacePayoutHold, ReleasePayoutHold
from payengine.marketplace.treasury.means import Means
from payengine.marketplace.treasury.models import PayoutHold
from payengine.marketplace.treasury.recording import move, tell
from payengine.storage import Session
from payengine.texts import check_id, check_text

__all__ = ["Holds"]

_MOST = 1_000
_INSERT = (
    f"INSERT INTO payout_hold (tenant_id, {store.HOLD.listed})"
    f" VALUES ($1, {store.HOLD.parameters(2)})"
)

_LIFT = """
    UPDATE payout_hold SET released_at = $3, released_by = $4, release_reason = $5
    WHERE tenant_id = $1 AND id = $2 AND released_at IS NULL
"""

_BY_ID = f"SELECT {store.HOLD.listed} FROM payout_hold WHERE tenant_id = $1 AND id = $2"

_OF_ACCOUNT = f"""
    SELECT {store.HOLD.listed} FROM payout_hold
    WHERE tenant_id = $1 AND account_id = $2 ORDER BY id DESC LIMIT {_MOST}
"""

#: What this kept; whatever waits for another reason waits on.
_KEPT = f"""
    SELECT {store.PAYOUT.listed} FROM payout
    WHERE tenant_id = $1 AND account_id = $2 AND status = 'held' AND held_because = 'hold'
    ORDER BY id LIMIT {_MOST} FOR UPDATE
"""


class Holds:
    """The holds on a tenant's accounts."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def place(self, context: TenantContext, request: PlacePayoutHold) -> PayoutHold:
        """Let no payout of the account leave; raises `NotFound`, `InputInvalid`."""
        context.require("payouts:write")
        check_key(request.idempotency_key)
        check_id(request.account_id, "acc", field="accountId")
        _check(request.person, request.reason)
        at = self._means.clock.now(context.tenant_id)
        hold = PayoutHold(
            id=new_id("phd"),
            account_id=request.account_id,
            reason=request.reason,
            placed_by=request.person,
            created_at=at,
        )
        async with self._means.database.tenant(context.tenant_id) as session:
            earlier = await claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation="placePayoutHold",
                fingerprint=fingerprint("placePayoutHold", request),
                resource_id=hold.id,
                at=at,
            )
            if earlier is None:
                if await store.account_status(session, context.tenant_id, hold.account_id) is None:
                    raise NotFound("There is no such account.", path=("accountId",))
                await session.execute(_INSERT, context.tenant_id, *store.HOLD.values(hold))
                await _tell(session, context, hold, "payout_hold.placed")
            placed = await self._one(session, context, earlier or hold.id)
        self._means.nudge()
        return placed

    async def release(self, context: TenantContext, request: ReleasePayoutHold) -> PayoutHold:
        """Lift the hold; lifting it twice changes nothing. Raises `NotFound`, `InputInvalid`."""
        context.require("payouts:write")
        check_key(request.idempotency_key)
        check_id(request.hold_id, "phd", field="holdId")
        _check(request.person, request.reason)
        at = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            earlier = await claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation="releasePayoutHold",
                fingerprint=fingerprint("releasePayoutHold", request),
                resource_id=request.hold_id,
                at=at,
            )
            hold = await self._one(session, context, request.hold_id)
            if earlier is None and hold.released_at is None:
                await session.execute(
                    _LIFT,
                    context.tenant_id,
                    hold.id,
                    at,
                    request.person,
                    request.reason,
                )
                hold = await self._one(session, context, request.hold_id)
                await _tell(session, context, hold, "payout_hold.released")
                await self._let_go(session, context, hold)
        self._means.nudge()
        return hold

    async def of_account(self, context: TenantContext, account_id: str) -> list[PayoutHold]:
        """The account's holds, the newest first; lifted ones too."""
        context.require("payouts:read")
        async with self._means.database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_OF_ACCOUNT, context.tenant_id, account_id)
        return [store.HOLD.read(row) for row in rows]

    async def _let_go(self, session: Session, context: TenantContext, hold: PayoutHold) -> None:
        if await store.hold_on(session, context.tenant_id, hold.account_id) is not None:
            return
        at = self._means.clock.now(context.tenant_id)
        for row in await session.fetch(_KEPT, context.tenant_id, hold.account_id):
            payout = await move(
                session,
                context.tenant_id,
                store.PAYOUT.read(row),
                at=at,
                status="pending",
                held_because=None,
                due_at=wall_now(),
            )
            await tell(session, context.tenant_id, payout, "payout.released", at=at)

    async def _one(self, session: Session, context: TenantContext, hold_id: str) -> PayoutHold:
        row = await session.fetchrow(_BY_ID, context.tenant_id, hold_id)
        if row is None:
            raise NotFound("There is no such hold.", path=("holdId",))
        return store.HOLD.read(row)


def _check(person: str, reason: str) -> None:
    for field, text in (("person", person), ("reason", reason)):
        if not text.strip():
            raise InputInvalid("A person and a reason are needed.", path=(field,))
        check_text(text, field=field)


async def _tell(
    session: Session, context: TenantContext, hold: PayoutHold, event_type: str
) -> None:
    event = NewEvent(
        id=new_id("evt"),
        type=event_type,
        data={"hold": hold.id, "account": hold.account_id},
        occurred_at=hold.released_at or hold.created_at,
    )
    await insert_event(session, context.tenant_id, event)
