"""What may be read of routing and of declines?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.errors import CursorInvalid, NotFound
from payengine.ids import is_id
from payengine.payments.simulating import simulate_routing
from payengine.plugin import DECLINE_CODES
from payengine.routing import policy_schema

from payengine_graphql.context import Wire
from payengine_graphql.guarded import screen
from payengine_graphql.inputs import check_id
from payengine_graphql.routing.inputs import SimulateRoutingInput
from payengine_graphql.routing.types import (
    DeclineCodeCount,
    DeclineRule,
    RoutingActivation,
    RoutingPolicy,
    RoutingSimulation,
    show_activation,
    show_policy,
)
from payengine_graphql.scalars import JSON, DateTime
from payengine_graphql.types.fields import computed
from payengine_graphql.types.nodes import (
    DEFAULT_PAGE,
    MAX_PAGE,
    Connection,
    check_first,
    connect,
)

__all__ = ["Query"]

_First = Annotated[int, strawberry.argument(description=f"The size of the page, 1 to {MAX_PAGE}.")]
_After = Annotated[
    str | None, strawberry.argument(description="A cursor: the page begins behind it.")
]
_PolicyId = Annotated[strawberry.ID, strawberry.argument(description="The policy's id, rtp_….")]
_Most = Annotated[int, strawberry.argument(description="How many at most; 1 to 100.")]
_Since = Annotated[
    DateTime | None,
    strawberry.argument(description="Operations made from then on; 30 days ago where left out."),
]
_Unmapped = Annotated[
    bool, strawberry.argument(description="Only codes that the gateway's plugin does not map.")
]
_Input = Annotated[SimulateRoutingInput, strawberry.argument(description="What is asked.")]


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed("One version of the routing policy. Needs the scope `routing:read`.")
    async def routing_policy(self, info: Wire, id: _PolicyId) -> RoutingPolicy | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("routing:read")
        check_id(id, "rtp", field="id")
        row = await info.context.loaders.routing_policies.load(id)
        if row is None:
            raise NotFound("There is no such routing policy.", path=("id",))
        return show_policy(row)

    @computed("The versions of the routing policy, the newest first. Needs `routing:read`.")
    async def routing_policies(
        self, info: Wire, first: _First = DEFAULT_PAGE, after: _After = None
    ) -> Connection[RoutingPolicy]:
        """A page."""
        info.context.require("routing:read")
        if after is not None and not is_id(after, "rtp"):
            raise CursorInvalid(path=("after",))
        rows = await info.context.engine.router.policies.page(
            info.context.tenant, first=check_first(first), after=after
        )
        return connect(rows, first=first, after=after, show=show_policy, cursor=lambda row: row.id)

    @computed(
        "Which policy held from when on, who said so and why; the first one holds now, and where "
        "there is none, the default. Needs `routing:read`."
    )
    async def routing_activations(
        self, info: Wire, first: _Most = DEFAULT_PAGE
    ) -> list[RoutingActivation]:
        """The newest first."""
        info.context.require("routing:read")
        rows = await info.context.engine.router.policies.activations(
            info.context.tenant, first=check_first(first)
        )
        return [show_activation(row) for row in rows]

    @computed("The JSON Schema of a routing policy.")
    def routing_policy_schema(self) -> JSON:
        """The same for all."""
        return JSON(policy_schema())

    @computed(
        "What a policy would have done with past payments, with what the past cannot tell. Needs "
        "`routing:read` and `payments:read`."
    )
    async def simulate_routing(self, info: Wire, input: _Input) -> RoutingSimulation:
        """Moves nothing."""
        context = info.context
        context.require("payments:read")
        screen(input)
        row = await simulate_routing(
            context.tenant,
            input.policy,
            since=input.since,
            until=input.until,
            registry=context.engine.registry,
            router=context.engine.router,
        )
        return RoutingSimulation(row=row)

    @computed("The gateways' own codes of refusals, the most frequent first. `payments:read`.")
    async def decline_codes(
        self,
        info: Wire,
        since: _Since = None,
        unmapped_only: _Unmapped = False,
        first: _Most = MAX_PAGE,
    ) -> list[DeclineCodeCount]:
        """Of the latest 50,000 declines."""
        info.context.require("payments:read")
        rows = await info.context.engine.router.declines.codes(
            info.context.tenant, since=since, unmapped_only=unmapped_only, first=check_first(first)
        )
        return [DeclineCodeCount(row=row) for row in rows]

    @computed("The taxonomy of declines: every code with what it means and what to do.")
    def decline_rules(self) -> list[DeclineRule]:
        """The same for all."""
        return [DeclineRule(row=row) for row in DECLINE_CODES.values()]
