"""What can a gateway do?

The manifest is data: the router, the guards and the conformance kit read it; nothing else tells
the engine what a provider supports.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from payengine.plugin.settings import PluginSettings

__all__ = ["CONTRACT_VERSION", "Manifest", "OperationKind", "supports"]

#: The version of this contract. A plugin names the major version that it was written for.
CONTRACT_VERSION = "1.0"

OperationKind = Literal[
    "authorize",
    "increment",
    "capture",
    "void",
    "refund",
    "submit_evidence",
    "accept_dispute",
]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one gateway declares of itself.

    `currencies` and `countries` are ISO codes, empty for all. `key_window_s` says for how long
    the provider remembers an idempotency key; `lookup_consistent_after_ms` after which time a
    lookup's "not found" is evidence; `not_processed_codes` which raw codes prove that nothing
    happened; `pending_for_s` how long an operation may rightly wait for its provider or its buyer:
    after that a person is asked. `movements`, `webhooks` and `saved_methods` name optional
    protocols that it keeps.
    `network_tokens` says that it charges the network token that a wallet was opened for, whatever
    the wallet. `max_concurrency` bounds the calls in flight from one process.
    """

    name: str
    title: str
    version: str
    contract: str = CONTRACT_VERSION
    methods: tuple[str, ...] = ("card",)
    currencies: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    operations: tuple[OperationKind, ...] = ("authorize", "capture", "void", "refund")
    multiple_captures: bool = False
    supports_idempotency: bool = True
    key_window_s: int = 86_400
    lookup: bool = True
    lookup_consistent_after_ms: int = 0
    not_processed_codes: tuple[str, ...] = ()
    pending_for_s: int = 604_800
    webhooks: bool = False
    movements: bool = False
    network_tokens: bool = False
    saved_methods: bool = False
    test_worlds_only: bool = False
    enabled_by_default_in_test: bool = False
    max_concurrency: int = 64
    settings: type[PluginSettings] = PluginSettings


def supports(manifest: Manifest, *, currency: str, method: str) -> bool:
    """Whether the gateway takes payments in `currency` by `method`."""
    takes_currency = not manifest.currencies or currency in manifest.currencies
    return takes_currency and method in manifest.methods
