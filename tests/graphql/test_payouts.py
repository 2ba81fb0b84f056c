"""Can a platform pay its vendors out, and see why a payout failed, over the wire?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from payengine.engine import Engine, open_engine
from payengine.ids import new_id
from payengine.ledger import post
from payengine.marketplace.postings import Share, captured_in_shares, vendor_account

from tests.graphql.conftest import serving
from tests.graphql.test_marketplace import _vendor
from tests.graphql.worlds import World, codes, make_world, new_key
from tests.servers import migrated_home

_PAYOUT = """
  id status amount { amountMinor currency } accountId rail origin heldBecause failureCode
  needsReview destination { label status } batch { payouts amount { amountMinor } }
  evidence { source finding actor }
"""


async def _do(world: World, name: str, payload: str, shown: str, **given: Any) -> dict[str, Any]:
    title = name[0].upper() + name[1:]
    data = await world.run(
        f"mutation($input: {title}Input!) {{ {name}(input: $input) {{"
        f" errors {{ code message path }} {payload} {{ {shown} }} }} }}",
        input={"idempotencyKey": new_key()} | given,
    )
    answered: dict[str, Any] = data[name]
    return answered


async def _rich(world: World, engine: Engine, token: str) -> str:
    """A verified vendor with 100.00 euros and a destination."""
    account_id = await _vendor(world, f"vendor-{new_key()}")
    posting = captured_in_shares(
        operation_id=new_id("op"),
        payment_id=new_id("pay"),
        gateway="sandbox",
        currency="EUR",
        shares=[Share(account=vendor_account(account_id), amount_minor=10_000)],
    )
    async with engine.database.tenant(world.context.tenant_id) as session:
        await post(session, world.context.tenant_id, [posting], at=datetime.now(UTC))
    saved = await _do(
        world,
        "savePayoutDestination",
        "destination",
        "label status rail",
        accountId=account_id,
        currency="EUR",
        rail="sandbox",
        kind="token",
        number=token,
    )
    assert saved["errors"] == []
    return account_id


async def _run(engine: Engine, minutes: int) -> None:
    await engine.treasury.run_once(at=datetime.now(UTC) + timedelta(minutes=minutes))


async def _show(world: World, payout_id: str) -> dict[str, Any]:
    data = await world.run(f"query($id: ID!) {{ payout(id: $id) {{ {_PAYOUT} }} }}", id=payout_id)
    found: dict[str, Any] = data["payout"]
    return found


async def test_a_payout_is_made_sent_and_arrives(world: World, engine: Engine) -> None:
    account_id = await _rich(world, engine, "acct_ok")
    made = await _do(
        world,
        "createPayout",
        "payout",
        _PAYOUT,
        accountId=account_id,
        currency="EUR",
        amount={"amountMinor": 4_000, "currency": "EUR"},
    )
    assert made["errors"] == []
    payout_id = made["payout"]["id"]
    assert made["payout"]["amount"] == {"amountMinor": 4_000, "currency": "EUR"}
    await _run(engine, 10)
    await _run(engine, 30)
    paid = await _show(world, payout_id)
    assert (paid["status"], paid["batch"]) == (
        "PAID",
        {"payouts": 1, "amount": {"amountMinor": 4_000}},
    )
    assert [each["finding"] for each in paid["evidence"]] == ["ACCEPTED", "PAID"]
    listed = await world.run(
        "query($filter: PayoutFilterInput) { payouts(filter: $filter) { nodes { id } } }",
        filter={"accountId": account_id, "status": "PAID"},
    )
    assert listed["payouts"]["nodes"] == [{"id": payout_id}]
    node = await world.run(
        "query($id: ID!) { node(id: $id) { ... on Payout { status } } }", id=payout_id
    )
    assert node["node"] == {"status": "PAID"}


async def test_a_failure_says_why(world: World, engine: Engine) -> None:
    account_id = await _rich(world, engine, "acct_closed")
    made = await _do(world, "createPayout", "payout", "id", accountId=account_id, currency="EUR")
    await _run(engine, 10)
    await _run(engine, 30)
    failed = await _show(world, made["payout"]["id"])
    assert (failed["status"], failed["failureCode"]) == ("FAILED", "account_closed")
    assert failed["destination"]["status"] == "REQUIRES_UPDATE"
    again = await _do(world, "createPayout", "payout", "id", accountId=account_id, currency="EUR")
    assert [each["code"] for each in again["errors"]] == ["PAYOUTS_NOT_ENABLED"]


@pytest.fixture
async def still() -> AsyncIterator[tuple[World, Engine]]:
    """A tenant where nothing is sent by itself, and its engine."""
    async with (
        migrated_home() as home,
        open_engine(home.settings, login_url=home.login_url, background=False) as engine,
        serving(engine, engine.settings) as url,
        httpx.AsyncClient(base_url=url, timeout=120) as client,
    ):
        yield await make_world(engine, client), engine


async def test_holds_and_cancellations(still: tuple[World, Engine]) -> None:
    world, engine = still
    account_id = await _rich(world, engine, "acct_ok")
    made = await _do(world, "createPayout", "payout", "id", accountId=account_id, currency="EUR")
    held = await _do(
        world,
        "placePayoutHold",
        "hold",
        "id releasedAt",
        accountId=account_id,
        person="Ada",
        reason="a strange pattern",
    )
    await _run(engine, 10)
    assert (await _show(world, made["payout"]["id"]))["heldBecause"] == "HOLD"
    gone = await _do(
        world,
        "cancelPayout",
        "payout",
        "status",
        payoutId=made["payout"]["id"],
        reason="a mistake",
    )
    assert gone == {"errors": [], "payout": {"status": "CANCELED"}}
    lifted = await _do(
        world,
        "releasePayoutHold",
        "hold",
        "releasedBy",
        holdId=held["hold"]["id"],
        person="Bob",
        reason="explained",
    )
    assert lifted["hold"] == {"releasedBy": "Bob"}
    holds = await world.run(
        "query($id: ID!) { payoutHolds(accountId: $id) { placedBy releasedBy } }", id=account_id
    )
    assert holds["payoutHolds"] == [{"placedBy": "Ada", "releasedBy": "Bob"}]


async def test_a_schedule_is_saved_and_shown(world: World, engine: Engine) -> None:
    account_id = await _rich(world, engine, "acct_ok")
    saved = await _do(
        world,
        "savePayoutSchedule",
        "schedule",
        "interval weekday minimum { amountMinor } fee { amountMinor } zone dueAt",
        accountId=account_id,
        currency="EUR",
        interval="WEEKLY",
        weekday="FRIDAY",
        minimum={"amountMinor": 2_500, "currency": "EUR"},
        fee={"amountMinor": 25, "currency": "EUR"},
        zone="Europe/Berlin",
    )
    assert saved["errors"] == []
    assert saved["schedule"]["fee"] == {"amountMinor": 25}
    made = await _do(
        world, "createPayout", "payout", "fee { formatted }", accountId=account_id, currency="EUR"
    )
    assert made["payout"] == {"fee": {"formatted": "0.25 EUR"}}
    assert saved["schedule"]["weekday"] == "FRIDAY"
    assert datetime.fromisoformat(saved["schedule"]["dueAt"]) > datetime.now(UTC)
    wrong = await _do(
        world,
        "savePayoutSchedule",
        "schedule",
        "id",
        accountId=account_id,
        currency="EUR",
        interval="MONTHLY",
        anchorDay=32,
    )
    assert [each["path"] for each in wrong["errors"]] == [["anchorDay"]]
    rails = await world.run("{ payoutRails { name destinations maxBatch } }")
    assert rails["payoutRails"] == [{"name": "sandbox", "destinations": ["token"], "maxBatch": 50}]


async def test_an_iban_is_checked_and_never_shown(world: World, engine: Engine) -> None:
    account_id = await _vendor(world, f"vendor-{new_key()}")
    given = {"accountId": account_id, "currency": "EUR", "rail": "sandbox", "holder": "Vera"}
    wrong = await _do(
        world,
        "savePayoutDestination",
        "destination",
        "label",
        **given,
        kind="iban",
        number="DE00370400440532013000",
    )
    assert [each["path"] for each in wrong["errors"]] == [["number"]]
    card = await _do(
        world,
        "savePayoutDestination",
        "destination",
        "label",
        **given,
        kind="token",
        number="4242424242424242",
    )
    assert [each["code"] for each in card["errors"]] == ["SENSITIVE_DATA_REFUSED"]


async def test_each_side_needs_its_scope(engine: Engine, client: httpx.AsyncClient) -> None:
    bare = await make_world(engine, client, scopes=["payments:read"])
    assert codes(await bare.ask("{ payouts { nodes { id } } }")) == ["PERMISSION_DENIED"]
    made = await _do(bare, "createPayout", "payout", "id", accountId=new_id("acc"), currency="EUR")
    assert [each["code"] for each in made["errors"]] == ["PERMISSION_DENIED"]
