"""Does what the provider settled agree with our books, line by line?

Both sides are lists of lines; a provider's line finds ours by reference and kind. Lines of the same
reference and kind (two refunds, say) pair up by amount first, so that one that is missing is not
mistaken for one that differs. Nothing is settled here: what does not agree is work for a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

__all__ = ["Finding", "FindingKind", "SettlementLine", "needs_work", "reconcile"]

#: `missing_here`: the provider has it and we do not; `missing_there`: the other way round.
FindingKind = Literal["matched", "missing_here", "missing_there", "amount_differs", "fee_differs"]


class SettlementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of one side, in minor units of its currency.

    `reference` is the provider's for what was done, `kind` what it was, such as `capture`.
    """

    reference: str
    kind: str
    amount_minor: int
    currency: str
    fee_minor: int = 0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a pair, or of a line that has none.

    `amount_difference` and `fee_difference` are theirs less ours, in minor units, and None where
    the two have different currencies or one of them is missing.
    """

    kind: FindingKind
    ours: SettlementLine | None = None
    theirs: SettlementLine | None = None
    amount_difference: int | None = None
    fee_difference: int | None = None


def reconcile(ours: Iterable[SettlementLine], theirs: Iterable[SettlementLine]) -> list[Finding]:
    """One finding for each pair and each single line, in the order of reference and kind."""
    here, there = _grouped(ours), _grouped(theirs)
    found: list[Finding] = []
    for key in sorted(here.keys() | there.keys()):
        found += _matched(here.get(key, []), there.get(key, []))
    return found


def needs_work(findings: Iterable[Finding]) -> list[Finding]:
    """Everything that is not matched."""
    return [finding for finding in findings if finding.kind != "matched"]


def _grouped(lines: Iterable[SettlementLine]) -> dict[tuple[str, str], list[SettlementLine]]:
    groups: dict[tuple[str, str], list[SettlementLine]] = {}
    for line in lines:
        groups.setdefault((line.reference, line.kind), []).append(line)
    return groups


def _matched(ours: Sequence[SettlementLine], theirs: Sequence[SettlementLine]) -> list[Finding]:
    """Pairs that agree in everything, then in the amount, then as they come; then the rest."""
    found: list[Finding] = []
    left, waiting = list(ours), list(theirs)
    for closeness in (0, 1, 2):
        for mine in list(left):
            other = next((one for one in waiting if _distance(mine, one) <= closeness), None)
            if other is not None:
                left.remove(mine)
                waiting.remove(other)
                found.append(_compared(mine, other))
    found += [Finding(kind="missing_there", ours=line) for line in left]
    found += [Finding(kind="missing_here", theirs=line) for line in waiting]
    return found


def _distance(ours: SettlementLine, theirs: SettlementLine) -> int:
    if ours == theirs:
        return 0
    same = ours.amount_minor == theirs.amount_minor and ours.currency == theirs.currency
    return 1 if same else 2


def _compared(ours: SettlementLine, theirs: SettlementLine) -> Finding:
    if ours.currency != theirs.currency:
        return Finding(kind="amount_differs", ours=ours, theirs=theirs)
    amount = theirs.amount_minor - ours.amount_minor
    fee = theirs.fee_minor - ours.fee_minor
    return Finding(
        kind="amount_differs" if amount else "fee_differs" if fee else "matched",
        ours=ours,
        theirs=theirs,
        amount_difference=amount,
        fee_difference=fee,
    )
