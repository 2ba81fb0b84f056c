"""How is it shown how well the rules do?"""

from __future__ import annotations

import strawberry
from payengine.fraud.desk.summary import FraudSummary as SummaryRow
from payengine.fraud.desk.summary import Quality as QualityRow
from payengine.fraud.desk.summary import RuleSummary as RuleRow

from payengine_graphql.fraud.enums import FraudRuleMode, FraudVerdict
from payengine_graphql.fraud.rules import FraudVerdictCount
from payengine_graphql.fraud.types import millionths
from payengine_graphql.types.fields import column, computed

__all__ = ["FraudQuality", "FraudRuleSummary", "FraudSummary", "show_summary"]


@strawberry.type(
    description="Of payments of which it is known, by a label or by their age, whether they were "
    "fraudulent."
)
class FraudQuality:
    """See the description."""

    row: strawberry.Private[QualityRow]
    caught: int = column("Fraud that was stopped or doubted.")
    missed: int = column("Fraud that was not.")
    wrong: int = column("Good payments that were stopped or doubted.")

    @computed("Of what was stopped or doubted, the share of fraud, in millionths.")
    def precision(self) -> int | None:
        """None where nothing was."""
        return millionths(self.row.precision)

    @computed("Of the fraud, the share that was stopped or doubted, in millionths.")
    def recall(self) -> int | None:
        """None where there was none."""
        return millionths(self.row.recall)


@strawberry.type(description="What one rule did in one mode.")
class FraudRuleSummary:
    """See the description."""

    row: strawberry.Private[RuleRow]
    rule: str = column("The rule's name.")
    asked: int = column("How often it was asked.")
    hits: int = column("How often it said something other than that nothing is wrong.")
    blocks: int = column("How often it would block.")
    challenges: int = column("How often it would challenge.")
    reviews: int = column("How often it would have a person decide.")
    errors: int = column("How often it failed.")
    p50_us: int = column("Half of its evaluations took at most so many microseconds.")
    p99_us: int = column("99 of 100 took at most so many.")

    @computed("Whether its verdict counted.")
    def mode(self) -> FraudRuleMode:
        """From the row."""
        return FraudRuleMode(self.row.mode)

    @computed("How right it was.")
    def quality(self) -> FraudQuality:
        """On what is known."""
        return FraudQuality(row=self.row.quality)


@strawberry.type(description="How the rules did, on the newest 20,000 decisions of a span.")
class FraudSummary:
    """See the description."""

    row: strawberry.Private[SummaryRow]
    decisions: int = column("How many decisions were counted, of all stages.")
    degraded: int = column("Of these, those for which the past or a rule was missing.")
    truncated: bool = column("Whether the span has more of them.")

    @computed("What was decided before the gateway was asked.")
    def verdicts(self) -> list[FraudVerdictCount]:
        """The most frequent first."""
        found = sorted(self.row.verdicts.items(), key=lambda each: (-each[1], each[0]))
        return [FraudVerdictCount(verdict=FraudVerdict(kind), count=n) for kind, n in found]

    @computed("The share that was blocked, in millionths.")
    def block_rate(self) -> int:
        """Hard blocks too."""
        return millionths(self.row.rate("block", "hard_block")) or 0

    @computed("The share that was challenged, in millionths.")
    def challenge_rate(self) -> int:
        """By 3-D Secure."""
        return millionths(self.row.rate("challenge")) or 0

    @computed("The share that waited for a person, in millionths.")
    def review_rate(self) -> int:
        """Held."""
        return millionths(self.row.rate("review")) or 0

    @computed("How right the decisions were.")
    def quality(self) -> FraudQuality:
        """On what is known."""
        return FraudQuality(row=self.row.quality)

    @computed("Each rule by itself.")
    def rules(self) -> list[FraudRuleSummary]:
        """By name."""
        return [FraudRuleSummary(row=each) for each in self.row.rules]


def show_summary(row: SummaryRow) -> FraudSummary:
    """The summary for the wire."""
    return FraudSummary(row=row)
