"""What may be done with a wallet before the buyer pays?"""

from __future__ import annotations

from typing import Annotated, Any

import strawberry
from payengine.payments.wallets import start_wallet_session

from payengine_graphql.context import Wire
from payengine_graphql.guarded import guarded
from payengine_graphql.scalars import JSON
from payengine_graphql.types.fields import mutation
from payengine_graphql.wallets.inputs import StartWalletSessionInput
from payengine_graphql.wallets.payloads import StartWalletSessionPayload

__all__ = ["Mutation"]

_INPUT = strawberry.argument(description="What is asked.")


@strawberry.type(description="What may be done with wallets.")
class Mutation:
    """See the description."""

    @mutation("Prove to a wallet's provider who the merchant is. Needs `payments:write`.")
    async def start_wallet_session(
        self, info: Wire, input: Annotated[StartWalletSessionInput, _INPUT]
    ) -> StartWalletSessionPayload:
        """See `payengine.payments.wallets`."""
        context, engine = info.context, info.context.engine

        async def work() -> dict[str, Any] | None:
            return await start_wallet_session(
                context.tenant,
                input.to_core(),
                database=engine.database,
                registry=engine.registry,
                clock=engine.clock,
                deadline_ms=engine.settings.gateway_deadline_ms,
            )

        session, errors = await guarded(
            info, "startWalletSession", input, work, scope="payments:write"
        )
        shown = JSON(session) if session is not None else None
        return StartWalletSessionPayload(session=shown, errors=errors)
