"""What does a settlement file of the sandbox look like?

A plain CSV with a header: key, kind, reference, amount_minor, currency, fee_minor, at, and, where
they are wanted, presentment_minor, presentment_currency and payout. Integers in minor units, as
everywhere here; it settles whatever a test says.
"""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime
from typing import get_args

from payengine.plugin import (
    Amount,
    ParserManifest,
    SettledKind,
    SettledLine,
    SettlementContent,
    SettlementUnreadable,
)

__all__ = ["SandboxSettlement"]

_NEEDED = ("key", "kind", "reference", "amount_minor", "currency", "fee_minor", "at")
_INTEGER = re.compile(r"-?[0-9]{1,15}")
_KINDS: tuple[SettledKind, ...] = get_args(SettledKind)


class SandboxSettlement:
    """The reader of `sandbox.settlement`."""

    def describe(self) -> ParserManifest:
        """The manifest."""
        return ParserManifest(
            name="sandbox.settlement",
            title="sandbox settlement file",
            gateway="sandbox",
            version="0.1.0",
        )

    def parse(self, content: bytes) -> SettlementContent:
        """The lines; a line that cannot be read is a problem and is left out."""
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise SettlementUnreadable("it is no text in UTF-8") from None
        rows = csv.DictReader(io.StringIO(text.replace("\0", ""), newline=""))
        missing = [name for name in _NEEDED if name not in (rows.fieldnames or ())]
        if missing:
            raise SettlementUnreadable(f"it has no column {missing[0]!r}")
        lines: list[SettledLine] = []
        problems: list[str] = []
        for number, row in enumerate(rows, start=2):
            try:
                lines.append(_line({name: (row.get(name) or "").strip() for name in row}))
            except ValueError as problem:
                problems.append(f"Row {number}: {problem}.")
        return SettlementContent(
            lines=tuple(lines), problems=tuple(problems), complete=not problems
        )


def _line(row: dict[str, str]) -> SettledLine:
    kind = next((each for each in _KINDS if each == row["kind"]), None)
    if kind is None or not row["key"]:
        raise ValueError("it names no kind or no key")
    at = datetime.fromisoformat(row["at"])
    seen = row.get("presentment_minor", "")
    return SettledLine(
        key=row["key"],
        kind=kind,
        references=(row["reference"],) if row["reference"] else (),
        amount=Amount(_integer(row["amount_minor"]), row["currency"]),
        at=at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC),
        fee_minor=_integer(row["fee_minor"] or "0"),
        presentment=Amount(_integer(seen), row["presentment_currency"]) if seen else None,
        category=row["kind"],
        payout=row.get("payout", ""),
    )


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"{text[:30]!r} is no integer")
    return int(text)
