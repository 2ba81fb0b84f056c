"""What has a debtor signed, and what does the next debit under it count as?

A mandate is written as a token: `iban=DE…;name=Ada Lovelace;mandate=M-1;signed=2026-01-31`, with
`;type=OOFF` for one debit only. Kept, it is named `mandate:M-1`, and `mandate:M-1;final` says that
this debit is the last.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Literal

import msgspec
from payengine.plugin import PaymentMethod

from payengine_bank_transfer.ibans import check_iban

__all__ = [
    "KEPT",
    "Mandate",
    "MandateUnreadable",
    "Sequence",
    "next_sequence",
    "read_mandate",
    "read_token",
]

Sequence = Literal["FRST", "RCUR", "OOFF", "FNAL"]
KEPT = "mandate:"

_FINAL = ";final"
_LONGEST = 255
#: The characters that SEPA takes in a mandate's reference (EPC217-08), up to 35 of them.
_ID = re.compile(r"[A-Za-z0-9+?/:().,'-]{1,35}")
_FIELDS = frozenset({"iban", "name", "mandate", "signed", "type"})


class MandateUnreadable(ValueError):
    """The token is no mandate, or something of it cannot be true. It never repeats the token."""


class Mandate(msgspec.Struct, frozen=True, kw_only=True):
    """A debtor's signature; `one_off` allows one debit. Times are microseconds since 1970."""

    mandate_id: str
    iban: str
    name: str
    signed_on: str
    one_off: bool = False
    revoked_us: int | None = None
    created_us: int = 0


def read_token(method: PaymentMethod) -> tuple[str | None, bool]:
    """(the kept mandate that the token names or None, whether the debit is the last one)."""
    token = method.token[:_LONGEST]
    final = token.endswith(_FINAL)
    token = token.removesuffix(_FINAL)
    return (token.removeprefix(KEPT) if token.startswith(KEPT) else None), final


def read_mandate(token: str, *, today: date) -> Mandate:
    """The mandate that the token spells; raises `MandateUnreadable`."""
    if len(token) > _LONGEST:
        raise MandateUnreadable("a mandate's token has at most 255 characters")
    fields: dict[str, str] = {}
    for part in token.removesuffix(_FINAL).split(";"):
        name, _, value = part.partition("=")
        if name not in _FIELDS or name in fields or not value.strip():
            raise MandateUnreadable("a mandate has iban, name, mandate, signed, and maybe type")
        fields[name] = value.strip()
    if not {"iban", "name", "mandate", "signed"} <= fields.keys():
        raise MandateUnreadable("iban, name, mandate and signed are needed")
    kind = fields.get("type", "RCUR")
    if kind not in ("OOFF", "RCUR"):
        raise MandateUnreadable("type is OOFF or RCUR")
    mandate_id, name = fields["mandate"], fields["name"]
    if not _ID.fullmatch(mandate_id) or mandate_id.startswith("/") or "//" in mandate_id:
        raise MandateUnreadable("the mandate's reference has characters that SEPA does not take")
    if len(name) > 70 or not name.isprintable():
        raise MandateUnreadable("the name has at most 70 printable characters")
    try:
        signed = date.fromisoformat(fields["signed"])
        iban = check_iban(fields["iban"])
    except ValueError as refused:
        raise MandateUnreadable(str(refused) if "IBAN" in str(refused) else "bad date") from None
    if not date(2009, 11, 1) <= signed <= today:
        raise MandateUnreadable("the date of the signature cannot be")
    return Mandate(
        mandate_id=mandate_id,
        iban=iban,
        name=name,
        signed_on=signed.isoformat(),
        one_off=kind == "OOFF",
    )


def next_sequence(mandate: Mandate, *, used: int, ended: bool, final: bool) -> Sequence | None:
    """The sequence type of the next debit; None where the mandate allows none.

    `used` counts the debits under it that were not refused; `ended` says that one of them was the
    last. A first debit that was refused leaves the next one first (SEPA Core rulebook, AT-21).
    """
    if mandate.one_off:
        return "OOFF" if used == 0 else None
    if ended:
        return None
    if final:
        return "FNAL" if used else "OOFF"
    return "RCUR" if used else "FRST"
