"""Which plugins does this installation have, and is this one right?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

if TYPE_CHECKING:
    from payengine.registry.check import PluginReport
    from payengine.registry.loader import PluginInfo

__all__ = ["plugins_app"]

plugins_app = App(name="plugins", help="List the installed plugins and check one of them.")

_Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]
_MARKS = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}


@plugins_app.command(name="list")
def list_plugins(*, json: _Json = False) -> None:
    """List the installed plugins; refused ones with the reason."""
    from payengine.registry.loader import InstalledPlugins

    infos = InstalledPlugins.load().infos
    if json:
        _print_json([msgspec.to_builtins(info) for info in infos])
        return
    if not infos:
        print("No plugin is installed.")
    for info in infos:
        _print_info(info)


@plugins_app.command
def check(name: str, *, json: _Json = False) -> None:
    """Check an installed plugin against the contract; exits with 1 where it breaks it.

    Parameters
    ----------
    name
        The plugin's name, as `payengine plugins list` shows it.
    """
    from payengine.errors import PluginNotFound
    from payengine.registry.check import check_plugin

    try:
        report = check_plugin(name)
    except PluginNotFound as error:
        if json:
            _print_json({"ok": False, "problem": error.message, "plugin": None, "gateways": []})
        else:
            print(error.message, file=sys.stderr)
        sys.exit(1)
    if json:
        _print_json(report.to_plain())
    else:
        _print_report(report)
    if not report.ok:
        sys.exit(1)


def _print_info(info: PluginInfo) -> None:
    package = f"{info.distribution} {info.version}".strip()
    print(f"{info.name:<16} {info.status:<8} {package}")
    if info.status == "refused":
        print(f"                 {info.reason}")
        return
    world = ", test worlds only" if info.test_worlds_only else ""
    gateways = ", ".join(info.gateways) or "none"
    print(f"                 {info.title}; gateways: {gateways}; contract {info.contract}{world}")


def _print_report(report: PluginReport) -> None:
    _print_info(report.info)
    if report.problem and report.problem != report.info.reason:
        print(f"FAIL  {report.problem}")
    for gateway in report.reports:
        print(f"\nGateway {gateway.gateway}")
        for result in gateway.results:
            print(f"  {_MARKS[result.verdict]}  {result.title}")
            if result.message:
                print(f"        {result.message}")
    results = [result for gateway in report.reports for result in gateway.results]
    counts = {verdict: sum(result.verdict == verdict for result in results) for verdict in _MARKS}
    print(
        f"\n{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped:"
        f" the plugin {'keeps' if report.ok else 'BREAKS'} the contract."
    )


def _print_json(value: Any) -> None:
    print(msgspec.json.encode(value).decode())
