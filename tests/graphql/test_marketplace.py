"""Can a platform verify a vendor, divide a payment and let an escrow go, over the wire?"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from payengine.engine import Engine

from tests.graphql.worlds import World, codes, make_world, new_key

_ACCOUNT = """
  id reference status chargesEnabled payoutsEnabled requirements
  checks { actor verdict } balances {
    currency available { amountMinor } pending { amountMinor } reserved { amountMinor }
    inEscrow { amountMinor }
  }
"""
_SPLIT = """
query($id: ID!) { payment(id: $id) { split {
  feePolicy liability feeBearer
  parts { accountId account { reference } plannedAmount { amountMinor }
          refundableAmount { amountMinor } escrowedAmount { amountMinor } }
  steps { phase amount { amountMinor } movements { account amount { amountMinor } } }
  escrow { id status heldAmount { amountMinor } conditions releases { amount { amountMinor } } }
} } }
"""
_WAIT_S = 60.0


async def _do(world: World, name: str, payload: str, shown: str, **given: Any) -> dict[str, Any]:
    title = name[0].upper() + name[1:]
    data = await world.run(
        f"mutation($input: {title}Input!) {{ {name}(input: $input) {{"
        f" errors {{ code message path }} {payload} {{ {shown} }} }} }}",
        input={"idempotencyKey": new_key()} | given,
    )
    answered: dict[str, Any] = data[name]
    return answered


async def _vendor(world: World, reference: str, **given: Any) -> str:
    terms = {"reference": reference, "country": "DE", "defaultCurrency": "EUR"} | given
    made = await _do(world, "createConnectedAccount", "account", "id", **terms)
    account_id: str = made["account"]["id"]
    await _do(world, "submitConnectedAccount", "account", "id", accountId=account_id)
    decided = await _do(
        world,
        "decideOnboarding",
        "account",
        "status",
        accountId=account_id,
        verdict="VERIFIED",
        person="Ada",
    )
    assert decided == {"errors": [], "account": {"status": "ACTIVE"}}
    return account_id


async def _split(world: World, payment_id: str, *, phases: int) -> dict[str, Any]:
    """The payment's split once so many steps were shared."""
    async with asyncio.timeout(_WAIT_S):
        while True:
            found = (await world.run(_SPLIT, id=payment_id))["payment"]["split"]
            if len(found["steps"]) >= phases:
                split: dict[str, Any] = found
                return split
            await asyncio.sleep(0.05)


async def test_a_vendor_is_verified_and_its_state_is_told(world: World) -> None:
    account_id = await _vendor(world, "ada's lamps")
    shown = await world.run(
        f"query($id: ID!) {{ connectedAccount(id: $id) {{ {_ACCOUNT} }} node(id: $id) {{ id }} }}",
        id=account_id,
    )
    account = shown["connectedAccount"]
    assert (account["status"], account["chargesEnabled"], account["payoutsEnabled"]) == (
        "ACTIVE",
        True,
        True,
    )
    assert account["checks"] == [{"actor": "Ada", "verdict": "VERIFIED"}]
    listed = await world.run("{ connectedAccounts(status: ACTIVE) { nodes { id } } }")
    assert listed["connectedAccounts"]["nodes"] == [{"id": account_id}] == [shown["node"]]


async def test_a_payment_is_divided_and_a_refund_takes_back(world: World) -> None:
    one, two = await _vendor(world, "one"), await _vendor(world, "two")
    paid = await world.pay(
        amount={"amountMinor": 10_000, "currency": "EUR"},
        split={
            "shares": [
                {"accountId": one, "amountMinor": 7_000},
                {"accountId": two, "percentBps": 2_000},
                {"remainder": True},
            ],
            "feePolicy": "KEEP",
        },
    )
    payment_id = paid["payment"]["id"]
    split = await _split(world, payment_id, phases=1)
    assert [part["account"] and part["account"]["reference"] for part in split["parts"]] == [
        "one",
        "two",
        None,
    ]
    assert [part["refundableAmount"]["amountMinor"] for part in split["parts"]] == [
        7_000,
        2_000,
        1_000,
    ]
    refunded = await _do(
        world,
        "refundPayment",
        "payment",
        "id",
        paymentId=payment_id,
        amountMinor=500,
        shares=[{"accountId": two, "remainder": True}],
    )
    assert refunded["errors"] == []
    split = await _split(world, payment_id, phases=2)
    assert [part["refundableAmount"]["amountMinor"] for part in split["parts"]] == [
        7_000,
        1_500,
        1_000,
    ]
    assert split["steps"][1]["movements"] == [
        {"account": f"vendor_payable:{two}", "amount": {"amountMinor": -500}}
    ]


