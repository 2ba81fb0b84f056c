"""Can a merchant see, answer and give up a dispute over the wire, and a tester have one decided?"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import pytest
from payengine.engine import Engine
from payengine_sandbox.dispute_records import ShownDispute
from payengine_sandbox.disputes import DisputeBook, OpenDispute
from payengine_sandbox.local import book_at, store_path

from tests.graphql.worlds import World, codes, make_world, new_key
from tests.notices import dispute_notice

_SHOWN = """
  id status reason providerReference gateway evidenceDueAt
  amount { amountMinor currency } fee { amountMinor }
  evidence { category mediaType sizeBytes } steps { kind status } reports { status }
  payment { id chargedBackAmount { amountMinor } refundableAmount { amountMinor } }
"""
_PDF = b"%PDF-1.4\n%%EOF\n"
_WAIT_S = 60.0


class Court:
    """A world with a webhook address, and the sandbox's own book."""

    def __init__(self, world: World, path: str) -> None:
        self.world = world
        self.path = path

    @classmethod
    async def of(cls, world: World) -> Court:
        """With a gateway endpoint."""
        made = await world.run(
            "mutation($input: CreateGatewayEndpointInput!) {"
            " createGatewayEndpoint(input: $input) { path } }",
            input={"idempotencyKey": new_key(), "gateway": "sandbox"},
        )
        return cls(world, made["createGatewayEndpoint"]["path"])

    @property
    def book(self) -> DisputeBook:
        """What the sandbox knows."""
        return book_at(store_path())

    @property
    def account(self) -> str:
        """The tenant's name there."""
        return str(self.world.context.tenant_id)

    async def tell(self, shown: ShownDispute) -> None:
        """The sandbox's webhook comes in."""
        told = dispute_notice(
            self.world.context,
            shown.key,
            reference=shown.reference,
            operation=shown.operation,
            status=shown.status,
            amount_minor=shown.amount_minor,
            fee_minor=shown.fee_minor,
            fee_returned=shown.fee_returned,
            evidence_due_at=shown.evidence_due_at,
        )
        answer = await self.world.client.post(self.path, content=told.body, headers=told.headers)
        assert answer.status_code == 200, answer.text

    async def begin(self) -> dict[str, Any]:
        """A payment is disputed."""
        paid = await self.world.pay()
        shown = await self.book.open(self.account, OpenDispute(key=paid["operation"]["id"]))
        await self.tell(shown)
        return await self.until("NEEDS_RESPONSE", reference=shown.reference)

    async def until(self, status: str, *, reference: str | None = None) -> dict[str, Any]:
        """The newest dispute, or the one with this reference, once it has this status."""
        async with asyncio.timeout(_WAIT_S):
            while True:
                data = await self.world.run(f"{{ disputes(first: 1) {{ nodes {{ {_SHOWN} }} }} }}")
                found: list[dict[str, Any]] = data["disputes"]["nodes"]
                named = reference in (None, found[0]["providerReference"]) if found else False
                if named and found[0]["status"] == status:
                    return found[0]
                await asyncio.sleep(0.05)

    async def do(self, name: str, **given: Any) -> dict[str, Any]:
        """A mutation's payload."""
        title = name[0].upper() + name[1:]
        answer = await self.world.run(
            f"mutation($input: {title}Input!) {{ {name}(input: $input) {{"
            f" errors {{ code path }} dispute {{ {_SHOWN} }} }} }}",
            input={"idempotencyKey": new_key()} | given,
        )
        payload: dict[str, Any] = answer[name]
        return payload


@pytest.fixture
async def court(world: World) -> Court:
    """A fresh world's court."""
    return await Court.of(world)


