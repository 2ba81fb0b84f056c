"""Are a provider's own codes counted, those that nobody maps above all?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from payengine.errors import InputInvalid

from tests.engines import Till
from tests.gateways import NamedSandbox, declined, open_several, shop_with_only
from tests.servers import HomeOfTest


@pytest.fixture(scope="module")
async def picky(payment_home: HomeOfTest) -> AsyncIterator[tuple[Till, NamedSandbox]]:
    """An engine with one gateway that refuses as it is told."""
    gateway = NamedSandbox("picky", path=payment_home.home / "picky.sqlite3")
    async with open_several(payment_home, gateway) as till:
        yield till, gateway


async def test_codes_are_counted_by_gateway_the_most_frequent_first(
    picky: tuple[Till, NamedSandbox],
) -> None:
    till, gateway = picky
    shop, other = await shop_with_only(till), await shop_with_only(till)
    gateway.answers = [declined("lost_card"), declined("r17"), declined("r17")]
    for _ in range(4):
        await shop.pay()
    report = till.engine.router.declines
    found = await report.codes(shop.context)
    assert {each.gateway for each in found} == {"picky"}
    assert [(each.raw_code, each.code, each.mapped, each.count) for each in found] == [
        ("raw_r17", "r17", False, 2),
        ("raw_lost_card", "lost_card", True, 1),
    ]
    assert found[0].first_seen_at < found[0].last_seen_at
    unmapped = await report.codes(shop.context, unmapped_only=True, first=5)
    assert [each.code for each in unmapped] == ["r17"]
    assert await report.codes(shop.context, since=datetime.now(UTC) + timedelta(minutes=1)) == []
    assert await report.codes(other.context) == []
    with pytest.raises(InputInvalid):
        await report.codes(shop.context, since=datetime.now(UTC) - timedelta(days=367))
