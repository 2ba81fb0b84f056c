"""How is a rule shown, its past settings, and what a change of it would do?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.fraud.desk.impact import ImpactReport
from payengine.fraud.desk.replaying import Tally
from payengine.fraud.rulebook import RuleVersion
from payengine.plugin import settings_schema
from payengine.registry import LoadedRule

from payengine_graphql.context import Wire
from payengine_graphql.fraud.enums import FraudRuleMode, FraudStage, FraudVerdict
from payengine_graphql.scalars import JSON, DateTime
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.money import Money, money
from payengine_graphql.types.nodes import DEFAULT_PAGE, check_first

__all__ = [
    "FraudImpact",
    "FraudRule",
    "FraudRuleVersion",
    "FraudTally",
    "FraudVerdictCount",
    "show_rule",
]


@strawberry.type(description="One version of a rule's mode and settings. Kept for ever.")
class FraudRuleVersion:
    """See the description."""

    row: strawberry.Private[RuleVersion]
    rule: str = column("The rule's name.")
    version: int = column("Counts the rule's versions from 1.")
    settings: JSON = column("The settings.")
    reason: str = column("Why they were saved.")
    actor: str = column("By which API key.")
    created_at: DateTime = column("When; the newest holds.")

    @computed("Whether its verdict counts.")
    def mode(self) -> FraudRuleMode:
        """From the row."""
        return FraudRuleMode(self.row.mode)


@strawberry.type(description="An installed rule, as this tenant has set it up.")
class FraudRule:
    """See the description."""

    row: strawberry.Private[LoadedRule]
    saved: strawberry.Private[RuleVersion | None]

    @computed("Its name.")
    def name(self) -> str:
        """From the manifest."""
        return self.row.name

    @computed("The name for people.")
    def title(self) -> str:
        """From the manifest."""
        return self.row.manifest.title

    @computed("The plugin that brings it.")
    def plugin(self) -> str:
        """The entry point's."""
        return self.row.plugin

    @computed("When it is asked.")
    def stages(self) -> list[FraudStage]:
        """From the manifest."""
        return [FraudStage(each) for each in self.row.manifest.stages]

    @computed("Whether its verdict counts.")
    def mode(self) -> FraudRuleMode:
        """The manifest's, unless it was saved."""
        mode = self.saved.mode if self.saved is not None else self.row.manifest.default_mode
        return FraudRuleMode(mode)

    @computed("Counts the times that it was saved; 0 for never.")
    def version(self) -> int:
        """The newest."""
        return self.saved.version if self.saved is not None else 0

    @computed("The settings that were saved; what is not there has the schema's default.")
    def settings(self) -> JSON:
        """Empty where it never was."""
        return JSON(dict(self.saved.settings) if self.saved is not None else {})

    @computed("The JSON Schema of its settings.")
    def schema(self) -> JSON:
        """Of the manifest's class."""
        return JSON(settings_schema(self.row.manifest.settings))

    @computed("Whether it asks somebody else, or runs in a plugin host: it has no impact report.")
    def is_asked_elsewhere(self) -> bool:
        """By the manifest and the place."""
        return self.row.manifest.remote or self.row.hosted

    @computed("How long one evaluation may take, in milliseconds.")
    def time_limit_ms(self) -> int:
        """From the manifest."""
        return self.row.manifest.time_limit_ms

    @computed("What stands where it fails or is too slow.")
    def on_error(self) -> FraudVerdict:
        """From the manifest."""
        return FraudVerdict(self.row.manifest.on_error)

    @computed("Its versions, the newest first.")
    async def history(
        self,
        info: Wire,
        first: Annotated[
            int, strawberry.argument(description="How many at most; 1 to 100.")
        ] = DEFAULT_PAGE,
    ) -> list[FraudRuleVersion]:
        """Kept for ever."""
        rulebook = info.context.engine.fraud_desk.rulebook
        rows = await rulebook.history(info.context.tenant, self.row.name, first=check_first(first))
        return [FraudRuleVersion(row=row) for row in rows]


@strawberry.type(description="Payments, and what they are worth.")
class FraudTally:
    """See the description."""

    row: strawberry.Private[Tally]
    payments: int = column("How many.")

    @computed("Their sum in each currency.")
    def worth(self) -> list[Money]:
        """By currency."""
        return [money(minor, currency) for currency, minor in sorted(self.row.worth.items())]


@strawberry.type(description="How often a rule would have said something.")
class FraudVerdictCount:
    """See the description."""

    verdict: FraudVerdict = strawberry.field(description="What.")
    count: int = strawberry.field(description="How often.")


@strawberry.type(
    description="What a rule would have done to past payments with these settings, with what is "
    "known of them today. Payments that were stopped then have no outcome, and are in no part of "
    "what it hits rightly or wrongly."
)
class FraudImpact:
    """See the description."""

    row: strawberry.Private[ImpactReport]
    total: int = column("How many decisions the span has, up to 100,000.")
    since: DateTime = column(
        "From where on it was looked at: set `until` to it to go on with what is older."
    )
    until: DateTime = column("Until where.")
    complete: bool = column("Whether that is the whole span.")

    @computed("How many decisions were looked at, of `total`.")
    def looked_at(self) -> int:
        """At most 5,000."""
        return self.row.impact.looked_at

    @computed("How often the rule would have failed.")
    def errors(self) -> int:
        """Raised, too slow or nonsense."""
        return self.row.impact.errors

    @computed("What it would have said.")
    def verdicts(self) -> list[FraudVerdictCount]:
        """The most frequent first."""
        found = sorted(self.row.impact.verdicts.items(), key=lambda each: (-each[1], each[0]))
        return [FraudVerdictCount(verdict=FraudVerdict(kind), count=n) for kind, n in found]

    @computed("What it would have stopped or delayed.")
    def hits(self) -> FraudTally:
        """All of them."""
        return FraudTally(row=self.row.impact.hits)

    @computed("What it did stop or delay as it was then.")
    def hits_before(self) -> FraudTally:
        """By its stored words."""
        return FraudTally(row=self.row.impact.hits_before)

    @computed("Of the hits, those that are known to be fraudulent: by disputes and by you.")
    def caught(self) -> FraudTally:
        """By today's labels."""
        return FraudTally(row=self.row.impact.caught)

    @computed("Of the hits, those that went through and are not known to be fraudulent.")
    def good(self) -> FraudTally:
        """Good payments hit."""
        return FraudTally(row=self.row.impact.good)

    @computed("Known fraud that it would not have hit.")
    def missed(self) -> FraudTally:
        """By today's labels."""
        return FraudTally(row=self.row.impact.missed)

    @computed("What all rules together would stop or delay, and did not.")
    def stopped(self) -> FraudTally:
        """The change of decisions."""
        return FraudTally(row=self.row.impact.stopped)

    @computed("What all rules together did stop or delay, and would not.")
    def released(self) -> FraudTally:
        """The change of decisions."""
        return FraudTally(row=self.row.impact.released)


def show_rule(row: LoadedRule, saved: RuleVersion | None) -> FraudRule:
    """The rule for the wire."""
    return FraudRule(row=row, saved=saved)