async def test_a_dispute_comes_by_webhook_and_is_answered(court: Court) -> None:
    dispute = await court.begin()
    assert dispute["amount"] == {"amountMinor": 1_234, "currency": "EUR"}
    assert dispute["payment"]["chargedBackAmount"]["amountMinor"] == 1_234
    assert dispute["payment"]["refundableAmount"]["amountMinor"] == 0
    given = {"disputeId": dispute["id"], "category": "RECEIPT"}
    file = {
        "name": "receipt.pdf",
        "mediaType": "application/pdf",
        "contentBase64": base64.b64encode(_PDF).decode(),
    }
    for piece in ({"text": "Here it is."}, {"file": file}):
        added = await court.do("addDisputeEvidence", **given, **piece)
        assert added["errors"] == []
    assert [each["mediaType"] for each in added["dispute"]["evidence"]] == [
        "text/plain",
        "application/pdf",
    ]
    done = await court.do("submitDisputeEvidence", disputeId=dispute["id"])
    assert (done["errors"], done["dispute"]["status"]) == ([], "UNDER_REVIEW")
    assert done["dispute"]["steps"] == [{"kind": "SUBMIT_EVIDENCE", "status": "SUCCEEDED"}]
    shown = await court.book.show(court.account, dispute["providerReference"])
    assert (shown.status, shown.pieces) == ("under_review", 2)
    won = await court.book.decide(court.account, shown.reference, "won", fee_returned=True)
    await court.tell(won)
    over = await court.until("WON")
    assert over["payment"]["refundableAmount"]["amountMinor"] == 1_234
    again = await court.world.run(
        "query($id: ID!) { node(id: $id) { ... on Dispute { status } }"
        " dispute(id: $id) { status } }",
        id=dispute["id"],
    )
    assert again == {"node": {"status": "WON"}, "dispute": {"status": "WON"}}


async def test_a_dispute_is_given_up(court: Court) -> None:
    dispute = await court.begin()
    done = await court.do("acceptDispute", disputeId=dispute["id"])
    assert (done["errors"], done["dispute"]["status"]) == ([], "LOST")
    refused = await court.do("acceptDispute", disputeId=dispute["id"])
    assert refused == {
        "errors": [{"code": "TRANSITION_REFUSED", "path": []}],
        "dispute": None,
    }


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"text": "x", "file": None, "disputeId": "pay_1"}, "INPUT_INVALID"),
        ({}, "INPUT_INVALID"),
        (
            {"file": {"name": "x", "mediaType": "image/png", "contentBase64": "eA=="}},
            "EVIDENCE_REFUSED",
        ),
        (
            {"file": {"name": "x", "mediaType": "image/png", "contentBase64": "?"}},
            "EVIDENCE_REFUSED",
        ),
        ({"text": "4111 1111 1111 1111"}, "SENSITIVE_DATA_REFUSED"),
    ],
)
async def test_bad_evidence_gets_a_typed_error(
    court: Court, given: dict[str, Any], error: str
) -> None:
    dispute = await court.begin()
    answer = await court.do(
        "addDisputeEvidence", **({"disputeId": dispute["id"], "category": "OTHER"} | given)
    )
    assert [each["code"] for each in answer["errors"]] == [error]
    assert (await court.until("NEEDS_RESPONSE"))["evidence"] == []


async def test_disputes_are_listed_by_what_is_asked(court: Court) -> None:
    first, second = await court.begin(), await court.begin()
    await court.do("acceptDispute", disputeId=first["id"])

    async def listed(**wanted: Any) -> list[str]:
        answer = await court.world.run(
            "query($filter: DisputeFilterInput) { disputes(filter: $filter) { nodes { id } } }",
            filter=wanted,
        )
        return [each["id"] for each in answer["disputes"]["nodes"]]

    assert await listed() == [second["id"], first["id"]]
    assert await listed(statuses=["LOST", "WON"]) == [first["id"]]
    assert await listed(paymentId=second["payment"]["id"]) == [second["id"]]
    assert await listed(dueBefore="2020-01-01T00:00:00Z") == []
    page = await court.world.run(
        "query($after: String) { disputes(first: 1, after: $after) { nodes { id }"
        " pageInfo { hasNextPage } } }",
        after=second["id"],
    )
    assert page["disputes"] == {
        "nodes": [{"id": first["id"]}],
        "pageInfo": {"hasNextPage": False},
    }


