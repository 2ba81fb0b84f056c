"""What does a mutation about settlements answer?"""

from __future__ import annotations

import strawberry

from payengine_graphql.settlements.types import SettlementFile, SettlementItem
from payengine_graphql.types.problems import Problem

__all__ = [
    "AssignSettlementItemPayload",
    "ImportSettlementFilePayload",
    "SettleSettlementItemPayload",
]

_ERRORS = "Why it was not done; empty where it was."


@strawberry.type(description="The answer to importSettlementFile.")
class ImportSettlementFilePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    settlement_file: SettlementFile | None = strawberry.field(
        description="The file; the same content again is the same file.", default=None
    )


@strawberry.type(description="The answer to assignSettlementItem.")
class AssignSettlementItemPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    settlement_item: SettlementItem | None = strawberry.field(
        description="The item as it stands now.", default=None
    )


@strawberry.type(description="The answer to settleSettlementItem.")
class SettleSettlementItemPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    settlement_item: SettlementItem | None = strawberry.field(
        description="The item as it stands now.", default=None
    )
