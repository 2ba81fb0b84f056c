"""Is everything that a plugin says beside its money calls checked as well?"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine.context import TenantContext
from payengine.errors import GatewayUnavailable, PluginNotFound
from payengine.plugin import (
    Amount,
    Call,
    Lookup,
    Movement,
    Outcome,
    WebhookEvent,
    WebhookRefused,
    WebhookRequest,
)
from payengine.registry import Registry
from payengine.storage import Database
from payengine.vault import MasterKey, Vault

from tests.core.registry.gateways import (
    GoodGateway,
    PluginOf,
    Stubborn,
    authorize_request,
    good_outcome,
)

AT = datetime(2027, 3, 1, 12, tzinfo=UTC)
EVENT = WebhookEvent(
    event_id="evt_1",
    kind="authorize",
    key="op_1",
    provider_reference="ch_1",
    outcome=good_outcome(authorize_request()),
    occurred_at=AT,
)
LINE = Movement(
    key="op_1",
    kind="capture",
    provider_reference="ch_1",
    amount=Amount(1_000, "EUR"),
    fee_minor=30,
    at=AT,
)
WEBHOOK = WebhookRequest(headers={}, body=b"{}", received_at=AT)


class Talkative(GoodGateway):
    """Says what the test tells it to, about webhooks and movements."""

    def __init__(self, says: Callable[[], Any], **declared: Any) -> None:
        defaults = {"movements": True, "enabled_by_default_in_test": True}
        super().__init__("talk", **(defaults | declared))
        self._says = says

    def parse_webhook(self, call: Call, request: WebhookRequest) -> Sequence[WebhookEvent]:
        said: Sequence[WebhookEvent] = self._says()
        return said

    async def movements(
        self, call: Call, *, since: datetime, until: datetime
    ) -> Sequence[Movement]:
        said = self._says()
        if asyncio.iscoroutine(said):
            said = await said
        lines: Sequence[Movement] = said
        return lines


@dataclasses.dataclass
class Told:
    """Makes a registry whose one gateway says something."""

    database: Database
    vault: Vault

    def registry(self, says: Any, **declared: Any) -> Registry:
        def answer() -> Any:
            if isinstance(says, BaseException):
                raise says
            return says() if callable(says) else says

        plugin = PluginOf(Talkative(answer, **declared))
        return Registry.load(self.database, self.vault, extra={"talk": plugin}, discover=False)


@pytest.fixture
def told(database: Database, servers: Any) -> Told:
    return Told(database, Vault(MasterKey(servers.home / "master.key", may_create=True)))


async def statement(registry: Registry, context: TenantContext) -> tuple[Movement, ...]:
    return await registry.movements(
        context, "talk", since=AT, until=AT + timedelta(days=1), deadline_ms=100
    )


async def test_verified_events_pass(told: Told, tenant: TenantContext) -> None:
    registry = told.registry([EVENT])
    assert await registry.parse_webhook(tenant, "talk", WEBHOOK) == (EVENT,)


@pytest.mark.parametrize(
    "says",
    [
        WebhookRefused("forged"),
        RuntimeError("boom"),
        RecursionError(),
        SystemExit(1),
        Stubborn(),
        None,
        7,
        [None],
        [EVENT] * 1_001,
        [Outcome(status="not_found")],
    ],
    ids=lambda says: type(says).__name__,
)
async def test_all_else_is_a_refused_webhook(told: Told, tenant: TenantContext, says: Any) -> None:
    with pytest.raises(WebhookRefused):
        await told.registry(says).parse_webhook(tenant, "talk", WEBHOOK)


async def test_a_plugin_that_hangs_is_a_refused_webhook_and_stops_nobody(
    told: Told, tenant: TenantContext
) -> None:
    released = threading.Event()
    registry = told.registry(released.wait)
    try:
        with pytest.raises(WebhookRefused, match="in time"):
            await registry.parse_webhook(tenant, "talk", WEBHOOK)
    finally:
        released.set()


async def test_events_without_end_are_not_read_to_the_end(
    told: Told, tenant: TenantContext
) -> None:
    with pytest.raises(WebhookRefused, match="more than"):
        await told.registry(lambda: itertools.repeat(EVENT)).parse_webhook(tenant, "talk", WEBHOOK)


async def test_gateway_without_webhooks_is_never_asked(told: Told, tenant: TenantContext) -> None:
    with pytest.raises(WebhookRefused, match="takes no webhooks"):
        await told.registry([EVENT], webhooks=False).parse_webhook(tenant, "talk", WEBHOOK)


async def test_statement_passes(told: Told, tenant: TenantContext) -> None:
    assert await statement(told.registry([LINE]), tenant) == (LINE,)


@pytest.mark.parametrize(
    "says",
    [
        RuntimeError("boom"),
        SystemExit(1),
        Stubborn(),
        lambda: asyncio.sleep(3_600),
        None,
        {"key": LINE},
        [None],
        [dataclasses.make_dataclass("Line", ["key"])("op_1")],
    ],
    ids=lambda says: type(says).__name__,
)
async def test_broken_statement_is_an_unavailable_gateway(
    told: Told, tenant: TenantContext, says: Any
) -> None:
    with pytest.raises(GatewayUnavailable):
        await statement(told.registry(says), tenant)


async def test_gateway_without_a_statement_says_so(told: Told, tenant: TenantContext) -> None:
    with pytest.raises(GatewayUnavailable, match="shows no movements"):
        await statement(told.registry([LINE], movements=False), tenant)
    with pytest.raises(PluginNotFound):
        await told.registry([]).movements(tenant, "absent", since=AT, until=AT, deadline_ms=100)


async def test_installed_sandbox_takes_a_payment_through_the_guard(
    told: Told, tenant: TenantContext
) -> None:
    registry = Registry.load(told.database, told.vault)
    assert "sandbox" in [gateway.name for gateway in await registry.for_tenant(tenant)]
    request = authorize_request()
    answer = await registry.call(tenant, "sandbox", "authorize", request, deadline_ms=2_000)
    assert answer.kind == "outcome", answer
    lookup = Lookup(key=request.key, kind="authorize")
    found = await registry.call(
        tenant, "sandbox", "lookup", lookup, deadline_ms=2_000, asked=request.amount
    )
    assert found.outcome == answer.outcome
    await registry.gateway("sandbox").gateway.aclose()  # type: ignore[attr-defined]