# -- documents that are too large for GraphQL ------------------------------------------------------


def _upload(court: Court, dispute: dict[str, Any], **changes: Any) -> Any:
    headers = {
        "authorization": f"Bearer {court.world.secret}",
        "idempotency-key": new_key(),
        "content-type": "application/pdf",
    } | changes.pop("headers", {})
    return court.world.client.request(
        changes.pop("method", "POST"),
        f"/api/disputes/{changes.pop('id', dispute['id'])}/evidence",
        params=changes.pop("params", {"category": "receipt", "name": "r.pdf"}),
        content=changes.pop("content", _PDF),
        headers=headers,
    )


async def test_a_large_document_is_uploaded_once(court: Court) -> None:
    dispute = await court.begin()
    content = b"%PDF-1.4\n" + bytes(3 * 1024 * 1024) + b"\n%%EOF\n"
    one = {"idempotency-key": new_key()}
    first = await _upload(court, dispute, content=content, headers=one)
    assert first.status_code == 201, first.text
    assert first.json()["sizeBytes"] == len(content)
    again = await _upload(court, dispute, content=content, headers=one)
    assert again.json() == first.json()
    assert len((await court.until("NEEDS_RESPONSE"))["evidence"]) == 1


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"headers": {"authorization": "Bearer nobody"}}, 401, "UNAUTHENTICATED"),
        ({"method": "PUT"}, 405, "METHOD_NOT_ALLOWED"),
        ({"content": bytes(5 * 1024 * 1024)}, 400, "EVIDENCE_REFUSED"),
        ({"content": b""}, 400, "EVIDENCE_REFUSED"),
        ({"headers": {"content-type": "image/png"}}, 400, "EVIDENCE_REFUSED"),
        ({"headers": {"content-type": "text/html"}}, 400, "EVIDENCE_REFUSED"),
        ({"headers": {"idempotency-key": ""}}, 400, "IDEMPOTENCY_KEY_MALFORMED"),
        ({"params": {}}, 400, "INPUT_INVALID"),
        ({"params": {"category": "gossip", "name": "x"}}, 400, "INPUT_INVALID"),
        ({"id": "dsp_06h0e68balujv5i1sa64s5nu24"}, 400, "NOT_FOUND"),
        ({"id": "nonsense"}, 400, "INPUT_INVALID"),
    ],
)
async def test_a_bad_upload_gets_a_typed_error_and_keeps_nothing(
    court: Court, changes: dict[str, Any], status: int, code: str
) -> None:
    dispute = await court.begin()
    answer = await _upload(court, dispute, **dict(changes))
    assert answer.status_code == status, answer.text
    assert answer.json()["errors"][0]["extensions"]["code"] == code
    assert (await court.until("NEEDS_RESPONSE"))["evidence"] == []


async def test_an_upload_needs_its_scope_and_its_tenant(
    court: Court, engine: Engine, client: httpx.AsyncClient, foreign: World
) -> None:
    dispute = await court.begin()
    poor = await make_world(engine, client, scopes=["disputes:read"])
    answer = await _upload(court, dispute, headers={"authorization": f"Bearer {poor.secret}"})
    assert answer.json()["errors"][0]["extensions"]["code"] == "PERMISSION_DENIED"
    answer = await _upload(court, dispute, headers={"authorization": f"Bearer {foreign.secret}"})
    assert answer.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_reading_needs_the_scope(engine: Engine, client: httpx.AsyncClient) -> None:
    poor = await make_world(engine, client, scopes=["payments:read"])
    answer = await poor.ask("{ disputes { nodes { id } } }")
    assert codes(answer) == ["PERMISSION_DENIED"]
