"""A payment's history without a database: plans, findings and postings as the engine makes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from payengine.errors import PayengineError
from payengine.ledger import HoldLine, Posting, Transfer
from payengine.ledger.templates import refund_created
from payengine.payments.findings import Finding
from payengine.payments.fold import HOLD_EXPIRED
from payengine.payments.models import CaptureMethod, Operation, OperationStatus, Payment
from payengine.payments.plans import Plan, plan_capture, plan_increment, plan_refund, plan_void
from payengine.payments.settle import Change, settle
from payengine.plugin import Manifest

__all__ = ["MANIFEST", "START", "History", "operation", "payment"]

START = datetime(2026, 1, 1, tzinfo=UTC)
MANIFEST = Manifest(
    name="g",
    title="G",
    version="1",
    operations=("authorize", "increment", "capture", "void", "refund"),
    multiple_captures=True,
)


def payment(**given: Any) -> Payment:
    """A payment of 1,000 that is being tried."""
    fields: dict[str, Any] = {
        "id": "pay_1",
        "status": "PROCESSING",
        "amount_minor": 1_000,
        "currency": "EUR",
        "capture_method": "MANUAL",
        "created_at": START,
        "updated_at": START,
    }
    return Payment(**(fields | given))


def operation(**given: Any) -> Operation:
    """An authorization of 1,000 that is on its way."""
    fields: dict[str, Any] = {
        "id": "op_1",
        "payment_id": "pay_1",
        "attempt_id": "att_1",
        "kind": "authorize",
        "status": "sending",
        "amount_minor": 1_000,
        "currency": "EUR",
        "gateway": "g",
        "provider_key": given.get("id", "op_1"),
        "request": {},
        "sent_at": START,
        "created_at": START,
        "updated_at": START,
    }
    return Operation(**(fields | given))


class History:
    """One payment, its operations and the transfers that were posted for it."""

    def __init__(self, *, amount: int, capture_method: CaptureMethod) -> None:
        self.payment = payment(amount_minor=amount, capture_method=capture_method)
        automatic = capture_method == "AUTOMATIC"
        self.operations = [operation(amount_minor=amount, capture=automatic)]
        self.lines: dict[tuple[str, int], Transfer] = {}
        self.at = START

    @property
    def status(self) -> str:
        """The payment's status."""
        return self.payment.status

    @property
    def holds(self) -> list[HoldLine]:
        """The pending transfers that are still open, oldest first."""
        ended = {transfer.pending for transfer in self.lines.values()}
        return [
            HoldLine(
                transaction_id=name[0],
                line=name[1],
                debit_account=transfer.debit_account,
                credit_account=transfer.credit_account,
                amount_minor=transfer.amount_minor,
                currency=transfer.currency,
            )
            for name, transfer in self.lines.items()
            if transfer.phase == "pending" and name not in ended
        ]

    @property
    def reserved(self) -> int:
        """What the ledger still reserves."""
        return sum(hold.amount_minor for hold in self.holds)

    @property
    def owed(self) -> int:
        """What the ledger says that the merchant is owed."""
        return sum(
            transfer.amount_minor
            * (
                (transfer.credit_account == "merchant_payable:main")
                - (transfer.debit_account == "merchant_payable:main")
            )
            for transfer in self.lines.values()
            if transfer.phase in ("posted", "post")
        )

    def post(self, postings: Sequence[Posting]) -> None:
        """Write the postings; an id that exists is a defect."""
        for posting in postings:
            assert (posting.transaction_id, 1) not in self.lines, posting.transaction_id
            ended = [transfer.pending for transfer in self.lines.values() if transfer.pending]
            for line, transfer in enumerate(posting.transfers, start=1):
                if transfer.pending is not None:
                    pending = self.lines[transfer.pending]
                    assert transfer.pending not in ended
                    assert pending.phase == "pending"
                    assert transfer.amount_minor <= pending.amount_minor
                self.lines[posting.transaction_id, line] = transfer

    def find(
        self, index: int, status: OperationStatus, *, reason: str = "", **more: Any
    ) -> Change | None:
        """Learn that an operation has this status."""
        known = self.operations[index]
        self.at += timedelta(seconds=1)
        finding = Finding(status=status, source="lookup", reason=reason, **more)
        holds = self.holds
        change = settle(self.payment, self.operations, known, finding, holds=holds, at=self.at)
        if change is None:
            return None
        again = settle(self.payment, self.operations, known, finding, holds=holds, at=self.at)
        assert again is not None
        assert again.postings == change.postings
        self.post(change.postings)
        self.payment = change.payment
        self.operations[index] = change.operation
        if change.canceled is not None:
            place = [o.id for o in self.operations].index(change.canceled.id)
            self.operations[place] = change.canceled
        return change

    def ask(self, kind: str, amount: int | None, *, final: bool = True) -> bool:
        """Plan a step and send it, as the engine does; False where it is refused."""
        try:
            plan = self._plan(kind, amount, final=final)
        except PayengineError:
            return False
        if plan is None:
            return False
        number = len(self.operations) + 1
        self.at += timedelta(seconds=1)
        self.operations.append(
            operation(
                id=f"op_{number}",
                kind=plan.kind,
                attempt_id=plan.attempt_id,
                amount_minor=plan.amount_minor,
                released_minor=plan.released_minor,
                final=plan.final,
                created_at=self.at,
            )
        )
        before = self.payment
        self.payment = msgspec.structs.replace(
            before,
            capture_reserved_minor=before.capture_reserved_minor
            + (plan.amount_minor if plan.kind == "capture" else 0),
            void_reserved_minor=before.void_reserved_minor + plan.released_minor,
            refund_reserved_minor=before.refund_reserved_minor
            + (plan.amount_minor if plan.kind == "refund" else 0),
        )
        if plan.kind == "refund":
            self.post(
                [
                    refund_created(
                        operation_id=f"op_{number}",
                        payment_id="pay_1",
                        gateway="g",
                        amount_minor=plan.amount_minor,
                        currency="EUR",
                    )
                ]
            )
        return True

    def expire(self) -> None:
        """The engine releases what is held and not reserved."""
        before = self.payment
        left = before.capturable_minor
        if left == 0 or before.capture_reserved_minor or before.void_reserved_minor:
            return
        number = len(self.operations) + 1
        self.operations.append(
            operation(
                id=f"op_{number}",
                kind="void",
                amount_minor=left,
                released_minor=left,
                created_at=self.at,
            )
        )
        self.find(number - 1, "succeeded", reason=HOLD_EXPIRED)

    def _plan(self, kind: str, amount: int | None, *, final: bool) -> Plan | None:
        now, operations, at = self.payment, self.operations, self.at
        if kind == "capture":
            return plan_capture(now, operations, MANIFEST, amount_minor=amount, final=final, at=at)
        if kind == "void":
            return plan_void(now, operations, at=at)
        if kind == "refund":
            return plan_refund(now, operations, amount_minor=amount)
        return plan_increment(now, operations, MANIFEST, amount_minor=amount or 1, at=at)
