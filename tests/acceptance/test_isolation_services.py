"""The engine's services keep tenants apart on their own too, were the policies gone.

Each test runs twice: as installed, and with a further policy on every table that lets all rows
through. Another tenant's id gets the same answer as an id of nothing.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from payengine.context import TenantContext
from payengine.customers import (
    CreateCustomer,
    DetachPaymentMethod,
    SavePaymentMethod,
    UpdateCustomer,
)
from payengine.engine import Engine, open_engine
from payengine.errors import PayengineError, PluginNotEnabled, WalletTokenReplayed
from payengine.events.relay import publish_batch
from payengine.ids import new_id
from payengine.payments import PaymentFilter, reading
from payengine.payments.disputes import (
    AcceptDispute,
    AddDisputeEvidence,
    DisputeFilter,
    SubmitDisputeEvidence,
)
from payengine.payments.inbound import WebhookFilter
from payengine.payments.inputs import (
    CapturePayment,
    ConfirmPayment,
    CreatePayment,
    IncrementAuthorization,
    MethodInput,
    RefundPayment,
    VoidPayment,
)
from payengine.payments.review import (
    ClaimReview,
    CloseReview,
    ReleaseReview,
    ReviewFilter,
    SettleReview,
)
from payengine.plugin import Amount, DisputeEvent, DisputeReport
from payengine.settings import Settings
from payengine_apple_pay.testing import AppleOfTest
from payengine_tenants import ApiKeys

from tests.acceptance.worlds import read_tables
from tests.conftest import Servers
from tests.notices import Doorbell, shown

_CARD = MethodInput(token="tok_visa")


@dataclass(frozen=True)
class Made:
    """What one tenant made through the services; every id is a text."""

    customer: str
    method: str
    captured: str
    authorized: str
    operation: str
    key: str
    gateway_endpoint: str
    received_webhook: str


@pytest.fixture(scope="module")
async def engine(servers: Servers) -> AsyncIterator[Engine]:
    """The engine on the session's servers, without its background loops."""
    settings = Settings(home=servers.home)
    async with open_engine(settings, login_url=servers.login_url, background=False) as opened:
        yield opened


