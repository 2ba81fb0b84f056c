"""What may a client send to begin with a wallet?"""

from __future__ import annotations

import strawberry
from payengine.payments.wallets import StartWalletSession

__all__ = ["StartWalletSessionInput"]


@strawberry.input(description="Begin to show a wallet on a page.")
class StartWalletSessionInput:
    """See the description."""

    idempotency_key: str = strawberry.field(
        description="1 to 255 printable characters of your own, new for each session."
    )
    wallet: str = strawberry.field(description="The wallet's name, as its plugin shows it.")
    validation_url: str = strawberry.field(
        description="The address that the wallet named to the buyer's browser, as it came."
    )
    domain: str | None = strawberry.field(
        description="The page's host name; the first of the settings where left out.", default=None
    )

    def to_core(self) -> StartWalletSession:
        """For the engine."""
        return StartWalletSession(
            idempotency_key=self.idempotency_key,
            wallet=self.wallet.lower(),
            validation_url=self.validation_url,
            domain=self.domain or "",
        )
