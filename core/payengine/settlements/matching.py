"""Which of ours is each of the provider's lines about, and do the two agree?

Pure: lines and what of ours has their references in, one finding for each line out. A line that the
engine can book by itself needs no counterpart: a fee, and a payout to the tenant's own bank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from payengine.plugin import SettledLine
from payengine.reports.reconciliation import SettlementLine, reconcile
from payengine.settlements.models import LineFinding
from payengine.settlements.ours import Own

__all__ = ["Matched", "match_lines", "seen_amount"]

#: Where money comes back, a line's sign is below zero.
_TAKEN = frozenset({"refund", "dispute", "payout", "transfer"})
#: The engine books these by themselves where nothing of ours is meant.
_BY_THEMSELVES = frozenset({"fee", "payout", "payout_reversal"})


class Matched(NamedTuple):
    """A line, what of ours it is about, and whether they agree; theirs less ours."""

    line: SettledLine
    own: Own | None
    finding: LineFinding
    amount_difference: int | None = None
    fee_difference: int | None = None


def seen_amount(line: SettledLine) -> tuple[int, str]:
    """What the buyer saw of it, above zero where it went the way of its kind; and the currency."""
    amount = line.presentment or line.amount
    return (-amount.minor if line.kind in _TAKEN else amount.minor), amount.currency


def match_lines(lines: Sequence[SettledLine], own: Sequence[Own]) -> list[Matched]:
    """One finding for each line, in their order."""
    known: set[tuple[str, str]] = {(each.kind, each.reference) for each in own}
    theirs = [(_theirs(line, known), line) for line in lines]
    ours = [(_ours(each), each) for each in own]
    # Pairs are found by what a line says, and told apart by which line it is.
    line_of = {id(side): line for side, line in theirs}
    own_of = {id(side): each for side, each in ours}
    found: dict[int, Matched] = {}
    for each in reconcile([side for side, _ in ours], [side for side, _ in theirs]):
        if each.theirs is None:
            continue  # ours alone is nothing that these few lines could tell
        line = line_of[id(each.theirs)]
        mine = own_of[id(each.ours)] if each.ours is not None else None
        finding: LineFinding = "matched" if each.kind == "missing_there" else each.kind
        found[id(line)] = _judged(
            line, mine, finding, amount=each.amount_difference, fee=each.fee_difference
        )
    return [found[id(line)] for line in lines]


def _judged(
    line: SettledLine, own: Own | None, finding: LineFinding, *, amount: int | None, fee: int | None
) -> Matched:
    if own is None:
        quiet = line.kind in _BY_THEMSELVES or not (line.amount.minor or line.fee_minor)
        return Matched(line, None, "matched" if quiet else "missing_here")
    if finding == "amount_differs":
        return Matched(line, own, finding, amount, fee)
    if line.amount.currency != own.currency or not own.fee_minor or not fee:
        # A fee that we did not know is learnt; one in another currency cannot be compared.
        return Matched(line, own, "matched", amount, None)
    return Matched(line, own, "fee_differs", amount, fee)


def _theirs(line: SettledLine, known: set[tuple[str, str]]) -> SettlementLine:
    minor, currency = seen_amount(line)
    # Money that goes to somebody's account may be a refund: the file does not always say.
    kinds = (line.kind, "refund") if line.kind == "transfer" else (line.kind,)
    named = [(kind, each) for kind in kinds for each in line.references if (kind, each) in known]
    kind, reference = named[0] if named else (line.kind, (*line.references, line.key)[0])
    same = line.amount.currency == currency
    return SettlementLine(
        reference=reference,
        kind=kind,
        amount_minor=minor,
        currency=currency,
        fee_minor=line.fee_minor if same else 0,
    )


def _ours(own: Own) -> SettlementLine:
    return SettlementLine(
        reference=own.reference,
        kind=own.kind,
        amount_minor=own.amount_minor,
        currency=own.currency,
        fee_minor=own.fee_minor,
    )
