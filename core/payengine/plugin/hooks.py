"""Which hooks may a plugin implement?

At most twelve, each returning objects. A plugin is a module or an object with functions marked
`hookimpl`, found by the entry-point group `payengine.plugins`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pluggy

from payengine.plugin.fraud import FraudRule, RemoteScorer
from payengine.plugin.gateway import Gateway
from payengine.plugin.kyc import KycCheck
from payengine.plugin.notices import Notifier
from payengine.plugin.payouts import PayoutRail
from payengine.plugin.rates import RateSource
from payengine.plugin.settlements import SettlementParser
from payengine.plugin.taxes import TaxCalculator
from payengine.plugin.wallet import Wallet

__all__ = ["ENTRY_POINT_GROUP", "HookSpecs", "hookimpl", "hookspec"]

ENTRY_POINT_GROUP = "payengine.plugins"

hookspec = pluggy.HookspecMarker("payengine")
hookimpl = pluggy.HookimplMarker("payengine")


class HookSpecs:
    """The hooks that the engine calls."""

    @hookspec
    def gateways(self) -> Sequence[Gateway]:  # type: ignore[empty-body]
        """The gateways that this plugin offers; import the provider's SDK lazily."""

    @hookspec
    def wallets(self) -> Sequence[Wallet]:  # type: ignore[empty-body]
        """The wallets whose tokens this plugin opens."""

    @hookspec
    def fraud_rules(self) -> Sequence[FraudRule | RemoteScorer]:  # type: ignore[empty-body]
        """The fraud rules that this plugin brings."""

    @hookspec
    def rate_sources(self) -> Sequence[RateSource]:  # type: ignore[empty-body]
        """The sources of exchange rates that this plugin asks."""

    @hookspec
    def notifiers(self) -> Sequence[Notifier]:  # type: ignore[empty-body]
        """The carriers of notices to customers that this plugin offers."""

    @hookspec
    def payout_rails(self) -> Sequence[PayoutRail]:  # type: ignore[empty-body]
        """The ways by which this plugin pays money out."""

    @hookspec
    def kyc_checks(self) -> Sequence[KycCheck]:  # type: ignore[empty-body]
        """The checks of a vendor's identity that this plugin asks."""

    @hookspec
    def tax_calculators(self) -> Sequence[TaxCalculator]:  # type: ignore[empty-body]
        """The calculators that say at which rates this plugin's tenants tax their customers."""

    @hookspec
    def settlement_parsers(self) -> Sequence[SettlementParser]:  # type: ignore[empty-body]
        """The files of providers that this plugin reads."""

    @hookspec
    def commands(self) -> Sequence[Any]:  # type: ignore[empty-body]
        """Command-line applications (`cyclopts.App`) to be added to `payengine`."""

    @hookspec
    def web(self) -> Sequence[Any]:  # type: ignore[empty-body]
        """Starlette routes, mounted below `/plugins/<name>/`."""
