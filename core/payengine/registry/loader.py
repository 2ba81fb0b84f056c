"""Which plugins are installed, and which of them can be used?

Each entry point is loaded by itself. One that cannot be imported, or that does not keep the
contract, is refused with a reason that is shown; the others and the house stay up. What nobody
here vouches for is never imported into this process: its plugin host imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Literal, Self, TypeVar

import msgspec
import pluggy

from payengine.errors import PluginIncompatible, PluginNotFound
from payengine.host.plugin import HostedPlugin, NotLoaded
from payengine.host.supervisor import PluginHost
from payengine.plugin import ENTRY_POINT_GROUP, HookSpecs, PluginSettings
from payengine.registry.answers import clean_text, said_by
from payengine.registry.hosting import Hosting
from payengine.registry.offered import (
    LoadedCalculator,
    LoadedGateway,
    LoadedKycCheck,
    LoadedNotifier,
    LoadedRail,
    LoadedRateSource,
    LoadedRule,
    LoadedWallet,
    Offers,
    offers_of,
)

__all__ = ["InstalledPlugins", "LoadedPlugin", "PluginInfo", "load_one"]

LoadedT = TypeVar(
    "LoadedT",
    LoadedCalculator,
    LoadedGateway,
    LoadedKycCheck,
    LoadedNotifier,
    LoadedRail,
    LoadedRateSource,
    LoadedRule,
    LoadedWallet,
)


class PluginInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One installed plugin, ready or refused.

    `name` is the entry point's; `distribution` and `version` are the installed package's and empty
    for a plugin given as an object. `contract` and `title` are the first gateway's or wallet's.
    `reason` says why it was refused; `place` is where its code runs.
    """

    name: str
    status: Literal["ready", "refused"]
    reason: str = ""
    distribution: str = ""
    version: str = ""
    contract: str = ""
    title: str = ""
    gateways: tuple[str, ...] = ()
    wallets: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    rate_sources: tuple[str, ...] = ()
    payout_rails: tuple[str, ...] = ()
    kyc_checks: tuple[str, ...] = ()
    tax_calculators: tuple[str, ...] = ()
    notifiers: tuple[str, ...] = ()
    test_worlds_only: bool = False
    place: Literal["process", "host"] = "process"


class LoadedPlugin(Offers, frozen=True, kw_only=True):
    """A plugin that keeps the contract, with all that it offers; `source` is its module or object.

    What it offers shares one settings class: a tenant sets a plugin up once. Only its fraud rules
    that run here have settings of their own each.
    """

    info: PluginInfo
    source: Any
    settings: type[PluginSettings]
    enabled_by_default_in_test: bool
    hooks: pluggy.PluginManager


