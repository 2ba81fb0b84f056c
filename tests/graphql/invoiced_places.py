"""Where do invoices take ids, and which objects do they name?"""

from __future__ import annotations

from typing import Any

from payengine.billing.invoices.models import (
    AdjustBalance,
    CreateCreditNote,
    CreateInvoice,
    FinalizeInvoice,
    InvoiceItem,
)
from payengine.context import TenantContext
from payengine.engine import Engine

from tests.engines import key

__all__ = ["PLACES", "invoiced_objects"]


def _input(name: str, kind: str, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    document = (
        f"mutation($input: {kind}!)"
        f" {{ {name}(input: $input) {{ errors {{ code message path }} }} }}"
    )
    return document, {"input": {"idempotencyKey": "$key()"} | given}


_LINE = {"amountMinor": 5, "description": "x"}

#: Where the schema takes an id → the document, and the variables with the id at `$`.
PLACES: dict[str, tuple[str, dict[str, Any]]] = {
    "Query.invoice(id)": ("query($id: ID!) { invoice(id: $id) { id hash } }", {"id": "$inv"}),
    "Query.creditNote(id)": (
        "query($id: ID!) { creditNote(id: $id) { id number } }",
        {"id": "$cno"},
    ),
    "Query.invoicePdf(invoiceId)": (
        "query($id: ID!) { invoicePdf(invoiceId: $id) { number } }",
        {"id": "$inv"},
    ),
    "Query.revenueSchedule(invoiceId)": (
        "query($id: ID!) { revenueSchedule(invoiceId: $id) { month } }",
        {"id": "$inv"},
    ),
    "Query.invoices(after)": (
        "query($after: String) { invoices(after: $after) { nodes { id } } }",
        {"after": "$inv"},
    ),
    "Query.invoices(customerId)": (
        "query($id: ID) { invoices(customerId: $id) { nodes { id } } }",
        {"id": "$cus"},
    ),
    "Query.invoices(subscriptionId)": (
        "query($id: ID) { invoices(subscriptionId: $id) { nodes { id } } }",
        {"id": "$sub"},
    ),
    "Query.upcomingInvoice(subscriptionId)": (
        "query($id: ID!) { upcomingInvoice(subscriptionId: $id) { hash } }",
        {"id": "$sub"},
    ),
    "Query.customerBalances(customerId)": (
        "query($id: ID!) { customerBalances(customerId: $id) { amountMinor } }",
        {"id": "$cus"},
    ),
    "Query.customerBalanceEntries(customerId)": (
        "query($id: ID!) { customerBalanceEntries(customerId: $id) { nodes { id } } }",
        {"id": "$cus"},
    ),
    "Query.customerBalanceEntries(after)": (
        "query($id: ID!, $after: String)"
        " { customerBalanceEntries(customerId: $id, after: $after) { nodes { id } } }",
        {"id": "$my cus", "after": "$cbe"},
    ),
    "Query.billingProfile(customerId)": (
        "query($id: ID!) { billingProfile(customerId: $id) { country } }",
        {"id": "$cus"},
    ),
    "CreateInvoiceInput.customerId": _input(
        "createInvoice",
        "CreateInvoiceInput",
        {"customerId": "$cus", "currency": "EUR", "lines": [_LINE]},
    ),
    "InvoiceItemInput.productId": _input(
        "createInvoice",
        "CreateInvoiceInput",
        {"customerId": "$my cus", "currency": "EUR", "lines": [_LINE | {"productId": "$prd"}]},
    ),
    **{
        f"{name[0].upper()}{name[1:]}Input.invoiceId": _input(
            name, f"{name[0].upper()}{name[1:]}Input", {"invoiceId": "$inv"}
        )
        for name in (
            "deleteDraftInvoice",
            "finalizeInvoice",
            "markInvoiceUncollectible",
            "voidInvoice",
        )
    },
    "CreateCreditNoteInput.invoiceId": _input(
        "createCreditNote", "CreateCreditNoteInput", {"invoiceId": "$inv", "reason": "x"}
    ),
    "AdjustCustomerBalanceInput.customerId": _input(
        "adjustCustomerBalance",
        "AdjustCustomerBalanceInput",
        {"customerId": "$cus", "currency": "EUR", "amountMinor": 5, "reason": "x"},
    ),
    "SetBillingProfileInput.customerId": _input(
        "setBillingProfile", "SetBillingProfileInput", {"customerId": "$cus", "country": "DE"}
    ),
}


async def invoiced_objects(
    engine: Engine, context: TenantContext, customer_id: str
) -> dict[str, str]:
    """An invoice with a credit note, and an entry on its customer's balance."""
    room = engine.invoicing
    draft = await room.invoices.create(
        context,
        CreateInvoice(
            idempotency_key=key(),
            customer_id=customer_id,
            currency="EUR",
            lines=(InvoiceItem(amount=100, description="x"),),
        ),
    )
    await room.invoices.finalize(
        context, FinalizeInvoice(idempotency_key=key(), invoice_id=draft.id)
    )
    note = await room.credit_notes.create(
        context, CreateCreditNote(idempotency_key=key(), invoice_id=draft.id, reason="x")
    )
    await room.balances.adjust(
        context,
        AdjustBalance(
            idempotency_key=key(), customer_id=customer_id, currency="EUR", amount=5, reason="x"
        ),
    )
    (entry,) = await room.balances.entries(context, customer_id, first=1)
    return {"inv": draft.id, "cno": note.id, "cbe": entry.id}
