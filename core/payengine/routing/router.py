"""Where does this payment go?

Puts the room together: the policy that holds, what is known of the gateways, the decision. The
decision itself is pure and waits for nothing; only the policy may have to be read first, where the
tenant was idle for a while.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence

import msgspec

from payengine.clock import Clock
from payengine.plugin import DECLINE_CODES
from payengine.routing.choice import Choice, choose
from payengine.routing.declines import DeclineReport
from payengine.routing.facts import Candidate, Facts
from payengine.routing.models import ActivePolicy
from payengine.routing.past import Past
from payengine.routing.policies import Policies
from payengine.routing.policy import Fallback
from payengine.routing.rates import Segment
from payengine.routing.statistics import Heard, Statistics
from payengine.storage import Database

__all__ = ["Router", "goes_on_after"]

_USUAL_DECLINES = frozenset(code for code, rule in DECLINE_CODES.items() if rule.other_gateway)


def goes_on_after(fallback: Fallback, code: str) -> bool:
    """Whether another gateway may be tried at once after this decline; never after an unknown one.

    A policy may widen or narrow the codes that the taxonomy names, within the soft and technical.
    """
    return code in (_USUAL_DECLINES if fallback.declines is None else fallback.declines)


class Router:
    """The routing of all tenants in one process."""

    def __init__(self, database: Database, *, clock: Clock, gateways: Collection[str]) -> None:
        """`gateways` are the names of those installed."""
        self.policies = Policies(database, clock=clock, gateways=gateways)
        self.statistics = Statistics(database)
        self.declines = DeclineReport(database, clock=clock)
        self.past = Past(database, self.policies)

    async def active(self, tenant_id: uuid.UUID) -> ActivePolicy:
        """The policy that holds, at most five seconds old."""
        return await self.policies.active(tenant_id)

    def decide(
        self,
        tenant_id: uuid.UUID,
        active: ActivePolicy,
        candidates: Sequence[Candidate],
        facts: Facts,
    ) -> Choice | None:
        """The gateways to try, in order; None where none of `candidates` may take the payment."""

        def segment() -> Segment:
            return self.statistics.segment(tenant_id, currency=facts.currency, method=facts.method)

        choice = choose(candidates, facts, policy=active.policy, segment=segment)
        if choice is None or active.id is None:
            return choice
        named = {"policy": active.id, "version": active.version}
        return msgspec.structs.replace(choice, explanation=named | choice.explanation)

    def hear(self, tenant_id: uuid.UUID, heard: Heard) -> None:
        """An operation has moved; see `Statistics.hear`."""
        self.statistics.hear(tenant_id, heard)

    async def close(self) -> None:
        """Let go of what is under way beside the requests."""
        await self.policies.close()
        await self.statistics.close()
