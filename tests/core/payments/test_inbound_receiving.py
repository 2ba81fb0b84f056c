"""Is a provider's call verified before it is believed, kept as it came, and kept once?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from payengine.context import TenantContext
from payengine.errors import NotFound, PermissionDenied, WebhookRejected

from tests.engines import Shop
from tests.notices import Doorbell, Notice, notice, shown, signed


async def _paid(shop: Shop) -> tuple[Doorbell, dict[str, Any]]:
    """An endpoint, and a payment's operation as the provider shows it."""
    payment = await shop.charge(1_000)
    (operation,) = await shop.operations(payment.id)
    return await Doorbell.of(shop.engine, shop.context), shown(operation)


async def _counts(shop: Shop) -> tuple[int, int]:
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        row = await session.fetchrow(
            "SELECT (SELECT count(*) FROM received_webhook WHERE tenant_id = $1) AS facts,"
            " (SELECT count(*) FROM webhook_request WHERE tenant_id = $1) AS calls",
            shop.context.tenant_id,
        )
    assert row is not None
    return row["facts"], row["calls"]


async def test_a_genuine_call_is_stored_and_not_yet_applied(shop: Shop) -> None:
    bell, operation = await _paid(shop)
    before = datetime.now(UTC)
    receipt = await bell.tell(operation, event_id="evt_1")
    assert (receipt.events, len(receipt.stored)) == (1, 1)
    (row,) = await bell.received()
    assert (row.id, row.event_id, row.state, row.kind) == (
        receipt.stored[0],
        "evt_1",
        "pending",
        "authorize",
    )
    assert (row.plugin, row.gateway, row.said, row.tries) == ("sandbox", "sandbox", "succeeded", 0)
    assert before <= row.received_at <= datetime.now(UTC)
    assert row.due_at == row.received_at


async def test_the_call_is_kept_as_it_came_but_for_its_connection_and_cookies(shop: Shop) -> None:
    bell, operation = await _paid(shop)
    call = notice(shop.context, operation)
    noisy = Notice(
        call.headers
        | {
            "Connection": "keep-alive, X-Hop",
            "Keep-Alive": "timeout=5",
            "Cookie": "session=secret",
            "X-Hop": "gone",
            "Transfer-Encoding": "chunked",
            "X-Odd": "caf\xe9",
            "Authorization": "Basic abc",
        },
        call.body,
    )
    (stored,) = (await bell.ring(noisy)).stored
    kept = await shop.engine.inbound.received.request_of(shop.context, stored)
    assert kept.body == call.body
    assert dict(kept.headers) == call.headers | {"x-odd": "caf\xe9", "authorization": "Basic abc"}
    assert not kept.redacted


async def test_what_is_kept_is_sealed(shop: Shop) -> None:
    bell, operation = await _paid(shop)
    await bell.tell(operation | {"email": "buyer@example.com"})
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        (row,) = await session.fetch(
            "SELECT sealed FROM webhook_request WHERE tenant_id = $1", shop.context.tenant_id
        )
    assert b"buyer" not in row["sealed"]
    assert b"webhook-signature" not in row["sealed"]


async def test_a_card_number_does_not_rest_here(shop: Shop) -> None:
    bell, operation = await _paid(shop)
    (stored,) = (await bell.tell(operation | {"note": "paid by 4111 1111 1111 1111"})).stored
    kept = await shop.engine.inbound.received.request_of(shop.context, stored)
    assert kept.redacted
    assert b"4111" not in kept.body
    assert b"[card number]" in kept.body


async def test_the_same_fact_is_kept_once_however_often_it_comes(shop: Shop) -> None:
    bell, operation = await _paid(shop)
    call = notice(shop.context, operation, event_id="evt_1")
    first = await bell.ring(call)
    later = signed("evt_1", call.body, at=datetime.now(UTC) + timedelta(seconds=20))
    receipts = await asyncio.gather(*(bell.ring(each) for each in [call, later] * 10))
    assert all(receipt == (1, ()) for receipt in receipts)
    assert len(first.stored) == 1
    assert await _counts(shop) == (1, 1)


async def test_twenty_deliveries_at_once_are_one_fact(shop: Shop) -> None:
    bell, operation = await _paid(shop)
    call = notice(shop.context, operation)
    receipts = await asyncio.gather(*(bell.ring(call) for _ in range(20)))
    assert sum(len(receipt.stored) for receipt in receipts) == 1
    assert await _counts(shop) == (1, 1)


async def test_two_tenants_may_be_told_by_the_same_event_id(shop: Shop, other_shop: Shop) -> None:
    for each in (shop, other_shop):
        bell, operation = await _paid(each)
        assert len((await bell.tell(operation, event_id="evt_shared")).stored) == 1


MINUTE = timedelta(minutes=1)


def _forged(context: TenantContext, operation: dict[str, Any], name: str) -> Notice:
    good = notice(context, operation, event_id="evt_1")
    now = datetime.now(UTC)
    ahead = msgspec.json.decode(good.body) | {"created_at": (now + 2 * MINUTE).isoformat()}
    return {
        "tampered": Notice(good.headers, good.body.replace(b"1000", b"9000")),
        "unsigned": Notice({}, good.body),
        "another secret": signed("evt_1", good.body, secret="whsec_b3RoZXI="),
        "stale": signed("evt_1", good.body, at=now - 6 * MINUTE),
        "signed ahead of time": signed("evt_1", good.body, at=now + 2 * MINUTE),
        "told ahead of time": signed("evt_1", msgspec.json.encode(ahead)),
        "no body": signed("evt_1", b""),
        "negative amount": notice(context, operation | {"amount_minor": -5}),
        "endless amount": notice(context, operation | {"amount_minor": 10**15}),
        "no currency": notice(context, operation | {"currency": "euro"}),
        "a card's number for a name": notice(context, operation | {"key": "4111111111111111"}),
        "an id that is too long": notice(context, operation, event_id="e" * 300),
        "year one beyond the date line": notice(
            context, operation, happened=datetime.fromisoformat("0001-01-01T00:00:00+14:00")
        ),
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        "tampered",
        "unsigned",
        "another secret",
        "stale",
        "signed ahead of time",
        "told ahead of time",
        "no body",
        "negative amount",
        "endless amount",
        "no currency",
        "a card's number for a name",
        "an id that is too long",
        "year one beyond the date line",
    ],
)
async def test_whatever_is_doubtful_is_refused_and_keeps_nothing(shop: Shop, name: str) -> None:
    bell, operation = await _paid(shop)
    before = await shop.rows()
    with pytest.raises(WebhookRejected) as refused:
        await bell.ring(_forged(shop.context, operation, name))
    assert refused.value.code == "WEBHOOK_REJECTED"
    assert await _counts(shop) == (0, 0)
    assert await shop.rows() == before


async def test_a_call_for_another_tenant_is_refused(shop: Shop, other_shop: Shop) -> None:
    bell, operation = await _paid(shop)
    with pytest.raises(WebhookRejected):
        await bell.ring(notice(other_shop.context, operation))


async def test_the_call_that_came_is_shown_to_those_who_may_see_it(
    shop: Shop, other_shop: Shop
) -> None:
    bell, operation = await _paid(shop)
    (stored,) = (await bell.tell(operation)).stored
    received = shop.engine.inbound.received
    with pytest.raises(NotFound):
        await received.request_of(other_shop.context, stored)
    context = shop.context
    reader = TenantContext(
        context.tenant_id, context.mode, "reader", frozenset({"webhooks:read", "payments:read"})
    )
    with pytest.raises(PermissionDenied):
        await received.request_of(reader, stored)