async def test_an_escrow_is_released_by_parts(world: World) -> None:
    account_id = await _vendor(world, "one")
    agreed = await _do(
        world,
        "createSplitRule",
        "rule",
        "id scope percentBps",
        scope="TENANT",
        commission={"percentBps": 1_000},
    )
    assert agreed["rule"]["percentBps"] == 1_000
    paid = await world.pay(
        amount={"amountMinor": 1_000, "currency": "EUR"},
        split={"vendorId": account_id, "escrow": {"conditions": ["MANUAL"], "timeoutDays": 30}},
    )
    split = await _split(world, paid["payment"]["id"], phases=1)
    assert [part["escrowedAmount"]["amountMinor"] for part in split["parts"]] == [900, 100]
    escrow_id = split["escrow"]["id"]
    released = await _do(
        world,
        "releaseEscrow",
        "escrow",
        "status heldAmount { amountMinor } releases { amount { amountMinor } actor }",
        escrowId=escrow_id,
        amountMinor=400,
    )
    assert released["escrow"]["heldAmount"]["amountMinor"] == 600
    (release,) = released["escrow"]["releases"]
    assert release["amount"]["amountMinor"] == 400
    shown = await world.run(
        f"query($id: ID!) {{ connectedAccount(id: $id) {{ {_ACCOUNT} }} }}", id=account_id
    )
    (balance,) = shown["connectedAccount"]["balances"]
    assert (balance["available"]["amountMinor"], balance["inEscrow"]["amountMinor"]) == (360, 540)
    moved = await _do(
        world,
        "createAccountTransfer",
        "transfer",
        "id amount { amountMinor }",
        amount={"amountMinor": 361, "currency": "EUR"},
        sourceId=account_id,
    )
    assert [each["code"] for each in moved["errors"]] == ["INSUFFICIENT_AVAILABLE_BALANCE"]
    assert moved["errors"][0]["path"] == ["amount", "amountMinor"]
    assert "3.61 EUR" in moved["errors"][0]["message"]


async def test_what_tiers_leave_is_planned_at_the_sale(world: World) -> None:
    account_id = await _vendor(world, "one")
    tiers = [{"upTo": 100, "percentBps": 1_000}, {"percentBps": 0}]
    planned = []
    for commission in ({"percentBps": 1_000}, {"tiers": tiers}):
        held = await world.pay(
            amount={"amountMinor": 1_000, "currency": "EUR"},
            captureMethod="MANUAL",
            split={"vendorId": account_id, "commission": commission},
        )
        parts = (await world.run(_SPLIT, id=held["payment"]["id"]))["payment"]["split"]["parts"]
        planned.append([part["plannedAmount"] for part in parts])
    assert planned == [[{"amountMinor": 900}, {"amountMinor": 100}], [None, None]]


async def test_refusals_are_typed(world: World) -> None:
    made = await _do(
        world,
        "createConnectedAccount",
        "account",
        "id",
        reference="new",
        country="DE",
        defaultCurrency="EUR",
    )
    refused = await world.pay(
        split={"shares": [{"accountId": made["account"]["id"], "remainder": True}]}
    )
    assert [each["code"] for each in refused["errors"]] == ["CHARGES_NOT_ENABLED"]
    refused = await world.pay(split={"shares": [{"percentBps": 5_000}]})
    assert [each["code"] for each in refused["errors"]] == ["SPLIT_NOT_EXHAUSTIVE"]
    assert refused["errors"][0]["path"] == ["split", "shares"]
    refused = await world.pay(split={"shares": [{"percentBps": 10_001}]})
    assert refused["errors"][0]["path"] == ["split", "shares", "0", "percentBps"]
    refused = await _do(
        world,
        "resumeConnectedAccount",
        "account",
        "id",
        accountId=made["account"]["id"],
    )
    assert [each["code"] for each in refused["errors"]] == ["TRANSITION_REFUSED"]


async def test_a_key_without_the_scope_sees_and_does_nothing(
    engine: Engine, client: httpx.AsyncClient
) -> None:
    world = await make_world(engine, client, scopes=["payments:read", "payments:write"])
    for query in ("connectedAccounts", "splitRules", "escrows", "accountTransfers"):
        assert codes(await world.ask(f"{{ {query} {{ nodes {{ id }} }} }}")) == [
            "PERMISSION_DENIED"
        ]
    answer = await world.ask(
        "mutation($input: ReleaseEscrowInput!) { releaseEscrow(input: $input)"
        " { errors { code } } }",
        input={"idempotencyKey": new_key(), "escrowId": "esc_" + "0" * 26},
    )
    assert codes(answer) == ["PERMISSION_DENIED"]
