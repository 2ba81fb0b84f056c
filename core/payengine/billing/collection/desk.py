"""What may a tenant see of its collections, and do about them?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from payengine import idempotency
from payengine.billing.collection import rows
from payengine.billing.collection.hearing import customer_authenticated, method_updated
from payengine.billing.collection.notices import NOTICE, Notice
from payengine.billing.collection.rows import ChargeRow, CollectionRow
from payengine.billing.collection.service import Collections
from payengine.billing.dunning_state import ENDED, deadline_of
from payengine.clock import Clock, wall_now
from payengine.context import TenantContext
from payengine.errors import Conflict, NotFound, PaymentMethodInvalid
from payengine.idempotency import check_key, fingerprint
from payengine.storage import Database, Session
from payengine.texts import check_id

__all__ = ["CollectionDesk", "CollectionView", "RetryCollection", "UpdateSubscriptionMethod"]

_BY_INVOICE = f"""
    SELECT {rows.COLLECTION.listed} FROM collection
    WHERE tenant_id = $1 AND invoice_id = ANY ($2)
"""
_NOTICES = f"""
    SELECT {NOTICE.listed} FROM notice WHERE tenant_id = $1 AND invoice_id = ANY ($2) ORDER BY id
"""
_SUBSCRIPTION = """
    SELECT customer_id, status FROM subscription WHERE tenant_id = $1 AND id = $2
    FOR NO KEY UPDATE
"""
_METHOD = """
    SELECT customer_id, detached_at FROM payment_method WHERE tenant_id = $1 AND id = $2
"""
_NAME_METHOD = """
    UPDATE subscription SET payment_method_id = $3, version = version + 1
    WHERE tenant_id = $1 AND id = $2