@pytest.fixture(params=["with policies", "without policies"])
async def layer(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[str]:
    """Whether the policies hold or let everything through."""
    connection = await asyncpg.connect(servers.owner_url)
    tables = [table.name for table in await read_tables(connection)]
    is_open = request.param == "without policies"
    try:
        for table in tables if is_open else ():
            await connection.execute(f"CREATE POLICY opened ON {table} USING (true)")
        yield request.param
    finally:
        for table in tables:
            await connection.execute(f"DROP POLICY IF EXISTS opened ON {table}")
        await connection.close()


async def make(engine: Engine, context: TenantContext) -> Made:
    """A customer with a card, a captured and an authorized payment, and a key."""
    customer = await engine.customers.create(
        context, CreateCustomer(idempotency_key="customer", email="a@example.com", name="Ada")
    )
    method = await engine.customers.save_method(
        context,
        SavePaymentMethod(idempotency_key="method", customer_id=customer.id, token="tok_visa"),
    )
    payments = []
    for how in ("AUTOMATIC", "MANUAL"):
        made = await engine.payments.create(
            context,
            CreatePayment(
                idempotency_key=how,
                amount_minor=1000,
                currency="EUR",
                capture_method="AUTOMATIC" if how == "AUTOMATIC" else "MANUAL",
                payment_method=_CARD,
                customer_id=customer.id,
            ),
        )
        assert made.operation is not None
        payments.append(made)
    operation = payments[0].operation
    assert operation is not None
    assert [made.payment.status for made in payments] == ["CAPTURED", "AUTHORIZED"]
    key, _ = await ApiKeys(engine.database).create(context, "a key")
    bell = await Doorbell.of(engine, context)
    receipt = await bell.tell(shown(operation, key="nobody's", reference="nobody's"))
    return Made(
        customer.id,
        method.id,
        payments[0].payment.id,
        payments[1].payment.id,
        operation.id,
        key.id,
        bell.endpoint.id,
        receipt.stored[0],
    )


async def read_all(engine: Engine, context: TenantContext) -> dict[str, Any]:
    """Everything that a tenant can list."""
    payments = engine.payments
    page = await payments.page(context, PaymentFilter(), first=50, after=None)
    return {
        "payments": sorted(payment.id for payment in page),
        "customers": [each.id for each in await engine.customers.page(context, first=50)],
        "events": sorted(event.id for event in await engine.events.page(context, first=50)),
        "balances": sorted(map(repr, await engine.ledger.balances(context, None))),
        "keys": [key.id for key in await ApiKeys(engine.database).list(context)],
        "gateway endpoints": [
            each.id for each in await engine.inbound.endpoints.page(context, first=50)
        ],
        "received webhooks": [
            each.id
            for each in await engine.inbound.received.page(context, WebhookFilter(), first=50)
        ],
        "plugins": repr(await engine.registry.describe(context)),
    }


def reads_by_id(engine: Engine, context: TenantContext, made: Made) -> dict[str, Awaitable[Any]]:
    """Every read that takes ids."""
    payments, customers = engine.payments, engine.customers
    ids = [made.captured, made.authorized]
    return {
        "payments": payments.get_many(context, ids),
        "attempts": payments.attempts_of(context, ids),
        "operations": payments.operations_of(context, ids),
        "operations by id": payments.operations_by_id(context, [made.operation]),
        "evidence": payments.evidence_of(context, [made.operation]),
        "customers": customers.get_many(context, [made.customer]),
        "methods": customers.methods_of(context, [made.customer]),
        "methods by id": customers.methods_by_id(context, [made.method]),
        "gateway endpoints": engine.inbound.endpoints.get_many(context, [made.gateway_endpoint]),
        "received webhooks": engine.inbound.received.get_many(context, [made.received_webhook]),
        "transfers": engine.ledger.transfers_of(context, made.captured),
        "page of customer": payments.page(
            context, PaymentFilter(customer_id=made.customer), first=5, after=None
        ),
    }


def writes(engine: Engine, context: TenantContext, made: Made) -> dict[str, Callable[[], Any]]:
    """Every mutation that takes an id, on one tenant's behalf with the ids of `made`."""
    payments, customers, keys = engine.payments, engine.customers, ApiKeys(engine.database)
    key = new_id("op")
    return {
        "capture": lambda: payments.capture(
            context, CapturePayment(idempotency_key=f"{key}1", payment_id=made.authorized)
        ),
        "void": lambda: payments.void(
            context, VoidPayment(idempotency_key=f"{key}2", payment_id=made.authorized)
        ),
        "refund": lambda: payments.refund(
            context, RefundPayment(idempotency_key=f"{key}3", payment_id=made.captured)
        ),
        "increment": lambda: payments.increment(
            context,
            IncrementAuthorization(
                idempotency_key=f"{key}4", payment_id=made.authorized, amount_minor=5
            ),
        ),
        "confirm": lambda: payments.confirm(
            context,
            ConfirmPayment(
                idempotency_key=f"{key}5", payment_id=made.captured, payment_method=_CARD
            ),
        ),
        "update customer": lambda: customers.update(
            context,
            UpdateCustomer(idempotency_key=f"{key}6", customer_id=made.customer, name="Eve"),
        ),
        "save method": lambda: customers.save_method(
            context,
            SavePaymentMethod(
                idempotency_key=f"{key}7", customer_id=made.customer, token="tok_visa"
            ),
        ),
        "detach method": lambda: customers.detach_method(
            context,
            DetachPaymentMethod(idempotency_key=f"{key}8", payment_method_id=made.method),
        ),
        "charge their customer": lambda: payments.create(
            context,
            CreatePayment(
                idempotency_key=f"{key}9",
                amount_minor=1,
                currency="EUR",
                payment_method=_CARD,
                customer_id=made.customer,
            ),
        ),
        "charge their card": lambda: payments.create(
            context,
            CreatePayment(
                idempotency_key=f"{key}10",
                amount_minor=1,
                currency="EUR",
                saved_payment_method_id=made.method,
            ),
        ),
        "revoke gateway endpoint": lambda: engine.inbound.endpoints.revoke(
            context, made.gateway_endpoint
        ),
        "read a webhook's request": lambda: engine.inbound.received.request_of(
            context, made.received_webhook
        ),
        "replay webhook": lambda: engine.inbound.received.replay(context, made.received_webhook),
        "revoke key": lambda: keys.revoke(context, made.key),
    }


async def refusal(write: Callable[[], Awaitable[Any]]) -> tuple[str, str]:
    """The class and the message of the error, or what was done instead."""
    try:
        done = await write()
    except PayengineError as error:
        return type(error).__name__, error.message
    problem = getattr(done, "error", None)
    return (type(problem).__name__, str(problem)) if problem else ("done", repr(done))


async def test_reads_show_no_other_tenants_rows(
    engine: Engine, layer: str, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    mine = await make(engine, tenant)
    await publish_batch(engine.database)
    alone = await read_all(engine, tenant)
    assert alone["payments"] == sorted([mine.captured, mine.authorized])
    assert len(alone["events"]) >= 2
    theirs = await make(engine, other_tenant)
    await publish_batch(engine.database)
    assert await read_all(engine, tenant) == alone
    beside = await read_all(engine, other_tenant)
    for kind in (
        "payments",
        "customers",
        "events",
        "keys",
        "gateway endpoints",
        "received webhooks",
    ):
        assert set(beside[kind]).isdisjoint(alone[kind]), kind
    for kind, read in reads_by_id(engine, tenant, theirs).items():
        found = await read
        assert not (any(found.values()) if isinstance(found, dict) else found), kind
    for kind, read in reads_by_id(engine, tenant, mine).items():
        assert await read or kind == "evidence", kind


async def test_writes_answer_as_if_the_others_did_not_exist(
    engine: Engine, layer: str, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    theirs = await make(engine, other_tenant)
    await publish_batch(engine.database)
    before = await read_all(engine, other_tenant)
    nothing = Made(
        new_id("cus"),
        new_id("pm"),
        new_id("pay"),
        new_id("pay"),
        new_id("op"),
        new_id("key"),
        new_id("gwe"),
        new_id("rwh"),
    )
    attempts = writes(engine, tenant, theirs)
    controls = writes(engine, tenant, nothing)
    for kind, attempt in attempts.items():
        refused = await refusal(attempt)
        assert refused[0] != "done", (kind, refused)
        assert refused == await refusal(controls[kind]), kind
    await publish_batch(engine.database)
    assert await read_all(engine, other_tenant) == before


async def test_a_wallets_token_that_another_tenant_used_is_still_mine(
    engine: Engine, layer: str, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    apple = AppleOfTest(datetime.now(UTC))
    token = MethodInput(kind="apple_pay", token=json.dumps(apple.token()))

    def pay(context: TenantContext, key: str) -> Awaitable[Any]:
        request = CreatePayment(
            idempotency_key=key, amount_minor=1000, currency="EUR", payment_method=token
        )
        return engine.payments.create(context, request)

    with pytest.raises(PluginNotEnabled):
        await pay(tenant, "without settings")
    for context in (other_tenant, tenant):
        await engine.registry.save_settings(
            context, "apple_pay", enabled=True, settings=apple.settings
        )
        assert (await pay(context, "first")).payment.status == "CAPTURED"
        with pytest.raises(WalletTokenReplayed):
            await pay(context, "second")


async def test_either_layer_holds_where_the_other_has_a_hole(
    engine: Engine,
    layer: str,
    tenant: TenantContext,
    other_tenant: TenantContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = await make(engine, other_tenant)
    assert await engine.payments.get_many(tenant, [theirs.captured]) == {}
    sql = reading._PAYMENTS_BY_ID
    assert "tenant_id = $1" in sql
    hole = sql.replace("tenant_id = $1", "$1::uuid IS NOT NULL")
    monkeypatch.setattr(reading, "_PAYMENTS_BY_ID", hole)
    found = await engine.payments.get_many(tenant, [theirs.captured])
    assert list(found) == ([theirs.captured] if layer == "without policies" else [])


async def _disputed(engine: Engine, context: TenantContext) -> dict[str, str]:
    """A dispute over more than was paid, with a piece of evidence and a review."""
    made = await make(engine, context)
    told = DisputeReport(reference="dp_1", status="needs_response", amount=Amount(9_999, "EUR"))
    event = DisputeEvent(
        event_id="evt_1",
        key=made.operation,
        provider_reference=None,
        dispute=told,
        occurred_at=datetime.now(UTC),
    )
    await engine.disputes.record_report(context, gateway="sandbox", event=event)
    (dispute,) = await engine.disputes.page(context, DisputeFilter(), first=5)
    piece = await engine.disputes.add_evidence(
        context,
        AddDisputeEvidence(
            idempotency_key="e", dispute_id=dispute.id, category="other", text="mine"
        ),
    )
    (review,) = await engine.reviews.page(context, ReviewFilter(), first=5)
    claim = ClaimReview(idempotency_key="c", review_id=review.id, person="Ada")
    await engine.reviews.claim(context, claim)
    return {
        "dispute": dispute.id,
        "evidence": piece.id,
        "review": review.id,
        "operation": made.operation,
    }


def _of_disputes(
    engine: Engine, context: TenantContext, ids: dict[str, str]
) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Every mutation of disputes and reviews, and the one read that refuses."""
    disputes, reviews = engine.disputes, engine.reviews
    key, dispute, review = new_id("op"), ids["dispute"], ids["review"]
    who: dict[str, Any] = {"person": "Eve"}
    return {
        "open evidence": lambda: disputes.open_evidence(context, ids["evidence"]),
        "add evidence": lambda: disputes.add_evidence(
            context,
            AddDisputeEvidence(
                idempotency_key=f"{key}1", dispute_id=dispute, category="other", text="theirs"
            ),
        ),
        "submit": lambda: disputes.submit(
            context, SubmitDisputeEvidence(idempotency_key=f"{key}2", dispute_id=dispute)
        ),
        "accept": lambda: disputes.accept(
            context, AcceptDispute(idempotency_key=f"{key}3", dispute_id=dispute)
        ),
        "claim": lambda: reviews.claim(
            context, ClaimReview(idempotency_key=f"{key}4", review_id=review, **who)
        ),
        "release": lambda: reviews.release(
            context, ReleaseReview(idempotency_key=f"{key}5", review_id=review, **who)
        ),
        "close": lambda: reviews.close(
            context, CloseReview(idempotency_key=f"{key}6", review_id=review, reason="x", **who)
        ),
        "settle": lambda: reviews.settle(
            context,
            SettleReview(
                idempotency_key=f"{key}7",
                review_id=review,
                operation_id=ids["operation"],
                outcome="DECLINED",
                reason="x",
                **who,
            ),
        ),
    }


async def test_disputes_and_reviews_are_out_of_reach_too(
    engine: Engine, layer: str, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    theirs = await _disputed(engine, other_tenant)
    nothing = {
        "dispute": new_id("dsp"),
        "evidence": new_id("dse"),
        "review": new_id("rev"),
        "operation": new_id("op"),
    }
    disputes, reviews = engine.disputes, engine.reviews
    for context, found in ((tenant, 0), (other_tenant, 1)):
        assert len(await disputes.page(context, DisputeFilter(), first=5)) == found
        assert len(await reviews.page(context, ReviewFilter(), first=5)) == found
        for read in (
            disputes.get_many(context, [theirs["dispute"]]),
            disputes.evidence_of(context, [theirs["dispute"]]),
            disputes.reports_of(context, [theirs["dispute"]]),
            reviews.get_many(context, [theirs["review"]]),
            reviews.actions_of(context, [theirs["review"]]),
        ):
            assert len(await read) == found
    controls = _of_disputes(engine, tenant, nothing)
    for name, attempt in _of_disputes(engine, tenant, theirs).items():
        refused = await refusal(attempt)
        assert refused[0] != "done", name
        assert refused == await refusal(controls[name]), name
