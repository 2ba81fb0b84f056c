"""Can a shop write, send and take back an invoice over the wire, and only its own?"""

from __future__ import annotations

import base64
import json
from typing import Any

from payengine.engine import Engine
from payengine.ids import new_id

from tests.graphql.invoiced_places import PLACES, invoiced_objects
from tests.graphql.subscribed_places import subscribed_objects
from tests.graphql.worlds import World, codes, new_key, row_counts

_ERRORS = "errors { code message path }"


async def _do(world: World, name: str, kind: str, shown: str, **given: Any) -> dict[str, Any]:
    data = await world.run(
        f"mutation($input: {kind}!) {{ {name}(input: $input) {{ {_ERRORS} {shown} }} }}",
        input={"idempotencyKey": new_key()} | given,
    )
    payload: dict[str, Any] = data[name]
    return payload


async def _customer(world: World) -> str:
    made = await _do(
        world,
        "createCustomer",
        "CreateCustomerInput",
        "customer { id }",
        email="ada@example.com",
    )
    customer_id: str = made["customer"]["id"]
    return customer_id


async def test_a_shop_writes_sends_prints_and_takes_back_an_invoice(world: World) -> None:
    customer_id = await _customer(world)
    changed = await _do(
        world,
        "updateBillingSettings",
        "UpdateBillingSettingsInput",
        "billingSettings { document }",
        document={"invoice_prefix": "R-"},
    )
    assert changed["billingSettings"]["document"]["invoice_prefix"] == "R-"
    draft = await _do(
        world,
        "createInvoice",
        "CreateInvoiceInput",
        "invoice { id status number total { amountMinor } }",
        customerId=customer_id,
        currency="EUR",
        lines=[{"amountMinor": 5_000, "description": "work", "quantity": "2.5"}],
    )
    invoice_id = draft["invoice"]["id"]
    assert (draft["invoice"]["status"], draft["invoice"]["number"]) == ("DRAFT", None)
    final = await _do(
        world,
        "finalizeInvoice",
        "FinalizeInvoiceInput",
        "invoice { status number }",
        invoiceId=invoice_id,
    )
    assert final["invoice"] == {"status": "OPEN", "number": 1}
    refused = await _do(
        world,
        "deleteDraftInvoice",
        "DeleteDraftInvoiceInput",
        "invoice { id }",
        invoiceId=invoice_id,
    )
    assert [each["code"] for each in refused["errors"]] == ["INVOICE_INVALID_TRANSITION"]
    note = await _do(
        world,
        "createCreditNote",
        "CreateCreditNoteInput",
        "creditNote { id number amountMinor refund parts }",
        invoiceId=invoice_id,
        reason="late",
        lines=[{"line": 0, "net": "1000"}],
    )
    assert note["creditNote"]["amountMinor"] == 1_000
    shown = await world.run(
        "query($id: ID!) { invoice(id: $id) { amountDue { amountMinor } document { lines {"
        " description quantity total { amountMinor } } } creditNotes { number } }"
        " invoicePdf(invoiceId: $id) { number base64 }"
        " revenueSchedule(invoiceId: $id) { month amount { amountMinor } } }",
        id=invoice_id,
    )
    assert shown["invoice"]["amountDue"]["amountMinor"] == 4_000
    assert shown["invoice"]["document"]["lines"][0]["quantity"] == "2.5"
    assert shown["invoicePdf"]["number"] == "R-000001"
    assert base64.b64decode(shown["invoicePdf"]["base64"]).startswith(b"%PDF")
    assert [each["amount"]["amountMinor"] for each in shown["revenueSchedule"]] == [5_000]
    voided = await _do(
        world, "voidInvoice", "VoidInvoiceInput", "invoice { status }", invoiceId=invoice_id
    )
    assert voided["invoice"]["status"] == "VOID"


async def test_foreign_ids_get_the_answers_of_random_ones(
    world: World, foreign: World, engine: Engine
) -> None:
    mine, theirs = await _ids(world, engine), await _ids(foreign, engine)
    random = {prefix: new_id(prefix) for prefix in theirs}
    worlds = (world.context, foreign.context)
    before = [await row_counts(engine, each) for each in worlds]
    for place, (document, shape) in PLACES.items():
        answers = [
            await world.ask(document, **_filled(shape, ids, mine)) for ids in (theirs, random)
        ]
        if "after" not in place:
            assert answers[0] == answers[1], place
        shown = json.dumps(answers)
        assert not [each for each in theirs.values() if f'"{each}"' in shown], place
    assert [await row_counts(engine, each) for each in worlds] == before
    for place, (document, shape) in PLACES.items():
        if place.startswith("Query."):
            assert codes(await world.ask(document, **_filled(shape, mine, mine))) == [], place


async def _ids(world: World, engine: Engine) -> dict[str, str]:
    customer_id = await _customer(world)
    subscribed = await subscribed_objects(world, engine, customer_id)
    invoiced = await invoiced_objects(engine, world.context, customer_id)
    return subscribed | invoiced | {"cus": customer_id}


def _filled(value: Any, ids: dict[str, str], mine: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, ids, mine) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, ids, mine) for each in value]
    if value == "$key()":
        return new_key()
    if isinstance(value, str) and value.startswith("$"):
        return mine[value[4:]] if value.startswith("$my ") else ids[value[1:]]
    return value
