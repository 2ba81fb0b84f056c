"""What does a customer have with the shop, and how is it changed by hand?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import asyncpg

from payengine.billing.invoice_lines import require_currency, require_minor
from payengine.billing.invoices.balance import BalanceChange, BalanceEntry, change_balances
from payengine.billing.invoices.models import AdjustBalance
from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import AmountTooLarge, InputInvalid, NotFound
from payengine.events import NewEvent
from payengine.events.writing import insert_event
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.storage import Database
from payengine.storage.columns import Columns
from payengine.texts import check_id, check_text

__all__ = ["Balances"]

_ENTRY = Columns(BalanceEntry)
_OF = """
    SELECT customer_id, currency, balance FROM customer_balance
    WHERE tenant_id = $1 AND customer_id = ANY ($2) ORDER BY customer_id, currency
"""
_ENTRIES = f"""
    SELECT {_ENTRY.listed} FROM customer_balance_entry
    WHERE tenant_id = $1 AND customer_id = $2 AND id < coalesce($3, '~') ORDER BY id DESC LIMIT $4
"""


class Balances:
    """The customers' balances of all tenants."""

    def __init__(
        self, *, database: Database, clock: Clock, nudge: Callable[[], None] = lambda: None
    ) -> None:
        """`nudge` says that there are new events."""
        self._database = database
        self._clock = clock
        self._nudge = nudge

    async def of(
        self, context: TenantContext, customer_ids: Sequence[str]
    ) -> dict[str, dict[str, int]]:
        """Each customer's balances, minor units by currency; what nobody touched is not there."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_OF, context.tenant_id, list(customer_ids))
        found: dict[str, dict[str, int]] = {}
        for row in rows:
            found.setdefault(row["customer_id"], {})[row["currency"]] = row["balance"]
        return found

    async def entries(
        self, context: TenantContext, customer_id: str, *, first: int, after: str | None = None
    ) -> list[BalanceEntry]:
        """What changed a balance, newest first; one more than `first` where there is."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_ENTRIES, context.tenant_id, customer_id, after, first + 1)
        return [_ENTRY.read(row) for row in rows]

    async def adjust(self, context: TenantContext, request: AdjustBalance) -> dict[str, int]:
        """Give or take credit; the customer's balances then. Raises `NotFound`, `InputInvalid`."""
        context.require("billing:write")
        check_key(request.idempotency_key)
        check_id(request.customer_id, "cus", field="customerId")
        check_text(request.reason, field="reason")
        require_currency(request.currency)
        if require_minor(request.amount, what="amount") == 0:
            raise InputInvalid("An adjustment changes something.", path=("amountMinor",))
        at = self._clock.now(context.tenant_id)
        change = BalanceChange(
            customer_id=request.customer_id,
            currency=request.currency,
            amount=request.amount,
            reason=request.reason,
        )
        try:
            async with self._database.tenant(context.tenant_id) as session:
                earlier = await claim(
                    session,
                    context.tenant_id,
                    key=request.idempotency_key,
                    mutation="adjustCustomerBalance",
                    fingerprint=fingerprint("adjustCustomerBalance", request),
                    resource_id=request.customer_id,
                    at=at,
                )
                if earlier is None:
                    await change_balances(session, context.tenant_id, at, [change])
                    await insert_event(session, context.tenant_id, _event(change, at=at))
        except asyncpg.ForeignKeyViolationError:
            raise NotFound("There is no such customer.", path=("customerId",)) from None
        except AmountTooLarge as problem:
            raise AmountTooLarge(problem.message, path=("amountMinor",)) from None
        self._nudge()
        return (await self.of(context, [request.customer_id])).get(request.customer_id, {})


def _event(change: BalanceChange, *, at: datetime) -> NewEvent:
    return NewEvent(
        id=new_id("evt"),
        type="customer_balance.adjusted",
        customer_id=change.customer_id,
        data={
            "currency": change.currency,
            "amount": change.amount,
            "reason": change.reason,
        },
        occurred_at=at,
    )
