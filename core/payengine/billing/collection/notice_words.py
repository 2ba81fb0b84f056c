"""In which words is a customer told of a charge?

In the tenant's language, where there are words of it here, else in English. A failed charge is told
by what would help, never by what the bank said: why a card was refused for good is not for its
holder to read.
"""

from __future__ import annotations

import msgspec

from payengine.billing.invoice_words import amount_text, words_of
from payengine.plugin import NoticeKind

__all__ = ["Letter", "NoticeWords", "letter_of", "notice_words"]


class NoticeWords(msgspec.Struct, frozen=True, kw_only=True):
    """The sentences of one language; `{…}` is filled in."""

    greeting: str
    greeting_unnamed: str
    failed_subject: str
    failed: str
    help_method: str
    help_action: str
    help_soft: str
    pay: str
    recovered_subject: str
    recovered: str
    canceled_subject: str
    canceled: str
    farewell: str


class Letter(msgspec.Struct, frozen=True):
    """What is written."""

    subject: str
    text: str


_WORDS: dict[str, NoticeWords] = {
    "en": NoticeWords(
        greeting="Hello {name},",
        greeting_unnamed="Hello,",
        failed_subject="Your payment to {shop} did not go through",
        failed="We could not collect {amount} for invoice {number}.",
        help_method="Please choose another payment method.",
        help_action="Your bank asks you to confirm the payment.",
        help_soft="We will try again later; you can also pay now.",
        pay="Pay here: {link}",
        recovered_subject="Your payment to {shop} was received",
        recovered="Thank you: {amount} for invoice {number} is paid.",
        canceled_subject="Your subscription with {shop} has ended",
        canceled="Invoice {number} over {amount} stayed unpaid, so your subscription has ended.",
        farewell="{shop}",
    ),
    "de": NoticeWords(
        greeting="Guten Tag {name},",
        greeting_unnamed="Guten Tag,",
        failed_subject="Ihre Zahlung an {shop} ist nicht gelungen",
        failed="Wir konnten {amount} für die Rechnung {number} nicht einziehen.",
        help_method="Bitte wählen Sie ein anderes Zahlungsmittel.",
        help_action="Ihre Bank bittet Sie, die Zahlung zu bestätigen.",
        help_soft="Wir versuchen es später noch einmal; Sie können auch gleich bezahlen.",
        pay="Hier bezahlen: {link}",
        recovered_subject="Ihre Zahlung an {shop} ist eingegangen",
        recovered="Vielen Dank: {amount} für die Rechnung {number} sind bezahlt.",
        canceled_subject="Ihr Abonnement bei {shop} ist beendet",
        canceled="Die Rechnung {number} über {amount} blieb offen; Ihr Abonnement ist beendet.",
        farewell="{shop}",
    ),
    "fr": NoticeWords(
        greeting="Bonjour {name},",
        greeting_unnamed="Bonjour,",
        failed_subject="Votre paiement à {shop} n'a pas abouti",
        failed="Nous n'avons pas pu prélever {amount} pour la facture {number}.",
        help_method="Merci de choisir un autre moyen de paiement.",
        help_action="Votre banque vous demande de confirmer le paiement.",
        help_soft="Nous réessaierons plus tard ; vous pouvez aussi payer dès maintenant.",
        pay="Payer ici : {link}",
        recovered_subject="Votre paiement à {shop} a été reçu",
        recovered="Merci : {amount} pour la facture {number} sont réglés.",
        canceled_subject="Votre abonnement chez {shop} a pris fin",
        canceled="La facture {number} ({amount}) reste impayée : votre abonnement a pris fin.",
        farewell="{shop}",
    ),
    "es": NoticeWords(
        greeting="Hola, {name}:",
        greeting_unnamed="Hola:",
        failed_subject="Su pago a {shop} no se ha realizado",
        failed="No hemos podido cobrar {amount} por la factura {number}.",
        help_method="Elija otro medio de pago, por favor.",
        help_action="Su banco le pide que confirme el pago.",
        help_soft="Lo intentaremos de nuevo más tarde; también puede pagar ahora.",
        pay="Pagar aquí: {link}",
        recovered_subject="Hemos recibido su pago a {shop}",
        recovered="Gracias: {amount} por la factura {number} están pagados.",
        canceled_subject="Su suscripción en {shop} ha terminado",
        canceled="La factura {number} de {amount} quedó sin pagar; su suscripción ha terminado.",
        farewell="{shop}",
    ),
}


def notice_words(language: str) -> NoticeWords:
    """The words of a language such as `de` or `de-AT`; those of English where there are none."""
    return _WORDS.get(language.partition("-")[0].lower(), _WORDS["en"])


def letter_of(
    kind: NoticeKind,
    *,
    language: str,
    shop: str,
    name: str | None,
    number: str,
    amount_minor: int,
    currency: str,
    ask: str | None = None,
    link: str = "",
) -> Letter:
    """The letter of one notice; `ask` is the class of the decline, None for one that may pass."""
    words = notice_words(language)
    amount = amount_text(amount_minor, currency, words=words_of(language))
    filled = {"shop": _line(shop), "number": number, "amount": amount}
    paragraphs = [words.greeting.format(name=_line(name)) if name else words.greeting_unnamed]
    if kind == "payment_failed":
        subject = words.failed_subject
        paragraphs += [words.failed.format(**filled), _help(words, ask)]
    elif kind == "payment_recovered":
        subject = words.recovered_subject
        paragraphs.append(words.recovered.format(**filled))
    else:
        subject = words.canceled_subject
        paragraphs.append(words.canceled.format(**filled))
    if link and kind == "payment_failed":
        paragraphs.append(words.pay.format(link=link))
    paragraphs.append(words.farewell.format(**filled))
    return Letter(subject=subject.format(**filled), text="\n\n".join(paragraphs) + "\n")


def _help(words: NoticeWords, ask: str | None) -> str:
    if ask == "customer_action":
        return words.help_action
    return words.help_soft if ask is None else words.help_method


def _line(text: str | None) -> str:
    """One line without what could become a header or a link of somebody else's."""
    return " ".join("".join(c if c.isprintable() else " " for c in text or "").split())[:200]
