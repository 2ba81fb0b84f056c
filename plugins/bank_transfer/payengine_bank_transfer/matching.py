"""For which payment did this money come?

Pure. A reference or an EndToEndId of ours is evidence; an amount and a name are not: they only
order what a person is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

import msgspec

from payengine_bank_transfer.records import KeptLine, Operation
from payengine_bank_transfer.references import find_references, is_reference
from payengine_bank_transfer.statements import Line

__all__ = ["Candidate", "are_distinct", "candidates", "references_in"]

_MOST = 5


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An open payment that a line may be for; `likeness` is 0 to 100, and no evidence."""

    reference: str
    missing_minor: int
    name: str
    likeness: int


def references_in(line: Line) -> list[str]:
    """The references that the payer gave, the structured ones first."""
    structured = [one.replace(" ", "").upper() for one in line.references]
    found = [one for one in structured if is_reference(one)]
    texts = (*line.references, *line.texts, "".join(line.texts), line.end_to_end_id)
    found += [one for one in find_references(texts) if one not in found]
    return found


def are_distinct(kept: KeptLine, line: Line) -> bool:
    """Whether two lines to which the bank gave one name tell of two movements all the same.

    They do where both say for what, or from whom, and do not say the same: some banks give one
    name to all that they booked together.
    """
    told = (
        (kept.end_to_end_id, line.end_to_end_id),
        (kept.party_iban, line.party_iban),
        (find_references([kept.text]), find_references((*line.references, *line.texts))),
    )
    return any(one and other and one != other for one, other in told)


def candidates(line: KeptLine, waiting: Iterable[Operation]) -> list[Candidate]:
    """The open payments that a person may think of, the likeliest first; at most five."""
    found = []
    for each in waiting:
        missing = each.amount_minor - each.received_minor
        alike = _alike(line.party_name, each.name) if line.party_name and each.name else 0.0
        same_amount = missing == line.rest_minor
        if same_amount or alike > 0.6:
            likeness = round(60 * same_amount + 40 * alike)
            found.append(
                Candidate(
                    reference=each.reference,
                    missing_minor=missing,
                    name=each.name,
                    likeness=likeness,
                )
            )
    found.sort(key=lambda one: (-one.likeness, one.reference))
    return found[:_MOST]


def _alike(ours: str, theirs: str) -> float:
    def words(name: str) -> str:
        return " ".join(sorted(name.casefold().split()))

    return SequenceMatcher(None, words(ours), words(theirs)).ratio()
