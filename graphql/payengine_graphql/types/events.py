"""How are events shown, in the log and live?"""

from __future__ import annotations

import strawberry
from payengine.events import Event as EventRow
from payengine.events import Resync

from payengine_graphql.context import Wire
from payengine_graphql.scalars import JSON, BigInt, DateTime
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.payments import Payment, show_payment

__all__ = ["RESYNC", "Event", "PaymentEvent", "show_live"]

#: The type of the last item of a feed whose reader was too slow.
RESYNC = "feed.resync"


@strawberry.type(description="What happened, at its place in the tenant's order.")
class Event:
    """See the description."""

    row: strawberry.Private[EventRow]
    id: strawberry.ID = column("The event's id.")
    type: str = column("What happened, such as `payment.captured`.")
    position: BigInt = column("Counts from 1 within the tenant, without gaps.")
    cursor: str = column("Send it as `after` to go on behind this event.")
    occurred_at: DateTime = column("When it happened.")
    payment_id: strawberry.ID | None = column("The payment that it happened to.")
    operation_id: strawberry.ID | None = column("The operation that made it happen.")
    customer_id: strawberry.ID | None = column("The customer whose payment it is.")
    data: JSON = column("The payment's status and amounts as they were then.")

    @computed("The payment as it is now. Needs the scope `payments:read`.")
    async def payment(self, info: Wire) -> Payment | None:
        """By the loader."""
        return await _payment(info, self.row.payment_id)


@strawberry.type(
    description=(
        "An event as it happens. A reader that is too slow gets one last item with `resync` set, "
        "whose cursor is the last event that it got: subscribe again after it."
    )
)
class PaymentEvent:
    """See the description."""

    type: str = strawberry.field(description="What happened; `feed.resync` where `resync` is set.")
    cursor: str = strawberry.field(description="Send it as `after` to go on behind this event.")
    resync: bool = strawberry.field(
        description="Whether this ends the feed because the reader was too slow."
    )
    event: Event | None = strawberry.field(description="The event; none where `resync` is set.")

    @computed("The event's id.")
    def id(self) -> strawberry.ID | None:
        """None where `resync` is set."""
        return strawberry.ID(self.event.row.id) if self.event else None

    @computed("Counts from 1 within the tenant, without gaps.")
    def position(self) -> BigInt | None:
        """None where `resync` is set."""
        return BigInt(self.event.row.position) if self.event else None

    @computed("When it happened.")
    def occurred_at(self) -> DateTime | None:
        """None where `resync` is set."""
        return DateTime(self.event.row.occurred_at) if self.event else None

    @computed("The payment that it happened to.")
    def payment_id(self) -> strawberry.ID | None:
        """None where the event is about no payment."""
        found = self.event.row.payment_id if self.event else None
        return strawberry.ID(found) if found else None

    @computed("The customer whose payment it is.")
    def customer_id(self) -> strawberry.ID | None:
        """None where there is none."""
        found = self.event.row.customer_id if self.event else None
        return strawberry.ID(found) if found else None

    @computed("The payment's status and amounts as they were then.")
    def data(self) -> JSON | None:
        """None where `resync` is set."""
        return JSON(self.event.row.data) if self.event else None

    @computed("The payment as it is now. Needs the scope `payments:read`.")
    async def payment(self, info: Wire) -> Payment | None:
        """Read afresh for each event."""
        found = self.event.row.payment_id if self.event else None
        return await _payment(info, found)


async def _payment(info: Wire, payment_id: str | None) -> Payment | None:
    if payment_id is None:
        return None
    info.context.require("payments:read")
    found = await info.context.loaders.payments.load(payment_id)
    return show_payment(found) if found else None


def show_live(item: EventRow | Resync) -> PaymentEvent:
    """An item of the feed for the wire."""
    if isinstance(item, Resync):
        return PaymentEvent(type=RESYNC, cursor=item.cursor, resync=True, event=None)
    return PaymentEvent(type=item.type, cursor=item.cursor, resync=False, event=Event(row=item))
