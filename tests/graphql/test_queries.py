"""Reading: pages, nodes, and how many statements they cost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from payengine.engine import Engine
from payengine.ids import new_id

from tests.graphql.worlds import World, codes, new_key

_PAGE = """
query Page($first: Int, $after: String, $filter: PaymentFilterInput) {
  payments(first: $first, after: $after, filter: $filter) {
    edges { cursor node { id } }
    nodes { id status }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""


async def _customer(world: World) -> str:
    data = await world.run(
        "mutation($input: CreateCustomerInput!) { createCustomer(input: $input)"
        " { customer { id } errors { code } } }",
        input={"idempotencyKey": new_key(), "name": "Ada"},
    )
    found: str = data["createCustomer"]["customer"]["id"]
    return found


async def test_pages_follow_each_other_without_gap_or_repetition(world: World) -> None:
    made = [(await world.pay())["payment"]["id"] for _ in range(7)]
    seen: list[str] = []
    after = None
    for _ in range(4):
        page = (await world.run(_PAGE, first=2, after=after))["payments"]
        assert [edge["node"]["id"] for edge in page["edges"]] == [n["id"] for n in page["nodes"]]
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        seen += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    assert page["pageInfo"]["hasNextPage"] is False
    assert seen == sorted(made, reverse=True)


async def test_a_filter_narrows_the_list(world: World) -> None:
    customer = await _customer(world)
    await world.pay()
    mine = (await world.pay(customerId=customer))["payment"]["id"]
    declined = await world.pay(paymentMethod={"token": "tok_decline_lost_card"})
    for wanted, expected in (
        ({"customerId": customer}, [mine]),
        ({"statuses": ["DECLINED"]}, [declined["payment"]["id"]]),
        ({"currency": "JPY"}, []),
        ({"createdUntil": "2020-01-01T00:00:00Z"}, []),
    ):
        page = await world.run(_PAGE, filter=wanted)
        assert [node["id"] for node in page["payments"]["nodes"]] == expected


async def test_a_page_of_twenty_payments_costs_at_most_four_statements(
    world: World, engine: Engine
) -> None:
    customers = [await _customer(world) for _ in range(4)]
    await asyncio.gather(*(world.pay(customerId=customers[n % 4]) for n in range(20)))
    await asyncio.sleep(1.2)  # the relay and the feed have nothing left to do for these
    query = (
        "{ payments(first: 20) { nodes { id customer { name } attempts { gateway routing } } } }"
    )
    await world.run(query)
    counted: list[int] = []
    while len(counted) < 5 or (min(counted) > 4 and len(counted) < 100):
        # Loops in the background send statements too: the least counts.
        before = engine.database.counters.statements
        page = await world.run(query)
        counted.append(engine.database.counters.statements - before)
    assert len(page["payments"]["nodes"]) == 20
    assert {node["customer"]["name"] for node in page["payments"]["nodes"]} == {"Ada"}
    assert min(counted) <= 4, counted


_NODES = """
query Nodes($ids: [ID!]!) {
  nodes(ids: $ids) {
    __typename id
    ... on Payment { amount { amountMinor } refunds { id } operations { id kind } }
    ... on Refund { amount { amountMinor } reason }
    ... on Operation { kind payment { id } evidence { source } }
    ... on Customer { name }
    ... on SavedPaymentMethod { label }
  }
}
"""


async def test_any_object_is_found_by_its_id(world: World) -> None:
    customer = await _customer(world)
    payment = (await world.pay())["payment"]["id"]
    refunded = await world.run(
        "mutation($input: RefundPaymentInput!) { refundPayment(input: $input)"
        " { refund { id } errors { code } } }",
        input={"idempotencyKey": new_key(), "paymentId": payment, "amountMinor": 34},
    )
    saved = await world.run(
        "mutation($input: SavePaymentMethodInput!) { savePaymentMethod(input: $input)"
        " { paymentMethod { id } } }",
        input={
            "idempotencyKey": new_key(),
            "customerId": customer,
            "token": "tok_visa",
            "label": "mine",
        },
    )
    refund = refunded["refundPayment"]["refund"]["id"]
    method = saved["savePaymentMethod"]["paymentMethod"]["id"]
    operations = await world.run(
        "query($id: ID!) { payment(id: $id) { operations { id } } }", id=payment
    )
    operation = operations["payment"]["operations"][0]["id"]
    ids = [payment, refund, operation, customer, method, new_id("pay")]
    found = (await world.run(_NODES, ids=ids))["nodes"]
    assert [node and node["__typename"] for node in found] == [
        "Payment",
        "Refund",
        "Operation",
        "Customer",
        "SavedPaymentMethod",
        None,
    ]
    assert [node["id"] for node in found[:-1]] == ids[:-1]
    assert found[0]["refunds"] == [{"id": refund}]
    assert found[2]["payment"] == {"id": payment}
    for each in ids[:-1]:
        one = await world.run("query($id: ID!) { node(id: $id) { id } }", id=each)
        assert one["node"]["id"] == each


async def test_the_log_is_read_in_its_order(world: World) -> None:
    payment = (await world.pay())["payment"]["id"]
    events: list[dict[str, Any]] = []
    for _ in range(1_200):
        page = await world.run(
            "{ events { nodes { type position cursor paymentId data payment { status } } } }"
        )
        events = page["events"]["nodes"]
        if events and events[-1]["type"] == "payment.captured":
            break
        await asyncio.sleep(0.05)
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))
    assert {event["paymentId"] for event in events} == {payment}
    assert events[-1]["payment"] == {"status": "CAPTURED"}
    rest = await world.run(
        "query($after: String) { events(after: $after) { nodes { position } } }",
        after=events[0]["cursor"],
    )
    assert [event["position"] for event in rest["events"]["nodes"]] == [
        event["position"] for event in events[1:]
    ]


async def test_what_was_captured_stands_in_the_ledger(world: World) -> None:
    await world.pay()
    data = await world.run(
        "{ ledgerBalances { account type currency balance { formatted amountMinor }"
        " postedDebits { amountMinor } postedCredits { amountMinor } } }"
    )
    balances = data["ledgerBalances"]
    assert balances
    debits = sum(balance["postedDebits"]["amountMinor"] for balance in balances)
    assert debits == sum(balance["postedCredits"]["amountMinor"] for balance in balances) > 0


async def test_the_sandbox_is_listed_with_its_schema(world: World) -> None:
    data = await world.run(
        "{ plugins { name title status enabled schema settings secrets { name } gateways } }"
    )
    sandbox = next(plugin for plugin in data["plugins"] if plugin["name"] == "sandbox")
    assert sandbox["enabled"] is True
    assert sandbox["status"] == "ready"
    assert sandbox["schema"]["type"] == "object"


@pytest.mark.parametrize("kind", ["payment", "customer", "node"])
async def test_an_unknown_id_is_not_found(world: World, kind: str) -> None:
    prefix = {"payment": "pay", "customer": "cus", "node": "pm"}[kind]
    query = f"query($id: ID!) {{ {kind}(id: $id) {{ id }} }}"
    assert codes(await world.ask(query, id=new_id(prefix))) == ["NOT_FOUND"]
