"""Where is everything about the marketplace's own accounts?

One record of what this room offers, made by `payengine.engine`. Payouts are in
`payengine.marketplace.treasury`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from payengine.clock import Clock
from payengine.marketplace.connected import ConnectedAccounts
from payengine.marketplace.divided import Splits
from payengine.marketplace.escrows import Escrows
from payengine.marketplace.reserving import Reserves
from payengine.marketplace.rules import SplitRules
from payengine.marketplace.sharer import Sharer
from payengine.marketplace.transferring import AccountTransfers
from payengine.registry import Registry
from payengine.storage import Database

__all__ = ["Marketplace"]


@dataclass(frozen=True, slots=True)
class Marketplace:
    """Connected accounts, how payments are divided among them, and what is kept of that."""

    accounts: ConnectedAccounts
    rules: SplitRules
    splits: Splits
    sharer: Sharer
    escrows: Escrows
    reserves: Reserves
    transfers: AccountTransfers

    @classmethod
    def of(
        cls,
        database: Database,
        *,
        registry: Registry,
        clock: Clock,
        deadline_ms: int,
        nudge: Callable[[], None],
    ) -> Self:
        """The room; `nudge` tells the relay that there are events."""
        return cls(
            accounts=ConnectedAccounts(
                database=database,
                registry=registry,
                clock=clock,
                deadline_ms=deadline_ms,
                nudge=nudge,
            ),
            rules=SplitRules(database=database, clock=clock, nudge=nudge),
            splits=Splits(database),
            sharer=Sharer(database, clock=clock, nudge=nudge),
            escrows=Escrows(database, clock=clock, nudge=nudge),
            reserves=Reserves(database, clock=clock, nudge=nudge),
            transfers=AccountTransfers(database, clock=clock, nudge=nudge),
        )
