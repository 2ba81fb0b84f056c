"""What may be done about payouts?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import strawberry

from payengine_graphql.context import Wire
from payengine_graphql.guarded import guarded
from payengine_graphql.payouts import inputs, payloads
from payengine_graphql.payouts.types import (
    PayoutDestination,
    PayoutHold,
    PayoutSchedule,
    show_payout,
)
from payengine_graphql.types.fields import mutation
from payengine_graphql.types.problems import Problem

__all__ = ["Mutation"]

T = TypeVar("T")

_INPUT = strawberry.argument(description="What is asked.")


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation:
    """See the description."""

    @mutation("Take money from a balance and pay it out. Needs the scope `payouts:write`.")
    async def create_payout(
        self, info: Wire, input: Annotated[inputs.CreatePayoutInput, _INPUT]
    ) -> payloads.CreatePayoutPayload:
        """See `payengine.marketplace.treasury`."""
        work = info.context.engine.treasury.create
        row, errors = await _do(info, "createPayout", input, work)
        return payloads.CreatePayoutPayload(payout=show_payout(row) if row else None, errors=errors)

    @mutation("Call off a payout that was not sent. Needs the scope `payouts:write`.")
    async def cancel_payout(
        self, info: Wire, input: Annotated[inputs.CancelPayoutInput, _INPUT]
    ) -> payloads.CancelPayoutPayload:
        """See `payengine.marketplace.treasury`."""
        work = info.context.engine.treasury.cancel
        row, errors = await _do(info, "cancelPayout", input, work)
        return payloads.CancelPayoutPayload(payout=show_payout(row) if row else None, errors=errors)

    @mutation("Let a held payout go on. Needs the scope `payouts:write`.")
    async def release_payout(
        self, info: Wire, input: Annotated[inputs.ReleasePayoutInput, _INPUT]
    ) -> payloads.ReleasePayoutPayload:
        """See `payengine.marketplace.treasury`."""
        work = info.context.engine.treasury.release
        row, errors = await _do(info, "releasePayout", input, work)
        return payloads.ReleasePayoutPayload(
            payout=show_payout(row) if row else None, errors=errors
        )

    @mutation("Say what became of a payout. Needs the scope `payouts:write`.")
    async def settle_payout(
        self, info: Wire, input: Annotated[inputs.SettlePayoutInput, _INPUT]
    ) -> payloads.SettlePayoutPayload:
        """See `payengine.marketplace.treasury`."""
        work = info.context.engine.treasury.settle
        row, errors = await _do(info, "settlePayout", input, work)
        return payloads.SettlePayoutPayload(payout=show_payout(row) if row else None, errors=errors)

    @mutation("Say where an account's money goes. Needs the scope `payouts:write`.")
    async def save_payout_destination(
        self, info: Wire, input: Annotated[inputs.SavePayoutDestinationInput, _INPUT]
    ) -> payloads.SavePayoutDestinationPayload:
        """See `payengine.marketplace.treasury`."""
        work = info.context.engine.treasury.destinations.save
        row, errors = await _do(info, "savePayoutDestination", input, work)
        return payloads.SavePayoutDestinationPayload(
            destination=PayoutDestination(row=row) if row else None, errors=errors
        )

    @mutation("Say when an account is paid out by itself. Needs the scope `payouts:write`.")
    async def save_payout_schedule(
        self, info: Wire, input: Annotated[inputs.SavePayoutScheduleInput, _INPUT]
    ) -> payloads.SavePayoutSchedulePayload:
        """See `payengine.marketplace.treasury`."""
        work = info.context.engine.treasury.schedules.save
        row, errors = await _do(info, "savePayoutSchedule", input, work)
        return payloads.SavePayoutSchedulePayload(
            schedule=PayoutSchedule(row=row) if row else None, errors=errors
        )

    @mutation("Let no payout of an account leave. Needs the scope `payouts:write`.")
    async def place_payout_hold(
        self, info: Wire, input: Annotated[inputs.PlacePayoutHoldInput, _INPUT]
    ) -> payloads.PlacePayoutHoldPayload:
        """See `payengine.marketplace.treasury`."""
        work = info.context.engine.treasury.holds.place
        row, errors = await _do(info, "placePayoutHold", input, work)
        return payloads.PlacePayoutHoldPayload(
            hold=PayoutHold(row=row) if row else None, errors=errors
        )

    @mutation("Lift a hold on an account's payouts. Needs the scope `payouts:write`.")
    async def release_payout_hold(
        self, info: Wire, input: Annotated[inputs.ReleasePayoutHoldInput, _INPUT]
    ) -> payloads.ReleasePayoutHoldPayload:
        """See `payengine.marketplace.treasury`."""
        work = info.context.engine.treasury.holds.release
        row, errors = await _do(info, "releasePayoutHold", input, work)
        return payloads.ReleasePayoutHoldPayload(
            hold=PayoutHold(row=row) if row else None, errors=errors
        )


async def _do(
    info: Wire, name: str, given: Any, change: Callable[[Any, Any], Awaitable[T]]
) -> tuple[T | None, list[Problem]]:
    async def work() -> T:
        return await change(info.context.tenant, given.to_core())

    return await guarded(info, name, given, work, scope="payouts:write")
