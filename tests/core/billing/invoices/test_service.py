"""Do invoices move by hand as the table says, and does each credit go where it should?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine.billing.invoices.balances import Balances
from payengine.billing.invoices.crediting import CreditNotes
from payengine.billing.invoices.models import (
    AdjustBalance,
    CreateCreditNote,
    CreateInvoice,
    CreditedLine,
    DeleteDraft,
    FinalizeInvoice,
    InvoiceItem,
    StoredInvoice,
    VoidInvoice,
    WriteOffInvoice,
)
from payengine.billing.invoices.paper import Papers
from payengine.billing.invoices.profiles import Profiles, SetBillingProfile
from payengine.billing.invoices.recognition import revenue_schedule
from payengine.customers import Customers
from payengine.errors import (
    Conflict,
    CreditNoteExceedsInvoice,
    InvoiceInvalidTransition,
    NotFound,
)
from payengine.registry import Registry
from payengine.vault import Vault

from tests.core.billing.invoices.selling import JULY, Seller, seller
from tests.engines import Till, key

_RATES = {"rates": {"DE": {"standard": "1900"}}}


async def _draft(shop: Seller, *amounts: int, customer_id: str | None = None) -> StoredInvoice:
    return await shop.invoices.create(
        shop.context,
        CreateInvoice(
            idempotency_key=key(),
            customer_id=customer_id or await shop.customer(),
            currency="EUR",
            lines=tuple(InvoiceItem(amount=each, description="work") for each in amounts),
        ),
    )


async def _final(shop: Seller, *amounts: int, customer_id: str | None = None) -> StoredInvoice:
    draft = await _draft(shop, *amounts, customer_id=customer_id)
    return await shop.invoices.finalize(
        shop.context, FinalizeInvoice(idempotency_key=key(), invoice_id=draft.id)
    )


@pytest.fixture
def notes(shop: Seller, till: Till) -> CreditNotes:
    """Credit notes of the shop; refunds go through the till's payments."""
    return CreditNotes(database=shop.database, clock=shop.clock, payments=till.engine.payments)


async def test_a_draft_has_no_number_and_a_final_one_is_owed(shop: Seller) -> None:
    draft = await _draft(shop, 1_000, 250)
    assert (draft.status, draft.number, draft.total) == ("draft", None, 1_250)
    final = await shop.invoices.finalize(
        shop.context, FinalizeInvoice(idempotency_key="f", invoice_id=draft.id)
    )
    assert (final.id, final.status, final.number) == (draft.id, "open", 1)
    assert final.due_at == JULY + timedelta(days=30)
    assert final.hash == draft.hash
    again = await shop.invoices.finalize(
        shop.context, FinalizeInvoice(idempotency_key="f", invoice_id=draft.id)
    )
    assert again == final
    begun = await shop.rows("SELECT invoice_id FROM collection WHERE tenant_id = $1")
    assert [row["invoice_id"] for row in begun] == [draft.id]


async def test_deleted_drafts_leave_no_gap(shop: Seller) -> None:
    first, second = await _draft(shop, 100), await _draft(shop, 200)
    gone = await shop.invoices.delete_draft(
        shop.context, DeleteDraft(idempotency_key=key(), invoice_id=first.id)
    )
    assert (gone.status, gone.number) == ("deleted", None)
    with pytest.raises(InvoiceInvalidTransition):
        await shop.invoices.finalize(
            shop.context, FinalizeInvoice(idempotency_key=key(), invoice_id=first.id)
        )
    final = await shop.invoices.finalize(
        shop.context, FinalizeInvoice(idempotency_key=key(), invoice_id=second.id)
    )
    assert final.number == 1


