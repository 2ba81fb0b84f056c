"""Who settles what no machine can?

A named person claims a review, compares with the provider's own site and says what became of the
operation. Their word is evidence like any other: it is recorded by the same recorder, and refused
where the operation has got its outcome meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from payengine import idempotency
from payengine.context import TenantContext
from payengine.errors import (
    NotFound,
    OperationInFlight,
    TransitionRefused,
)
from payengine.events.writing import insert_event
from payengine.idempotency import fingerprint
from payengine.payments import store as payment_store
from payengine.payments.desk import Payments
from payengine.payments.means import Means
from payengine.payments.models import Operation
from payengine.payments.record import Recorder
from payengine.payments.review import store
from payengine.payments.review.deciding import Deciding
from payengine.payments.review.models import (
    CLAIM_FOR,
    ClaimReview,
    CloseReview,
    ReleaseReview,
    Review,
    ReviewAction,
    ReviewFilter,
    SettleReview,
)
from payengine.payments.review.taking import (
    check_request,
    done_before,
    get_review,
    take,
    unclaimed,
)
from payengine.payments.review.verdicts import stuck_of, verdict
from payengine.payments.settle import event_of
from payengine.storage import Session
from payengine.texts import check_id, check_text

__all__ = ["Reviews"]

_TRIES = 5

_BY_ID = f"SELECT {store.REVIEW.listed} FROM review WHERE tenant_id = $1 AND id = ANY ($2)"

_PAGE = f"""
    SELECT {store.REVIEW.listed} FROM review
    WHERE tenant_id = $1
      AND id > coalesce($2, '')
      AND (closed_at IS NULL) = $3
      AND ($4::text IS NULL OR (claimed_by = $4 AND claimed_until > $5))
      AND ($6::text IS NULL OR kind = $6)
      AND NOT ($7 AND coalesce(claimed_until > $5, false))
    ORDER BY id LIMIT $8
"""

_ACTIONS = f"""
    SELECT {store.ACTION.listed} FROM review_action
    WHERE tenant_id = $1 AND review_id = ANY ($2) ORDER BY id
