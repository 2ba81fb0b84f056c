"""Does the arithmetic of invoices come out as the examples do?"""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

from payengine.billing.coupons import Coupon
from payengine.billing.credit import collect
from payengine.billing.credit_notes import issue_credit_note, price_credit_note
from payengine.billing.invoice_lines import InvoiceLine
from payengine.billing.invoice_states import next_invoice_status
from payengine.billing.invoicing import (
    Invoice,
    InvoiceDraft,
    compute_invoice,
    invoice_bytes,
    invoice_hash,
)
from payengine.billing.tax import TaxRules
from payengine.errors import PayengineError
from payengine.money import currency

from tests.acceptance.examples.shapes import Case, World, require_keys, unknown_shape

__all__ = ["cases"]

_INVOICE = {"currency", "lines", "coupons", "tax", "customer_credit_balance"}
_OPTIONAL = {"coupons", "tax", "customer_credit_balance"}
_ISSUE = {"invoice_total", "already_credited", "amount_paid", "credit_note_total"}


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each example."""
    return [Case(case["id"], partial(_run, case)) for case in document["cases"]]


async def _run(case: dict[str, Any], world: World) -> None:
    inputs, expected = case["inputs"], case["expected"]
    try:
        found = _found(inputs)
    except PayengineError as refused:
        found = {"error": refused.code}
    if "error" in found or "error" in expected:
        require_keys(expected, {"error"}, of="a refusal")
        assert found == expected
        return
    require_keys(expected, set(found), of="what is expected")
    assert expected, "nothing is expected"
    for name in expected:
        if name == "taxes":
            assert _taxed(found[name]) == _taxed(expected[name])
        else:
            assert found[name] == expected[name], name


def _found(inputs: dict[str, Any]) -> dict[str, Any]:
    keys = set(inputs)
    if _INVOICE - _OPTIONAL <= keys <= _INVOICE:
        return _invoice(inputs)
    if keys == {"net_exact", "tax_bps"}:
        net = inputs["net_exact"]
        parts = price_credit_note(Fraction(net), tax_bps=inputs["tax_bps"])
        return {"net": parts.net, "tax": parts.tax, "total": parts.total}
    if keys == {"currency", "amount_due", "minimum_charge"}:
        currency(inputs["currency"])
        found = collect(inputs["amount_due"], minimum_charge=inputs["minimum_charge"])
        return {"charge": found.charge, "carried_forward": found.carried_forward}
    if {"invoice_total", "credit_note_total"} <= keys <= _ISSUE:
        effect = issue_credit_note(**inputs)
        return {
            "amount_due": effect.amount_due,
            "status": effect.status,
            "remaining": effect.creditable,
        }
    if keys == {"status", "event"}:
        return {"status": next_invoice_status(inputs["status"], inputs["event"])}
    return unknown_shape(f"an invoice case of {sorted(keys)}")


def _invoice(inputs: dict[str, Any]) -> dict[str, Any]:
    tax = inputs.get("tax") or {}
    require_keys(tax, {"behavior", "rounding"}, of="the tax of an invoice")
    for line in inputs["lines"]:
        require_keys(line, {"amount", "discountable", "tax_bps"}, of="a line")
    for coupon in inputs.get("coupons") or []:
        require_keys(coupon, {"percent_bps", "amount_off", "currency"}, of="a coupon")
    if not set(tax.values()) <= {"exclusive", "inclusive", "invoice", "line"}:
        unknown_shape(f"the tax {tax}")

    def draft() -> InvoiceDraft:
        return InvoiceDraft(
            currency=inputs["currency"],
            lines=tuple(InvoiceLine(**line) for line in inputs["lines"]),
            coupons=tuple(Coupon(**coupon) for coupon in inputs.get("coupons") or []),
            tax=TaxRules(**tax),
            customer_credit_balance=inputs.get("customer_credit_balance", 0),
        )

    preview, invoice = compute_invoice(draft()), compute_invoice(draft())
    assert invoice_bytes(preview) == invoice_bytes(invoice)
    assert invoice_hash(preview) == invoice_hash(invoice)
    return _shown(invoice)


def _shown(invoice: Invoice) -> dict[str, Any]:
    return {
        "subtotal": invoice.subtotal,
        "discount_total": invoice.discount_total,
        "line_discounts": [line.discount for line in invoice.lines],
        "per_coupon": list(invoice.per_coupon),
        "total_excluding_tax": invoice.total_excluding_tax,
        "tax_total": invoice.tax_total,
        "line_tax": [line.tax for line in invoice.lines],
        "taxes": {each.rate: each.amount for each in invoice.taxes},
        "total": invoice.total,
        "credit_applied": invoice.credit_applied,
        "amount_due": invoice.amount_due,
        "ending_credit_balance": invoice.ending_credit_balance,
    }


def _taxed(taxes: dict[str, int]) -> dict[str, int]:
    """Whether a rate of zero is listed says nothing about money."""
    return {rate: amount for rate, amount in taxes.items() if rate != "0" or amount}
