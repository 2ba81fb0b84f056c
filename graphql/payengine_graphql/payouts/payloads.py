"""What does a mutation about payouts answer?"""

from __future__ import annotations

import strawberry

from payengine_graphql.payouts.types import (
    Payout,
    PayoutDestination,
    PayoutHold,
    PayoutSchedule,
)
from payengine_graphql.types.problems import Problem

__all__ = [
    "CancelPayoutPayload",
    "CreatePayoutPayload",
    "PlacePayoutHoldPayload",
    "ReleasePayoutHoldPayload",
    "ReleasePayoutPayload",
    "SavePayoutDestinationPayload",
    "SavePayoutSchedulePayload",
    "SettlePayoutPayload",
]

_ERRORS = "Why it was not done; empty where it was."
_STANDS = "What it was about, as it now stands; none where the input was refused."


@strawberry.type(description="The answer to cancelPayout.")
class CancelPayoutPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    payout: Payout | None = strawberry.field(description=_STANDS, default=None)


@strawberry.type(description="The answer to createPayout.")
class CreatePayoutPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    payout: Payout | None = strawberry.field(description=_STANDS, default=None)


@strawberry.type(description="The answer to placePayoutHold.")
class PlacePayoutHoldPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    hold: PayoutHold | None = strawberry.field(description=_STANDS, default=None)


@strawberry.type(description="The answer to releasePayoutHold.")
class ReleasePayoutHoldPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    hold: PayoutHold | None = strawberry.field(description=_STANDS, default=None)


@strawberry.type(description="The answer to releasePayout.")
class ReleasePayoutPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    payout: Payout | None = strawberry.field(description=_STANDS, default=None)


@strawberry.type(description="The answer to savePayoutDestination.")
class SavePayoutDestinationPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    destination: PayoutDestination | None = strawberry.field(description=_STANDS, default=None)


@strawberry.type(description="The answer to savePayoutSchedule.")
class SavePayoutSchedulePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    schedule: PayoutSchedule | None = strawberry.field(description=_STANDS, default=None)


@strawberry.type(description="The answer to settlePayout.")
class SettlePayoutPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    payout: Payout | None = strawberry.field(description=_STANDS, default=None)
