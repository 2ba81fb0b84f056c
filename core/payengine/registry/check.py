"""Does this installed plugin keep the contract, and if not, what must its author change?

Loading it checks the manifest and the settings' schema; the contract tests of `payengine.testing`
then run against the case that the plugin's function `conformance` returns: in this process, and for
a plugin that will run in a plugin host, once more through a host, which is then killed twice.
"""

from __future__ import annotations

from typing import Any

import msgspec

from payengine.errors import PluginNotFound
from payengine.registry.answers import clean_text, said_by
from payengine.registry.check_host import check_in_host
from payengine.registry.hosting import Hosting
from payengine.registry.loader import InstalledPlugins, LoadedPlugin, PluginInfo
from payengine.testing import (
    CheckReport,
    GatewayCase,
    RailCase,
    RailReport,
    RuleCase,
    RuleReport,
    check_rail,
    check_rule,
    run,
)

__all__ = ["PluginReport", "check_plugin"]


class PluginReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the check found. `problem` is why no contract test could run, or "".

    `hosted` are the same tests through a plugin host; empty for what runs in process. `rules` are
    those of its fraud rules, `rails` those of its payout rails.
    """

    info: PluginInfo
    problem: str = ""
    reports: tuple[CheckReport, ...] = ()
    hosted: tuple[CheckReport, ...] = ()
    rules: tuple[RuleReport, ...] = ()
    rails: tuple[RailReport, ...] = ()

    @property
    def checked(self) -> tuple[CheckReport | RuleReport | RailReport, ...]:
        """All of the reports."""
        return (*self.reports, *self.hosted, *self.rules, *self.rails)

    @property
    def ok(self) -> bool:
        """Whether the plugin loads and none of its checks failed."""
        ready = self.info.status == "ready" and not self.problem
        return ready and all(one.ok for one in self.checked)

    @property
    def verdict(self) -> str:
        """What the checks say of the plugin, behind its name."""
        if not self.ok:
            return "BREAKS the contract"
        verdicts = [result.verdict for one in self.checked for result in one.results]
        if "passed" not in verdicts:
            return "loads; nothing else of it was checked"
        if verdicts.count("passed") < len(verdicts) / 2:
            return (
                f"keeps what could be checked: {verdicts.count('passed')} of {len(verdicts)} checks"
            )
        return "keeps the contract"

    def to_plain(self) -> dict[str, Any]:
        """The report as JSON-ready builtins."""
        return {
            "ok": self.ok,
            "problem": self.problem,
            "plugin": msgspec.to_builtins(self.info),
            "gateways": [report.to_plain() for report in self.reports],
            "in_host": [report.to_plain() for report in self.hosted],
            "rules": [report.to_plain() for report in self.rules],
            "rails": [report.to_plain() for report in self.rails],
        }


def check_plugin(name: str, *, installed: InstalledPlugins | None = None) -> PluginReport:
    """Load the plugin `name` alone and run the contract tests on all that it offers.

    Imports it into this process: call it where nothing worth protecting is held. Runs event loops
    of its own. Raises `PluginNotFound`.
    """
    here = Hosting(all_in_process=True)
    plugins = installed or InstalledPlugins.load(only=name, hosting=here)
    info = next((info for info in plugins.infos if info.name == name), None)
    if info is None:
        raise PluginNotFound(f"No plugin named {name[:100]!r} is installed.")
    if info.status == "refused":
        return PluginReport(info=info, problem=info.reason)
    plugin = plugins.plugin(name)
    try:
        cases, rule_cases, rail_cases = _cases_of(plugin)
    except (Exception, SystemExit) as problem:
        words = clean_text(f"conformance() failed: {said_by(problem)}")
        return PluginReport(info=info, problem=words)
    reports = [run(cases.get(one.name, one.gateway)) for one in plugin.gateways]
    rules = tuple(
        check_rule(rule_cases.get(one.name) or RuleCase(rule=one.rule)) for one in plugin.rules
    )
    rails = tuple(check_rail(one.rail, rail_cases.get(one.name)) for one in plugin.payout_rails)
    hosted: list[CheckReport] = []
    if installed is None and info.distribution and not Hosting().is_trusted(info.distribution):
        theirs = InstalledPlugins.load(only=name)
        found = next(one for one in theirs.infos if one.name == name)
        if found.status == "refused":
            return PluginReport(
                info=found, problem=found.reason, reports=tuple(reports), rules=rules, rails=rails
            )
        hosted = [check_in_host(theirs.plugin(name), case) for case in cases.values()]
    return PluginReport(
        info=info, reports=tuple(reports), hosted=tuple(hosted), rules=rules, rails=rails
    )


_Cases = tuple[dict[str, GatewayCase], dict[str, RuleCase], dict[str, RailCase]]


def _cases_of(plugin: LoadedPlugin) -> _Cases:
    """The cases by what they are of and its name; `conformance` returns one or several."""
    conformance = getattr(plugin.source, "conformance", None)
    made = conformance() if conformance else ()
    gateways: dict[str, GatewayCase] = {}
    rules: dict[str, RuleCase] = {}
    rails: dict[str, RailCase] = {}
    alone = isinstance(made, GatewayCase | RuleCase | RailCase)
    for case in (made,) if alone else tuple(made):
        if isinstance(case, GatewayCase):
            gateways[case.manifest.name] = case
        elif isinstance(case, RuleCase):
            rules[case.manifest.name] = case
        elif isinstance(case, RailCase):
            rails[case.manifest.name] = case
        else:
            raise TypeError(
                f"it returned a {type(case).__name__}, none of GatewayCase, RuleCase and RailCase"
            )
    return gateways, rules, rails
