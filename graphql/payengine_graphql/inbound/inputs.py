"""What may a client send about providers' webhooks?"""

from __future__ import annotations

import strawberry
from payengine.errors import InputInvalid
from payengine.payments.inbound import WebhookFilter

from payengine_graphql.inbound.types import ReceivedWebhookState
from payengine_graphql.inputs import check_id

__all__ = [
    "CreateGatewayEndpointInput",
    "ReceivedWebhookFilterInput",
    "ReplayWebhookInput",
    "RevokeGatewayEndpointInput",
]

_MAX_FILTER = 50
_LONGEST_NAME = 100
_KEY = "1 to 255 printable characters of your own: the same key does the same thing once."


@strawberry.input(description="A new address for a gateway's webhooks.")
class CreateGatewayEndpointInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    gateway: str = strawberry.field(description="The gateway's name.")


@strawberry.input(description="Take nothing at this address any more.")
class RevokeGatewayEndpointInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    gateway_endpoint_id: strawberry.ID = strawberry.field(description="The endpoint's id, gwe_….")


@strawberry.input(description="Apply a received webhook once more.")
class ReplayWebhookInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    received_webhook_id: strawberry.ID = strawberry.field(
        description="The received webhook's id, rwh_…."
    )


@strawberry.input(description="Which received webhooks to list; all that is given must hold.")
class ReceivedWebhookFilterInput:
    """See the description."""

    states: list[ReceivedWebhookState] | None = strawberry.field(
        description="In one of these states.", default=None
    )
    gateway: str | None = strawberry.field(description="Of this gateway.", default=None)
    payment_id: strawberry.ID | None = strawberry.field(
        description="Applied to this payment.", default=None
    )
    needs_review: bool = strawberry.field(
        description="Those alone that wait for a person.", default=False
    )

    def to_core(self) -> WebhookFilter:
        """For the engine; raises `InputInvalid`."""
        states = self.states or []
        if len(states) > _MAX_FILTER:
            raise InputInvalid("Too many states.", path=("filter", "states"))
        if self.payment_id is not None:
            check_id(self.payment_id, "pay", field="filter")
        if self.gateway is not None and not (
            len(self.gateway) <= _LONGEST_NAME and self.gateway.isprintable()
        ):
            raise InputInvalid("This is no gateway's name.", path=("filter", "gateway"))
        return WebhookFilter(
            states=tuple(state.value for state in states),
            gateway=self.gateway,
            payment_id=self.payment_id,
            needs_review=self.needs_review,
        )