"""

_HALFWAY = """
    SELECT EXISTS (
        SELECT FROM evidence
        WHERE tenant_id = $1 AND operation_id = $2 AND source = 'person'
          AND data #>> '{told,request}' = $3)
"""


class Reviews:
    """The queue of what waits for a person; each method takes the tenant's context first."""

    def __init__(self, means: Means, recorder: Recorder, payments: Payments) -> None:
        self._means = means
        self._recorder = recorder
        self.deciding = Deciding(means, payments)
        self.decide = self.deciding.decide
        self.run_once = self.deciding.run_once

    async def _fetch(self, context: TenantContext, sql: str, *arguments: Any) -> list[Any]:
        context.require("reviews:read")
        async with self._means.database.tenant(context.tenant_id) as session:
            return await session.fetch(sql, context.tenant_id, *arguments)

    async def get_many(self, context: TenantContext, ids: Sequence[str]) -> dict[str, Review]:
        """The reviews that exist, by id; needs `reviews:read`."""
        rows = await self._fetch(context, _BY_ID, list(ids))
        return {row["id"]: store.REVIEW.read(row) for row in rows}

    async def page(
        self,
        context: TenantContext,
        wanted: ReviewFilter,
        *,
        first: int,
        after: str | None = None,
    ) -> list[Review]:
        """The oldest payment's first, after the review `after`; one row more than `first`."""
        now = self._means.clock.now(context.tenant_id)
        rows = await self._fetch(
            context,
            _PAGE,
            after,
            wanted.is_open,
            wanted.claimed_by,
            now,
            wanted.kind,
            wanted.unclaimed,
            first + 1,
        )
        return [store.REVIEW.read(row) for row in rows]

    async def actions_of(
        self, context: TenantContext, review_ids: Sequence[str]
    ) -> dict[str, list[ReviewAction]]:
        """What people did about each review, oldest first; needs `reviews:read`."""
        found: dict[str, list[ReviewAction]] = defaultdict(list)
        for row in await self._fetch(context, _ACTIONS, list(review_ids)):
            found[row["review_id"]].append(store.ACTION.read(row))
        return found

    async def claim(self, context: TenantContext, request: ClaimReview) -> Review:
        """Take a review on; again renews the claim.

        Raises `ReviewClaimed`, `ReviewSettled` where it is closed, `NotFound`.
        """
        check_request(context, request)
        now = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            if await done_before(self._means, session, context, "claimReview", request):
                return await get_review(session, context, request.review_id)
            review = await take(session, context, request, at=now)
            review = await store.rewrite(
                session,
                context.tenant_id,
                msgspec.structs.replace(
                    review,
                    claimed_by=request.person,
                    claimed_actor=context.actor,
                    claimed_until=now + CLAIM_FOR,
                ),
            )
            await store.act(
                session,
                context,
                review,
                kind="claimed",
                person=request.person,
                reason="",
                at=now,
            )
        return review

    async def release(self, context: TenantContext, request: ReleaseReview) -> Review:
        """Let a claim go; raises `ReviewClaimed` where it is somebody else's, `NotFound`."""
        check_request(context, request)
        now = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            if await done_before(self._means, session, context, "releaseReview", request):
                return await get_review(session, context, request.review_id)
            review = await take(session, context, request, at=now)
            review = await store.rewrite(session, context.tenant_id, unclaimed(review))
            await store.act(
                session,
                context,
                review,
                kind="released",
                person=request.person,
                reason="",
                at=now,
            )
        return review

    async def settle(self, context: TenantContext, request: SettleReview) -> Review:
        """Say what became of an operation; the review closes with the last that was stuck.

        Raises `ReviewSettled` where the operation has its outcome, `ReviewClaimed`, `NotFound`,
        `CurrencyMismatch`, `InputInvalid`, `OperationInFlight`.
        """
        check_request(context, request)
        check_id(request.operation_id, request.operation_id[:3].rstrip("_"), field="operationId")
        check_text(request.reference, field="reference", most=255)
        check_text(request.decline_code, field="declineCode", most=64)
        return await self._means.to_its_end(self._settle(context, request))

    async def _settle(self, context: TenantContext, request: SettleReview) -> Review:
        now = self._means.clock.now(context.tenant_id)
        for _ in range(_TRIES):
            async with self._means.database.tenant(context.tenant_id) as session:
                earlier = await idempotency.claimed(
                    session,
                    context.tenant_id,
                    key=request.idempotency_key,
                    fingerprint=fingerprint("settleReview", request),
                )
                if earlier is not None:
                    return await get_review(session, context, request.review_id)
                review = await get_review(session, context, request.review_id)
                operations = await payment_store.operations_of(
                    session, context.tenant_id, review.payment_id
                )
                operation = _find(operations, request.operation_id)
                # The process may have died after the outcome was written and before the rest was.
                halfway = await session.fetchval(
                    _HALFWAY, context.tenant_id, operation.id, request.idempotency_key
                )
                if not halfway:
                    await take(session, context, request, at=now)
            if halfway:
                return await self._written(context, request, review, operation)
            finding = verdict(context, operation, request)
            await self._recorder.record(
                context,
                payment_id=review.payment_id,
                operation_id=operation.id,
                finding=finding,
                version=operation.version,
            )
            # Go round: either this word was written, or somebody else's was, or the reconciler
            # only looked at the operation meanwhile, which is then still open.
        raise OperationInFlight

    async def _written(
        self,
        context: TenantContext,
        request: SettleReview,
        review: Review,
        operation: Operation,
    ) -> Review:
        """The key, the action and, where nothing else is stuck, the end of the review."""
        now = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            await done_before(self._means, session, context, "settleReview", request)
            payment, operations = await _payment(session, context, review.payment_id)
            review = await get_review(session, context, review.id, lock=True)
            await store.act(
                session,
                context,
                review,
                kind="settled",
                person=request.person,
                reason=request.reason,
                operation_id=operation.id,
                data={"outcome": request.outcome, "status": operation.status},
                at=now,
            )
            if stuck_of(operations) or review.closed_at is not None:
                return review
            return await self._end(session, context, request, review, payment.id)

    async def close(self, context: TenantContext, request: CloseReview) -> Review:
        """Say that nothing is left to do; the payment's flags go, its anomalies stay.

        Raises `OperationInFlight` while an operation waits for a person, `TransitionRefused` while
        the payment is held, `ReviewClaimed`, `ReviewSettled` where it is closed, `NotFound`.
        """
        check_request(context, request)
        now = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            if await done_before(self._means, session, context, "closeReview", request):
                return await get_review(session, context, request.review_id)
            review = await get_review(session, context, request.review_id)
            payment, operations = await _payment(session, context, review.payment_id)
            review = await take(session, context, request, at=now)
            if payment.status == "IN_REVIEW":
                raise TransitionRefused("This payment is held: decide whether it may go on.")
            if stuck_of(operations):
                raise OperationInFlight(
                    "An operation of this payment has no known outcome: settle it first."
                )
            review = await self._end(session, context, request, review, payment.id)
        self._means.nudge()
        return review

    async def _end(
        self,
        session: Session,
        context: TenantContext,
        request: SettleReview | CloseReview,
        review: Review,
        payment_id: str,
    ) -> Review:
        now = self._means.clock.now(context.tenant_id)
        payment = await store.clear_flags(session, context.tenant_id, payment_id, at=now)
        review = await store.rewrite(
            session,
            context.tenant_id,
            msgspec.structs.replace(
                unclaimed(review),
                closed_by=request.person,
                closed_actor=context.actor,
                closed_at=now,
            ),
        )
        await store.act(
            session,
            context,
            review,
            kind="closed",
            person=request.person,
            reason=request.reason,
            at=now,
        )
        event = event_of("payment.review_closed", payment, None, at=now)
        event.data["review"] = {"id": review.id, "person": request.person}
        await insert_event(session, context.tenant_id, event)
        return review


async def _payment(session: Session, context: TenantContext, payment_id: str) -> Any:
    found = await payment_store.load(session, context.tenant_id, payment_id, lock=True)
    if found is None:
        raise NotFound("There is no such payment.")
    return found


def _find(operations: Sequence[Operation], operation_id: str) -> Operation:
    found = next((each for each in operations if each.id == operation_id), None)
    if found is None:
        raise NotFound("This payment has no such operation.", path=("operationId",))
    return found
