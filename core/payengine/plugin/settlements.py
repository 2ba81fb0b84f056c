"""How does a plugin read what its provider settled?

A settlement parser reads one kind of file: the provider's own lines, exactly as they are, each with
the provider's name of it. It moves nothing, asks nobody and keeps nothing: what a line means for
the books is the engine's to say.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

import msgspec

from payengine.plugin.manifest import CONTRACT_VERSION
from payengine.plugin.messages import Amount, Message

__all__ = [
    "ParserManifest",
    "SettledKind",
    "SettledLine",
    "SettlementContent",
    "SettlementParser",
    "SettlementUnreadable",
]

#: `capture` and `refund`: money of a payment; `dispute`: taken back by the buyer's bank, and
#: `dispute_reversal` given back; `payout`: to the tenant's own bank, `payout_reversal`: back;
#: `transfer`: to somebody else's account; `fee`: a line that is a fee as a whole.
SettledKind = Literal[
    "capture",
    "refund",
    "dispute",
    "dispute_reversal",
    "payout",
    "payout_reversal",
    "transfer",
    "fee",
    "other",
]


class SettlementUnreadable(Exception):
    """The content is not a file of this kind; its words are shown to people."""


class ParserManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one parser declares of itself.

    `name` is what people call the format, such as `acme.balance`; `gateway` is the gateway whose
    payments the lines are about.
    """

    name: str
    title: str
    gateway: str
    version: str
    contract: str = CONTRACT_VERSION


class SettledLine(Message, frozen=True, kw_only=True):
    """One line of a provider's file.

    `key` is the provider's name of the line and names it for ever, in whichever file it stands.
    `references` are its names of what was done, by which an operation may know it, the surest
    first. `amount` is what it did to the balance there before the fee: below zero where money went.
    `fee_minor` is what the provider kept, in the same currency (below zero: gave back).
    `presentment` is what the buyer saw, with the sign of `amount`, where that was another currency.
    `category` is the provider's own word for it, `payout` the name of the payout that it left in.
    """

    key: str
    kind: SettledKind
    references: tuple[str, ...]
    amount: Amount
    at: datetime
    fee_minor: int = 0
    presentment: Amount | None = None
    category: str = ""
    payout: str = ""


class SettlementContent(Message, frozen=True, kw_only=True):
    """What a file says; `problems` are what of it could not be read, a sentence each.

    `complete`: between the day of its first line and that of its last (both included, in UTC) the
    provider has nothing that the file does not tell. Only then is anything missing there.
    """

    lines: tuple[SettledLine, ...]
    problems: tuple[str, ...] = ()
    complete: bool = False


@runtime_checkable
class SettlementParser(Protocol):
    """A reader of one kind of file."""

    def describe(self) -> ParserManifest:
        """The parser's manifest; pure and constant."""
        ...

    def parse(self, content: bytes) -> SettlementContent:
        """Read a whole file; raises `SettlementUnreadable`. It runs in a thread."""
        ...
