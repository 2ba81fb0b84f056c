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

from payengine.context import TenantContext
from payengine.errors import (
    InputInvalid,
    NotFound,
    OperationInFlight,
    ReviewClaimed,
    ReviewSettled,
)
from payengine.payments import store as payment_store
from payengine.payments.checks import check_id, check_key, check_text, fingerprint
from payengine.payments.means import Means
from payengine.payments.models import Operation
from payengine.payments.record import Recorder
from payengine.payments.review import store
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
from payengine.payments.review.verdicts import stuck_of, verdict
from payengine.payments.settle import event_of
from payengine.storage import Session

__all__ = ["Reviews"]

_TRIES = 5
_LONGEST_PERSON = 120
_LONGEST_REASON = 2_000

_BY_ID = f"SELECT {store.REVIEW.listed} FROM review WHERE tenant_id = $1 AND id = ANY ($2)"

_PAGE = f"""
    SELECT {store.REVIEW.listed} FROM review
    WHERE tenant_id = $1
      AND id > coalesce($2, '')
      AND (closed_at IS NULL) = $3
      AND ($4::text IS NULL OR (claimed_by = $4 AND claimed_until > $5))
    ORDER BY id LIMIT $6
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

_Request = ClaimReview | ReleaseReview | SettleReview | CloseReview


class Reviews:
    """The queue of what waits for a person; each method takes the tenant's context first."""

    def __init__(self, means: Means, recorder: Recorder) -> None:
        self._means = means
        self._recorder = recorder

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
            context, _PAGE, after, wanted.is_open, wanted.claimed_by, now, first + 1
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
        _check(context, request)
        now = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            if await self._done_before(session, context, "claimReview", request):
                return await _get(session, context, request.review_id)
            review = await _take(session, context, request, at=now)
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
        _check(context, request)
        now = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            if await self._done_before(session, context, "releaseReview", request):
                return await _get(session, context, request.review_id)
            review = await _take(session, context, request, at=now)
            review = await store.rewrite(session, context.tenant_id, _unclaimed(review))
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
        _check(context, request)
        check_id(request.operation_id, request.operation_id[:3].rstrip("_"), field="operationId")
        check_text(request.reference, field="reference", most=255)
        check_text(request.decline_code, field="declineCode", most=64)
        return await self._means.to_its_end(self._settle(context, request))

    async def _settle(self, context: TenantContext, request: SettleReview) -> Review:
        now = self._means.clock.now(context.tenant_id)
        for _ in range(_TRIES):
            async with self._means.database.tenant(context.tenant_id) as session:
                earlier = await payment_store.claimed(
                    session,
                    context.tenant_id,
                    key=request.idempotency_key,
                    fingerprint=fingerprint("settleReview", request),
                )
                if earlier is not None:
                    return await _get(session, context, request.review_id)
                review = await _get(session, context, request.review_id)
                operations = await payment_store.operations_of(
                    session, context.tenant_id, review.payment_id
                )
                operation = _find(operations, request.operation_id)
                # The process may have died after the outcome was written and before the rest was.
                halfway = await session.fetchval(
                    _HALFWAY, context.tenant_id, operation.id, request.idempotency_key
                )
                if not halfway:
                    await _take(session, context, request, at=now)
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
            await self._done_before(session, context, "settleReview", request)
            payment, operations = await _payment(session, context, review.payment_id)
            review = await _get(session, context, review.id, lock=True)
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

        Raises `OperationInFlight` while an operation waits for a person, `ReviewClaimed`,
        `ReviewSettled` where it is closed, `NotFound`.
        """
        _check(context, request)
        now = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            if await self._done_before(session, context, "closeReview", request):
                return await _get(session, context, request.review_id)
            review = await _get(session, context, request.review_id)
            payment, operations = await _payment(session, context, review.payment_id)
            review = await _take(session, context, request, at=now)
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
                _unclaimed(review),
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
        await payment_store.insert_event(session, context.tenant_id, event)
        return review

    async def _done_before(
        self, session: Session, context: TenantContext, mutation: str, request: _Request
    ) -> bool:
        """Claim the request's key; whether the same request was made before."""
        earlier = await payment_store.claim(
            session,
            context.tenant_id,
            key=request.idempotency_key,
            mutation=mutation,
            fingerprint=fingerprint(mutation, request),
            resource_id=request.review_id,
            at=self._means.clock.now(context.tenant_id),
        )
        return earlier is not None


def _check(context: TenantContext, request: _Request) -> None:
    """Refuse what cannot be accepted before any row is written."""
    context.require("reviews:write")
    check_key(request.idempotency_key)
    check_id(request.review_id, "rev", field="reviewId")
    if not request.person.strip():
        raise InputInvalid("Say who you are.", path=("person",))
    check_text(request.person, field="person", most=_LONGEST_PERSON)
    if isinstance(request, SettleReview | CloseReview):
        if not request.reason.strip():
            raise InputInvalid("Say why, in words that an auditor understands.", path=("reason",))
        check_text(request.reason, field="reason", most=_LONGEST_REASON)


async def _get(
    session: Session, context: TenantContext, review_id: str, *, lock: bool = False
) -> Review:
    review = await store.get(session, context.tenant_id, review_id, lock=lock)
    if review is None:
        raise NotFound("There is no such review.", path=("reviewId",))
    return review


async def _take(session: Session, context: TenantContext, request: _Request, *, at: Any) -> Review:
    """The review under lock, where this person may act on it."""
    review = await _get(session, context, request.review_id, lock=True)
    if review.closed_at is not None:
        raise ReviewSettled("This review is closed.", path=("reviewId",))
    holder = review.holder(at=at)
    if holder is not None and holder != (request.person, context.actor):
        raise ReviewClaimed(f"{holder[0]} has claimed this review.", path=("reviewId",))
    return review


async def _payment(session: Session, context: TenantContext, payment_id: str) -> Any:
    found = await payment_store.load(session, context.tenant_id, payment_id, lock=True)
    if found is None:
        raise NotFound("There is no such payment.")
    return found


def _unclaimed(review: Review) -> Review:
    return msgspec.structs.replace(review, claimed_by=None, claimed_actor=None, claimed_until=None)


def _find(operations: Sequence[Operation], operation_id: str) -> Operation:
    found = next((each for each in operations if each.id == operation_id), None)
    if found is None:
        raise NotFound("This payment has no such operation.", path=("operationId",))
    return found