class InstalledPlugins:
    """Every plugin that was found, in the order of name and distribution."""

    def __init__(self, *, ready: Sequence[LoadedPlugin], infos: Sequence[PluginInfo]) -> None:
        self.infos: tuple[PluginInfo, ...] = tuple(infos)
        self.ready: Mapping[str, LoadedPlugin] = MappingProxyType(
            {plugin.info.name: plugin for plugin in ready}
        )
        #: By name, in the order of the names, as are all the others.
        self.gateways = _by_name(one for plugin in ready for one in plugin.gateways)
        #: A wallet's name is the kind of method that it opens.
        self.wallets = _by_name(one for plugin in ready for one in plugin.wallets)
        self.rules = _by_name(one for plugin in ready for one in plugin.rules)
        self.rate_sources = _by_name(one for plugin in ready for one in plugin.rate_sources)
        self.payout_rails = _by_name(one for plugin in ready for one in plugin.payout_rails)
        self.kyc_checks = _by_name(one for plugin in ready for one in plugin.kyc_checks)
        self.tax_calculators = _by_name(one for plugin in ready for one in plugin.tax_calculators)
        self.notifiers = _by_name(one for plugin in ready for one in plugin.notifiers)

    @classmethod
    def load(
        cls,
        *,
        extra: Mapping[str, object] | None = None,
        discover: bool = True,
        only: str | None = None,
        hosting: Hosting | None = None,
        strangers: bool = True,
    ) -> Self:
        """Load the entry points, unless `discover` is off, and then the objects `extra` by name.

        The first of two plugins with one name, or with one gateway's name, stays. `only` leaves
        every plugin of another name alone, so that its code does not run; without `strangers` so
        does all code that would run in a host. The hosts rest afterwards until they are called.
        """
        entries = [one for one in (_entries() if discover else ()) if only in (None, one.name)]
        found, hosts = _found(entries, hosting or Hosting(), strangers=strangers)
        for name, source in (extra or {}).items():
            found.append((PluginInfo(name=name, status="refused"), partial(_itself, source)))
        ready: list[LoadedPlugin] = []
        infos: list[PluginInfo] = []
        for origin, bring in found:
            if only is not None and origin.name != only:
                continue
            try:
                plugin = load_one(bring(), origin=origin)
                _check_unique(plugin, ready)
            except KeyboardInterrupt:
                raise
            except BaseException as problem:
                infos.append(_refused(origin, problem))
            else:
                ready.append(plugin)
                infos.append(plugin.info)
        for host in hosts:
            host.rest()
        return cls(ready=ready, infos=infos)

    def plugin(self, name: str) -> LoadedPlugin:
        """The ready plugin; raises `PluginNotFound`, or `PluginIncompatible` with its reason."""
        found = self.ready.get(name)
        if found is not None:
            return found
        for info in self.infos:
            if info.name == name:
                raise PluginIncompatible(info.reason)
        raise PluginNotFound(f"No plugin named {name[:100]!r} is installed.")

    def gateway(self, name: str) -> LoadedGateway:
        """The gateway; raises `PluginNotFound`."""
        found = self.gateways.get(name)
        if found is None:
            raise PluginNotFound(f"No plugin offers the gateway {name[:100]!r}.")
        return found

    def offered(
        self, hook: Literal["commands", "web", "settlement_parsers"]
    ) -> dict[str, tuple[Any, ...]]:
        """What each ready plugin returns from the hook; one that raises offers nothing."""
        offers = {name: _offers(plugin, hook) for name, plugin in self.ready.items()}
        return {name: objects for name, objects in offers.items() if objects}


def _by_name(found: Iterable[LoadedT]) -> Mapping[str, LoadedT]:
    return MappingProxyType({one.name: one for one in sorted(found, key=lambda one: one.name)})


def load_one(source: object, *, origin: PluginInfo) -> LoadedPlugin:
    """Vet one plugin; raises `PluginIncompatible`, or whatever the plugin's own code raises.

    Each plugin gets a plugin manager of its own: a registration that fails half-way leaves
    nothing behind in another's.
    """
    hooks = pluggy.PluginManager("payengine")
    hooks.add_hookspecs(HookSpecs)
    hooks.register(source, name=origin.name)
    callers = hooks.get_hookcallers(source) or []
    if not callers:
        raise PluginIncompatible("It implements no hook: mark its functions with @hookimpl.")
    unknown = sorted(caller.name for caller in callers if not caller.has_spec())
    if unknown:
        raise PluginIncompatible(f"The contract has no hook named {', '.join(unknown)}.")
    offers = offers_of(hooks, plugin=origin.name, hosted=origin.place == "host")
    manifests = offers.with_settings()
    classes = {one.settings for one in manifests} or {PluginSettings}
    if len(classes) > 1:
        raise PluginIncompatible("Its gateways name different classes of settings.")
    gateways, rules = offers.gateways, offers.rules
    first = manifests[0] if manifests else rules[0].manifest if rules else None
    info = msgspec.structs.replace(
        origin,
        status="ready",
        version=origin.version or (first.version if first else ""),
        contract=first.contract if first else "",
        title=first.title if first else origin.name,
        test_worlds_only=any(one.manifest.test_worlds_only for one in gateways),
        **offers.names(),
    )
    return LoadedPlugin(
        info=info,
        source=source,
        settings=classes.pop(),
        enabled_by_default_in_test=bool(gateways)
        and all(one.manifest.enabled_by_default_in_test for one in gateways),
        hooks=hooks,
        **msgspec.structs.asdict(offers),
    )


