"""What does a plugin offer, and may each of it be believed to be such?

A plugin offers gateways, wallets, fraud rules and more, each kind by a hook of its own and each
with a manifest that is checked here, once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
import pluggy

from payengine.errors import PluginIncompatible
from payengine.plugin import (
    FraudRule,
    Gateway,
    KycCheck,
    KycManifest,
    Manifest,
    Notifier,
    NotifierManifest,
    PayoutRail,
    RailManifest,
    RateManifest,
    RateSource,
    RemoteScorer,
    RuleManifest,
    TaxCalculator,
    TaxManifest,
    Wallet,
    WalletManifest,
)
from payengine.registry.manifests import (
    kyc_manifest_of,
    manifest_of,
    notifier_manifest_of,
    rail_manifest_of,
    rate_manifest_of,
    rule_manifest_of,
    tax_manifest_of,
    wallet_manifest_of,
)

__all__ = [
    "AnyManifest",
    "LoadedCalculator",
    "LoadedGateway",
    "LoadedKycCheck",
    "LoadedNotifier",
    "LoadedRail",
    "LoadedRateSource",
    "LoadedRule",
    "LoadedWallet",
    "Offers",
    "offers_of",
]

#: The most of one kind that a plugin offers.
_MOST = 50

AnyManifest: TypeAlias = (
    Manifest
    | WalletManifest
    | RateManifest
    | RailManifest
    | KycManifest
    | TaxManifest
    | NotifierManifest
    | RuleManifest
)


class LoadedGateway(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway and the manifest that it had when it was loaded."""

    name: str
    plugin: str
    manifest: Manifest
    gateway: Gateway


class LoadedWallet(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet and the manifest that it had when it was loaded."""

    name: str
    plugin: str
    manifest: WalletManifest
    wallet: Wallet


class LoadedRateSource(msgspec.Struct, frozen=True, kw_only=True):
    """A rate source and the manifest that it had when it was loaded."""

    name: str
    plugin: str
    manifest: RateManifest
    source: RateSource


class LoadedRail(msgspec.Struct, frozen=True, kw_only=True):
    """A payout rail and the manifest that it had when it was loaded."""

    name: str
    plugin: str
    manifest: RailManifest
    rail: PayoutRail


class LoadedKycCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A KYC check and the manifest that it had when it was loaded."""

    name: str
    plugin: str
    manifest: KycManifest
    check: KycCheck


class LoadedCalculator(msgspec.Struct, frozen=True, kw_only=True):
    """A tax calculator and the manifest that it had when it was loaded."""

    name: str
    plugin: str
    manifest: TaxManifest
    calculator: TaxCalculator


class LoadedNotifier(msgspec.Struct, frozen=True, kw_only=True):
    """A notifier and the manifest that it had when it was loaded."""

    name: str
    plugin: str
    manifest: NotifierManifest
    notifier: Notifier


class LoadedRule(msgspec.Struct, frozen=True, kw_only=True):
    """A fraud rule and the manifest that it had when it was loaded; `rule` is a `RemoteScorer`
    where the manifest says `remote`. `hosted`: its code runs in a plugin host."""

    name: str
    plugin: str
    manifest: RuleManifest
    rule: FraudRule | RemoteScorer
    hosted: bool = False


class Offers(msgspec.Struct, frozen=True, kw_only=True):
    """All that one plugin offers, a field for each hook."""

    gateways: tuple[LoadedGateway, ...] = ()
    wallets: tuple[LoadedWallet, ...] = ()
    rules: tuple[LoadedRule, ...] = ()
    rate_sources: tuple[LoadedRateSource, ...] = ()
    payout_rails: tuple[LoadedRail, ...] = ()
    kyc_checks: tuple[LoadedKycCheck, ...] = ()
    tax_calculators: tuple[LoadedCalculator, ...] = ()
    notifiers: tuple[LoadedNotifier, ...] = ()

    def with_settings(self) -> list[AnyManifest]:
        """The manifests of what shares the plugin's settings: all but rules that run here."""
        of_rules = [one.manifest for one in self.rules if one.manifest.remote]
        others = (
            self.gateways,
            self.wallets,
            self.rate_sources,
            self.payout_rails,
            self.kyc_checks,
            self.tax_calculators,
            self.notifiers,
        )
        return [*(one.manifest for kind in others for one in kind), *of_rules]

    def names(self) -> dict[str, tuple[str, ...]]:
        """What is offered by each kind, by its names."""
        return {
            kind: tuple(one.name for one in getattr(self, kind)) for kind in self.__struct_fields__
        }


#: Kind → (hook, noun, the reader of its manifests, what is made of one, under which field).
_KINDS: dict[str, tuple[str, str, Callable[[Any], Any], type[Any], str]] = {
    "gateways": ("gateways", "gateway", manifest_of, LoadedGateway, "gateway"),
    "wallets": ("wallets", "wallet", wallet_manifest_of, LoadedWallet, "wallet"),
    "rate_sources": ("rate_sources", "rate source", rate_manifest_of, LoadedRateSource, "source"),
    "payout_rails": ("payout_rails", "payout rail", rail_manifest_of, LoadedRail, "rail"),
    "kyc_checks": ("kyc_checks", "KYC check", kyc_manifest_of, LoadedKycCheck, "check"),
    "tax_calculators": (
        "tax_calculators",
        "tax calculator",
        tax_manifest_of,
        LoadedCalculator,
        "calculator",
    ),
    "notifiers": ("notifiers", "notifier", notifier_manifest_of, LoadedNotifier, "notifier"),
    "rules": ("fraud_rules", "fraud rule", rule_manifest_of, LoadedRule, "rule"),
}


def offers_of(hooks: pluggy.PluginManager, *, plugin: str, hosted: bool = False) -> Offers:
    """What the plugin's hooks offer, vetted; raises `PluginIncompatible`."""
    offers: dict[str, Any] = {}
    for kind, (hook, noun, read, made, field) in _KINDS.items():
        found: dict[str, Any] = {}
        offered = [one for answer in getattr(hooks.hook, hook)() for one in answer]
        if len(offered) > _MOST:
            raise PluginIncompatible(f"It offers more than {_MOST} {noun}s.")
        for one in offered:
            manifest = read(one)
            if manifest.name in found:
                raise PluginIncompatible(f"It offers two {noun}s named {manifest.name!r}.")
            found[manifest.name] = made(
                name=manifest.name, plugin=plugin, manifest=manifest, **{field: one}
            )
        offers[kind] = tuple(found.values())
    rules = tuple(msgspec.structs.replace(one, hosted=hosted) for one in offers.pop("rules"))
    return Offers(rules=rules, **offers)