async def test_a_voided_invoice_gives_its_credit_back_and_is_collected_no_more(
    shop: Seller,
) -> None:
    customer = await shop.customer()
    balances = Balances(database=shop.database, clock=shop.clock)
    given = AdjustBalance(
        idempotency_key=key(), customer_id=customer, currency="EUR", amount=300, reason="sorry"
    )
    assert await balances.adjust(shop.context, given) == {"EUR": 300}
    assert await balances.adjust(shop.context, given) == {"EUR": 300}
    final = await _final(shop, 1_000, customer_id=customer)
    assert final.amount_due == 700
    voided = await shop.invoices.void(
        shop.context, VoidInvoice(idempotency_key=key(), invoice_id=final.id)
    )
    assert voided.status == "void"
    assert (await balances.of(shop.context, [customer]))[customer] == {"EUR": 300}
    with pytest.raises(InvoiceInvalidTransition):
        await shop.invoices.write_off(
            shop.context, WriteOffInvoice(idempotency_key=key(), invoice_id=final.id)
        )
    (row,) = await shop.rows("SELECT phase FROM collection WHERE tenant_id = $1")
    assert row["phase"] in ("canceled", "settled")


async def test_an_open_invoice_is_lowered_and_paid_by_its_credit_note(
    shop: Seller, notes: CreditNotes
) -> None:
    final = await _final(shop, 5_000)
    part = await notes.create(
        shop.context,
        CreateCreditNote(
            idempotency_key=key(),
            invoice_id=final.id,
            reason="late",
            lines=(CreditedLine(place=0, net="58000/29"),),
        ),
    )
    assert (part.number, part.amount, part.given_back, part.refund) == (1, 2_000, 0, "none")
    found = (await shop.invoices.by_id(shop.context, [final.id]))[final.id]
    assert (found.status, found.amount_due, found.amount_credited) == ("open", 3_000, 2_000)
    beyond = CreateCreditNote(
        idempotency_key=key(),
        invoice_id=final.id,
        reason="too much",
        lines=(CreditedLine(place=0, net="3001"),),
    )
    with pytest.raises(CreditNoteExceedsInvoice):
        await notes.create(shop.context, beyond)
    rest = await notes.create(
        shop.context,
        CreateCreditNote(idempotency_key=key(), invoice_id=final.id, reason="all of it"),
    )
    assert (rest.number, rest.amount) == (2, 3_000)
    found = (await shop.invoices.by_id(shop.context, [final.id]))[final.id]
    assert (found.status, found.amount_paid, found.amount_credited) == ("paid", 0, 5_000)


async def test_what_was_paid_goes_to_the_balance(shop: Seller, notes: CreditNotes) -> None:
    customer = await shop.customer()
    balances = Balances(database=shop.database, clock=shop.clock)
    await balances.adjust(
        shop.context,
        AdjustBalance(
            idempotency_key=key(), customer_id=customer, currency="EUR", amount=900, reason="gift"
        ),
    )
    final = await _final(shop, 900, customer_id=customer)
    assert (final.status, final.amount_due) == ("paid", 0)
    request = CreateCreditNote(idempotency_key=key(), invoice_id=final.id, reason="returned")
    note = await notes.create(shop.context, request)
    assert (note.given_back, note.refund) == (900, "balance")
    assert await notes.create(shop.context, request) == note
    assert (await balances.of(shop.context, [customer]))[customer] == {"EUR": 900}
    with pytest.raises(CreditNoteExceedsInvoice):
        await notes.create(
            shop.context,
            CreateCreditNote(idempotency_key=key(), invoice_id=final.id, reason="again"),
        )


async def test_money_goes_back_only_by_a_payment_that_there_is(
    shop: Seller, notes: CreditNotes
) -> None:
    customer = await shop.customer()
    await Balances(database=shop.database, clock=shop.clock).adjust(
        shop.context,
        AdjustBalance(
            idempotency_key=key(), customer_id=customer, currency="EUR", amount=900, reason="gift"
        ),
    )
    final = await _final(shop, 900, customer_id=customer)
    request = CreateCreditNote(
        idempotency_key=key(), invoice_id=final.id, reason="returned", give_back="payment"
    )
    with pytest.raises(Conflict, match="not paid by a payment"):
        await notes.create(shop.context, request)


