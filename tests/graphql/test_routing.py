"""Routing over the wire: save, activate, go back, simulate, and read why and with which codes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from payengine.engine import Engine

from tests.graphql.worlds import World, codes, make_world, new_key, row_counts

SAVE = """
mutation Save($input: SaveRoutingPolicyInput!) {
  saveRoutingPolicy(input: $input) {
    errors { code message path }
    routingPolicy { id version document reason actor createdAt }
  }
}
"""
ACTIVATE = """
mutation Activate($input: ActivateRoutingPolicyInput!) {
  activateRoutingPolicy(input: $input) {
    errors { code path } routingActivation { id number policyId policy { version } reason }
  }
}
"""
ROLL_BACK = """
mutation Back($input: RollBackRoutingPolicyInput!) {
  rollBackRoutingPolicy(input: $input) {
    errors { code } routingActivation { id number policyId }
  }
}
"""
SIMULATE = """
query Simulate($input: SimulateRoutingInput!) {
  simulateRouting(input: $input) {
    payments truncated changed untakeable pastSuccessMillionths successMillionths
    successLowMillionths successHighMillionths unknownMillionths chanceMillionths
    shares { gateway pastCount pastMillionths millionths }
    costs { currency past { amountMinor } expected { amountMinor } unknownMillionths }
    changes { paymentId was to }
  }
}
"""
CODES = """
query Codes($since: DateTime, $unmapped: Boolean!) {
  declineCodes(since: $since, unmappedOnly: $unmapped) {
    gateway rawCode code mapped count firstSeenAt lastSeenAt
  }
}
"""
_BY_NAME = {"otherwise": {"by": "priority", "gateways": ["sandbox"]}}


async def save(world: World, policy: Any, **given: Any) -> dict[str, Any]:
    """The payload of saveRoutingPolicy."""
    fields = {"idempotencyKey": new_key(), "policy": policy, "reason": "a test"} | given
    payload: dict[str, Any] = (await world.run(SAVE, input=fields))["saveRoutingPolicy"]
    return payload


async def test_a_policy_is_saved_activated_and_rolled_back(world: World) -> None:
    first = (await save(world, _BY_NAME))["routingPolicy"]
    assert (first["version"], first["reason"]) == (1, "a test")
    assert first["document"]["otherwise"]["gateways"] == ["sandbox"]
    second = (await save(world, {}, activate=True))["routingPolicy"]
    given = {"idempotencyKey": new_key(), "routingPolicyId": first["id"], "reason": "better"}
    for _ in range(2):  # the same key does it once
        answer = (await world.run(ACTIVATE, input=given))["activateRoutingPolicy"]
        assert answer["errors"] == []
        assert answer["routingActivation"]["number"] == 2
        assert answer["routingActivation"]["policy"] == {"version": 1}
    again = {"idempotencyKey": new_key(), "reason": "worse"}
    back = (await world.run(ROLL_BACK, input=again))["rollBackRoutingPolicy"]
    assert back["routingActivation"]["policyId"] == second["id"]
    listed = await world.run(
        "{ routingPolicies { nodes { id version } } routingActivations { number policyId } }"
    )
    assert [each["version"] for each in listed["routingPolicies"]["nodes"]] == [2, 1]
    assert [each["number"] for each in listed["routingActivations"]] == [3, 2, 1]
    node = await world.run("query($id: ID!) { node(id: $id) { id } }", id=first["id"])
    assert node["node"]["id"] == first["id"]
    read = await world.run("query($id: ID!) { routingPolicy(id: $id) { actor } }", id=first["id"])
    assert read["routingPolicy"]["actor"].startswith("key_")


async def test_what_is_refused_is_typed_and_writes_nothing(world: World, engine: Engine) -> None:
    before = await row_counts(engine, world.context)
    for policy, path in (
        ({"rules": 7}, ["policy", "rules"]),
        ({"exclude": ["nobody"]}, ["policy", "exclude"]),
        ({"otherwise": {"by": "luck"}}, ["policy", "otherwise", "by"]),
    ):
        payload = await save(world, policy)
        assert [(each["code"], each["path"]) for each in payload["errors"]] == [
            ("ROUTING_POLICY_INVALID", path)
        ]
    (error,) = (await save(world, {}, reason=""))["errors"]
    assert (error["code"], error["path"]) == ("INPUT_INVALID", ["reason"])
    (error,) = (await save(world, {"rules": [], "x": "4111111111111111"}))["errors"]
    assert error["code"] == "SENSITIVE_DATA_REFUSED"
    back = await world.run(ROLL_BACK, input={"idempotencyKey": new_key(), "reason": "x"})
    assert [each["code"] for each in back["rollBackRoutingPolicy"]["errors"]] == ["CONFLICT"]
    assert await row_counts(engine, world.context) == before


async def test_a_key_saves_one_version(world: World) -> None:
    key = new_key()
    one = await save(world, {}, idempotencyKey=key)
    assert (await save(world, {}, idempotencyKey=key))["routingPolicy"] == one["routingPolicy"]
    (error,) = (await save(world, _BY_NAME, idempotencyKey=key))["errors"]
    assert error["code"] == "IDEMPOTENCY_CONFLICT"


async def test_a_payment_says_which_policy_sent_it_where(world: World) -> None:
    saved = (await save(world, _BY_NAME, activate=True))["routingPolicy"]
    paid = await world.pay()
    found = await world.run(
        "query($id: ID!) { payment(id: $id) { attempts { gateway routing } } }",
        id=paid["payment"]["id"],
    )
    (attempt,) = found["payment"]["attempts"]
    assert attempt["gateway"] == "sandbox"
    assert attempt["routing"]["policy"] == saved["id"]
    assert (attempt["routing"]["rule"], attempt["routing"]["by"]) == ("otherwise", "priority")


async def test_a_policy_that_excludes_all_takes_nothing(world: World, engine: Engine) -> None:
    await save(world, {"exclude": ["sandbox"]}, activate=True)
    payload = await world.pay()
    assert [each["code"] for each in payload["errors"]] == ["GATEWAY_UNAVAILABLE"]
    assert (await row_counts(engine, world.context))["payment"] == 0


async def test_a_simulation_tells_what_is_known(world: World) -> None:
    for _ in range(10):
        await world.pay(amount={"amountMinor": 1_000, "currency": "EUR"})
    now = datetime.now(UTC)
    given = {
        "policy": {"fees": [{"gateway": "sandbox", "basisPoints": 150}]},
        "since": (now - timedelta(hours=1)).isoformat(),
        "until": (now + timedelta(hours=1)).isoformat(),
    }
    found = (await world.run(SIMULATE, input=given))["simulateRouting"]
    assert (found["payments"], found["changed"], found["truncated"]) == (10, 0, False)
    assert found["pastSuccessMillionths"] == found["successMillionths"] == 1_000_000
    assert 0 < found["successLowMillionths"] < found["successHighMillionths"] == 1_000_000
    assert found["shares"] == [
        {
            "gateway": "sandbox",
            "pastCount": 10,
            "pastMillionths": 1_000_000,
            "millionths": 1_000_000,
        }
    ]
    assert found["costs"] == [
        {
            "currency": "EUR",
            "past": {"amountMinor": 150},
            "expected": {"amountMinor": 150},
            "unknownMillionths": 0,
        }
    ]
    nothing = given | {"policy": {"exclude": ["sandbox"]}}
    found = (await world.run(SIMULATE, input=nothing))["simulateRouting"]
    assert (found["untakeable"], len(found["changes"])) == (10, 10)
    answer = await world.ask(SIMULATE, input=given | {"policy": {"rules": 7}})
    assert codes(answer) == ["ROUTING_POLICY_INVALID"]


async def test_declines_are_reported_by_the_providers_codes(world: World) -> None:
    await world.pay(paymentMethod={"token": "tok_decline_do_not_honor"})
    found = (await world.run(CODES, unmapped=False))["declineCodes"]
    (only,) = found
    assert (only["gateway"], only["rawCode"], only["mapped"]) == ("sandbox", "do_not_honor", True)
    assert only["count"] == 1
    assert (await world.run(CODES, unmapped=True))["declineCodes"] == []


async def test_the_taxonomy_has_51_codes_each_with_advice(world: World) -> None:
    found = await world.run("{ declineRules { code category retryable otherGateway advice } }")
    rules = found["declineRules"]
    assert len(rules) == len({each["code"] for each in rules}) == 51
    assert all(each["advice"].endswith(".") for each in rules)
    assert {each["code"] for each in rules if each["otherGateway"]} >= {"do_not_honor"}
    schema = (await world.run("{ routingPolicySchema }"))["routingPolicySchema"]
    assert "Policy" in schema["$defs"]


@pytest.mark.parametrize(
    "given",
    [
        {"country": "de"},
        {"cardDigits": "4111111111111111"},
        {"cardDigits": "41"},
        {"gateway": "x" * 61},
    ],
)
async def test_what_is_told_of_a_token_is_checked(world: World, given: dict[str, str]) -> None:
    payload = await world.pay(paymentMethod={"token": "tok_visa"} | given)
    assert payload["payment"] is None
    assert payload["errors"][0]["path"][0] == "paymentMethod"


async def test_a_token_of_a_gateway_that_is_not_enabled_is_not_sent_elsewhere(world: World) -> None:
    payload = await world.pay(paymentMethod={"token": "tok_visa", "gateway": "elsewhere"})
    assert [each["code"] for each in payload["errors"]] == ["GATEWAY_UNAVAILABLE"]


async def test_a_key_without_the_scope_may_not(engine: Engine, client: httpx.AsyncClient) -> None:
    blind = await make_world(engine, client, scopes=["payments:write"])
    (error,) = (await save(blind, {}))["errors"]
    assert error["code"] == "PERMISSION_DENIED"
    for query in (
        "{ routingPolicies { nodes { id } } }",
        "{ routingActivations { id } }",
        "{ declineCodes { code } }",
    ):
        assert codes(await blind.ask(query)) == ["PERMISSION_DENIED"]
