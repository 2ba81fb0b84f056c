"""How is usage shown?"""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry
from payengine.billing.models import UsageReceipt as ReceiptRow

from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.problems import Problem

__all__ = ["RecordUsagePayload", "UsageOutcome", "UsageReceipt"]


def _value(value: str, description: str) -> Any:
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="What became of a usage event.")
class UsageOutcome(Enum):
    """See the description."""

    ACCEPTED = _value("accepted", "It is taken.")
    DUPLICATE = _value("duplicate", "It was taken before, and counts once.")
    REFUSED = _value("refused", "It is not taken: see `code`.")


@strawberry.type(description="What became of one usage event.")
class UsageReceipt:
    """See the description."""

    row: strawberry.Private[ReceiptRow]
    meter: str = column("The meter's name, as it was told.")
    id: str = column("The event's id, as it was told.")
    code: str | None = column("The error's code, where it was refused.")
    message: str | None = column("What was wrong, where it was refused.")

    @computed("What became of it.")
    def outcome(self) -> UsageOutcome:
        """From the row."""
        return UsageOutcome(self.row.outcome)


@strawberry.type(description="The answer to recordUsage.")
class RecordUsagePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(
        description="Why the batch was not taken; empty where it was. A refused event is none."
    )
    receipts: list[UsageReceipt] = strawberry.field(
        description="One for each event, in their order.", default_factory=list
    )
    accepted: int = strawberry.field(description="How many were taken.", default=0)
    duplicates: int = strawberry.field(description="How many were taken before.", default=0)
    refused: int = strawberry.field(description="How many were not taken.", default=0)
