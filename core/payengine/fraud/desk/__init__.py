"""What may people do about fraud?

`FraudDesk` is the door to lists, settings, rules and their impact, feedback, alerts and summaries.
Held payments are decided on where all reviews are: `payengine.payments.review`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.fraud.desk.choices import Choices
from payengine.fraud.desk.decisions import Decisions
from payengine.fraud.desk.feedback import Feedback
from payengine.fraud.desk.impact import Impacts
from payengine.fraud.desk.listing import Lists
from payengine.fraud.desk.summary import Summaries
from payengine.fraud.desk.watching import Watching
from payengine.fraud.rulebook import Rulebook, RuleVersion
from payengine.fraud.screening import Screening
from payengine.storage import Database

__all__ = ["FraudDesk"]


@dataclass(frozen=True, slots=True)
class FraudDesk:
    """The rooms behind the one door."""

    rulebook: Rulebook
    lists: Lists
    choices: Choices
    feedback: Feedback
    decisions: Decisions
    impacts: Impacts
    summaries: Summaries
    watching: Watching

    async def newest_version(self, context: TenantContext, rule: str) -> RuleVersion | None:
        """What holds of a rule that the actor has just saved: needs the scope of saving."""
        context.require("fraud:write")
        allowed = replace(context, scopes=context.scopes | {"fraud:read"})
        found = await self.rulebook.history(allowed, rule, first=1)
        return found[0] if found else None

    @classmethod
    def of(
        cls,
        database: Database,
        screening: Screening,
        *,
        clock: Clock,
        nudge: Callable[[], None],
    ) -> Self:
        """All rooms over the same database; `nudge` tells the relay that there are events."""
        rulebook = screening.rulebook
        return cls(
            rulebook=rulebook,
            lists=Lists(database, clock=clock, tokens=screening.tokens, nudge=nudge),
            choices=Choices(database, clock=clock, nudge=nudge, changed=rulebook.forget),
            feedback=Feedback(database, clock=clock, nudge=nudge),
            decisions=Decisions(database),
            impacts=Impacts(database, rulebook),
            summaries=Summaries(database),
            watching=Watching(database, nudge=nudge),
        )
