"""Disputes in few words: what a provider tells, and what became of payment and books."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from payengine.payments import Payment
from payengine.payments.disputes import (
    AcceptDispute,
    AddDisputeEvidence,
    Dispute,
    DisputeFilter,
    SubmitDisputeEvidence,
)
from payengine.plugin import Amount, DisputeEvent, DisputeReport, DisputeStatus
from payengine_sandbox.disputes import DisputeBook, OpenDispute
from payengine_sandbox.local import book_at, store_path

from tests.engines import Shop, key

__all__ = ["BEGAN", "Court", "report"]

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_serial = itertools.count(1)


def report(
    payment: str | None,
    status: DisputeStatus = "needs_response",
    *,
    amount: int = 1_000,
    currency: str = "EUR",
    reference: str = "dp_1",
    event: str | None = None,
    at: datetime = BEGAN,
    known_as: str | None = None,
    **told: Any,
) -> DisputeEvent:
    """What the provider tells of the dispute over the operation sent with the key `payment`."""
    fields: dict[str, Any] = {"reason": "fraudulent", "fee_minor": 150} | told
    return DisputeEvent(
        event_id=event or f"evt_{next(_serial)}",
        key=payment,
        provider_reference=known_as,
        dispute=DisputeReport(
            reference=reference, status=status, amount=Amount(amount, currency), **fields
        ),
        occurred_at=at,
    )


class Court:
    """One shop's disputes."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    async def charge(self, amount: int = 1_000, **given: Any) -> tuple[Payment, str]:
        """A captured payment and the key with which it was sent."""
        paid = await self.shop.pay(amount, **given)
        assert paid.operation is not None
        return paid.payment, paid.operation.id

    async def hear(self, event: DisputeEvent) -> Dispute:
        """Record it; the dispute as it then stands."""
        await self.shop.engine.disputes.record_report(
            self.shop.context, gateway="sandbox", event=event
        )
        return next(
            each for each in await self.all() if each.provider_reference == event.dispute.reference
        )

    async def all(self, **wanted: Any) -> list[Dispute]:
        """The disputes, newest first."""
        return await self.shop.engine.disputes.page(
            self.shop.context, DisputeFilter(**wanted), first=50
        )

    async def begin(self, sent_with: str, **told: Any) -> Dispute:
        """The sandbox's buyer disputes, and the engine hears of it."""
        shown = await self.book().open(
            str(self.shop.context.tenant_id), OpenDispute(key=sent_with, **told)
        )
        return await self.hear(
            report(
                sent_with,
                amount=shown.amount_minor,
                reference=shown.reference,
                fee_minor=shown.fee_minor,
                evidence_due_at=shown.evidence_due_at,
                at=datetime.now(UTC),
            )
        )

    def book(self) -> DisputeBook:
        """The sandbox's own book."""
        return book_at(store_path())

    async def prove(self, dispute: Dispute, **given: Any) -> Any:
        """Add a piece of evidence; a text unless `given` says otherwise."""
        fields = {"idempotency_key": key(), "category": "other", "text": "It was delivered."}
        if "file" in given:
            fields.pop("text")
        return await self.shop.engine.disputes.add_evidence(
            self.shop.context, AddDisputeEvidence(dispute_id=dispute.id, **(fields | given))
        )

    async def submit(self, dispute: Dispute, **given: Any) -> Dispute:
        """Hand the evidence in."""
        fields = {"idempotency_key": key()} | given
        return await self.shop.engine.disputes.submit(
            self.shop.context, SubmitDisputeEvidence(dispute_id=dispute.id, **fields)
        )

    async def accept(self, dispute: Dispute, **given: Any) -> Dispute:
        """Give up."""
        fields = {"idempotency_key": key()} | given
        return await self.shop.engine.disputes.accept(
            self.shop.context, AcceptDispute(dispute_id=dispute.id, **fields)
        )

    async def look(self, *, after: timedelta = timedelta(minutes=1)) -> int:
        """Let the room take what is due by then."""
        with self.shop.till.clock.later(after) as then:
            return await self.shop.engine.disputes.run_once(at=then)

    async def balances(self) -> dict[str, int]:
        """What stands on each account that is not empty: debits minus credits."""
        found: Counter[str] = Counter()
        async with self.shop.engine.database.tenant(self.shop.context.tenant_id) as session:
            rows = await session.fetch(
                "SELECT debit_account, credit_account, amount_minor FROM ledger_transfer"
                " WHERE tenant_id = $1 AND phase IN ('posted', 'post')",
                self.shop.context.tenant_id,
            )
        for row in rows:
            found[row["debit_account"]] += row["amount_minor"]
            found[row["credit_account"]] -= row["amount_minor"]
        return {account: amount for account, amount in found.items() if amount}

    async def events(self, prefix: str = "dispute.") -> list[str]:
        """The types of the events that begin so, in the order in which they were written."""
        async with self.shop.engine.database.tenant(self.shop.context.tenant_id) as session:
            rows = await session.fetch(
                "SELECT type FROM event WHERE tenant_id = $1 ORDER BY seq",
                self.shop.context.tenant_id,
            )
        return [row["type"] for row in rows if row["type"].startswith(prefix)]
