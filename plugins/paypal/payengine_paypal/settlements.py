"""What does PayPal's settlement report say?

The STL file: rows that begin with a code, of which CH names the columns and SB are the lines
(https://developer.paypal.com/docs/reports/sftp-reports/settlement-report). Amounts are whole
numbers of the smallest unit, and a column beside each says whether it was a credit or a debit.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from payengine.plugin import (
    Amount,
    ParserManifest,
    SettledKind,
    SettledLine,
    SettlementContent,
    SettlementUnreadable,
)

from payengine_paypal.amounts import CURRENCIES

__all__ = ["PayPalSettlement"]

#: Of these the report and ISO 4217 may count in different units: nothing is guessed.
_UNCLEAR = frozenset({"HUF", "TWD"})
_NEEDED = (
    "transaction id",
    "transaction event code",
    "transaction initiation date",
    "transaction debit or credit",
    "gross transaction amount",
    "gross transaction currency",
)
_REFERENCES = ("transaction id", "custom field", "invoice id", "paypal reference id")

#: By event code, then by its group
#: (https://developer.paypal.com/docs/transaction-search/transaction-event-codes).
_CODES: Mapping[str, SettledKind] = {
    "T0001": "transfer",
    "T1101": "fee",
    "T1106": "dispute",
    "T1107": "refund",
    "T1108": "fee",
    "T1201": "dispute",
    "T1202": "dispute_reversal",
    "T1207": "fee",
}
_GROUPS: Mapping[str, SettledKind] = {
    "T00": "capture",
    "T01": "fee",
    "T03": "payout_reversal",
    "T04": "payout",
}

_WHOLE = re.compile(r"[0-9]{1,15}")
_DATE = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?: ?[+-]\d{4})?")
_MOST_PROBLEMS = 50


class PayPalSettlement:
    """The reader of `paypal.settlement`."""

    def describe(self) -> ParserManifest:
        """The manifest."""
        return ParserManifest(
            name="paypal.settlement",
            title="PayPal settlement report",
            gateway="paypal",
            version="0.1.0",
        )

    def parse(self, content: bytes) -> SettlementContent:
        """The lines; a line that cannot be read exactly is a problem and is left out."""
        columns: list[str] = []
        lines: list[SettledLine] = []
        problems: list[str] = []
        for number, row in enumerate(csv.reader(_text(content)), start=1):
            code = row[0].strip() if row else ""
            if code == "CH":
                columns = [name.strip().lower() for name in row[1:]]
                missing = [name for name in _NEEDED if name not in columns]
                if missing:
                    raise SettlementUnreadable(f"it has no column {missing[0]!r}")
            elif code == "SB":
                if not columns:
                    raise SettlementUnreadable("lines stand before the names of their columns")
                try:
                    lines.append(_line(dict(zip(columns, row[1:], strict=False))))
                except ValueError as problem:
                    if len(problems) < _MOST_PROBLEMS:
                        problems.append(f"Row {number}: {problem}.")
        if not columns:
            raise SettlementUnreadable("it names no columns")
        return SettlementContent(
            lines=tuple(lines), problems=tuple(problems), complete=not problems
        )


def _text(content: bytes) -> io.StringIO:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettlementUnreadable("it is no text in UTF-8") from None
    if "\0" in text:
        raise SettlementUnreadable("it holds a zero byte")
    return io.StringIO(text, newline="")


def _line(row: Mapping[str, str]) -> SettledLine:
    told = {name: (value or "").strip() for name, value in row.items()}
    key, code = told["transaction id"], told["transaction event code"].upper()
    if not key:
        raise ValueError("the line has no transaction id")
    currency = told["gross transaction currency"].upper()
    gross = _minor(told["gross transaction amount"], told["transaction debit or credit"], currency)
    fee = 0
    if told.get("fee amount", "").strip("0"):
        if (told.get("fee currency") or currency).upper() != currency:
            raise ValueError("the fee is in another currency")
        fee = -_minor(told["fee amount"], told.get("fee debit or credit", ""), currency)
    references = dict.fromkeys(told.get(name, "") for name in _REFERENCES)
    return SettledLine(
        # A transaction and what it was converted by share a name: the code tells them apart.
        key=f"{key}:{code}:{currency}",
        kind=_CODES.get(code) or _GROUPS.get(code[:3], "other"),
        references=tuple(name for name in references if name),
        amount=Amount(gross, currency),
        at=_instant(told["transaction initiation date"]),
        fee_minor=fee,
        category=code,
        payout=told.get("bank reference id", ""),
    )


def _minor(text: str, side: str, currency: str) -> int:
    if currency not in CURRENCIES or currency in _UNCLEAR:
        raise ValueError(f"how {currency[:8] or 'it'} is counted here is not certain")
    if not _WHOLE.fullmatch(text) or side.upper() not in ("CR", "DR"):
        raise ValueError(f"{text[:30]!r} {side[:4]} is no amount")
    return int(text) if side.upper() == "CR" else -int(text)


def _instant(text: str) -> datetime:
    if not _DATE.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no instant")
    day, _, rest = text.partition(" ")
    clock, offset = rest[:8], rest[8:].strip() or "+0000"
    try:
        at = datetime.strptime(f"{day} {clock} {offset}", "%Y/%m/%d %H:%M:%S %z")
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no instant") from None
    return at.astimezone(UTC)
