"""What does the bank transfer plugin bring?

A gateway, a payout rail, the command `bank` and the buyer's page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from payengine.plugin import Gateway, PayoutRail, SettlementParser, hookimpl

if TYPE_CHECKING:
    from payengine.testing import GatewayCase, RailCase

__all__ = ["commands", "conformance", "gateways", "payout_rails", "settlement_parsers", "web"]


@hookimpl
def gateways() -> Sequence[Gateway]:
    """The gateway of transfers and direct debits."""
    from payengine_bank_transfer.gateway import BankTransferGateway

    return [BankTransferGateway()]


@hookimpl
def payout_rails() -> Sequence[PayoutRail]:
    """Credit transfers in batches."""
    from payengine_bank_transfer.payouts import BankRail

    return [BankRail()]


@hookimpl
def commands() -> Sequence[Any]:
    """`payengine bank`: statements, the unmatched, files for the bank."""
    from payengine_bank_transfer.cli import app

    return [app]


@hookimpl
def settlement_parsers() -> Sequence[SettlementParser]:
    """The reader of the bank's statements."""
    from payengine_bank_transfer.settlements import BankStatement

    return [BankStatement()]


@hookimpl
def web() -> Sequence[Any]:
    """The page that tells a buyer what to transfer."""
    from payengine_bank_transfer.desk import Desk
    from payengine_bank_transfer.pages import routes

    return routes(Desk())


def conformance() -> Sequence[GatewayCase | RailCase]:
    """What the contract tests need to know about this gateway and this rail."""
    from payengine_bank_transfer.samples import debit_case, rail_case

    return [debit_case(), rail_case()]
