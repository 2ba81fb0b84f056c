"""Which files of providers can be read, and what do they say?

The engine's one way to a settlement parser. It runs in a thread, within a bound of bytes, lines and
seconds, and only an answer that fits is believed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import structlog

from payengine.errors import InputInvalid, PluginNotFound, UnknownCurrency
from payengine.money import currency as find_currency
from payengine.plugin import (
    Amount,
    ParserManifest,
    SettledLine,
    SettlementContent,
    SettlementParser,
    SettlementUnreadable,
)
from payengine.registry.answers import clean_text
from payengine.registry.loader import InstalledPlugins

__all__ = ["LARGEST_FILE", "MOST_LINES", "ParserDesk"]

#: The most bytes of one file, and the most lines.
LARGEST_FILE = 64 * 1024 * 1024
MOST_LINES = 500_000
_DEADLINE_S = 120
#: Payouts are sums: far above what one payment may be, and far within 64 bits.
_LARGEST = 10**15
_AT_ONCE = 2
_LONGEST_NAME = 255
_MOST_REFERENCES = 20
_MOST_PROBLEMS = 100
_KINDS = frozenset(
    {
        "capture",
        "refund",
        "dispute",
        "dispute_reversal",
        "payout",
        "payout_reversal",
        "transfer",
        "fee",
        "other",
    }
)
_NAME = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*")

_log = structlog.get_logger(__name__)


class ParserDesk:
    """The installed settlement parsers; the first of two with one name stays."""

    def __init__(self, plugins: InstalledPlugins) -> None:
        self._plugins = plugins
        self._found: Mapping[str, tuple[ParserManifest, SettlementParser]] | None = None
        self._places = asyncio.Semaphore(_AT_ONCE)

    def formats(self) -> tuple[ParserManifest, ...]:
        """What can be read, by name."""
        return tuple(manifest for manifest, _ in self._parsers().values())

    def manifest(self, name: str) -> ParserManifest:
        """The parser of this name; raises `PluginNotFound`."""
        return self._parser(name)[0]

    async def parse(self, name: str, content: bytes) -> SettlementContent:
        """What a file says; raises `PluginNotFound`, and `InputInvalid` where it cannot be read."""
        manifest, parser = self._parser(name)
        if not 0 < len(content) <= LARGEST_FILE:
            raise InputInvalid(f"A file has 1 to {LARGEST_FILE} bytes.", path=("content",))
        try:
            async with self._places, asyncio.timeout(_DEADLINE_S):
                told: object = await asyncio.to_thread(parser.parse, content)
        except SettlementUnreadable as unreadable:
            raise InputInvalid(
                f"This is no file of {manifest.title}: {clean_text(str(unreadable))}",
                path=("content",),
            ) from None
        except Exception as failure:  # a parser's own fault is no fault of the house
            _log.warning("parser_failed", parser=name, error=repr(failure)[:200])
            raise InputInvalid(
                f"{manifest.title} could not read this file.", path=("content",)
            ) from None
        return _checked(told, manifest)

    def _parser(self, name: str) -> tuple[ParserManifest, SettlementParser]:
        found = self._parsers().get(name)
        if found is None:
            known = ", ".join(self._parsers()) or "none"
            raise PluginNotFound(f"No format {name[:60]!r} can be read; there are: {known}.")
        return found

    def _parsers(self) -> Mapping[str, tuple[ParserManifest, SettlementParser]]:
        if self._found is None:
            found: dict[str, tuple[ParserManifest, SettlementParser]] = {}
            for plugin, offered in self._plugins.offered("settlement_parsers").items():
                for parser in offered:
                    manifest = _manifest_of(parser)
                    if manifest is None or manifest.name in found:
                        _log.warning("parser_refused", plugin=plugin)
                        continue
                    found[manifest.name] = (manifest, parser)
            self._found = MappingProxyType(dict(sorted(found.items())))
        return self._found


def _manifest_of(parser: Any) -> ParserManifest | None:
    try:
        manifest: object = parser.describe()
    except Exception:
        return None
    if not isinstance(manifest, ParserManifest) or not isinstance(parser, SettlementParser):
        return None
    fits = _NAME.fullmatch(manifest.name) and _NAME.fullmatch(manifest.gateway)
    return manifest if fits else None


def _checked(told: object, manifest: ParserManifest) -> SettlementContent:
    if type(told) is not SettlementContent or not isinstance(told.lines, tuple):
        raise InputInvalid(f"{manifest.title} answered with nonsense.", path=("content",))
    if len(told.lines) > MOST_LINES:
        raise InputInvalid(f"A file has at most {MOST_LINES} lines.", path=("content",))
    for number, line in enumerate(told.lines, start=1):
        if not _fits(line):
            raise InputInvalid(
                f"Line {number} of {manifest.title} cannot be kept as it was read.",
                path=("content",),
            )
    problems = tuple(clean_text(str(each))[:500] for each in told.problems[:_MOST_PROBLEMS])
    return SettlementContent(lines=told.lines, problems=problems, complete=told.complete is True)


def _fits(line: object) -> bool:
    if type(line) is not SettledLine or line.kind not in _KINDS:
        return False
    texts = (line.key, line.category, line.payout, *line.references)
    if not all(
        isinstance(text, str) and len(text) <= _LONGEST_NAME and text.isprintable()
        for text in texts
    ):
        return False
    amounts = [line.amount] if line.presentment is None else [line.amount, line.presentment]
    return (
        bool(line.key)
        and len(line.references) <= _MOST_REFERENCES
        and line.at.tzinfo is not None
        and type(line.fee_minor) is int
        and abs(line.fee_minor) <= _LARGEST
        and all(_is_amount(each) for each in amounts)
    )


def _is_amount(amount: Amount) -> bool:
    if type(amount.minor) is not int or abs(amount.minor) > _LARGEST:
        return False
    try:
        find_currency(amount.currency)
    except UnknownCurrency:
        return False
    return True
