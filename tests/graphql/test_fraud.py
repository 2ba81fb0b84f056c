"""Can people see why, decide, list, try and learn, over the wire?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from payengine.context import SCOPES
from payengine.engine import Engine
from payengine.ids import new_id

from tests.graphql.worlds import World, codes, make_world, new_key

_HOUR = timedelta(hours=1)


async def _do(world: World, name: str, shown: str, **given: Any) -> dict[str, Any]:
    title = name[0].upper() + name[1:]
    data = await world.run(
        f"mutation($input: {title}Input!) {{ {name}(input: $input) {{"
        f" errors {{ code message path }} {shown} }} }}",
        input={"idempotencyKey": new_key()} | given,
    )
    payload: dict[str, Any] = data[name]
    return payload


async def _list(world: World, **given: Any) -> dict[str, Any]:
    shown = "fraudListEntry { id list kind label person removedAt removedReason }"
    fields = {"list": "BLOCK", "person": "Ada", "reason": "seen before"} | given
    return await _do(world, "addFraudListEntry", shown, **fields)


async def _held(world: World) -> dict[str, Any]:
    made = await world.pay(paymentMethod={"token": "tok_fraud_review"})
    assert made["payment"]["status"] == "IN_REVIEW"
    payment: dict[str, Any] = made["payment"]
    return payment


async def test_a_person_sees_why_a_payment_is_held_and_decides(world: World) -> None:
    payment = await _held(world)
    queue = await world.run(
        "query($filter: ReviewFilterInput) { reviews(first: 5, filter: $filter) { nodes {"
        " id kind reasons decideBy decision payment { id status }"
        " fraudDecisions { stage verdict by score degraded drawn"
        " rules { rule mode verdict reason score error } } } } }",
        filter={"kind": "FRAUD", "unclaimed": True},
    )
    (review,) = queue["reviews"]["nodes"]
    assert (review["kind"], review["reasons"]) == ("FRAUD", ["suspicious"])
    assert review["decideBy"] is not None
    assert review["payment"] == {"id": payment["id"], "status": "IN_REVIEW"}
    (decision,) = review["fraudDecisions"]
    assert (decision["stage"], decision["verdict"]) == ("PRE_AUTH", "REVIEW")
    assert decision["by"] == ["sandbox_tokens"]
    word = next(each for each in decision["rules"] if each["rule"] == "sandbox_tokens")
    assert (word["mode"], word["verdict"], word["reason"]) == ("LIVE", "REVIEW", "test_token")
    decided = await _do(
        world,
        "decideReview",
        "review { decision closedBy decideBy payment { status } actions { kind reason } }",
        reviewId=review["id"],
        decision="APPROVED",
        person="Ada",
        reason="I called the buyer.",
        isFraud=False,
    )
    assert decided["errors"] == []
    assert decided["review"] == {
        "decision": "APPROVED",
        "closedBy": "Ada",
        "decideBy": None,
        "payment": {"status": "CAPTURED"},
        "actions": [{"kind": "DECIDED", "reason": "I called the buyer."}],
    }


async def test_lists_over_the_wire(world: World) -> None:
    buyer = {"email": "ada@example.org", "ip": "203.0.113.9", "device": "phone"}
    added = await _list(world, kind="IP", value="203.0.113.0/24")
    entry = added["fraudListEntry"]
    assert (entry["list"], entry["kind"], entry["label"]) == ("BLOCK", "IP", "203.0.113.0/24")
    stopped = await world.pay(fraud=buyer)
    assert stopped["payment"]["status"] == "DECLINED"
    again = await _list(world, kind="IP", value="203.0.113.7/24")
    assert [each["code"] for each in again["errors"]] == ["CONFLICT"]
    from_payment = await _list(world, kind="DEVICE", paymentId=stopped["payment"]["id"])
    assert from_payment["errors"] == []
    listed = await world.run(
        "query($filter: FraudListFilterInput) { fraudListEntries(filter: $filter) {"
        " nodes { id } } }",
        filter={"kind": "IP"},
    )
    assert listed["fraudListEntries"]["nodes"] == [{"id": entry["id"]}]
    for entry_id in (entry["id"], from_payment["fraudListEntry"]["id"]):
        removed = await _do(
            world,
            "removeFraudListEntry",
            "fraudListEntry { removedBy removedReason }",
            fraudListEntryId=entry_id,
            person="Grace",
            reason="a mistake",
        )
        assert removed["fraudListEntry"] == {"removedBy": "Grace", "removedReason": "a mistake"}
    node = await world.run(
        "query($id: ID!) { node(id: $id) { id ... on FraudListEntry { label removedBy } } }",
        id=entry["id"],
    )
    assert node["node"]["removedBy"] == "Grace"
    assert (await world.pay(fraud=buyer))["payment"]["status"] == "CAPTURED"


_RULE = "fraudRule { name mode version settings history(first: 5) { version mode reason } }"


async def test_a_rule_is_tried_saved_and_has_a_history(world: World) -> None:
    rules = await world.run(
        "{ fraudRules { name title plugin stages mode version schema isAskedElsewhere } }"
    )
    names = [each["name"] for each in rules["fraudRules"]]
    assert names == sorted(names)
    assert {"lists", "card_velocity", "sandbox_tokens"} <= set(names)
    paid = await world.pay(fraud={"device": "phone"})
    assert paid["payment"]["status"] == "CAPTURED"
    now = datetime.now(UTC)
    tried = await world.run(
        "query($input: FraudImpactInput!) { fraudImpact(input: $input) { lookedAt total complete"
        " errors verdicts { verdict count } hits { payments worth { amountMinor currency } }"
        " caught { payments } good { payments worth { formatted } } missed { payments }"
        " hitsBefore { payments } stopped { payments } released { payments } } }",
        input={
            "rule": "lists",
            "since": (now - _HOUR).isoformat(),
            "until": (now + _HOUR).isoformat(),
        },
    )
    assert (tried["fraudImpact"]["lookedAt"], tried["fraudImpact"]["complete"]) == (1, True)
    assert tried["fraudImpact"]["hits"] == {"payments": 0, "worth": []}
    one = {"idempotencyKey": new_key(), "rule": "lists", "mode": "SHADOW", "reason": "to see"}
    saved = await _do(world, "saveFraudRule", _RULE, **one)
    assert saved["errors"] == []
    assert saved["fraudRule"]["mode"] == "SHADOW"
    assert saved["fraudRule"]["history"] == [{"version": 1, "mode": "SHADOW", "reason": "to see"}]
    assert await _do(world, "saveFraudRule", _RULE, **one) == saved
    other = await _do(world, "saveFraudRule", _RULE, **(one | {"mode": "LIVE"}))
    assert [each["code"] for each in other["errors"]] == ["IDEMPOTENCY_CONFLICT"]
    await _do(world, "saveFraudRule", _RULE, rule="lists", mode="OFF", reason="enough")
    shown = await world.run(
        'query { fraudRule(name: "lists") { mode version history { version mode } } }'
    )
    assert shown["fraudRule"]["mode"] == "OFF"
    assert [each["version"] for each in shown["fraudRule"]["history"]] == [2, 1]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"rule": "perhaps"}, "NOT_FOUND"),
        ({"settings": {"unknown": 1}}, "PLUGIN_SETTINGS_INVALID"),
        ({"settings": "text"}, "INPUT_INVALID"),
        ({"reason": " "}, "INPUT_INVALID"),
    ],
)
async def test_a_rule_that_cannot_be_saved(world: World, given: dict[str, Any], code: str) -> None:
    fields = {"rule": "lists", "mode": "LIVE", "reason": "a test"} | given
    payload = await _do(world, "saveFraudRule", _RULE, **fields)
    assert [each["code"] for each in payload["errors"]] == [code]
    assert payload["fraudRule"] is None


async def test_settings_over_the_wire(world: World) -> None:
    schema = (await world.run("{ fraudSettingsSchema }"))["fraudSettingsSchema"]
    assert "review_minutes" in str(schema)
    assert (await world.run("{ fraudSettings { version } }"))["fraudSettings"] == []
    shown = "fraudSettings { version document }"
    saved = await _do(
        world, "configureFraud", shown, settings={"review_minutes": 30}, reason="a test"
    )
    assert saved["fraudSettings"]["version"] == 1
    assert saved["fraudSettings"]["document"]["review_minutes"] == 30
    bad = await _do(world, "configureFraud", shown, settings={"x": 1}, reason="a test")
    assert [each["code"] for each in bad["errors"]] == ["INPUT_INVALID"]


async def test_outcomes_and_the_summary(world: World) -> None:
    paid = (await world.pay())["payment"]["id"]
    blocked = (await world.pay(paymentMethod={"token": "tok_fraud_block"}))["payment"]["id"]
    for payment_id, is_fraud in ((blocked, True), (paid, False)):
        told = await _do(
            world,
            "reportFraudOutcome",
            "fraudOutcomes { isFraud source }",
            paymentId=payment_id,
            isFraud=is_fraud,
        )
        assert told["fraudOutcomes"] == [{"isFraud": is_fraud, "source": "TENANT"}]
    now = datetime.now(UTC)
    data = await world.run(
        "query($since: DateTime!, $until: DateTime!) {"
        " fraudSummary(since: $since, until: $until) { decisions truncated blockRate reviewRate"
        " challengeRate verdicts { verdict count } quality { caught missed wrong precision recall }"
        " rules { rule mode asked hits errors p50Us p99Us quality { precision } } } }",
        since=(now - _HOUR).isoformat(),
        until=(now + _HOUR).isoformat(),
    )
    found = data["fraudSummary"]
    assert (found["decisions"], found["blockRate"], found["reviewRate"]) == (2, 500_000, 0)
    assert found["quality"] == {
        "caught": 1,
        "missed": 0,
        "wrong": 0,
        "precision": 1_000_000,
        "recall": 1_000_000,
    }
    tokens = next(each for each in found["rules"] if each["rule"] == "sandbox_tokens")
    assert (tokens["asked"], tokens["hits"], tokens["errors"]) == (2, 1, 0)
    shown = await world.run(
        "query($id: ID!) { paymentFraudDecisions(id: $id) { verdict features context"
        " outcomes { isFraud } rescored { at verdict by score rules { rule } } } }",
        id=blocked,
    )
    (decision,) = shown["paymentFraudDecisions"]
    assert decision["rescored"] is None
    assert (decision["verdict"], decision["outcomes"]) == ("BLOCK", [{"isFraud": True}])


_PAGE = (
    "query($after: String, $filter: FraudDecisionFilterInput) {"
    " fraudDecisions(first: 1, after: $after, filter: $filter) {"
    " nodes { paymentId verdict } pageInfo { endCursor hasNextPage } } }"
)


async def test_decisions_in_pages_and_nobody_elses(world: World, foreign: World) -> None:
    theirs = (await foreign.pay())["payment"]["id"]
    mine = [(await world.pay())["payment"]["id"] for _ in range(2)]
    first = (await world.run(_PAGE))["fraudDecisions"]
    assert [each["paymentId"] for each in first["nodes"]] == mine[1:]
    assert first["pageInfo"]["hasNextPage"]
    second = (await world.run(_PAGE, after=first["pageInfo"]["endCursor"]))["fraudDecisions"]
    assert [each["paymentId"] for each in second["nodes"]] == mine[:1]
    for payment_id in (theirs, new_id("pay")):
        page = (await world.run(_PAGE, after=f"{payment_id}.1.pre_auth"))["fraudDecisions"]
        assert page["nodes"] == []
    assert codes(await world.ask(_PAGE, after="x")) == ["CURSOR_INVALID"]
    none = (await world.run(_PAGE, filter={"verdicts": ["BLOCK"]}))["fraudDecisions"]
    assert none["nodes"] == []


@pytest.mark.parametrize(
    "query",
    [
        "{ fraudRules { name } }",
        "{ fraudDecisions { nodes { paymentId } } }",
        "{ fraudAlerts { nodes { id } } }",
        "{ fraudListEntries { nodes { id } } }",
        "{ fraudSettings { version } }",
        'query { fraudSummary(since: "2026-01-01T00:00:00Z", until: "2026-01-02T00:00:00Z")'
        " { decisions } }",
        'query { fraudImpact(input: { rule: "lists", since: "2026-01-01T00:00:00Z",'
        ' until: "2026-01-02T00:00:00Z" }) { total } }',
    ],
)
async def test_reading_needs_its_scope(
    engine: Engine, client: httpx.AsyncClient, query: str
) -> None:
    poor = await make_world(engine, client, scopes=[each for each in SCOPES if "fraud" not in each])
    assert codes(await poor.ask(query)) == ["PERMISSION_DENIED"]
