"""What does the bank's statement settle?

camt.053 and camt.054, read as the plugin reads them: a credit is a buyer's money, a debit went to
somebody, and what comes back is told as what it undoes. Amounts in euros alone are read exactly.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from payengine.plugin import (
    Amount,
    ParserManifest,
    SettledKind,
    SettledLine,
    SettlementContent,
    SettlementUnreadable,
)

from payengine_bank_transfer.amounts import CURRENCY
from payengine_bank_transfer.matching import references_in
from payengine_bank_transfer.statements import Line, read_document
from payengine_bank_transfer.xmltree import DocumentRefused

__all__ = ["BankStatement"]

_LONGEST_REFERENCE = 140


class BankStatement:
    """The reader of `bank.camt053`."""

    def describe(self) -> ParserManifest:
        """The manifest."""
        return ParserManifest(
            name="bank.camt053",
            title="camt.053 statement of the bank",
            gateway="bank_transfer",
            version="0.1.0",
        )

    def parse(self, content: bytes) -> SettlementContent:
        """The booked lines; what the reader of statements left out is a problem."""
        try:
            document = read_document(content)
        except DocumentRefused as refused:
            raise SettlementUnreadable(str(refused)) from None
        if not document.kind.startswith(("camt.053", "camt.054")):
            raise SettlementUnreadable(f"it is a {document.kind}, which tells of no movements")
        problems = list(document.problems)
        told: Counter[str] = Counter()
        lines: list[SettledLine] = []
        for line in document.lines:
            try:
                at = datetime.fromisoformat(line.booked_on).replace(tzinfo=UTC)
            except ValueError:
                problems.append("a line was left out: it has no day")
                continue
            if line.currency != CURRENCY:
                problems.append(f"a line in {line.currency[:8]} was left out")
                continue
            told[line.fingerprint] += 1
            lines.append(_settled(line, at=at, number=told[line.fingerprint]))
        return SettlementContent(
            lines=tuple(lines),
            problems=tuple(problems),
            complete=document.kind == "camt.053" and not problems,
        )


def _settled(line: Line, *, at: datetime, number: int) -> SettledLine:
    key = f"{line.iban}:{line.bank_ref or line.fingerprint}"
    if not line.bank_ref and number > 1:
        key = f"{key}#{number}"
    minor = line.minor if line.direction == "credit" else -line.minor
    names = (*references_in(line), line.end_to_end_id, line.batch_ref)
    return SettledLine(
        key=key,
        kind=_kind(line),
        references=tuple(dict.fromkeys(name for name in names if name))[:20],
        amount=Amount(minor, line.currency),
        at=at,
        category=line.reason or ("return" if line.is_return else line.direction),
        payout=line.batch_ref[:_LONGEST_REFERENCE],
    )


def _kind(line: Line) -> SettledKind:
    if line.is_return:
        return "other" if line.direction == "credit" else "dispute"
    return "capture" if line.direction == "credit" else "transfer"
