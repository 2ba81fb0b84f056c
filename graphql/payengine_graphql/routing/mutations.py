"""What may be done about routing?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

import strawberry
from payengine.errors import NotFound
from payengine.routing.models import RoutingActivation as ActivationRow
from payengine.routing.models import RoutingPolicy as PolicyRow

from payengine_graphql.context import Wire
from payengine_graphql.guarded import guarded
from payengine_graphql.inputs import check_id
from payengine_graphql.routing import inputs, payloads
from payengine_graphql.routing.types import show_activation, show_policy
from payengine_graphql.types.fields import mutation

__all__ = ["Mutation"]

_INPUT = strawberry.argument(description="What is asked.")


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation:
    """See the description."""

    @mutation("Save a new version of the routing policy. Needs the scope `routing:write`.")
    async def save_routing_policy(
        self, info: Wire, input: Annotated[inputs.SaveRoutingPolicyInput, _INPUT]
    ) -> payloads.SaveRoutingPolicyPayload:
        """See `payengine.routing.policies`."""
        row, errors = await guarded(
            info, "saveRoutingPolicy", input, lambda: _save(info, input), scope="routing:write"
        )
        return payloads.SaveRoutingPolicyPayload(
            routing_policy=show_policy(row) if row else None, errors=errors
        )

    @mutation("Let a version hold, within five seconds. Needs the scope `routing:write`.")
    async def activate_routing_policy(
        self, info: Wire, input: Annotated[inputs.ActivateRoutingPolicyInput, _INPUT]
    ) -> payloads.ActivateRoutingPolicyPayload:
        """See `payengine.routing.policies`."""
        policies = info.context.engine.router.policies

        async def work() -> ActivationRow:
            policy_id = input.routing_policy_id
            if policy_id is not None:
                check_id(policy_id, "rtp", field="routingPolicyId")
            return await _activate(
                info,
                "activateRoutingPolicy",
                input,
                lambda: policies.activate(info.context.tenant, policy_id, reason=input.reason),
            )

        row, errors = await guarded(
            info, "activateRoutingPolicy", input, work, scope="routing:write"
        )
        return payloads.ActivateRoutingPolicyPayload(
            routing_activation=show_activation(row) if row else None, errors=errors
        )

    @mutation("Let hold again what held before. Needs the scope `routing:write`.")
    async def roll_back_routing_policy(
        self, info: Wire, input: Annotated[inputs.RollBackRoutingPolicyInput, _INPUT]
    ) -> payloads.RollBackRoutingPolicyPayload:
        """See `payengine.routing.policies`."""
        policies = info.context.engine.router.policies
        row, errors = await guarded(
            info,
            "rollBackRoutingPolicy",
            input,
            lambda: _activate(
                info,
                "rollBackRoutingPolicy",
                input,
                lambda: policies.roll_back(info.context.tenant, reason=input.reason),
            ),
            scope="routing:write",
        )
        return payloads.RollBackRoutingPolicyPayload(
            routing_activation=show_activation(row) if row else None, errors=errors
        )


async def _save(info: Wire, given: inputs.SaveRoutingPolicyInput) -> PolicyRow:
    context = info.context
    policies = context.engine.router.policies

    async def do() -> tuple[str, PolicyRow]:
        row = await policies.save(
            context.tenant, given.policy, reason=given.reason, activate=given.activate
        )
        return row.id, row

    async def again(policy_id: str) -> PolicyRow:
        row = await policies.find(context.tenant, policy_id)
        if row is None:
            raise NotFound("There is no such routing policy.")
        return row

    return await context.services.once.run(
        context.tenant, "saveRoutingPolicy", given, at=_now(info), do=do, again=again
    )


async def _activate(
    info: Wire, name: str, given: Any, change: Callable[[], Awaitable[ActivationRow]]
) -> ActivationRow:
    context = info.context
    policies = context.engine.router.policies

    async def do() -> tuple[str, ActivationRow]:
        row = await change()
        return row.id, row

    async def again(activation_id: str) -> ActivationRow:
        row = await policies.find_activation(context.tenant, activation_id)
        if row is None:
            raise NotFound("There is no such routing activation.")
        return row

    return await context.services.once.run(
        context.tenant, name, given, at=_now(info), do=do, again=again
    )


def _now(info: Wire) -> datetime:
    return info.context.engine.clock.now(info.context.tenant.tenant_id)
