"""How many usage events does one server take in a second?

    python -m tests.bench.usage [--seconds 10] [--batch 500] [--connections 4]

A server of its own, as an operator starts it, and clients in this process that send batches by
`recordUsage` and ask for a receipt of each event. The floor is the same rows, written by the same
statement on one connection, without HTTP, GraphQL and checks. What is counted are receipts that
say `ACCEPTED`; afterwards the meter's own sum is compared with them. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
from payengine.storage import Database

from tests.bench.house import House, open_house

_RECORD = """
mutation Record($input: RecordUsageInput!) {
  recordUsage(input: $input) {
    errors { code message }
    receipts { id outcome code }
    accepted
  }
}
"""
_SET_UP = """
mutation SetUp($customer: CreateCustomerInput!, $meter: CreateMeterInput!) {
  createCustomer(input: $customer) { customer { id } }
  createMeter(input: $meter) { meter { id } }
}
"""
_SUM = """
query Sum($meter: ID!, $customer: ID!, $since: DateTime!, $until: DateTime!) {
  usageQuantity(meterId: $meter, customerId: $customer, since: $since, until: $until)
}
"""
_FLOOR = """
    INSERT INTO usage_event
        (tenant_id, meter_id, id, customer_id, at, value, key, told_at, batch_id, place)
    SELECT $1, $2, prefix || place, $3, $4, '1', NULL, $4, prefix, place
    FROM generate_series(1, $5) AS place, (SELECT $6::text AS prefix) AS named
"""


class _Teller:
    """A tenant's client; `told` counts the accepted events."""

    def __init__(self, client: httpx.AsyncClient, secret: str) -> None:
        self._client = client
        self._secret = secret
        self.told = 0
        self.batches = 0
        self.customer = ""
        self.meter = ""

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = await self._client.post(
            "/graphql",
            json={"query": query, "variables": variables},
            headers={"Authorization": f"Bearer {self._secret}"},
        )
        body: dict[str, Any] = answer.json()
        if "errors" in body:
            raise RuntimeError(str(body["errors"])[:500])
        data: dict[str, Any] = body["data"]
        return data

    async def set_up(self) -> None:
        data = await self.ask(
            _SET_UP,
            customer={"idempotencyKey": _name(), "reference": "buyer"},
            meter={"idempotencyKey": _name(), "name": "calls", "formula": "SUM"},
        )
        self.customer = data["createCustomer"]["customer"]["id"]
        self.meter = data["createMeter"]["meter"]["id"]

    async def tell_until(self, end: float, *, batch: int) -> None:
        while time.perf_counter() < end:
            at = datetime.now(UTC).isoformat()
            name = _name()
            events = [
                {
                    "meter": "calls",
                    "customerId": self.customer,
                    "id": f"{name}-{place}",
                    "at": at,
                    "value": "1",
                }
                for place in range(batch)
            ]
            data = await self.ask(_RECORD, input={"idempotencyKey": name, "events": events})
            told = data["recordUsage"]
            if told["errors"] or len(told["receipts"]) != batch:
                raise RuntimeError(str(told)[:500])
            self.told += sum(each["outcome"] == "ACCEPTED" for each in told["receipts"])
            self.batches += 1

    async def total(self) -> int:
        data = await self.ask(
            _SUM,
            meter=self.meter,
            customer=self.customer,
            since="2000-01-01T00:00:00Z",
            until="2100-01-01T00:00:00Z",
        )
        return int(data["usageQuantity"])


def _name() -> str:
    return "k" + "".join(chr(ord("a") + digit % 26) for digit in uuid.uuid4().bytes)


async def _through_graphql(house: House, arguments: argparse.Namespace) -> tuple[int, int, float]:
    async with house.api() as api:
        address = f"http://127.0.0.1:{api.port}"
        async with httpx.AsyncClient(base_url=address, timeout=60) as client:
            tellers = [_Teller(client, shop.key) for shop in house.shops]
            for teller in tellers:
                await teller.set_up()
                await teller.tell_until(time.perf_counter() + 0.5, batch=arguments.batch)
            warm = sum(teller.told for teller in tellers)
            began = time.perf_counter()
            end = began + arguments.seconds
            await asyncio.gather(
                *(teller.tell_until(end, batch=arguments.batch) for teller in tellers)
            )
            took = time.perf_counter() - began
            told = sum(teller.told for teller in tellers)
            kept = sum([await teller.total() for teller in tellers])
    if kept != told:
        raise RuntimeError(f"{told} were accepted, and {kept} are kept.")
    return told - warm, sum(teller.batches for teller in tellers), took


async def _floor(house: House, arguments: argparse.Namespace) -> float:
    database = await Database.open(house.servers.login_url)
    try:
        tenant_id = (await database.tenant_ids())[0]
        async with database.tenant(tenant_id) as session:
            meter = await session.fetchval("SELECT id FROM meter LIMIT 1")
            customer = await session.fetchval("SELECT id FROM customer LIMIT 1")
        written, began = 0, time.perf_counter()
        while time.perf_counter() - began < min(arguments.seconds, 5):
            now = datetime.now(UTC)
            async with database.tenant(tenant_id) as session:
                await session.execute(
                    _FLOOR, tenant_id, meter, customer, now, arguments.batch, _name()
                )
            written += arguments.batch
        return written / (time.perf_counter() - began)
    finally:
        await database.close()


async def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    async with open_house(tenants=arguments.connections) as house:
        told, batches, took = await _through_graphql(house, arguments)
        floor = await _floor(house, arguments)
    return {
        "bench": "usage",
        "events_per_s": round(told / took),
        "batch": arguments.batch,
        "connections": arguments.connections,
        "batches": batches,
        "seconds": round(took, 2),
        "floor_rows_per_s": round(floor),
        "wanted_events_per_s": 2_000,
    }


def main() -> int:
    """Measure and print; 1 where it is less than what is promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--connections", type=int, default=4)
    found = asyncio.run(_measure(parser.parse_args()))
    sys.stdout.write(f"{found['events_per_s']:,} usage events/s, each with its receipt; ")
    sys.stdout.write(f"{found['floor_rows_per_s']:,} bare rows/s\n{json.dumps(found)}\n")
    return 0 if found["events_per_s"] >= found["wanted_events_per_s"] else 1


if __name__ == "__main__":
    sys.exit(main())
