"""Which plugins does this installation have, and is this one right?"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

if TYPE_CHECKING:
    from payengine.registry.check import PluginReport
    from payengine.registry.loader import PluginInfo

__all__ = ["plugins_app"]

plugins_app = App(name="plugins", help="List the installed plugins and check one of them.")

_Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]
_SECRETS = (
    "PAYENGINE_DATABASE_URL",
    "PAYENGINE_MIGRATION_URL",
    "PAYENGINE_REDIS_URL",
    "PAYENGINE_MASTER_KEY_FILE",
)
_MARKS = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}


@plugins_app.command(name="list")
def list_plugins(*, json: _Json = False) -> None:
    """List the installed plugins; refused ones with the reason."""
    from payengine.registry.hosting import Hosting
    from payengine.registry.loader import InstalledPlugins
    from payengine.settings import Settings

    hosting = Hosting.from_settings(Settings.from_environment())
    infos = InstalledPlugins.load(hosting=hosting).infos
    if json:
        _print_json([msgspec.to_builtins(info) for info in infos])
        return
    if not infos:
        print("No plugin is installed.")
    for info in infos:
        _print_info(info)


@plugins_app.command
def check(name: str, *, report: Path | None = None, json: _Json = False) -> None:
    """Check an installed plugin against the contract; exits with 1 where it breaks it.

    Parameters
    ----------
    name
        The plugin's name, as `payengine plugins list` shows it.
    report
        A file for the certificate, as JSON; beside it one to read, ending in .md.
    """
    from payengine.errors import PluginNotFound
    from payengine.registry.certificate import certify, write
    from payengine.registry.check import check_plugin

    # The plugin's code runs here, and what it must not know is of no use to a check.
    for variable in _SECRETS:
        os.environ.pop(variable, None)
    try:
        found = check_plugin(name)
    except PluginNotFound as error:
        if json:
            _print_json({"ok": False, "problem": error.message, "plugin": None, "gateways": []})
        else:
            print(error.message, file=sys.stderr)
        sys.exit(1)
    if report is not None:
        write(certify(found, at=datetime.now(UTC)), report)
    if json:
        _print_json(found.to_plain())
    else:
        _print_report(found)
    if not found.ok:
        sys.exit(1)


def _print_info(info: PluginInfo) -> None:
    package = f"{info.distribution} {info.version}".strip()
    print(f"{info.name:<16} {info.status:<8} {package}")
    if info.status == "refused":
        print(f"                 {info.reason}")
        return
    world = ", test worlds only" if info.test_worlds_only else ""
    kinds = {"gateways": info.gateways, "wallets": info.wallets, "fraud rules": info.rules}
    kinds |= {"payout rails": info.payout_rails}
    named = [f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names]
    offers = "; ".join(named) or "gateways: none"
    place = ", in a plugin host" if info.place == "host" else ""
    print(f"                 {info.title}; {offers}; contract {info.contract}{world}{place}")


def _print_report(report: PluginReport) -> None:
    _print_info(report.info)
    if report.problem and report.problem != report.info.reason:
        print(f"FAIL  {report.problem}")
    for gateway in (*report.reports, *report.hosted):
        place = ", in a plugin host" if gateway in report.hosted else ""
        print(f"\nGateway {gateway.gateway}{place}")
        for result in gateway.results:
            print(f"  {_MARKS[result.verdict]}  {result.title}")
            if result.message:
                print(f"        {result.message}")
    for rule in report.rules:
        print(f"\nFraud rule {rule.rule}")
        for result in rule.results:
            print(f"  {_MARKS[result.verdict]}  {result.title}")
            if result.message:
                print(f"        {result.message}")
    for rail in report.rails:
        print(f"\nPayout rail {rail.rail}")
        for result in rail.results:
            print(f"  {_MARKS[result.verdict]}  {result.title}")
            if result.message:
                print(f"        {result.message}")
    results = [result for checked in report.checked for result in checked.results]
    counts = {verdict: sum(result.verdict == verdict for result in results) for verdict in _MARKS}
    print(
        f"\n{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped:"
        f" the plugin {report.verdict}."
    )


def _print_json(value: Any) -> None:
    print(msgspec.json.encode(value).decode())
