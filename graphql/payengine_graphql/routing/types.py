"""How are routing policies, simulations and declines shown?"""

from __future__ import annotations

import strawberry
from payengine.plugin.declines import DeclineRule as RuleRow
from payengine.routing.models import DeclineCount as CountRow
from payengine.routing.models import RoutingActivation as ActivationRow
from payengine.routing.models import RoutingPolicy as PolicyRow
from payengine.routing.simulate import CostLine, ShareLine
from payengine.routing.simulate import Simulation as SimulationRow

from payengine_graphql.context import RequestContext, Wire
from payengine_graphql.scalars import JSON, Currency, DateTime
from payengine_graphql.types.enums import DeclineCategory
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.money import Money, money
from payengine_graphql.types.nodes import Node

__all__ = [
    "DeclineCodeCount",
    "DeclineRule",
    "RoutingActivation",
    "RoutingChange",
    "RoutingCost",
    "RoutingPolicy",
    "RoutingShare",
    "RoutingSimulation",
    "read_policy",
    "show_activation",
    "show_policy",
]

_WHOLE = 1_000_000


@strawberry.type(description="One version of the tenant's routing policy; it never changes.")
class RoutingPolicy(Node):
    """See the description."""

    row: strawberry.Private[PolicyRow]
    id: strawberry.ID = column("The policy's id.")
    version: int = column("Counts the tenant's versions, from 1.")
    document: JSON = column("What it says, every default spelled out; see routingPolicySchema.")
    reason: str = column("Why it was saved.")
    actor: str = column("Who saved it.")
    created_at: DateTime = column("When it was saved.")


@strawberry.type(description="A change of the policy that holds; the last one counts.")
class RoutingActivation:
    """See the description."""

    row: strawberry.Private[ActivationRow]
    id: strawberry.ID = column("The activation's id.")
    number: int = column("Counts the tenant's activations, from 1.")
    policy_id: strawberry.ID | None = column("The policy that held from then on; none: no rules.")
    reason: str = column("Why.")
    actor: str = column("Who did it.")
    created_at: DateTime = column("When.")

    @computed("The policy that held from then on. Needs the scope `routing:read`.")
    async def policy(self, info: Wire) -> RoutingPolicy | None:
        """By the loader."""
        if self.row.policy_id is None:
            return None
        found = await info.context.loaders.routing_policies.load(self.row.policy_id)
        return show_policy(found) if found else None


@strawberry.type(description="A gateway's share of the first choices.")
class RoutingShare:
    """See the description."""

    row: strawberry.Private[ShareLine]
    gateway: str = column("The gateway.")
    past_count: int = column("How many payments went there first.")

    @computed("Its share of the past, in millionths.")
    def past_millionths(self) -> int:
        """Rounded."""
        return _millionths(self.row.past_share)

    @computed("Its share under the policy, in millionths.")
    def millionths(self) -> int:
        """Rounded."""
        return _millionths(self.row.share)


@strawberry.type(description="Fees in one currency by the policy's table, if all had succeeded.")
class RoutingCost:
    """See the description."""

    row: strawberry.Private[CostLine]
    currency: Currency = column("The currency.")

    @computed("What the gateways that were asked would take.")
    def past(self) -> Money:
        """Without the payments whose fee is not known."""
        return money(self.row.past_minor, self.row.currency)

    @computed("What the gateways of the policy would take, on average over its draws.")
    def expected(self) -> Money:
        """Without the payments whose fee is not known."""
        return money(self.row.minor, self.row.currency)

    @computed("The share of payments in neither sum: a fee is missing in the table; millionths.")
    def unknown_millionths(self) -> int:
        """Rounded."""
        return _millionths(self.row.unknown_share)


@strawberry.type(description="A payment that would most likely have gone elsewhere.")
class RoutingChange:
    """See the description."""

    payment_id: strawberry.ID = strawberry.field(description="The payment.")
    was: str = strawberry.field(description="Where it went first.")
    to: str | None = strawberry.field(description="Where it would go first; none: nowhere.")


