"""Does a list stop whom it names from the next payment on, here and nowhere else?"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from payengine.context import SCOPES
from payengine.errors import (
    Conflict,
    IdempotencyConflict,
    InputInvalid,
    NotFound,
    PermissionDenied,
    SensitiveDataRefused,
)
from payengine.fraud.lists import AddListEntry, ListEntry, ListFilter, RemoveListEntry
from payengine.ids import new_id
from payengine.payments import FraudInput

from tests.engines import Shop, key

_BUYER = FraudInput(
    card_fingerprint="card one",
    device="phone",
    email="Ada@Example.org",
    ip="203.0.113.9",
    ip_country="SE",
    billing_country="DE",
)


async def _add(shop: Shop, **given: Any) -> ListEntry:
    fields = {
        "idempotency_key": key(),
        "list": "block",
        "kind": "email_domain",
        "value": "example.org",
        "person": "Ada",
        "reason": "seen before",
    } | given
    return await shop.engine.fraud_desk.lists.add(shop.context, AddListEntry(**fields))


async def _remove(shop: Shop, entry: ListEntry, **given: Any) -> ListEntry:
    fields = {
        "idempotency_key": key(),
        "entry_id": entry.id,
        "person": "Grace",
        "reason": "all is well",
    } | given
    return await shop.engine.fraud_desk.lists.remove(shop.context, RemoveListEntry(**fields))


async def _listed(shop: Shop, **wanted: Any) -> list[str]:
    rows = await shop.engine.fraud_desk.lists.page(shop.context, ListFilter(**wanted), first=50)
    return [row.id for row in rows]


async def _buys(shop: Shop) -> str:
    return (await shop.pay(fraud=_BUYER)).payment.status


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("card", "card one"),
        ("device", "phone"),
        ("email", "ADA@example.org"),
        ("email_domain", "example.org"),
        ("ip", "203.0.113.9"),
        ("ip", "203.0.112.0/23"),
        ("ip", "192.0.0.0/4"),
        ("country", "se"),
        ("country", "DE"),
    ],
)
async def test_an_entry_stops_whom_it_names_until_it_is_removed(
    seller: Shop, rival: Shop, kind: str, value: str
) -> None:
    entry = await _add(seller, kind=kind, value=value)
    assert await _buys(seller) == "DECLINED"
    assert await _buys(rival) == "CAPTURED"
    await _remove(seller, entry)
    assert await _buys(seller) == "CAPTURED"


@pytest.mark.parametrize(
    ("kind", "value"),
    [("card", "card two"), ("email", "eve@example.org"), ("ip", "203.0.113.10"), ("country", "FR"),
     ("email_domain", "xample.org")],
)  # fmt: skip
async def test_an_entry_stops_nobody_else(seller: Shop, kind: str, value: str) -> None:
    await _add(seller, kind=kind, value=value)
    assert await _buys(seller) == "CAPTURED"


async def test_the_allow_list_overrules_a_block(seller: Shop) -> None:
    assert (await seller.pay(9_000, fraud=_BUYER)).payment.status == "DECLINED"
    await _add(seller, list="allow", kind="device", value="phone")
    assert (await seller.pay(9_000, fraud=_BUYER)).payment.status == "CAPTURED"


async def test_an_entry_ends_by_itself(seller: Shop) -> None:
    now = seller.till.clock.now(seller.context.tenant_id)
    entry = await _add(seller, expires_at=now + timedelta(hours=1))
    assert await _buys(seller) == "DECLINED"
    with seller.till.clock.later(timedelta(hours=1, seconds=1)):
        assert await _buys(seller) == "CAPTURED"
        assert await _listed(seller) == []
        assert await _listed(seller, holds=False) == [entry.id]
        again = await _add(seller)  # what is over does not stand in the way
        assert await _listed(seller) == [again.id]


async def test_what_a_payment_was_made_with_goes_on_a_list(seller: Shop) -> None:
    paid = (await seller.pay(fraud=_BUYER)).payment
    for kind in ("card", "device", "email", "ip"):
        entry = await _add(seller, kind=kind, value=None, payment_id=paid.id)
        assert "example" not in entry.label
        assert entry.label == f"of {paid.id}"
        assert await _buys(seller) == "DECLINED", kind
        await _remove(seller, entry)
    with pytest.raises(NotFound):
        await _add(seller, kind="seller", value=None, payment_id=paid.id)
    with pytest.raises(NotFound):
        await _add(seller, kind="card", value=None, payment_id=new_id("pay"))


async def test_who_did_it_and_why_is_kept_and_told(seller: Shop) -> None:
    entry = await _add(seller, kind="ip", value="203.0.113.9")
    assert (entry.person, entry.actor, entry.reason) == ("Ada", "test", "seen before")
    ended = await _remove(seller, entry)
    assert (ended.removed_by, ended.removed_actor, ended.removed_reason) == (
        "Grace",
        "test",
        "all is well",
    )
    assert await _remove(seller, entry) == ended  # it ends once
    found = await seller.engine.fraud_desk.lists.get_many(seller.context, [entry.id])
    assert found == {entry.id: ended}
    async with seller.engine.database.tenant(seller.context.tenant_id) as session:
        told = await session.fetch(
            "SELECT type, data FROM event WHERE tenant_id = $1 AND type LIKE 'fraud.list%'"
            " ORDER BY id",
            seller.context.tenant_id,
        )
        stored = await session.fetch(
            "SELECT value FROM fraud_list_key WHERE tenant_id = $1", seller.context.tenant_id
        )
    assert [row["type"] for row in told] == ["fraud.list_entry_added", "fraud.list_entry_removed"]
    assert [row["data"]["person"] for row in told] == ["Ada", "Grace"]
    assert "203.0.113.9" not in str([dict(row) for row in told])
    assert stored == []


async def test_the_same_value_is_on_a_list_once(seller: Shop) -> None:
    one = key()
    entry = await _add(seller, idempotency_key=one)
    assert await _add(seller, idempotency_key=one) == entry
    with pytest.raises(IdempotencyConflict):
        await _add(seller, idempotency_key=one, value="example.com")
    with pytest.raises(Conflict):
        await _add(seller, value="@EXAMPLE.org")
    await _add(seller, list="allow")
    many = await asyncio.gather(
        *(_add(seller, value="example.net") for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(each, ListEntry) for each in many) == 1
    assert all(isinstance(each, ListEntry | Conflict) for each in many)


async def test_pages_and_filters(seller: Shop) -> None:
    made = [await _add(seller, kind="country", value=each) for each in ("FR", "IT", "ES")]
    made.append(await _add(seller, list="allow", kind="seller", value="s1"))
    newest = [each.id for each in reversed(made)]
    assert await _listed(seller) == newest
    assert await _listed(seller, list="allow") == newest[:1]
    assert await _listed(seller, kind="country") == newest[1:]
    lists = seller.engine.fraud_desk.lists
    page = await lists.page(seller.context, ListFilter(), first=2)
    assert [each.id for each in page] == newest[:3]
    rest = await lists.page(seller.context, ListFilter(), first=2, after=newest[1])
    assert [each.id for each in rest] == newest[2:]


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"value": None}, InputInvalid),
        ({"payment_id": new_id("pay")}, InputInvalid),
        ({"value": None, "payment_id": "pay_1"}, InputInvalid),
        ({"kind": "shoe_size"}, InputInvalid),
        ({"list": "grey"}, InputInvalid),
        ({"person": " "}, InputInvalid),
        ({"reason": ""}, InputInvalid),
        ({"kind": "card", "value": "4242424242424242"}, SensitiveDataRefused),
    ],
)
async def test_bad_input_is_refused_and_changes_nothing(
    seller: Shop, given: dict[str, Any], refused: type[Exception]
) -> None:
    with pytest.raises(refused):
        await _add(seller, **given)
    now = seller.till.clock.now(seller.context.tenant_id)
    with pytest.raises(InputInvalid):
        await _add(seller, expires_at=now - timedelta(seconds=1))
    assert await _listed(seller) == []


async def test_scopes_and_other_tenants(seller: Shop, rival: Shop) -> None:
    entry = await _add(seller)
    with pytest.raises(NotFound):
        await _remove(rival, entry)
    assert await _listed(rival) == []
    assert await rival.engine.fraud_desk.lists.get_many(rival.context, [entry.id]) == {}
    poor = Shop(seller.till, replace(seller.context, scopes=frozenset(SCOPES) - {"fraud:read"}))
    with pytest.raises(PermissionDenied):
        await _listed(poor)
    poor = Shop(seller.till, replace(seller.context, scopes=frozenset(SCOPES) - {"fraud:write"}))
    with pytest.raises(PermissionDenied):
        await _add(poor, value="example.com")
