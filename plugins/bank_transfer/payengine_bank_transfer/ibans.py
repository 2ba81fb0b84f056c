"""Whose account is this, and can SEPA reach it?"""

from __future__ import annotations

import re

__all__ = ["bic_of", "check_bic", "check_iban", "masked"]

#: The countries and territories of SEPA's schemes (EPC409-09), by an IBAN's first two letters.
_SEPA = re.compile(
    "A[DLT]|B[EG]|C[HYZ]|D[EK]|E[ES]|F[IR]|G[BGIR]|H[RU]|I[EMST]|JE|L[ITUV]|M[CDEKT]|N[LO]|P[LT]"
    "|R[OS]|S[EIKM]|VA"
)


def check_iban(text: str) -> str:
    """The IBAN in its plain form; raises `ValueError` where it is none, or SEPA does not reach it.

    Checked are the country's length and form and the check digits; `schwifty` knows them.
    """
    from schwifty import IBAN
    from schwifty.exceptions import SchwiftyException

    if len(text) > 60:
        raise ValueError("this is no IBAN")
    try:
        iban = IBAN(text)
    except (SchwiftyException, ValueError):
        raise ValueError("this is no IBAN: its form or its check digits are wrong") from None
    plain = str(iban)
    if not _SEPA.fullmatch(plain[:2]):
        raise ValueError("SEPA does not reach accounts of this country")
    return plain


def check_bic(text: str) -> str:
    """The BIC in its plain form; raises `ValueError`."""
    from schwifty import BIC
    from schwifty.exceptions import SchwiftyException

    try:
        return str(BIC(text[:20]))
    except (SchwiftyException, ValueError):
        raise ValueError("this is no BIC") from None


def bic_of(iban: str) -> str | None:
    """The BIC of the IBAN's bank where the registers know exactly it, else None."""
    from schwifty import IBAN
    from schwifty.exceptions import SchwiftyException

    try:
        found = IBAN(iban).bic
    except (SchwiftyException, ValueError):
        return None
    return None if found is None else str(found)


def masked(iban: str) -> str:
    """What people may read of an IBAN: its country and the last four characters."""
    return f"{iban[:2]} … {iban[-4:]}"
