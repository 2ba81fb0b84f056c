"""Who buys in the demo?

A buyer replays the purchases through the public GraphQL API: the customer is made when first seen,
one payment in twenty is captured by hand, one in fifty is refunded.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from payengine.errors import EnvironmentProblem, PayengineError

from payengine_graphql.demo.client import Client
from payengine_graphql.demo.purchases import Purchase, purchases
from payengine_graphql.demo.tenants import DemoTenant

__all__ = ["Buyer", "replay"]

_FOR_EVER = 10**12
_MANUAL_ONE_IN = 20
_REFUND_ONE_IN = 50
_PATIENCE_S = 1.0
_TRIES = 5

_CUSTOMER = """
    mutation ($input: CreateCustomerInput!) {
        createCustomer(input: $input) { customer { id } errors { code message } }
    }
"""
_PAY = """
    mutation ($input: CreatePaymentInput!) {
        createPayment(input: $input) { payment { id status } errors { code message } }
    }
"""
_CAPTURE = """
    mutation ($input: CapturePaymentInput!) {
        capturePayment(input: $input) { payment { id status } errors { code message } }
    }
"""
_REFUND = """
    mutation ($input: RefundPaymentInput!) {
        refundPayment(input: $input) { payment { id status } errors { code message } }
    }
"""


class Buyer:
    """Buys at the three shops; `seen` counts the payments by status."""

    def __init__(self, client: Client, tenants: Sequence[DemoTenant]) -> None:
        self._client = client
        self._tenants = tenants
        self._customers: dict[tuple[int, str], asyncio.Future[str]] = {}
        self._round = f"{time.time_ns():x}"
        self.seen: Counter[str] = Counter()
        self.amounts: Counter[str] = Counter()

    async def buy(self, purchase: Purchase) -> None:
        """One purchase; an answer that is lost is asked for again with the same key."""
        tenant = self._tenants[purchase.tenant]
        name = f"demo-{self._round}-{purchase.id}"
        number = int(purchase.id.partition("-")[2])
        by_hand = number % _MANUAL_ONE_IN == 0
        answer = await self._ask(
            tenant,
            _PAY,
            "createPayment",
            {
                "idempotencyKey": name,
                "amount": {"amountMinor": purchase.amount_minor, "currency": tenant.currency},
                "captureMethod": "MANUAL" if by_hand else "AUTOMATIC",
                "paymentMethod": {"token": purchase.token},
                "customerId": await self._customer(purchase),
                "metadata": purchase.metadata,
            },
        )
        status, payment_id = answer["status"], answer["id"]
        if status == "AUTHORIZED":
            follow = {"idempotencyKey": f"{name}-capture", "paymentId": payment_id}
            status = (await self._ask(tenant, _CAPTURE, "capturePayment", follow))["status"]
        if status == "CAPTURED" and number % _REFUND_ONE_IN == 1:
            follow = {"idempotencyKey": f"{name}-refund", "paymentId": payment_id}
            await self._ask(tenant, _REFUND, "refundPayment", follow)
        self.seen[status] += 1
        if status == "CAPTURED":
            self.amounts[tenant.currency] += purchase.amount_minor

    async def _customer(self, purchase: Purchase) -> str:
        place = (purchase.tenant, purchase.customer)
        if place not in self._customers:
            self._customers[place] = asyncio.ensure_future(self._make_customer(purchase))
        return await self._customers[place]

    async def _make_customer(self, purchase: Purchase) -> str:
        tenant = self._tenants[purchase.tenant]
        made = await self._ask(
            tenant,
            _CUSTOMER,
            "createCustomer",
            {"idempotencyKey": f"demo-{purchase.customer}", "reference": purchase.customer},
            noun="customer",
        )
        return made["id"]

    async def _ask(
        self,
        tenant: DemoTenant,
        document: str,
        field: str,
        given: Mapping[str, object],
        *,
        noun: str = "payment",
    ) -> dict[str, str]:
        for tried in range(_TRIES):
            try:
                data = await self._client.ask(tenant.api_key, document, {"input": given})
            except PayengineError:
                if tried == _TRIES - 1:
                    raise
                await asyncio.sleep(_PATIENCE_S)
                continue
            found: dict[str, str] | None = data[field][noun]
            if found is None:
                raise EnvironmentProblem(f"{field} was refused: {data[field]['errors']}")
            return found
        raise AssertionError("unreachable")


async def replay(
    url: str,
    tenants: Sequence[DemoTenant],
    *,
    number: int = _FOR_EVER,
    rate: float | None,
    concurrency: int = 8,
    told: Callable[[Buyer, int], None] | None = None,
) -> Buyer:
    """Replay `number` purchases, `rate` a second (None: as fast as they are taken).

    Raises `EnvironmentProblem` where the server stays away.
    """
    client = Client(url, connections=concurrency)
    buyer = Buyer(client, tenants)
    places = asyncio.Semaphore(concurrency)
    started = time.monotonic()
    done = 0

    async def buy(purchase: Purchase) -> None:
        nonlocal done
        try:
            await buyer.buy(purchase)
        finally:
            places.release()
        done += 1
        if told is not None:
            told(buyer, done)

    try:
        async with asyncio.TaskGroup() as group:
            for index, purchase in enumerate(purchases(number)):
                if rate is not None:
                    await asyncio.sleep(max(started + index / rate - time.monotonic(), 0))
                await places.acquire()
                group.create_task(buy(purchase))
    except* PayengineError as problems:
        raise _first(problems) from None
    finally:
        await client.close()
    return buyer


def _first(problems: BaseExceptionGroup[PayengineError]) -> PayengineError:
    first = problems.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
