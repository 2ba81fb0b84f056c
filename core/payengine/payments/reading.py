"""What may be read of payments?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from payengine.context import TenantContext
from payengine.payments.models import Attempt, Evidence, Operation, Payment, PaymentStatus
from payengine.payments.store import ATTEMPT, EVIDENCE, OPERATION, PAYMENT
from payengine.storage import Database

__all__ = ["PaymentFilter", "PaymentReader"]

_PAYMENTS_BY_ID = f"SELECT {PAYMENT.listed} FROM payment WHERE tenant_id = $1 AND id = ANY ($2)"

_PAGE = f"""
    SELECT {PAYMENT.listed} FROM payment
    WHERE tenant_id = $1
      AND id < coalesce($2, '~')
      AND ($3::text[] IS NULL OR status = ANY ($3))
      AND ($4::text IS NULL OR customer_id = $4)
      AND ($5::text IS NULL OR currency = $5)
      AND ($6::timestamptz IS NULL OR created_at >= $6)
      AND ($7::timestamptz IS NULL OR created_at < $7)
    ORDER BY id DESC LIMIT $8
"""

_ATTEMPTS = f"""
    SELECT {ATTEMPT.listed} FROM attempt
    WHERE tenant_id = $1 AND payment_id = ANY ($2) ORDER BY payment_id, number
"""

_OPERATIONS = f"""
    SELECT {OPERATION.listed} FROM operation
    WHERE tenant_id = $1 AND payment_id = ANY ($2) ORDER BY created_at, id
"""

_OPERATIONS_BY_ID = f"""
    SELECT {OPERATION.listed} FROM operation WHERE tenant_id = $1 AND id = ANY ($2)
"""

_EVIDENCE = f"""
    SELECT {EVIDENCE.listed} FROM evidence
    WHERE tenant_id = $1 AND operation_id = ANY ($2) ORDER BY id
"""


class PaymentFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which payments a list shows; an empty filter shows all. `created_until` is exclusive."""

    statuses: tuple[PaymentStatus, ...] = ()
    customer_id: str | None = None
    currency: str | None = None
    created_from: datetime | None = None
    created_until: datetime | None = None


class PaymentReader:
    """Reads payments in batches: one statement for any number of ids."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def _fetch(self, context: TenantContext, sql: str, *arguments: Any) -> list[Any]:
        context.require("payments:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await session.fetch(sql, context.tenant_id, *arguments)

    async def get_many(self, context: TenantContext, ids: Sequence[str]) -> dict[str, Payment]:
        """The payments that exist, by id."""
        rows = await self._fetch(context, _PAYMENTS_BY_ID, list(ids))
        return {row["id"]: PAYMENT.read(row) for row in rows}

    async def page(
        self,
        context: TenantContext,
        wanted: PaymentFilter,
        *,
        first: int,
        after: str | None = None,
    ) -> list[Payment]:
        """Newest first, after the payment `after`; one row more than `first` where there is."""
        rows = await self._fetch(
            context,
            _PAGE,
            after,
            list(wanted.statuses) or None,
            wanted.customer_id,
            wanted.currency,
            wanted.created_from,
            wanted.created_until,
            first + 1,
        )
        return [PAYMENT.read(row) for row in rows]

    async def attempts_of(
        self, context: TenantContext, payment_ids: Sequence[str]
    ) -> dict[str, list[Attempt]]:
        """Each payment's attempts in their order."""
        found: dict[str, list[Attempt]] = defaultdict(list)
        for row in await self._fetch(context, _ATTEMPTS, list(payment_ids)):
            found[row["payment_id"]].append(ATTEMPT.read(row))
        return found

    async def operations_of(
        self, context: TenantContext, payment_ids: Sequence[str]
    ) -> dict[str, list[Operation]]:
        """Each payment's operations in the order in which they were made."""
        found: dict[str, list[Operation]] = defaultdict(list)
        for row in await self._fetch(context, _OPERATIONS, list(payment_ids)):
            found[row["payment_id"]].append(OPERATION.read(row))
        return found

    async def operations_by_id(
        self, context: TenantContext, ids: Sequence[str]
    ) -> dict[str, Operation]:
        """The operations that exist, by id."""
        rows = await self._fetch(context, _OPERATIONS_BY_ID, list(ids))
        return {row["id"]: OPERATION.read(row) for row in rows}

    async def evidence_of(
        self, context: TenantContext, operation_ids: Sequence[str]
    ) -> dict[str, list[Evidence]]:
        """Each operation's evidence, oldest first."""
        found: dict[str, list[Evidence]] = defaultdict(list)
        for row in await self._fetch(context, _EVIDENCE, list(operation_ids)):
            found[row["operation_id"]].append(EVIDENCE.read(row))
        return found
