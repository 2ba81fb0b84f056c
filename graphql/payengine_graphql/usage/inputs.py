"""How is usage told?"""

from __future__ import annotations

import strawberry
from payengine.billing.decimals import parse_decimal
from payengine.billing.models import ToldUsage
from payengine.billing.usage_log import RecordUsage
from payengine.errors import InputInvalid

from payengine_graphql.scalars import DateTime

__all__ = ["RecordUsageInput", "UsageEventInput"]

_KEY = (
    "1 to 255 printable characters of your own, for the batch. Each event is known by its own id "
    "too: it is taken once, in whichever batch."
)


@strawberry.input(description="Something that a customer used.")
class UsageEventInput:
    """See the description."""

    meter: str = strawberry.field(description="The meter's name.")
    customer_id: strawberry.ID = strawberry.field(description="Who used it, cus_….")
    id: str = strawberry.field(
        description="Your own name for the event: the same one counts once for its meter."
    )
    at: DateTime = strawberry.field(description="When it was used.")
    value: str | None = strawberry.field(
        description='How much, as a decimal in a text such as "0.25"; not for a count.',
        default=None,
    )
    key: str | None = strawberry.field(
        description="What a meter of different keys counts, such as a user's name.", default=None
    )


@strawberry.input(description="A batch of usage events, at most 1,000.")
class RecordUsageInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    events: list[UsageEventInput] = strawberry.field(description="What was used.")

    def to_core(self) -> RecordUsage:
        """For the engine."""
        return RecordUsage(
            idempotency_key=self.idempotency_key,
            events=tuple(_told(place, event) for place, event in enumerate(self.events)),
        )


def _told(place: int, event: UsageEventInput) -> ToldUsage:
    value = None
    if event.value is not None:
        try:
            value = parse_decimal(event.value, name="value")
        except InputInvalid as refused:
            path = ("events", str(place), "value")
            raise InputInvalid(refused.message, path=path) from None
    return ToldUsage(
        meter=event.meter,
        customer_id=event.customer_id,
        id=event.id,
        at=event.at,
        value=value,
        key=event.key,
    )
