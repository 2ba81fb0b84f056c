"""Which rates does the bank's XML name?

Below any wrapping stand elements `Cube` with a `time`, one for each day, and in each of them one
`Cube` for each currency with its `rate`
(https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates).
"""

from __future__ import annotations

import re
from datetime import date
from xml.parsers import expat  # documents with a DTD are refused before they are read

from payengine.plugin import DayRates, ToldRates

__all__ = ["MAX_BYTES", "Unreadable", "read_rates"]

#: The largest document: ninety days are some 100 kB.
MAX_BYTES = 1_048_576

_CODE = re.compile(r"[A-Z]{3}")
_RATE = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")


class Unreadable(Exception):
    """The document is not one of the bank's."""


def read_rates(document: bytes) -> ToldRates:
    """The days of a document, each with the texts of its rates; raises `Unreadable`.

    Nothing is guessed: one entry that does not fit spoils the whole.
    """
    if len(document) > MAX_BYTES:
        raise Unreadable("The document is too large.")
    reader = _Reader()
    try:
        reader.parse(document)
    except (expat.ExpatError, ValueError) as problem:
        raise Unreadable(f"The document cannot be read: {problem}.") from None
    if not reader.days:
        raise Unreadable("The document names no rates.")
    return ToldRates(
        days=tuple(DayRates(day=day, rates=rates) for day, rates in reader.days.items())
    )


class _Reader:
    """Collects what the elements say, whatever namespace they are in."""

    def __init__(self) -> None:
        self.days: dict[date, dict[str, str]] = {}
        self._day: date | None = None

    def parse(self, document: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.Parse(document, True)

    def _refuse(self, *_: object) -> None:
        raise ValueError("it declares a document type")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name.rpartition(" ")[2] != "Cube":
            return
        if "time" in attributes:
            self._day = date.fromisoformat(attributes["time"])
            if self._day in self.days:
                raise ValueError(f"{self._day} comes twice")
            self.days[self._day] = {}
        elif "currency" in attributes:
            code, rate = attributes["currency"], attributes.get("rate", "")
            if self._day is None or not _CODE.fullmatch(code) or not _RATE.fullmatch(rate):
                raise ValueError("an entry is no rate of a day")
            if code in self.days[self._day]:
                raise ValueError(f"{code} comes twice")
            self.days[self._day][code] = rate
