"""May this person act on this review now?"""

from __future__ import annotations

from datetime import datetime

import msgspec

from payengine import idempotency
from payengine.context import TenantContext
from payengine.errors import InputInvalid, NotFound, ReviewClaimed, ReviewSettled
from payengine.idempotency import check_key, fingerprint
from payengine.payments.means import Means
from payengine.payments.review import store
from payengine.payments.review.models import (
    ClaimReview,
    CloseReview,
    DecideReview,
    ReleaseReview,
    Review,
    SettleReview,
)
from payengine.storage import Session
from payengine.texts import check_id, check_text

__all__ = [
    "ReviewRequest",
    "check_request",
    "done_before",
    "get_review",
    "take",
    "unclaimed",
]

_LONGEST_PERSON = 120
_LONGEST_REASON = 2_000

ReviewRequest = ClaimReview | ReleaseReview | SettleReview | DecideReview | CloseReview


def check_request(context: TenantContext, request: ReviewRequest) -> None:
    """Refuse what cannot be accepted before any row is written."""
    context.require("reviews:write")
    check_key(request.idempotency_key)
    check_id(request.review_id, "rev", field="reviewId")
    if not request.person.strip():
        raise InputInvalid("Say who you are.", path=("person",))
    check_text(request.person, field="person", most=_LONGEST_PERSON)
    if isinstance(request, SettleReview | DecideReview | CloseReview):
        if not request.reason.strip():
            raise InputInvalid("Say why, in words that an auditor understands.", path=("reason",))
        check_text(request.reason, field="reason", most=_LONGEST_REASON)


async def done_before(
    means: Means, session: Session, context: TenantContext, mutation: str, request: ReviewRequest
) -> bool:
    """Claim the request's key; whether the same request was made before."""
    earlier = await idempotency.claim(
        session,
        context.tenant_id,
        key=request.idempotency_key,
        mutation=mutation,
        fingerprint=fingerprint(mutation, request),
        resource_id=request.review_id,
        at=means.clock.now(context.tenant_id),
    )
    return earlier is not None


async def get_review(
    session: Session, context: TenantContext, review_id: str, *, lock: bool = False
) -> Review:
    """The review; raises `NotFound`."""
    review = await store.get(session, context.tenant_id, review_id, lock=lock)
    if review is None:
        raise NotFound("There is no such review.", path=("reviewId",))
    return review


async def take(
    session: Session, context: TenantContext, request: ReviewRequest, *, at: datetime
) -> Review:
    """The review under lock, where this person may act on it."""
    review = await get_review(session, context, request.review_id, lock=True)
    if review.closed_at is not None:
        raise ReviewSettled("This review is closed.", path=("reviewId",))
    holder = review.holder(at=at)
    if holder is not None and holder != (request.person, context.actor):
        raise ReviewClaimed(f"{holder[0]} has claimed this review.", path=("reviewId",))
    return review


def unclaimed(review: Review) -> Review:
    """Without its claim."""
    return msgspec.structs.replace(review, claimed_by=None, claimed_actor=None, claimed_until=None)
