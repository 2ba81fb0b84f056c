"""How is a decision shown, and what every rule said of it?"""

from __future__ import annotations

import strawberry
from payengine.fraud.decide import Evaluated
from payengine.fraud.desk.decisions import Decision as DecisionRow
from payengine.fraud.desk.decisions import Rescored as RescoredRow

from payengine_graphql.context import Wire
from payengine_graphql.fraud.enums import FraudRuleMode, FraudStage, FraudVerdict
from payengine_graphql.fraud.types import FraudOutcome, millionths
from payengine_graphql.scalars import JSON, DateTime
from payengine_graphql.types.fields import column, computed

__all__ = ["FraudDecision", "FraudRescored", "FraudRuleWord", "show_decision"]


@strawberry.type(description="What one rule said of one attempt.")
class FraudRuleWord:
    """See the description."""

    row: strawberry.Private[Evaluated]
    rule: str = column("The rule's name.")
    version: int = column("The tenant's version of the rule's settings; 0 for its defaults.")
    reason: str = column("A short code.")
    detail: str = column("The reason in a sentence.")
    took_us: int = column("How long it took, in microseconds.")
    error: str = column("How it failed, whereupon its manifest's verdict for that stands.")

    @computed("A probability of fraud in millionths, where the rule has one.")
    def score(self) -> int | None:
        """From the row."""
        return millionths(self.row.score)

    @computed("Whether its verdict counted.")
    def mode(self) -> FraudRuleMode:
        """From the row."""
        return FraudRuleMode(self.row.mode)

    @computed("What it thinks.")
    def verdict(self) -> FraudVerdict:
        """From the row."""
        return FraudVerdict(self.row.verdict)


@strawberry.type(description="What was thought once more of a decision made without all it needed.")
class FraudRescored:
    """See the description."""

    row: strawberry.Private[RescoredRow]
    at: DateTime = column("When.")
    by: list[str] = column("The rules whose verdict it is.")

    @computed("The highest probability of fraud of the rules that count, in millionths.")
    def score(self) -> int | None:
        """None where none has one."""
        return millionths(self.row.score)

    @computed("The strongest verdict of the rules that count; the decision itself stands.")
    def verdict(self) -> FraudVerdict:
        """From the row."""
        return FraudVerdict(self.row.verdict)

    @computed("What every rule said then, shadows too.")
    def rules(self) -> list[FraudRuleWord]:
        """From the document."""
        return [FraudRuleWord(row=each) for each in self.row.rules]


@strawberry.type(description="Why an attempt to pay was let through, stopped or held.")
class FraudDecision:
    """See the description."""

    row: strawberry.Private[DecisionRow]
    payment_id: strawberry.ID = column("The payment.")
    number: int = column("Which of its attempts, from 1.")
    degraded: bool = column("Whether the past or a rule was missing then.")
    drawn: bool = column("Whether it would have been blocked, and went on to 3-D Secure by chance.")
    decided_at: DateTime = column("When.")
    took_us: int = column("How long the rules took together, in microseconds.")
    by: list[str] = column("The rules whose verdict it is.")

    @computed("The highest probability of fraud of the rules that count, in millionths.")
    def score(self) -> int | None:
        """None where none has one."""
        return millionths(self.row.score)

    @computed("When the rules were asked.")
    def stage(self) -> FraudStage:
        """From the row."""
        return FraudStage(self.row.stage)

    @computed("What was decided: the strongest verdict of the rules that count.")
    def verdict(self) -> FraudVerdict:
        """From the row."""
        return FraudVerdict(self.row.verdict)

    @computed("What every rule said, shadows too.")
    def rules(self) -> list[FraudRuleWord]:
        """From the document."""
        return [FraudRuleWord(row=each) for each in self.row.rules]

    @computed("What was thought of it once more, where the past or a rule was missing; else null.")
    def rescored(self) -> FraudRescored | None:
        """From the row; null until that has ended."""
        return None if self.row.rescored is None else FraudRescored(row=self.row.rescored)

    @computed("What the rules were told; people, cards, devices and addresses as hashes.")
    def context(self) -> JSON:
        """Without the facts."""
        return JSON({k: v for k, v in self.row.context.items() if k != "features"})

    @computed("The facts of the past that the rules read, by name.")
    def features(self) -> JSON:
        """Null where the entity is unknown."""
        return JSON(self.row.context.get("features") or {})

    @computed("What is known of the payment, the earliest first.")
    async def outcomes(self, info: Wire) -> list[FraudOutcome]:
        """By the loader."""
        rows = await info.context.loaders.fraud_outcomes.load(self.row.payment_id)
        return [FraudOutcome(row=row) for row in rows]


def show_decision(row: DecisionRow) -> FraudDecision:
    """The decision for the wire."""
    return FraudDecision(row=row)
