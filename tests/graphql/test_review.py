"""Can a named person see what waits for them, and settle it, over the wire?"""

from __future__ import annotations

from typing import Any

import httpx
from payengine.engine import Engine

from tests.graphql.worlds import World, codes, make_world, new_key

_SHOWN = """
  id paymentId openedAt reasons claimedBy claimedUntil closedBy closedAt
  payment { status needsReview conflicted }
  openOperations { id kind status amount { amountMinor } }
  evidence { source finding data }
  actions { kind person actor reason operationId }
"""


async def _queue(world: World, **wanted: Any) -> list[dict[str, Any]]:
    data = await world.run(
        f"query($filter: ReviewFilterInput) {{ reviews(filter: $filter) {{ nodes {{ {_SHOWN} }} }}"
        " }",
        filter=wanted,
    )
    found: list[dict[str, Any]] = data["reviews"]["nodes"]
    return found


async def _do(world: World, name: str, **given: Any) -> dict[str, Any]:
    title = name[0].upper() + name[1:]
    data = await world.run(
        f"mutation($input: {title}Input!) {{ {name}(input: $input) {{"
        f" errors {{ code message path }} review {{ {_SHOWN} }} }} }}",
        input={"idempotencyKey": new_key(), "person": "Ada Lovelace"} | given,
    )
    payload: dict[str, Any] = data[name]
    return payload


async def _wrong(world: World) -> dict[str, Any]:
    """The sandbox took another amount than asked."""
    return await world.pay(
        amount={"amountMinor": 3_010, "currency": "EUR"}, paymentMethod={"token": "tok_magic"}
    )


async def test_the_queue_tells_what_waits_and_why(world: World) -> None:
    assert await _queue(world) == []
    wrong = await _wrong(world)
    (review,) = await _queue(world)
    assert review["paymentId"] == wrong["payment"]["id"]
    assert review["reasons"] == ["conflicted", "outcome_unknown"]
    assert review["payment"] == {"status": "PROCESSING", "needsReview": True, "conflicted": True}
    (operation,) = review["openOperations"]
    assert (operation["id"], operation["status"]) == (wrong["operation"]["id"], "UNKNOWN")
    (seen,) = review["evidence"]
    assert seen["source"] == "ANSWER"
    assert seen["data"]["outcome"]["amount"]["minor"] == 3_009
    assert review["actions"] == []


async def test_a_person_claims_and_settles(world: World) -> None:
    wrong = await _wrong(world)
    (review,) = await _queue(world)
    claimed = await _do(world, "claimReview", reviewId=review["id"])
    assert claimed["errors"] == []
    assert claimed["review"]["claimedBy"] == "Ada Lovelace"
    other = await _do(world, "claimReview", reviewId=review["id"], person="Bob")
    assert [each["code"] for each in other["errors"]] == ["REVIEW_CLAIMED"]
    settled = await _do(
        world,
        "settleReview",
        reviewId=review["id"],
        operationId=wrong["operation"]["id"],
        outcome="SUCCEEDED",
        amount={"amountMinor": 3_009, "currency": "EUR"},
        reference="sbx_seen_by_ada",
        reason="The dashboard shows 30.09.",
    )
    assert settled["errors"] == []
    done = settled["review"]
    assert (done["closedBy"], done["openOperations"]) == ("Ada Lovelace", [])
    assert done["payment"] == {"status": "CAPTURED", "needsReview": False, "conflicted": False}
    assert [each["kind"] for each in done["actions"]] == ["CLAIMED", "SETTLED", "CLOSED"]
    key = (await world.run("{ viewer { actor } }"))["viewer"]["actor"]
    assert done["actions"][1] == {
        "kind": "SETTLED",
        "person": "Ada Lovelace",
        "actor": key,
        "reason": "The dashboard shows 30.09.",
        "operationId": wrong["operation"]["id"],
    }
    assert done["evidence"][-1]["source"] == "PERSON"
    assert done["evidence"][-1]["data"]["told"]["person"] == "Ada Lovelace"
    assert await _queue(world) == []
    again = await _do(
        world,
        "settleReview",
        reviewId=review["id"],
        operationId=wrong["operation"]["id"],
        outcome="DECLINED",
        reason="No.",
    )
    assert [each["code"] for each in again["errors"]] == ["REVIEW_SETTLED"]


async def test_a_review_is_released_and_read_by_its_id(world: World) -> None:
    await _wrong(world)
    (review,) = await _queue(world)
    await _do(world, "claimReview", reviewId=review["id"])
    assert len(await _queue(world, claimedBy="Ada Lovelace")) == 1
    assert (await _do(world, "releaseReview", reviewId=review["id"]))["errors"] == []
    assert await _queue(world, claimedBy="Ada Lovelace") == []
    data = await world.run(
        "query($id: ID!) { review(id: $id) { id } node(id: $id) { ... on Review { openedAt } } }",
        id=review["id"],
    )
    assert data["review"]["id"] == review["id"]
    assert data["node"]["openedAt"] == review["openedAt"]


async def test_an_open_outcome_keeps_a_review_open(world: World) -> None:
    await _wrong(world)
    (review,) = await _queue(world)
    refused = await _do(world, "closeReview", reviewId=review["id"], reason="nothing to do")
    assert [each["code"] for each in refused["errors"]] == ["OPERATION_IN_FLIGHT"]


async def test_a_name_and_a_reason_are_needed(world: World) -> None:
    await _wrong(world)
    (review,) = await _queue(world)
    nameless = await _do(world, "claimReview", reviewId=review["id"], person=" ")
    assert [each["path"] for each in nameless["errors"]] == [["person"]]
    silent = await _do(world, "closeReview", reviewId=review["id"], reason="")
    assert [each["path"] for each in silent["errors"]] == [["reason"]]


async def test_each_side_needs_its_scope(engine: Engine, client: httpx.AsyncClient) -> None:
    reader = await make_world(engine, client, scopes=["reviews:read", "payments:read"])
    assert await _queue(reader) == []
    answer = await _do(reader, "claimReview", reviewId="rev_06h0e68balujv5i1sa64s5nu24")
    assert [each["code"] for each in answer["errors"]] == ["PERMISSION_DENIED"]
    poor = await make_world(engine, client, scopes=["payments:read"])
    assert codes(await poor.ask("{ reviews { nodes { id } } }")) == ["PERMISSION_DENIED"]
