"""What does a mutation about fraud answer?"""

from __future__ import annotations

import strawberry

from payengine_graphql.fraud.rules import FraudRule
from payengine_graphql.fraud.types import FraudListEntry, FraudOutcome, FraudSettings
from payengine_graphql.types.problems import Problem

__all__ = [
    "AddFraudListEntryPayload",
    "ConfigureFraudPayload",
    "RemoveFraudListEntryPayload",
    "ReportFraudOutcomePayload",
    "SaveFraudRulePayload",
]

_ERRORS = "Why it was not done; empty where it was."


@strawberry.type(description="The answer to addFraudListEntry.")
class AddFraudListEntryPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    fraud_list_entry: FraudListEntry | None = strawberry.field(
        description="The entry.", default=None
    )


@strawberry.type(description="The answer to removeFraudListEntry.")
class RemoveFraudListEntryPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    fraud_list_entry: FraudListEntry | None = strawberry.field(
        description="The entry as it ended.", default=None
    )


@strawberry.type(description="The answer to saveFraudRule.")
class SaveFraudRulePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    fraud_rule: FraudRule | None = strawberry.field(
        description="The rule as it now is.", default=None
    )


@strawberry.type(description="The answer to configureFraud.")
class ConfigureFraudPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    fraud_settings: FraudSettings | None = strawberry.field(
        description="The new version.", default=None
    )


@strawberry.type(description="The answer to reportFraudOutcome.")
class ReportFraudOutcomePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    fraud_outcomes: list[FraudOutcome] = strawberry.field(
        description="All that is known of the payment, the earliest first.", default_factory=list
    )