async def _taxed(shop: Seller, vault: Vault, rates: dict[str, Any]) -> Profiles:
    """The shop has the calculator `simple` with these rates."""
    registry = Registry.load(shop.database, vault, clock=shop.clock)
    await registry.save_settings(shop.context, "tax_simple", enabled=True, settings=rates)
    await shop.set(tax_calculator="simple")
    return Profiles(database=shop.database, clock=shop.clock, vault=vault)


async def test_tax_is_that_of_the_calculator_and_never_a_guess(
    shop: Seller, vault: Vault, tenant: Any
) -> None:
    profiles = await _taxed(shop, vault, _RATES)
    price = await shop.price(1_000)
    (known,) = await shop.subscribe(price)
    (unknown,) = await shop.subscribe(price)
    customer = (await shop.subscription(known))["customer_id"]
    await profiles.set(
        shop.context,
        SetBillingProfile(idempotency_key=key(), customer_id=customer, country="DE"),
    )
    fresh = seller(shop.database, vault, shop.context)
    await fresh.renew()
    (invoice,) = await shop.documents()
    assert (invoice["subscription_id"], invoice["total"]) == (known, 1_190)
    failure = await shop.row("SELECT * FROM renewal_failure WHERE tenant_id = $1")
    assert (failure["subscription_id"], failure["code"]) == (unknown, "TAX_NOT_KNOWN")
    assert "No tax rates" in failure["message"]
    customer = (await shop.subscription(unknown))["customer_id"]
    await profiles.set(
        shop.context,
        SetBillingProfile(idempotency_key=key(), customer_id=customer, country="DE"),
    )
    await fresh.renew()  # what it lacked is there: it need not wait for its next try
    assert [row["total"] for row in await shop.documents()] == [1_190, 1_190]


async def test_paper_is_made_in_the_customers_language_under_the_tenants_prefix(
    shop: Seller, vault: Vault
) -> None:
    await shop.set(invoice_prefix="R-", language="fr", seller=["Ada & Co"])
    customer = await shop.customer()
    profiles = Profiles(database=shop.database, clock=shop.clock, vault=vault)
    await profiles.set(
        shop.context,
        SetBillingProfile(
            idempotency_key=key(), customer_id=customer, language="de", address=("Weg 1", "Ulm")
        ),
    )
    assert (await profiles.of(shop.context, [customer]))[customer].address == ("Weg 1", "Ulm")
    final = await _final(shop, 1_000, customer_id=customer)
    papers = Papers(
        database=shop.database,
        customers=Customers(database=shop.database, vault=vault, clock=shop.clock),
        profiles=profiles,
    )
    number, paper = await papers.pdf(shop.context, final.id)
    assert number == "R-000001"
    assert paper.startswith(b"%PDF")
    with pytest.raises(InvoiceInvalidTransition):
        await papers.pdf(shop.context, (await _draft(shop, 1)).id)


async def test_revenue_is_earned_by_the_second_and_adds_up(shop: Seller) -> None:
    mid = datetime(2025, 6, 11, tzinfo=UTC)
    (name,) = await shop.subscribe(await shop.price(3_000), start=mid - timedelta(31), end=mid)
    shop.clock.advance(mid - shop.clock.now(shop.tenant_id))
    await shop.renew()
    found = (await shop.invoices.page(shop.context, first=1, subscription_id=name))[0]
    months = revenue_schedule(found.invoice, finalized_at=mid)
    assert [(each.month, each.amount_minor) for each in months] == [
        ("2025-06", 2_000),
        ("2025-07", 1_000),
    ]


async def test_another_tenants_invoice_is_not_there(
    shop: Seller, database: Any, vault: Vault, other_tenant: Any
) -> None:
    final = await _final(shop, 100)
    other = seller(database, vault, other_tenant)
    assert await other.invoices.by_id(other.context, [final.id]) == {}
    with pytest.raises(NotFound):
        await other.invoices.void(
            other.context, VoidInvoice(idempotency_key=key(), invoice_id=final.id)
        )
