"""Which payments can a new policy be tried on?

Reads what was made in a span of time, the latest few thousand, and lets the simulator decide them
again. The gateways are today's: what was enabled or healthy then is not known any more.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from payengine.context import TenantContext
from payengine.errors import InputInvalid, RateLimited
from payengine.ids import first_id
from payengine.routing.facts import Candidate, Facts
from payengine.routing.policies import Policies
from payengine.routing.simulate import PastPayment, Simulation, Simulator
from payengine.storage import Database

__all__ = ["MOST_PAYMENTS", "Past"]

#: So many payments, the latest of the span, are decided again.
MOST_PAYMENTS = 5_000
#: So many are read at once, and so many decided before others get their turn: a few milliseconds.
_PAGE = 250
_AT_ONCE = 50
_SIMULATIONS = 2

#: The newest payment that is one too many, if there are so many.
_TOO_MANY = """
    SELECT id FROM payment WHERE tenant_id = $1 AND id >= $2 AND id < $3
    ORDER BY id DESC OFFSET $4 LIMIT 1
"""

_PAST = """
    SELECT payment.id, payment.amount_minor, payment.currency, payment.method_kind,
           payment.metadata, attempt.gateway, attempt.method, attempt.routing, operation.status
    FROM (
        SELECT tenant_id, id, amount_minor, currency, method_kind, metadata FROM payment
        WHERE tenant_id = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4
    ) AS payment
    LEFT JOIN attempt ON attempt.tenant_id = $1 AND attempt.payment_id = payment.id
        AND attempt.number = 1
    LEFT JOIN operation ON operation.tenant_id = $1 AND operation.payment_id = payment.id
        AND operation.attempt_id = attempt.id AND operation.kind = 'authorize'
    ORDER BY payment.id
"""

_KNOWN = {"succeeded": True, "declined": False, "not_sent": False, "canceled": False}


class Past:
    """The payments that were made."""

    def __init__(self, database: Database, policies: Policies) -> None:
        self._database = database
        self._policies = policies
        self._places = asyncio.Semaphore(_SIMULATIONS)
        self._running: set[uuid.UUID] = set()

    async def simulate(
        self,
        context: TenantContext,
        plain: object,
        candidates: Sequence[Candidate],
        *,
        since: datetime,
        until: datetime,
    ) -> Simulation:
        """What the policy `plain` would have done with the payments made in since ≤ at < until.

        Raises `RoutingPolicyInvalid`, `InputInvalid` for a span that ends before it begins, and
        `RateLimited` while another simulation of the tenant is under way.
        """
        context.require("routing:read")
        context.require("payments:read")
        policy = self._policies.parse(plain)
        if until <= since:
            raise InputInvalid("The span ends before it begins.", path=("until",))
        if context.tenant_id in self._running:
            raise RateLimited("One simulation at a time: another one is under way.")
        self._running.add(context.tenant_id)
        try:
            async with self._places:
                return await self._simulate(
                    context.tenant_id,
                    Simulator(policy, candidates),
                    begin=first_id("pay", since),
                    end=first_id("pay", until),
                )
        finally:
            self._running.discard(context.tenant_id)

    async def _simulate(
        self, tenant_id: uuid.UUID, simulator: Simulator, *, begin: str, end: str
    ) -> Simulation:
        async with self._database.tenant(tenant_id) as session:
            surplus = await session.fetchval(_TOO_MANY, tenant_id, begin, end, MOST_PAYMENTS)
        behind = surplus or begin
        for _ in range(MOST_PAYMENTS // _PAGE + 1):
            async with self._database.tenant(tenant_id) as session:
                rows = await session.fetch(_PAST, tenant_id, behind, end, _PAGE)
            if not rows:
                break
            behind = rows[-1]["id"]
            for place, row in enumerate(rows):
                if row["status"] is not None:  # one that was stopped before any gateway has none
                    simulator.take(_payment(row))
                if place % _AT_ONCE == 0:
                    await asyncio.sleep(0)
        return simulator.report(truncated=surplus is not None)


def _payment(row: Mapping[str, Any]) -> PastPayment:
    method: dict[str, Any] = row["method"]
    routing: dict[str, Any] = row["routing"]
    return PastPayment(
        facts=Facts(
            payment_id=row["id"],
            amount_minor=row["amount_minor"],
            currency=row["currency"],
            method=row["method_kind"] or str(method.get("kind", "")),
            country=method.get("country"),
            card_digits=method.get("card_digits"),
            metadata=row["metadata"],
        ),
        gateway=row["gateway"],
        succeeded=_KNOWN.get(row["status"]),
        by_chance=len(routing.get("odds", ())) > 1,
    )
