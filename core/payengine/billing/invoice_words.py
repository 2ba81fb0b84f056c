"""How are an invoice's words, amounts and days written in the reader's language?"""

from __future__ import annotations

from datetime import date

import msgspec

from payengine.money import decimal_text

__all__ = [
    "LANGUAGES",
    "InvoiceWords",
    "amount_text",
    "day_text",
    "number_text_in",
    "words_of",
]

_THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"


class InvoiceWords(msgspec.Struct, frozen=True, kw_only=True):
    """The words of one language; `point` and `group` part a number, `day` is for `strftime`."""

    invoice: str
    number: str
    issued: str
    due: str
    period: str
    seller: str
    buyer: str
    description: str
    quantity: str
    tax_rate: str
    amount: str
    subtotal: str
    discount: str
    net: str
    tax: str
    tax_included: str
    total: str
    credit_applied: str
    carried_over: str
    amount_due: str
    point: str
    group: str
    day: str


LANGUAGES: dict[str, InvoiceWords] = {
    "en": InvoiceWords(
        invoice="Invoice",
        number="Number",
        issued="Issued on",
        due="Due on",
        period="Period",
        seller="From",
        buyer="To",
        description="Description",
        quantity="Quantity",
        tax_rate="Tax",
        amount="Amount",
        subtotal="Subtotal",
        discount="Discount",
        net="Total without tax",
        tax="Tax",
        tax_included="Tax included",
        total="Total",
        credit_applied="Paid from your balance",
        carried_over="From earlier invoices",
        amount_due="Amount due",
        point=".",
        group=",",
        day="%Y-%m-%d",
    ),
    "de": InvoiceWords(
        invoice="Rechnung",
        number="Nummer",
        issued="Ausgestellt am",
        due="Fällig am",
        period="Zeitraum",
        seller="Von",
        buyer="An",
        description="Beschreibung",
        quantity="Menge",
        tax_rate="USt.",
        amount="Betrag",
        subtotal="Zwischensumme",
        discount="Rabatt",
        net="Nettobetrag",
        tax="Umsatzsteuer",
        tax_included="Enthaltene Umsatzsteuer",
        total="Gesamtbetrag",
        credit_applied="Mit Guthaben verrechnet",
        carried_over="Aus früheren Rechnungen",
        amount_due="Zu zahlen",
        point=",",
        group=".",
        day="%d.%m.%Y",
    ),
    "fr": InvoiceWords(
        invoice="Facture",
        number="Numéro",
        issued="Émise le",
        due="À payer le",
        period="Période",
        seller="De",
        buyer="À",
        description="Description",
        quantity="Quantité",
        tax_rate="TVA",
        amount="Montant",
        subtotal="Sous-total",
        discount="Remise",
        net="Total hors taxes",
        tax="TVA",
        tax_included="TVA incluse",
        total="Total",
        credit_applied="Réglé par votre solde",
        carried_over="Factures précédentes",
        amount_due="Montant à payer",
        point=",",
        group=_THIN_SPACE,
        day="%d/%m/%Y",
    ),
    "es": InvoiceWords(
        invoice="Factura",
        number="Número",
        issued="Fecha de emisión",
        due="Vencimiento",
        period="Período",
        seller="De",
        buyer="Para",
        description="Descripción",
        quantity="Cantidad",
        tax_rate="IVA",
        amount="Importe",
        subtotal="Subtotal",
        discount="Descuento",
        net="Base imponible",
        tax="IVA",
        tax_included="IVA incluido",
        total="Total",
        credit_applied="Pagado con su saldo",
        carried_over="De facturas anteriores",
        amount_due="Importe a pagar",
        point=",",
        group=".",
        day="%d/%m/%Y",
    ),
}


def words_of(language: str) -> InvoiceWords:
    """The words of a language such as `de` or `de-AT`; those of English where there are none."""
    return LANGUAGES.get(language.partition("-")[0].lower(), LANGUAGES["en"])


def amount_text(minor: int, currency: str, *, words: InvoiceWords) -> str:
    """The amount in major units with its code: 123456 USD is `1,234.56 USD` in English."""
    return f"{number_text_in(decimal_text(minor, currency), words=words)} {currency}"


def number_text_in(plain: str, *, words: InvoiceWords) -> str:
    """A plain decimal such as `-1234.5` with the language's point and groups of three."""
    sign = _MINUS if plain.startswith("-") else ""
    whole, point, rest = plain.lstrip("-").partition(".")
    grouped = f"{int(whole):,}".replace(",", words.group)
    return f"{sign}{grouped}{words.point if point else ''}{rest}"


def day_text(day: date, *, words: InvoiceWords) -> str:
    """The day as the language's readers write it in figures."""
    return day.strftime(words.day)
