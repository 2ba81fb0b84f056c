"""Does what a credit note gives back reach the customer, once, whatever becomes of the refund?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from payengine.billing.invoices.models import (
    CreateCreditNote,
    CreateInvoice,
    CreditedLine,
    CreditNote,
    FinalizeInvoice,
    InvoiceItem,
    StoredInvoice,
    WriteOffInvoice,
)

from tests.conftest import make_tenant
from tests.debtors import T0, Counter, Debtor
from tests.engines import key


async def _billed(counter: Counter, token: str, amount: int) -> tuple[Debtor, StoredInvoice]:
    """A customer with a saved method, and a manual invoice that is final."""
    context = await make_tenant(counter.engine.database)
    counter.clock.put(context.tenant_id, T0)
    debtor = await counter.customer_of(context, token)
    invoices = counter.engine.invoicing.invoices
    draft = await invoices.create(
        context,
        CreateInvoice(
            idempotency_key=key(),
            customer_id=debtor.customer_id,
            currency="EUR",
            lines=(InvoiceItem(amount=amount, description="work"),),
        ),
    )
    request = FinalizeInvoice(idempotency_key=key(), invoice_id=draft.id)
    return debtor, await invoices.finalize(context, request)


async def _paid(counter: Counter, token: str, amount: int) -> tuple[Debtor, StoredInvoice]:
    debtor, invoice = await _billed(counter, token, amount)
    await debtor.collect()
    invoice = await _now(debtor, invoice)
    assert invoice.status == "paid"
    assert invoice.payment_id is not None
    return debtor, invoice


async def _now(debtor: Debtor, invoice: StoredInvoice) -> StoredInvoice:
    found = await debtor.engine.invoicing.invoices.by_id(debtor.context, [invoice.id])
    return found[invoice.id]


async def _credit(debtor: Debtor, invoice: StoredInvoice, net: str) -> CreditNote:
    return await debtor.engine.invoicing.credit_notes.create(
        debtor.context,
        CreateCreditNote(
            idempotency_key=key(),
            invoice_id=invoice.id,
            reason="returned",
            lines=(CreditedLine(place=0, net=net),),
            give_back="payment",
        ),
    )


async def _balance(debtor: Debtor) -> dict[str, int]:
    found = await debtor.engine.invoicing.balances.of(debtor.context, [debtor.customer_id])
    return found.get(debtor.customer_id, {})


async def test_a_refund_is_sent_by_the_payment_and_once_though_the_program_died(
    counter: Counter,
) -> None:
    debtor, invoice = await _paid(counter, "tok_visa", 5_000)
    note = await _credit(debtor, invoice, "2000")
    assert (note.refund, note.given_back) == ("sent", 2_000)
    assert note.refund_id is not None
    assert note.refund_due_at is None
    # The program died behind the refund, before it was written down.
    await debtor.as_owner(
        "UPDATE credit_note SET refund = 'asked', refund_id = NULL, refund_due_at = $1"
        " WHERE id = $2",
        datetime.now(UTC) - timedelta(seconds=1),
        note.id,
    )
    notes = debtor.engine.invoicing.credit_notes
    await notes.run_once(at=datetime.now(UTC))
    assert (await notes.by_id(debtor.context, [note.id]))[note.id] == note
    moved = [each.amount.minor for each in await debtor.movements()]
    assert sorted(map(abs, moved)) == [2_000, 5_000]
    assert await _balance(debtor) == {}


async def test_a_refund_that_is_refused_is_credit_instead(counter: Counter) -> None:
    debtor, invoice = await _paid(counter, "tok_magic", 5_000)
    note = await _credit(debtor, invoice, "2001")
    assert (note.refund, note.refund_id) == ("failed", None)
    assert await _balance(debtor) == {"EUR": 2_001}
    await debtor.engine.invoicing.credit_notes.run_once(
        at=datetime.now(UTC) + timedelta(minutes=20)
    )
    assert await _balance(debtor) == {"EUR": 2_001}


async def test_a_refund_whose_outcome_is_open_is_neither_sent_nor_credit(counter: Counter) -> None:
    debtor, invoice = await _paid(counter, "tok_magic", 5_000)
    note = await _credit(debtor, invoice, "3014")
    assert (note.refund, note.refund_id) == ("asked", None)
    assert await _balance(debtor) == {}
    assert note.refund_due_at is not None
    assert note.refund_due_at > datetime.now(UTC) + timedelta(minutes=5)


async def test_an_invoice_that_is_written_off_is_charged_no_more(counter: Counter) -> None:
    debtor, invoice = await _billed(counter, "tok_decline_insufficient_funds", 5_000)
    await debtor.collect()
    assert await debtor.due() is not None
    request = WriteOffInvoice(idempotency_key=key(), invoice_id=invoice.id)
    written = await debtor.engine.invoicing.invoices.write_off(debtor.context, request)
    assert written.status == "uncollectible"
    assert await debtor.due() is None
    assert await debtor.engine.invoicing.invoices.write_off(debtor.context, request) == written
    assert (await debtor.events("invoice.un")) == ["invoice.uncollectible"]
