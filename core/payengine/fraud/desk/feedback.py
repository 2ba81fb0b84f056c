"""How does the tenant say what became of a payment?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import InputInvalid, NotFound
from payengine.events.writing import insert_event
from payengine.fraud.labels import write_label
from payengine.fraud.outcomes import OutcomeReport, labeled_event
from payengine.idempotency import check_key, claim, fingerprint
from payengine.plugin import Label
from payengine.storage import Database
from payengine.texts import check_id

__all__ = ["Feedback", "KnownOutcome"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_PAYMENT = "SELECT created_at, customer_id FROM payment WHERE tenant_id = $1 AND id = $2"

_LABELS = """
    SELECT DISTINCT ON (payment_id, observed_at)
           payment_id, is_fraud, source, observed_at, superseded_at, recorded_at
    FROM fraud_label WHERE tenant_id = $1 AND payment_id = ANY ($2)
    ORDER BY payment_id, observed_at, number
"""


class KnownOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was known of a payment from `observed_at` until `superseded_at`, exclusive."""

    payment_id: str
    is_fraud: bool
    source: str
    observed_at: datetime
    recorded_at: datetime
    superseded_at: datetime | None = None


class Feedback:
    """What is known of all tenants' payments."""

    def __init__(self, database: Database, *, clock: Clock, nudge: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._nudge = nudge

    async def report(self, context: TenantContext, request: OutcomeReport) -> list[KnownOutcome]:
        """Keep what the tenant knows; all that is known of the payment, the earliest first.

        It counts from `observed_at` on: what was decided before then is not decided anew. Raises
        `NotFound`, `InputInvalid` for an instant before the payment or in the future.
        """
        context.require("fraud:write")
        check_key(request.idempotency_key)
        check_id(request.payment_id, "pay", field="paymentId")
        now = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            payment = await session.fetchrow(_PAYMENT, context.tenant_id, request.payment_id)
            if payment is None:
                raise NotFound("There is no such payment.", path=("paymentId",))
            observed_at = request.observed_at or now
            if not payment["created_at"] <= observed_at <= now:
                raise InputInvalid(
                    "Nobody knew before the payment was made, or will only know later.",
                    path=("observedAt",),
                )
            earlier = await claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation="reportFraudOutcome",
                fingerprint=fingerprint("reportFraudOutcome", request),
                resource_id=request.payment_id,
                at=now,
            )
            if earlier is None:
                label = Label(
                    payment_id=request.payment_id,
                    is_fraud=request.is_fraud,
                    observed_at=observed_at,
                    source="tenant",
                )
                await write_label(session, context.tenant_id, label)
                told = labeled_event(label, customer_id=payment["customer_id"], at=now)
                await insert_event(session, context.tenant_id, told)
            rows = await session.fetch(_LABELS, context.tenant_id, [request.payment_id])
        self._nudge()
        return [_known(row) for row in rows]

    async def outcomes_of(
        self, context: TenantContext, payment_ids: Sequence[str]
    ) -> dict[str, list[KnownOutcome]]:
        """All that was known of each payment, the earliest first."""
        context.require("fraud:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_LABELS, context.tenant_id, list(payment_ids))
        found: dict[str, list[KnownOutcome]] = defaultdict(list)
        for row in rows:
            found[row["payment_id"]].append(_known(row))
        return found


def _known(row: Any) -> KnownOutcome:
    ended = row["superseded_at"]
    return KnownOutcome(
        payment_id=row["payment_id"],
        is_fraud=row["is_fraud"],
        source=row["source"],
        observed_at=_instant(row["observed_at"]),
        recorded_at=row["recorded_at"],
        superseded_at=None if ended is None else _instant(ended),
    )


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
