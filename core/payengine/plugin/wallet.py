"""Which calls does a wallet answer?

A wallet opens the encrypted token that a buyer's device made, and yields a network token that any
gateway whose manifest says `network_tokens` can charge. It moves no money and keeps nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from payengine.plugin.manifest import CONTRACT_VERSION
from payengine.plugin.messages import Call, Message
from payengine.plugin.network_token import NetworkToken
from payengine.plugin.settings import PluginSettings

__all__ = [
    "ApprovedAmount",
    "OpenToken",
    "OpenedToken",
    "StartSession",
    "Wallet",
    "WalletManifest",
    "WalletRefusal",
    "WalletRefused",
    "WalletSession",
    "WalletSessions",
]

#: Why a token or a session was refused. `malformed`: it cannot be read. `protocol`: another
#: version, or a weaker algorithm. `signature`: not made by the wallet's provider. `expired`: too
#: old, or not valid yet. `recipient`: made for another merchant. `unsupported`: genuine, and
#: nothing that may be charged here.
WalletRefusal = Literal["malformed", "protocol", "signature", "expired", "recipient", "unsupported"]


class WalletManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one wallet declares of itself.

    `name` is also the kind of payment method whose tokens it opens. `sessions` says that it keeps
    `WalletSessions`. `max_concurrency` bounds the calls in flight from one process.
    """

    name: str
    title: str
    version: str
    contract: str = CONTRACT_VERSION
    sessions: bool = False
    max_concurrency: int = 512
    settings: type[PluginSettings] = PluginSettings


class OpenToken(Message, frozen=True, kw_only=True):
    """Open this token: the text that the buyer's device made, at the instant `at` (aware)."""

    token: str
    at: datetime


class ApprovedAmount(Message, frozen=True, kw_only=True):
    """What the buyer saw and approved: minor units and ISO 4217's three digits."""

    minor: int
    currency_number: str


class OpenedToken(Message, frozen=True, kw_only=True):
    """A token that was genuine, fresh and meant for this merchant.

    `token_id` names the token for ever, 1 to 255 characters: the engine takes each once.
    `approved` is what the buyer approved, where the token says so.
    """

    network_token: NetworkToken
    token_id: str
    approved: ApprovedAmount | None = None


class StartSession(Message, frozen=True, kw_only=True):
    """Begin to show the wallet: `validation_url` is what the buyer's browser was told.

    `domain` is the page's host name; empty for the first one that the tenant has set.
    """

    validation_url: str
    domain: str = ""


class WalletSession(Message, frozen=True, kw_only=True):
    """What the buyer's browser needs in order to show the wallet: the provider's own JSON."""

    session: dict[str, Any]


class WalletRefused(Exception):
    """The token or the address is not acceptable; `reason` says in one word why."""

    def __init__(self, reason: WalletRefusal, detail: str = "") -> None:
        """`detail` is a sentence for people; it never repeats what was refused."""
        super().__init__(detail or reason)
        self.reason = reason
        self.detail = detail


@runtime_checkable
class Wallet(Protocol):
    """An opener of buyers' tokens."""

    def describe(self) -> WalletManifest:
        """The wallet's manifest; pure and constant."""
        ...

    async def open_token(self, call: Call, request: OpenToken) -> OpenedToken:
        """Verify and decrypt; raises `WalletRefused`, fail-closed."""
        ...


@runtime_checkable
class WalletSessions(Protocol):
    """Optional: the manifest sets `sessions`."""

    async def start_session(self, call: Call, request: StartSession) -> WalletSession:
        """Prove to the wallet's provider who the merchant is; raises `WalletRefused`."""
        ...
