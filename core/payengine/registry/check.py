"""Does this installed plugin keep the contract, and if not, what must its author change?

Loading it checks the manifest and the settings' schema; the contract tests of `payengine.testing`
then run against the case that the plugin's function `conformance` returns.
"""

from __future__ import annotations

from typing import Any

import msgspec

from payengine.errors import PluginNotFound
from payengine.registry.answers import clean_text, said_by
from payengine.registry.loader import InstalledPlugins, LoadedPlugin, PluginInfo
from payengine.testing import CheckReport, GatewayCase, run

__all__ = ["PluginReport", "check_plugin"]


class PluginReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the check found. `problem` is why no contract test could run, or ""."""

    info: PluginInfo
    problem: str = ""
    reports: tuple[CheckReport, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the plugin loads and none of its checks failed."""
        ready = self.info.status == "ready" and not self.problem
        return ready and all(report.ok for report in self.reports)

    def to_plain(self) -> dict[str, Any]:
        """The report as JSON-ready builtins."""
        return {
            "ok": self.ok,
            "problem": self.problem,
            "plugin": msgspec.to_builtins(self.info),
            "gateways": [report.to_plain() for report in self.reports],
        }


def check_plugin(name: str, *, installed: InstalledPlugins | None = None) -> PluginReport:
    """Load the plugin `name` alone and run the contract tests on each of its gateways.

    Runs an event loop of its own. Raises `PluginNotFound`.
    """
    plugins = installed or InstalledPlugins.load(only=name)
    info = next((info for info in plugins.infos if info.name == name), None)
    if info is None:
        raise PluginNotFound(f"No plugin named {name[:100]!r} is installed.")
    if info.status == "refused":
        return PluginReport(info=info, problem=info.reason)
    plugin = plugins.plugin(name)
    try:
        cases = _cases_of(plugin)
    except (Exception, SystemExit) as problem:
        words = clean_text(f"conformance() failed: {said_by(problem)}")
        return PluginReport(info=info, problem=words)
    reports = [run(cases.get(one.name, one.gateway)) for one in plugin.gateways]
    return PluginReport(info=info, reports=tuple(reports))


def _cases_of(plugin: LoadedPlugin) -> dict[str, GatewayCase]:
    """The cases by their gateways' names; `conformance` returns one or several."""
    conformance = getattr(plugin.source, "conformance", None)
    made = conformance() if conformance else ()
    cases = (made,) if isinstance(made, GatewayCase) else tuple(made)
    for case in cases:
        if not isinstance(case, GatewayCase):
            raise TypeError(f"it returned a {type(case).__name__}, not a GatewayCase")
    return {case.manifest.name: case for case in cases}
