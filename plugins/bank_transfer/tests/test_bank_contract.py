"""Does the plugin keep every promise of the contract, with transfers and with debits?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from payengine.plugin import Call, Outcome, Void
from payengine.testing import ContractBroken, GatewayCase, GatewayContract
from payengine.testing.checks import CHECKS
from payengine_bank_transfer.desk import Desk
from payengine_bank_transfer.gateway import BankTransferGateway
from payengine_bank_transfer.samples import debit_case, transfer_case


class TestDebits(GatewayContract):
    """Direct debits under mandates."""

    path: Path

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "bank.sqlite3"

    def case(self) -> GatewayCase:
        """Fresh books at the simulated bank."""
        return debit_case(path=self.path)


class Forgetful(BankTransferGateway):
    """Says that it called the payment off, and awaits it all the same."""

    async def void(self, call: Call, request: Void) -> Outcome:
        return Outcome(status="succeeded", provider_reference=request.provider_reference)


async def test_a_void_that_calls_nothing_off_breaks_the_contract(tmp_path: Path) -> None:
    gateway = Forgetful(Desk(path=tmp_path / "bank.sqlite3"))
    case = replace(transfer_case(), gateway=gateway)
    with pytest.raises(ContractBroken):
        await CHECKS["void_releases_the_hold"](case)
    await gateway.aclose()


class TestTransfers(TestDebits):
    """Transfers that buyers make."""

    def case(self) -> GatewayCase:
        """Fresh books at the simulated bank."""
        return transfer_case(path=self.path)
