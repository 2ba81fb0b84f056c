"""What does the bank transfer plugin bring? A gateway, the command `bank` and the buyer's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from payengine.plugin import Gateway, hookimpl

if TYPE_CHECKING:
    from payengine.testing import GatewayCase

__all__ = ["commands", "conformance", "gateways", "web"]


@hookimpl
def gateways() -> Sequence[Gateway]:
    """The gateway of transfers and direct debits."""
    from payengine_bank_transfer.gateway import BankTransferGateway

    return [BankTransferGateway()]


@hookimpl
def commands() -> Sequence[Any]:
    """`payengine bank`: statements, the unmatched, files for the bank."""
    from payengine_bank_transfer.cli import app

    return [app]


@hookimpl
def web() -> Sequence[Any]:
    """The page that tells a buyer what to transfer."""
    from payengine_bank_transfer.desk import Desk
    from payengine_bank_transfer.pages import routes

    return routes(Desk())


def conformance() -> GatewayCase:
    """What the contract tests need to know about this gateway."""
    from payengine_bank_transfer.samples import debit_case

    return debit_case()
