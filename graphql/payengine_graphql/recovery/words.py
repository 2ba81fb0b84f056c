"""In which words does the recovery page speak?"""

from __future__ import annotations

import msgspec

__all__ = ["PageWords", "page_words"]


class PageWords(msgspec.Struct, frozen=True, kw_only=True):
    """The sentences of one language; `{…}` is filled in."""

    title: str
    owed: str
    choose: str
    another: str
    test_card: str
    pay: str
    no_method: str
    confirm: str
    confirm_link: str
    under_way: str
    paid: str
    closed: str
    gone_title: str
    gone: str
    failed: str


_WORDS = {
    "en": PageWords(
        title="Pay invoice {number}",
        owed="Invoice {number} from {shop}",
        choose="How do you want to pay?",
        another="Another card",
        test_card="Test token of a card",
        pay="Pay {amount}",
        no_method="Please ask {shop} how to pay this invoice.",
        confirm="Your bank asks you to confirm this payment.",
        confirm_link="Go to your bank",
        under_way="Your payment is under way. This page looks again by itself.",
        paid="Thank you, this invoice is paid.",
        closed="Nothing can be paid here any more.",
        gone_title="This link does not work",
        gone="It has ended or is not whole. A newer message has a newer link.",
        failed="This did not work. Please choose another way to pay.",
    ),
    "de": PageWords(
        title="Rechnung {number} bezahlen",
        owed="Rechnung {number} von {shop}",
        choose="Womit möchten Sie bezahlen?",
        another="Andere Karte",
        test_card="Test-Token einer Karte",
        pay="{amount} bezahlen",
        no_method="Bitte fragen Sie {shop}, wie Sie diese Rechnung bezahlen können.",
        confirm="Ihre Bank bittet Sie, diese Zahlung zu bestätigen.",
        confirm_link="Zu Ihrer Bank",
        under_way="Ihre Zahlung ist unterwegs. Diese Seite sieht von selbst wieder nach.",
        paid="Vielen Dank, diese Rechnung ist bezahlt.",
        closed="Hier kann nichts mehr bezahlt werden.",
        gone_title="Dieser Link gilt nicht",
        gone="Er ist abgelaufen oder unvollständig. Eine neuere Nachricht hat einen neueren Link.",
        failed="Das hat nicht geklappt. Bitte wählen Sie ein anderes Zahlungsmittel.",
    ),
    "fr": PageWords(
        title="Payer la facture {number}",
        owed="Facture {number} de {shop}",
        choose="Comment souhaitez-vous payer ?",
        another="Autre carte",
        test_card="Jeton de test d'une carte",
        pay="Payer {amount}",
        no_method="Demandez à {shop} comment payer cette facture.",
        confirm="Votre banque vous demande de confirmer ce paiement.",
        confirm_link="Aller à votre banque",
        under_way="Votre paiement est en cours. Cette page s'actualise d'elle-même.",
        paid="Merci, cette facture est réglée.",
        closed="Il n'y a plus rien à payer ici.",
        gone_title="Ce lien n'est pas valable",
        gone="Il a expiré ou n'est pas complet. Un message plus récent a un lien plus récent.",
        failed="Cela n'a pas abouti. Choisissez un autre moyen de paiement.",
    ),
    "es": PageWords(
        title="Pagar la factura {number}",
        owed="Factura {number} de {shop}",
        choose="¿Cómo quiere pagar?",
        another="Otra tarjeta",
        test_card="Token de prueba de una tarjeta",
        pay="Pagar {amount}",
        no_method="Pregunte a {shop} cómo pagar esta factura.",
        confirm="Su banco le pide que confirme este pago.",
        confirm_link="Ir a su banco",
        under_way="Su pago está en curso. Esta página se actualiza sola.",
        paid="Gracias, esta factura está pagada.",
        closed="Aquí ya no se puede pagar nada.",
        gone_title="Este enlace no es válido",
        gone="Ha caducado o no está completo. Un mensaje más nuevo tiene un enlace más nuevo.",
        failed="No ha funcionado. Elija otro medio de pago.",
    ),
}


def page_words(language: str) -> PageWords:
    """The words of a language such as `de` or `de-AT`; those of English where there are none."""
    return _WORDS.get(language.partition("-")[0].lower(), _WORDS["en"])