@strawberry.type(
    description="What a policy would have done with past payments. Shares are in millionths."
)
class RoutingSimulation:
    """See the description."""

    row: strawberry.Private[SimulationRow]
    payments: int = column("How many payments were decided again.")
    truncated: bool = column("Whether there were more: only the latest 5,000 are looked at.")
    changed: int = column("How many would most likely have gone elsewhere first.")
    untakeable: int = column("How many no gateway of today could take.")

    @computed("How many of the payments whose outcome is known succeeded at their first gateway.")
    def past_success_millionths(self) -> int | None:
        """None where none is known."""
        return None if self.row.past_success is None else _millionths(self.row.past_success)

    @computed("The success to expect, over the payments of which the past can tell.")
    def success_millionths(self) -> int | None:
        """None where it tells of none."""
        return None if self.row.success is None else _millionths(self.row.success)

    @computed("At least so many of all succeed, with 95 % confidence; what is unknown fails.")
    def success_low_millionths(self) -> int:
        """Rounded."""
        return _millionths(self.row.success_low)

    @computed("At most so many of all succeed, with 95 % confidence; what is unknown succeeds.")
    def success_high_millionths(self) -> int:
        """Rounded."""
        return _millionths(self.row.success_high)

    @computed("Payments of which the past cannot tell: too few alike went where they would go.")
    def unknown_millionths(self) -> int:
        """Rounded."""
        return _millionths(self.row.unknown_share)

    @computed("Past payments whose gateway chance had chosen: on these a comparison is sound.")
    def chance_millionths(self) -> int:
        """Rounded."""
        return _millionths(self.row.chance_share)

    @computed("Each gateway's share.")
    def shares(self) -> list[RoutingShare]:
        """By name."""
        return [RoutingShare(row=each) for each in self.row.shares]

    @computed("Fees, one line for each currency.")
    def costs(self) -> list[RoutingCost]:
        """By currency."""
        return [RoutingCost(row=each) for each in self.row.costs]

    @computed("The first 20 payments that would have gone elsewhere.")
    def changes(self) -> list[RoutingChange]:
        """The oldest first."""
        return [
            RoutingChange(payment_id=strawberry.ID(each.payment_id), was=each.was, to=each.to)
            for each in self.row.changes
        ]


@strawberry.type(description="How often a gateway refused with one of its own codes.")
class DeclineCodeCount:
    """See the description."""

    row: strawberry.Private[CountRow]
    gateway: str = column("The gateway.")
    raw_code: str = column("The gateway's code, as it was sent.")
    code: str = column("What its plugin made of it.")
    mapped: bool = column("Whether that is a code of the taxonomy.")
    count: int = column("How many operations were refused with it.")
    first_seen_at: DateTime = column("When the first of these operations was made.")
    last_seen_at: DateTime = column("When the last of these operations was made.")


@strawberry.type(description="A code of the taxonomy of declines.")
class DeclineRule:
    """See the description."""

    row: strawberry.Private[RuleRow]
    code: str = column("The code.")
    advice: str = column("What to do next, in a sentence.")

    @computed("What it means for the next try.")
    def category(self) -> DeclineCategory:
        """Its class."""
        return DeclineCategory(self.row.decline_class)

    @computed("Whether the same method may be tried again later without the buyer.")
    def retryable(self) -> bool:
        """As dunning does."""
        return self.row.auto_retry_same_method

    @computed("Whether another gateway is tried at once, unless a policy says otherwise.")
    def other_gateway(self) -> bool:
        """As the fallback does."""
        return self.row.other_gateway


def show_policy(row: PolicyRow) -> RoutingPolicy:
    """The policy for the wire."""
    return RoutingPolicy(row=row)


def show_activation(row: ActivationRow) -> RoutingActivation:
    """The activation for the wire."""
    return RoutingActivation(row=row)


async def read_policy(context: RequestContext, policy_id: str) -> Node | None:
    """By the loader; None where there is none."""
    row = await context.loaders.routing_policies.load(policy_id)
    return show_policy(row) if row else None


def _millionths(share: float) -> int:
    return round(share * _WHOLE)
