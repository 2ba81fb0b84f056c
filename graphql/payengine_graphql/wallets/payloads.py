"""What does a client get to begin with a wallet?"""

from __future__ import annotations

import strawberry

from payengine_graphql.scalars import JSON
from payengine_graphql.types.problems import Problem

__all__ = ["StartWalletSessionPayload"]


@strawberry.type(description="The answer to startWalletSession.")
class StartWalletSessionPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description="Why it was not done; empty where it was.")
    session: JSON | None = strawberry.field(
        description=(
            "The wallet's own session object: hand it to the browser as it is. It is kept nowhere,"
            " so the same key sent again shows none."
        ),
        default=None,
    )
