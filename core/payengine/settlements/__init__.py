"""Does what the providers settled agree with our books?

`importing` takes files in, `matching` compares, `booking` books what nobody else does, and
`service` is the door and the work queue.
"""

from __future__ import annotations

from payengine.settlements.models import (
    AssignSettlementItem,
    ImportSettlementFile,
    SettlementAction,
    SettlementFile,
    SettlementFilter,
    SettlementItem,
    SettlementLineRow,
    SettleSettlementItem,
)
from payengine.settlements.service import Settlements

__all__ = [
    "AssignSettlementItem",
    "ImportSettlementFile",
    "SettleSettlementItem",
    "SettlementAction",
    "SettlementFile",
    "SettlementFilter",
    "SettlementItem",
    "SettlementLineRow",
    "Settlements",
]
