"""Who asks in these tests: a tenant with an API key, over real HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from payengine.context import SCOPES, TenantContext
from payengine.engine import Engine
from payengine_tenants.keys import ApiKeys
from payengine_tenants.tenants import Tenants

__all__ = ["CREATE", "World", "codes", "make_world", "new_key", "row_counts"]

CREATE = """
mutation Create($input: CreatePaymentInput!) {
  createPayment(input: $input) {
    errors { code message path retryable }
    payment {
      id status amount { amountMinor currency formatted } capturedAmount { amountMinor }
      capturableAmount { amountMinor } refundableAmount { amountMinor }
      decline { code category retryable advice }
      nextAction {
        type url bankDetails { holder iban bic reference amount { amountMinor } }
      }
    }
    operation { id kind status }
  }
}
"""

#: Every table that a tenant's request may write.
_TABLES = (
    "coupon",
    "invoice",
    "pending_line",
    "product",
    "price",
    "scheduled_change",
    "subscription",
    "subscription_item",
    "test_clock",
    "account_check",
    "account_transfer",
    "connected_account",
    "escrow_hold",
    "escrow_release",
    "operation_split",
    "payment_part",
    "payment_split",
    "split_rule",
    "api_key",
    "attempt",
    "customer",
    "directory",
    "dispute",
    "dispute_evidence",
    "dispute_report",
    "dispute_step",
    "event",
    "evidence",
    "fraud_alert",
    "fraud_decision",
    "fraud_event",
    "fraud_label",
    "fraud_list_entry",
    "fraud_list_key",
    "fraud_rule",
    "fraud_setting",
    "gateway_endpoint",
    "idempotency_key",
    "ledger_transfer",
    "fx_conversion",
    "fx_quote",
    "fx_rate",
    "fx_setting",
    "settlement_action",
    "settlement_file",
    "settlement_item",
    "settlement_line",
    "operation",
    "payment",
    "payment_method",
    "payout",
    "payout_batch",
    "payout_destination",
    "payout_evidence",
    "payout_hold",
    "payout_schedule",
    "plugin_setting",
    "received_webhook",
    "review",
    "review_action",
    "routing_activation",
    "routing_policy",
    "webhook_attempt",
    "webhook_delivery",
    "webhook_endpoint",
    "webhook_redelivery",
    "webhook_request",
    "webhook_secret",
)


def new_key() -> str:
    """An idempotency key that nobody used; letters, so that none looks like a card number."""
    return "k" + "".join(chr(ord("a") + digit % 26) for digit in uuid.uuid4().bytes)


@dataclass
class World:
    """One tenant and its client."""

    context: TenantContext
    secret: str
    client: httpx.AsyncClient
    url: str

    async def post(self, body: Any, **headers: str) -> httpx.Response:
        """The raw answer to a JSON body."""
        sent = {"Authorization": f"Bearer {self.secret}", **headers}
        return await self.client.post("/graphql", json=body, headers=sent)

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer."""
        response = await self.post({"query": query, "variables": variables})
        answer: dict[str, Any] = response.json()
        return answer

    async def run(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data; fails where the answer has errors."""
        answer = await self.ask(query, **variables)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def pay(self, **given: Any) -> dict[str, Any]:
        """The payload of createPayment with sensible defaults."""
        fields = {
            "idempotencyKey": new_key(),
            "amount": {"amountMinor": 1_234, "currency": "EUR"},
            "paymentMethod": {"token": "tok_visa"},
        } | given
        data = await self.run(CREATE, input={k: v for k, v in fields.items() if v is not None})
        payload: dict[str, Any] = data["createPayment"]
        return payload


def codes(answer: dict[str, Any]) -> list[str]:
    """The codes of all errors of an answer, those in payloads too, in their order."""
    found = [error["extensions"]["code"] for error in answer.get("errors", ())]
    for payload in (answer.get("data") or {}).values():
        if isinstance(payload, dict):
            found += [error["code"] for error in payload.get("errors") or ()]
    return found


async def make_world(
    engine: Engine, client: httpx.AsyncClient, *, scopes: Sequence[str] = SCOPES
) -> World:
    """A fresh test tenant with a key of these scopes."""
    tenant = await Tenants(engine.database).create("a test")
    owner = tenant.context("test")
    _, secret = await ApiKeys(engine.database).create(owner, "a test", scopes)
    return World(owner, secret, client, str(client.base_url))


async def row_counts(engine: Engine, context: TenantContext) -> dict[str, int]:
    """How many rows the tenant has in each table."""
    async with engine.database.tenant(context.tenant_id) as session:
        return {
            table: await session.fetchval(
                f"SELECT count(*) FROM {table} WHERE tenant_id = $1", context.tenant_id
            )
            for table in _TABLES
        }
