"""How does an order reach a bank as a file?

`sepaxml` builds pain.001 (transfers) and pain.008 (direct debits); its random names and times are
replaced by ours, so that the same orders always make the same bytes. Every file is checked against
ISO's schema before anybody sees it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import msgspec

from payengine_bank_transfer.amounts import CURRENCY, LARGEST_MINOR
from payengine_bank_transfer.ibans import bic_of

__all__ = ["Order", "OrderRefused", "Party", "write_debits", "write_transfers"]

TRANSFERS = "pain.001.001.09"
DEBITS = "pain.008.001.08"

_lock = threading.Lock()
_UNSAFE = re.compile(r"[^A-Za-z0-9 /?:().,'+-]")


class OrderRefused(ValueError):
    """No file that a bank would take can be made of this."""


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """Whose account orders the transfers or collects the debits."""

    holder: str
    iban: str
    bic: str = ""
    creditor_id: str = ""
    local_instrument: Literal["CORE", "B2B"] = "CORE"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One transfer or debit: `minor` cents between us and `iban`, on `day` (ISO 8601).

    `mandate_id`, `signed_on` and `sequence` belong to debits.
    """

    end_to_end_id: str
    minor: int
    currency: str
    iban: str
    name: str
    text: str
    day: str
    mandate_id: str = ""
    signed_on: str = ""
    sequence: str = ""


def write_transfers(
    party: Party, orders: Sequence[Order], *, message_id: str, created_at: str
) -> bytes:
    """The pain.001 of these transfers; `created_at` is `YYYY-MM-DDThh:mm:ss`.

    Raises `OrderRefused`, in another currency than euros among others.
    """
    from sepaxml import SepaTransfer

    config: dict[str, Any] = {"name": _safe(party.holder), "IBAN": party.iban, "currency": CURRENCY}
    config |= {"batch": True} | ({"BIC": party.bic} if party.bic else {})
    with _lock:
        made = SepaTransfer(config, schema=TRANSFERS, clean=True)
        for order in orders:
            made.add_payment(_payment(order) | {"execution_date": date.fromisoformat(order.day)})
        content: bytes = made.export(validate=False)
    return _finish(content, schema=TRANSFERS, message_id=message_id, created_at=created_at)


def write_debits(
    party: Party, orders: Sequence[Order], *, message_id: str, created_at: str
) -> bytes:
    """The pain.008 of these debits, one batch for each sequence type and day; as above."""
    from sepaxml import SepaDD

    if not party.creditor_id:
        raise OrderRefused("direct debits need a creditor identifier")
    config: dict[str, Any] = {"name": _safe(party.holder), "IBAN": party.iban, "currency": CURRENCY}
    config |= {"batch": True, "creditor_id": party.creditor_id}
    config |= {"instrument": party.local_instrument} | ({"BIC": party.bic} if party.bic else {})
    with _lock:
        made = SepaDD(config, schema=DEBITS, clean=True)
        for order in orders:
            debit = {
                "type": order.sequence,
                "collection_date": date.fromisoformat(order.day),
                "mandate_id": order.mandate_id,
                "mandate_date": date.fromisoformat(order.signed_on),
            }
            made.add_payment(_payment(order) | debit)
        content: bytes = made.export(validate=False)
    return _finish(content, schema=DEBITS, message_id=message_id, created_at=created_at)


def _payment(order: Order) -> dict[str, Any]:
    if order.currency != CURRENCY:
        raise OrderRefused("SEPA moves euros only")
    if type(order.minor) is not int or not 0 < order.minor <= LARGEST_MINOR:
        raise OrderRefused("SEPA takes 0.01 to 999,999,999.99 euros")
    payment = {
        "name": _safe(order.name)[:70] or "NOTPROVIDED",
        "IBAN": order.iban,
        "amount": order.minor,
        "description": _safe(order.text)[:140] or order.end_to_end_id,
        "endtoend_id": order.end_to_end_id,
    }
    bic = bic_of(order.iban)
    return payment | ({"BIC": bic} if bic else {})


def _safe(text: str) -> str:
    """The text in the characters that SEPA takes (EPC217-08)."""
    from text_unidecode import unidecode

    return _UNSAFE.sub(" ", unidecode(text)).strip()


def _finish(content: bytes, *, schema: str, message_id: str, created_at: str) -> bytes:
    namespace = f"{{urn:iso:std:iso:20022:tech:xsd:{schema}}}"
    root = ElementTree.fromstring(content)  # noqa: S314 - sepaxml has just made it
    header = root.find(f".//{namespace}GrpHdr")
    if header is None:
        raise OrderRefused("the file has no header")
    _put(header.find(f"{namespace}MsgId"), message_id)
    _put(header.find(f"{namespace}CreDtTm"), created_at)
    for number, batch in enumerate(root.iter(f"{namespace}PmtInf"), 1):
        _put(batch.find(f"{namespace}PmtInfId"), f"{message_id[:28]}-{number}")
    _check_sums(root, namespace)
    with _lock:
        ElementTree.register_namespace("", namespace[1:-1])
        finished: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    _validate(finished, schema)
    return finished


def _put(element: ElementTree.Element | None, text: str) -> None:
    if element is None:
        raise OrderRefused("the file lacks an element that every file has")
    element.text = text


def _check_sums(root: ElementTree.Element, namespace: str) -> None:
    """The control sums are what the amounts add up to: of each batch, and of the file."""
    from payengine_bank_transfer.amounts import read_amount

    def amounts(of: ElementTree.Element) -> list[int]:
        return [read_amount(one.text or "") for one in of.iter(f"{namespace}InstdAmt")]

    def agrees(summed: ElementTree.Element, head: ElementTree.Element) -> bool:
        found = amounts(summed)
        count, total = (head.findtext(f"{namespace}{name}") for name in ("NbOfTxs", "CtrlSum"))
        return count == str(len(found)) and read_amount(total or "") == sum(found)

    batches: Iterable[ElementTree.Element] = root.iter(f"{namespace}PmtInf")
    header = root.find(f".//{namespace}GrpHdr")
    if header is None or not agrees(root, header) or not all(agrees(b, b) for b in batches):
        raise OrderRefused("the control sums are not what the amounts add up to")


@cache
def _schema(name: str) -> Any:
    import sepaxml
    import xmlschema

    folder = Path(sepaxml.__file__).parent / "schemas"
    return xmlschema.XMLSchema(str(folder / f"{name}.xsd"))


def _validate(content: bytes, schema: str) -> None:
    import xmlschema

    try:
        with _lock:
            _schema(schema).validate(content.decode())
    except xmlschema.XMLSchemaException as refused:
        reason = str(getattr(refused, "reason", "") or type(refused).__name__)
        raise OrderRefused(f"the file does not fit {schema}: {reason[:200]}") from None
