"""Which calls does a check of a vendor's identity answer?

A KYC check tells whether its provider knows a vendor well enough to be paid. It moves no money and
decides nothing of the account: its verdict is one more step of the onboarding. Where it raises or
hangs, nothing is known and the account goes on waiting.
"""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import msgspec

from payengine.plugin.manifest import CONTRACT_VERSION
from payengine.plugin.messages import Call, Message
from payengine.plugin.settings import PluginSettings

__all__ = ["CheckVendor", "KycCheck", "KycManifest", "KycResult", "VendorVerdict"]

#: `pending`: the provider has not decided; `needs_information`: the vendor has to tell more.
KycResult = Literal["verified", "pending", "needs_information", "rejected"]


class KycManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one check declares of itself; `max_concurrency` bounds its calls from one process."""

    name: str
    title: str
    version: str
    contract: str = CONTRACT_VERSION
    max_concurrency: int = 64
    settings: type[PluginSettings] = PluginSettings


class CheckVendor(Message, frozen=True, kw_only=True):
    """Is this vendor verified? `account_id` is ours, `reference` the platform's name for it."""

    account_id: str
    reference: str
    country: str
    default_currency: str
    metadata: dict[str, str]


class VendorVerdict(Message, frozen=True, kw_only=True):
    """What the provider found; `requirements` are what the vendor still has to tell."""

    result: KycResult
    requirements: tuple[str, ...] = ()
    reason: str = ""


@runtime_checkable
class KycCheck(Protocol):
    """A teller of whether a vendor is who it says it is."""

    def describe(self) -> KycManifest:
        """The check's manifest; pure and constant."""
        ...

    async def check_vendor(self, call: Call, request: CheckVendor) -> VendorVerdict:
        """What is known of the vendor; raises anything where it cannot be known."""
        ...
