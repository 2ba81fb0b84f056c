"""What do Stripe's reports say that was settled?

The itemized CSV of the balance report and of the payout reconciliation report, and the balance
history as the Dashboard exports it. Columns are found by their names, in any order
(https://docs.stripe.com/reports/report-types/balance, …/payout-reconciliation). Amounts are
decimals of major units, read by their digits.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from payengine.plugin import (
    Amount,
    ParserManifest,
    SettledKind,
    SettledLine,
    SettlementContent,
    SettlementUnreadable,
)

from payengine_stripe.marks import KEY

__all__ = ["PARSERS", "StripeReport"]

#: ISO 4217 exponents that are not 2, of the currencies that Stripe settles in.
_EXPONENTS = dict.fromkeys(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ],
    0,
) | dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3)

#: Our name of a column → Stripe's names of it, the exact ones first.
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "key": ("balance_transaction_id", "id"),
    "category": ("reporting_category", "type"),
    "gross": ("gross", "amount"),
    "fee": ("fee",),
    "net": ("net",),
    "currency": ("currency",),
    "at": ("created_utc", "created_(utc)", "created", "effective_at_utc", "effective_at"),
    "source": ("source_id", "source"),
    "seen": ("customer_facing_amount",),
    "seen_currency": ("customer_facing_currency",),
    "payout": ("automatic_payout_id", "payout_id", "transfer"),
}
_NEEDED = ("key", "category", "gross", "fee", "currency", "at")
_REFERENCES = (
    "payment_intent_id",
    "refund_id",
    "dispute_id",
    "source_id",
    "source",
    "charge_id",
    f"payment_metadata[{KEY}]",
    f"refund_metadata[{KEY}]",
)

#: By reporting category, and by the type of a balance transaction where that is what is told
#: (https://docs.stripe.com/reports/reporting-categories).
_KINDS: Mapping[str, SettledKind] = {
    "charge": "capture",
    "payment": "capture",
    "refund": "refund",
    "payment_refund": "refund",
    "dispute": "dispute",
    "dispute_reversal": "dispute_reversal",
    "payout": "payout",
    "payout_reversal": "payout_reversal",
    "payout_failure": "payout_reversal",
    "payout_cancel": "payout_reversal",
    "transfer": "transfer",
    "fee": "fee",
    "network_cost": "fee",
    "stripe_fee": "fee",
    "tax_fee": "fee",
}

_DECIMAL = re.compile(r"(?P<sign>-?)(?P<whole>[0-9]{1,15})(?:[.,](?P<part>[0-9]{1,6}))?")
_MOST_PROBLEMS = 50
_FORMULA = "'"


class StripeReport:
    """A reader of itemized reports; `complete` where the report tells of everything in its days."""

    def __init__(self, name: str, title: str, *, complete: bool) -> None:
        self._manifest = ParserManifest(name=name, title=title, gateway="stripe", version="0.1.0")
        self._complete = complete

    def describe(self) -> ParserManifest:
        """The manifest."""
        return self._manifest

    def parse(self, content: bytes) -> SettlementContent:
        """The lines; a line that cannot be read exactly is a problem and is left out."""
        rows = _rows(content)
        header = next(rows, None)
        if header is None:
            raise SettlementUnreadable("the file is empty")
        names = [name.strip().lower().replace(" ", "_") for name in header]
        columns = _found(names)
        missing = [name for name in _NEEDED if name not in columns]
        if missing:
            raise SettlementUnreadable(f"it has no column for: {', '.join(missing)}")
        lines: list[SettledLine] = []
        problems: list[str] = []
        for number, row in enumerate(rows, start=2):
            if not any(cell.strip() for cell in row):
                continue
            try:
                lines.append(_line(dict(zip(names, row, strict=False)), columns))
            except ValueError as problem:
                if len(problems) < _MOST_PROBLEMS:
                    problems.append(f"Row {number}: {problem}.")
        return SettlementContent(
            lines=tuple(lines),
            problems=tuple(problems),
            complete=self._complete and not problems,
        )


#: What this plugin reads.
PARSERS: tuple[StripeReport, ...] = (
    StripeReport("stripe.balance", "Stripe balance report", complete=True),
    StripeReport("stripe.payout", "Stripe payout reconciliation report", complete=False),
)


def _rows(content: bytes) -> csv.Reader:  # type: ignore[name-defined]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettlementUnreadable("it is no text in UTF-8") from None
    if "\0" in text:
        raise SettlementUnreadable("it holds a zero byte")
    return csv.reader(io.StringIO(text, newline=""))


def _found(names: Sequence[str]) -> dict[str, str]:
    return {
        ours: next(theirs for theirs in known if theirs in names)
        for ours, known in _COLUMNS.items()
        if any(theirs in names for theirs in known)
    }


def _line(row: Mapping[str, str], columns: Mapping[str, str]) -> SettledLine:
    def say(name: str) -> str:
        column = columns.get(name)
        text = (row.get(column) or "").strip() if column else ""
        return text.removeprefix(_FORMULA)

    key = say("key")
    if not key:
        raise ValueError("the line has no name")
    currency = say("currency").upper()
    gross, fee = _minor(say("gross"), currency), _minor(say("fee") or "0", currency)
    if columns.get("net") and say("net") and gross - fee != _minor(say("net"), currency):
        raise ValueError("net is not gross less fee")
    category = say("category").lower()
    return SettledLine(
        key=key,
        kind=_KINDS.get(category, "other"),
        references=_references(row),
        amount=Amount(gross, currency),
        at=_instant(say("at")),
        fee_minor=fee,
        presentment=_seen(say("seen"), say("seen_currency").upper(), gross, currency),
        category=category,
        payout=say("payout"),
    )


def _references(row: Mapping[str, str]) -> tuple[str, ...]:
    told = [(row.get(name) or "").strip().removeprefix(_FORMULA) for name in _REFERENCES]
    return tuple(dict.fromkeys(text for text in told if text))


def _seen(text: str, seen: str, gross: int, currency: str) -> Amount | None:
    if not text or not seen or seen == currency:
        return None
    minor = abs(_minor(text, seen))
    return Amount(-minor if gross < 0 else minor, seen)


def _minor(text: str, currency: str) -> int:
    found = _DECIMAL.fullmatch(text.replace(" ", ""))
    if found is None or not re.fullmatch(r"[A-Z]{3}", currency):
        raise ValueError(f"{text[:30]!r} {currency[:8]} is no amount")
    digits = _EXPONENTS.get(currency, 2)
    part = (found["part"] or "").rstrip("0")
    if len(part) > digits:
        raise ValueError(f"{text[:30]!r} is finer than {currency} can be")
    minor = int(found["whole"] + part.ljust(digits, "0"))
    return -minor if found["sign"] else minor


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no instant") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
