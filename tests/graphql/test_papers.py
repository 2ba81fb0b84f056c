"""Does an invoice leave as a file, to its own tenant only, and is all else refused by type?"""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from payengine.engine import Engine
from payengine.ids import new_id

from tests.graphql.worlds import World, make_world, new_key


async def _invoice(world: World, *, prefix: str = "R-", is_final: bool = True) -> str:
    errors = "errors { code }"
    data = await world.run(
        "mutation($settings: UpdateBillingSettingsInput!, $customer: CreateCustomerInput!) {"
        f" updateBillingSettings(input: $settings) {{ {errors} }}"
        f" createCustomer(input: $customer) {{ {errors} customer {{ id }} }} }}",
        settings={"idempotencyKey": new_key(), "document": {"invoice_prefix": prefix}},
        customer={"idempotencyKey": new_key(), "name": "Ada"},
    )
    assert data["updateBillingSettings"]["errors"] == []
    draft = await world.run(
        f"mutation($input: CreateInvoiceInput!) {{ createInvoice(input: $input) {{ {errors}"
        " invoice { id } } }",
        input={
            "idempotencyKey": new_key(),
            "customerId": data["createCustomer"]["customer"]["id"],
            "currency": "EUR",
            "lines": [{"amountMinor": 5_000, "description": "work"}],
        },
    )
    invoice_id: str = draft["createInvoice"]["invoice"]["id"]
    if is_final:
        done = await world.run(
            f"mutation($input: FinalizeInvoiceInput!) {{ finalizeInvoice(input: $input) {{ {errors}"
            " } }",
            input={"idempotencyKey": new_key(), "invoiceId": invoice_id},
        )
        assert done["finalizeInvoice"]["errors"] == []
    return invoice_id


async def _get(
    world: World, invoice_id: str, *, method: str = "GET", secret: str | None = ""
) -> httpx.Response:
    key = world.secret if secret == "" else secret
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return await world.client.request(method, f"/api/invoices/{invoice_id}/pdf", headers=headers)


def _said(answer: httpx.Response) -> tuple[int, str, Any]:
    (error,) = answer.json()["errors"]
    return answer.status_code, error["extensions"]["code"], error["message"]


async def test_the_pdf_comes_as_a_file_named_by_its_number(world: World) -> None:
    answer = await _get(world, await _invoice(world, prefix='R"2/'))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == 'inline; filename="R_2_000001.pdf"'
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.content.startswith(b"%PDF")
    assert int(answer.headers["content-length"]) == len(answer.content)


async def test_another_tenants_invoice_is_as_unknown_as_none(world: World, foreign: World) -> None:
    theirs = await _invoice(foreign)
    answers = [_said(await _get(world, each)) for each in (theirs, new_id("inv"))]
    assert answers[0] == answers[1]
    assert answers[0][:2] == (404, "NOT_FOUND")


@pytest.mark.parametrize("secret", [None, "pk_test_nobody"])
async def test_without_a_key_nothing_is_shown(world: World, secret: str | None) -> None:
    answer = await _get(world, new_id("inv"), secret=secret)
    assert _said(answer)[:2] == (401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_key_without_the_scope_and_a_draft_are_refused(
    world: World, engine: Engine, client: httpx.AsyncClient
) -> None:
    poor = await make_world(engine, client, scopes=("payments:read",))
    assert _said(await _get(poor, new_id("inv")))[:2] == (403, "PERMISSION_DENIED")
    draft = await _invoice(world, is_final=False)
    assert _said(await _get(world, draft))[:2] == (409, "INVOICE_INVALID_TRANSITION")


async def test_what_is_no_invoice_and_what_is_no_reading_is_refused(world: World) -> None:
    assert _said(await _get(world, "pay_1"))[:2] == (400, "INPUT_INVALID")
    answer = await _get(world, new_id("inv"), method="POST")
    assert _said(answer)[:2] == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET, HEAD"
