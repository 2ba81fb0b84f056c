"""Which calls does a payout rail answer?

A rail carries money from the platform to the accounts of those it belongs to: by bank, or by a
provider's transfers. It gets an order, or several at once under one key, and tells of each what
became of it. What it does not know it calls unknown; nothing is guessed from silence.
"""

from __future__ import annotations

from typing import Literal, Protocol, get_args, runtime_checkable

import msgspec

from payengine.plugin.manifest import CONTRACT_VERSION
from payengine.plugin.messages import Amount, Call, Message
from payengine.plugin.settings import PluginSettings

__all__ = [
    "PAYOUT_FAILURES",
    "LookUpPayouts",
    "PayoutDestination",
    "PayoutFailure",
    "PayoutOrder",
    "PayoutRail",
    "PayoutResult",
    "PayoutResultStatus",
    "PayoutsTold",
    "RailManifest",
    "SendPayouts",
]

#: `accepted`: on its way. `paid`: it arrived. `failed`: it will not arrive, and the money is still
#: ours. `returned`: it had arrived, or seemed to, and came back. `not_found`: the rail has no order
#: of this key; an answer of look-ups only. `unknown`: the rail itself cannot tell.
PayoutResultStatus = Literal["accepted", "paid", "failed", "returned", "not_found", "unknown"]

#: Why a payout did not arrive. `insufficient_funds` and `limit_exceeded` speak of the platform's
#: account at the rail, the others but `not_sent` of the receiver's.
PayoutFailure = Literal[
    "account_blocked",
    "account_closed",
    "account_invalid",
    "beneficiary_mismatch",
    "insufficient_funds",
    "limit_exceeded",
    "not_allowed",
    "not_sent",
    "unspecified",
]

PAYOUT_FAILURES: frozenset[str] = frozenset(get_args(PayoutFailure))


class RailManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one payout rail declares of itself.

    `currencies` and `countries` are ISO codes, empty for all. `destinations` are the kinds of
    destination that it pays to: `iban`, or a token of the provider's. `max_batch` is how many
    orders one `send` takes: 1 for a rail that pays singly. `steps` says of which minor units a
    currency moves whole multiples only. `key_window_s` is for how long the rail remembers the key
    of a `send`, `lookup_consistent_after_ms` after which time "not found" is evidence, `returns_s`
    for how long after its arrival a payout may still come back. `paid_from` is the ledger account
    that the money leaves: `bank:NAME` or `psp_receivable:NAME`.
    """

    name: str
    title: str
    version: str
    contract: str = CONTRACT_VERSION
    currencies: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ("token",)
    max_batch: int = 1
    steps: dict[str, int] = msgspec.field(default_factory=dict)
    key_window_s: int = 86_400
    lookup: bool = True
    lookup_consistent_after_ms: int = 0
    returns_s: int = 0
    paid_from: str = "bank:main"
    test_worlds_only: bool = False
    max_concurrency: int = 16
    settings: type[PluginSettings] = PluginSettings


class PayoutDestination(Message, frozen=True, kw_only=True):
    """Where the money goes: `number` is an IBAN or the provider's token, after `kind`.

    `holder` is the name of the account's owner, `country` an ISO code or empty.
    """

    kind: str
    number: str
    holder: str = ""
    country: str = ""

    def __repr__(self) -> str:
        """Without what is personal."""
        return f"PayoutDestination(kind={self.kind!r}, number=…{self.number[-4:]})"


class PayoutOrder(Message, frozen=True, kw_only=True):
    """Pay `amount` to `destination`; `key` names the order for ever, whatever batch it is in.

    `statement` is what the receiver reads, at most 140 characters. `provider_reference` is the
    rail's own name for it, where it has told one.
    """

    key: str
    amount: Amount
    destination: PayoutDestination
    statement: str = ""
    provider_reference: str | None = None


class SendPayouts(Message, frozen=True, kw_only=True):
    """Send these orders, all of one currency, as one; the same `key` is the same sending."""

    key: str
    orders: tuple[PayoutOrder, ...]


class LookUpPayouts(Message, frozen=True, kw_only=True):
    """Tell what became of the orders that were sent with `key`; moves no money."""

    key: str
    orders: tuple[PayoutOrder, ...]


class PayoutResult(Message, frozen=True, kw_only=True):
    """What became of one order.

    `amount` is what moved, where the rail says so. `failure` is why it failed or came back;
    `raw_code` is the rail's own word for it and `detail` its sentence for people.
    """

    key: str
    status: PayoutResultStatus
    amount: Amount | None = None
    provider_reference: str | None = None
    failure: PayoutFailure | None = None
    raw_code: str | None = None
    detail: str = ""


class PayoutsTold(Message, frozen=True, kw_only=True):
    """What is known of the orders, in any order; one that is left out is unknown."""

    results: tuple[PayoutResult, ...]


@runtime_checkable
class PayoutRail(Protocol):
    """A way for money to leave."""

    def describe(self) -> RailManifest:
        """The rail's manifest; pure and constant."""
        ...

    async def send(self, call: Call, request: SendPayouts) -> PayoutsTold:
        """Send the orders once for ever; the same key tells what became of the first sending.

        Raises `NotSent` only before the first byte of the request; anything else is unknown.
        """
        ...

    async def look_up(self, call: Call, request: LookUpPayouts) -> PayoutsTold:
        """What became of each order."""
        ...
