"""Is each outcome counted once, and for its own tenant alone?"""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from payengine.routing import Heard, Statistics

from tests.engines import Shop


def heard(**given: Any) -> Heard:
    """An authorization that succeeded."""
    fields = {
        "gateway": "sandbox",
        "kind": "authorize",
        "currency": "EUR",
        "method": "card",
        "was": "sending",
        "status": "succeeded",
    } | given
    return Heard(**fields)


def seen(statistics: Statistics, shop: Shop) -> dict[str, int]:
    """How many outcomes are known of each gateway."""
    segment = statistics.segment(shop.context.tenant_id, currency="EUR", method="card")
    return {name: arm.seen for name, arm in segment._arms.items()}


@pytest.mark.parametrize(
    ("given", "counted"),
    [
        ({}, 1),
        ({"status": "declined", "decline_code": "do_not_honor"}, 1),
        ({"status": "not_sent"}, 1),
        ({"status": "unknown"}, 1),
        ({"was": "pending"}, 1),
        ({"was": "unknown"}, 0),  # it counted when it became unknown
        ({"was": "declined"}, 0),
        ({"status": "pending"}, 0),
        ({"status": "canceled"}, 0),
        ({"kind": "refund"}, 0),
        ({"currency": "USD"}, 0),
    ],
)
async def test_an_outcome_counts_once(shop: Shop, given: dict[str, Any], counted: int) -> None:
    statistics = Statistics(shop.engine.database)
    assert seen(statistics, shop) == {}
    await statistics.seeded(shop.context.tenant_id)
    statistics.hear(shop.context.tenant_id, heard(**given))
    assert seen(statistics, shop) == ({"sandbox": 1} if counted else {})


async def test_what_was_before_is_read_and_tenants_are_apart(shop: Shop, other_shop: Shop) -> None:
    for token in ("tok_visa", "tok_visa", "tok_decline_lost_card"):
        await shop.pay(token=token)
    statistics = Statistics(shop.engine.database)
    assert seen(statistics, shop) == {}
    await statistics.seeded(shop.context.tenant_id)
    assert seen(statistics, shop) == {"sandbox": 3}
    assert seen(statistics, other_shop) == {}
    await statistics.seeded(other_shop.context.tenant_id)
    assert seen(statistics, other_shop) == {}
    statistics.hear(other_shop.context.tenant_id, heard())
    assert seen(statistics, shop) == {"sandbox": 3}
    await statistics.close()


async def test_a_payment_is_heard_of(shop: Shop) -> None:
    statistics = shop.engine.router.statistics
    assert seen(statistics, shop) == {}
    await statistics.seeded(shop.context.tenant_id)
    await shop.pay()
    await shop.pay(token="tok_decline_do_not_honor")
    assert seen(statistics, shop) == {"sandbox": 2}


async def test_codes_that_nobody_maps_are_counted_and_told(shop: Shop) -> None:
    statistics = Statistics(shop.engine.database)
    refused = heard(status="declined", decline_code="r17", raw_code="R17", kind="refund")
    with structlog.testing.capture_logs() as logs:
        statistics.hear(shop.context.tenant_id, refused)
        statistics.hear(shop.context.tenant_id, heard(status="declined", decline_code="lost_card"))
    assert statistics.unmapped == {"sandbox": 1}
    (line,) = [each for each in logs if each["event"] == "decline_code_unmapped"]
    assert (line["raw_code"], line["gateway"]) == ("R17", "sandbox")
    assert str(shop.context.tenant_id) not in repr(logs)