"""


class RetryCollection(msgspec.Struct, frozen=True, kw_only=True):
    """Charge an invoice once more, now; its customer has said that it will work."""

    idempotency_key: str
    invoice_id: str


class UpdateSubscriptionMethod(msgspec.Struct, frozen=True, kw_only=True):
    """Charge a subscription by this saved method from now on, and what it owes at once."""

    idempotency_key: str
    subscription_id: str
    payment_method_id: str


class CollectionView(msgspec.Struct, frozen=True, kw_only=True):
    """How an invoice's collection stands; instants are the tenant's own time.

    `attempts` counts the failures that count. `next_attempt_at` is when it is charged next,
    `deadline_at` when the final action runs if nothing helped.
    """

    invoice_id: str
    subscription_id: str | None
    customer_id: str
    phase: str
    attempts: int
    stopped_by: str | None
    next_attempt_at: datetime | None
    deadline_at: datetime | None
    access_ends_at: datetime | None
    ended_at: datetime | None
    final_action: str
    charges: tuple[ChargeRow, ...]


class CollectionDesk:
    """Each method takes the tenant's context first."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        collections: Collections,
        nudge: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._collections = collections
        self._nudge = nudge

    async def of_invoices(
        self, context: TenantContext, invoice_ids: Sequence[str]
    ) -> dict[str, CollectionView]:
        """By invoice, how its collection stands; those that are not collected are left out."""
        context.require("billing:read")
        return await self._seen(context, invoice_ids)

    async def notices_of(
        self, context: TenantContext, invoice_ids: Sequence[str]
    ) -> dict[str, list[Notice]]:
        """By invoice, what its customer was told, oldest first."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            found = await session.fetch(_NOTICES, context.tenant_id, list(invoice_ids))
        notices: dict[str, list[Notice]] = {}
        for row in found:
            notices.setdefault(row["invoice_id"], []).append(NOTICE.read(row))
        return notices

    async def retry(self, context: TenantContext, request: RetryCollection) -> CollectionView:
        """Charge the invoice now, by the method that it has.

        Raises `NotFound`, and `Conflict` where nothing is collected any more, where a charge is
        under way, or where the bank has refused the method for good.
        """
        context.require("billing:write")
        check_key(request.idempotency_key)
        check_id(request.invoice_id, "inv", field="invoiceId")
        at = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            row = await session.fetchrow(_BY_INVOICE, context.tenant_id, [request.invoice_id])
            if row is None:
                raise NotFound("There is no such collection.", path=("invoiceId",))
            earlier = await self._claim(
                session, context, "retryCollection", request, request.invoice_id, at=at
            )
            if earlier is None and not await customer_authenticated(
                session, context.tenant_id, request.invoice_id, at=at
            ):
                raise Conflict(_why_not(rows.COLLECTION.read(row)), path=("invoiceId",))
        await self._go_on(context, [request.invoice_id])
        return (await self._seen(context, [request.invoice_id]))[request.invoice_id]

    async def update_method(
        self, context: TenantContext, request: UpdateSubscriptionMethod
    ) -> list[CollectionView]:
        """Name the subscription's method, and charge what it owes by it at once.

        Answers with the collections that go on by it. Raises `NotFound`, `PaymentMethodInvalid`
        for a method that was detached or is another customer's, and `Conflict` where the
        subscription has ended.
        """
        context.require("billing:write")
        check_key(request.idempotency_key)
        check_id(request.subscription_id, "sub", field="subscriptionId")
        check_id(request.payment_method_id, "pm", field="paymentMethodId")
        at = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            await self._check_method(session, context, request)
            earlier = await self._claim(
                session,
                context,
                "updateSubscriptionMethod",
                request,
                request.subscription_id,
                at=at,
            )
            moved: list[str] = []
            if earlier is None:
                await session.execute(
                    _NAME_METHOD,
                    context.tenant_id,
                    request.subscription_id,
                    request.payment_method_id,
                )
                moved = await method_updated(
                    session,
                    context.tenant_id,
                    request.subscription_id,
                    request.payment_method_id,
                    at=at,
                )
        await self._go_on(context, moved)
        return list((await self._seen(context, moved)).values())

    async def _check_method(
        self, session: Session, context: TenantContext, request: UpdateSubscriptionMethod
    ) -> None:
        subscription = await session.fetchrow(
            _SUBSCRIPTION, context.tenant_id, request.subscription_id
        )
        if subscription is None:
            raise NotFound("There is no such subscription.", path=("subscriptionId",))
        method = await session.fetchrow(_METHOD, context.tenant_id, request.payment_method_id)
        if method is None:
            raise NotFound("There is no such payment method.", path=("paymentMethodId",))
        if method["customer_id"] != subscription["customer_id"]:
            raise PaymentMethodInvalid(
                "This payment method belongs to another customer.", path=("paymentMethodId",)
            )
        if method["detached_at"] is not None:
            raise PaymentMethodInvalid(
                "This payment method was detached.", path=("paymentMethodId",)
            )
        if subscription["status"] in ("canceled", "incomplete_expired"):
            raise Conflict("The subscription has ended.", path=("subscriptionId",))

    async def _go_on(self, context: TenantContext, invoice_ids: Sequence[str]) -> None:
        """Charge at once what is due now, so that the answer tells what became of it."""
        self._nudge()
        for invoice_id in invoice_ids:
            await self._collections.work(context.tenant_id, invoice_id, wall=wall_now())

    async def _seen(
        self, context: TenantContext, invoice_ids: Sequence[str]
    ) -> dict[str, CollectionView]:
        async with self._database.tenant(context.tenant_id) as session:
            found = await session.fetch(_BY_INVOICE, context.tenant_id, list(invoice_ids))
            charges = await rows.charges_of(session, context.tenant_id, list(invoice_ids))
        return {
            row["invoice_id"]: _view(rows.COLLECTION.read(row), charges.get(row["invoice_id"], []))
            for row in found
        }

    async def _claim(
        self,
        session: Session,
        context: TenantContext,
        mutation: str,
        request: RetryCollection | UpdateSubscriptionMethod,
        resource_id: str,
        *,
        at: datetime,
    ) -> str | None:
        return await idempotency.claim(
            session,
            context.tenant_id,
            key=request.idempotency_key,
            mutation=mutation,
            fingerprint=fingerprint(mutation, request),
            resource_id=resource_id,
            at=at,
        )


def _view(row: CollectionRow, charges: Sequence[ChargeRow]) -> CollectionView:
    state = rows.state_of(row)
    has_ended = state.phase in ENDED
    grace = state.policy.grace_ends(state.t0)
    loses = state.kind == "renewal" and state.subscription in ("past_due", "unpaid")
    return CollectionView(
        invoice_id=row.invoice_id,
        subscription_id=row.subscription_id,
        customer_id=row.customer_id,
        phase=state.phase,
        attempts=state.attempts,
        stopped_by=state.stopped_by,
        next_attempt_at=state.attempt_at,
        deadline_at=None if has_ended or state.is_final else deadline_of(state),
        access_ends_at=grace if loses and state.access == "granted" else None,
        ended_at=state.ended_at,
        final_action=state.policy.final_action,
        charges=tuple(charges),
    )


def _why_not(row: CollectionRow) -> str:
    state = rows.state_of(row)
    if state.phase in ENDED:
        return "Nothing is collected for this invoice any more."
    if state.stopped_by == "hard":
        return "The bank has refused this method for good; it needs another one."
    return "A charge is under way."