def _offers(plugin: LoadedPlugin, hook: str) -> tuple[Any, ...]:
    try:
        return tuple(one for answer in getattr(plugin.hooks.hook, hook)() for one in answer)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return ()


def _itself(source: object) -> object:
    return source


def _found(
    entries: Sequence[EntryPoint], hosting: Hosting, *, strangers: bool
) -> tuple[list[tuple[PluginInfo, Callable[[], object]]], list[PluginHost]]:
    """How each entry point is brought here, and one host for each distribution of strangers."""
    found: list[tuple[PluginInfo, Callable[[], object]]] = []
    theirs: dict[str, list[EntryPoint]] = {}
    for entry in entries:
        origin = _origin(entry)
        if not hosting.is_trusted(origin.distribution):
            theirs.setdefault(origin.distribution, []).append(entry)
    hosts = {
        name: PluginHost(
            distribution=name,
            plugins={entry.name: entry.value for entry in own},
            limits=hosting.limits,
        )
        for name, own in theirs.items()
        if strangers
    }
    for entry in entries:
        origin = _origin(entry)
        if origin.distribution not in theirs:
            found.append((origin, entry.load))
        elif strangers:
            hosted = msgspec.structs.replace(origin, place="host")
            bring = partial(HostedPlugin, hosts[origin.distribution], entry.name)
            found.append((hosted, bring if hosting.has_hosts else _no_host))
    return found, list(hosts.values())


def _no_host() -> object:
    raise PluginIncompatible(
        "Plugin hosts need Linux or macOS: trust it by PAYENGINE_TRUSTED_PLUGINS, or do without."
    )


def _entries() -> Sequence[EntryPoint]:
    found = entry_points(group=ENTRY_POINT_GROUP)
    return sorted(found, key=lambda entry: (entry.name, entry.dist.name if entry.dist else ""))


def _origin(entry: EntryPoint) -> PluginInfo:
    return PluginInfo(
        name=entry.name,
        status="refused",
        distribution=entry.dist.name if entry.dist else "",
        version=entry.dist.version if entry.dist else "",
    )


def _check_unique(plugin: LoadedPlugin, ready: Sequence[LoadedPlugin]) -> None:
    for other in ready:
        if other.info.name == plugin.info.name:
            raise PluginIncompatible(f"Another plugin has its name already: {_owner(other)}.")
        for noun, theirs, own in (
            ("gateway", other.info.gateways, plugin.info.gateways),
            ("wallet", other.info.wallets, plugin.info.wallets),
            ("fraud rule", other.info.rules, plugin.info.rules),
            ("rate source", other.info.rate_sources, plugin.info.rate_sources),
            ("payout rail", other.info.payout_rails, plugin.info.payout_rails),
            ("KYC check", other.info.kyc_checks, plugin.info.kyc_checks),
            ("tax calculator", other.info.tax_calculators, plugin.info.tax_calculators),
            ("notifier", other.info.notifiers, plugin.info.notifiers),
        ):
            taken = sorted(set(theirs) & set(own))
            if taken:
                raise PluginIncompatible(
                    f"The {noun} {taken[0]!r} is offered by {_owner(other)} already."
                )


def _owner(plugin: LoadedPlugin) -> str:
    return plugin.info.distribution or plugin.info.name


def _refused(origin: PluginInfo, problem: BaseException) -> PluginInfo:
    if isinstance(problem, PluginIncompatible):
        words = problem.message
    else:
        words = str(problem) if isinstance(problem, NotLoaded) else said_by(problem)
    return msgspec.structs.replace(origin, status="refused", reason=clean_text(words))
