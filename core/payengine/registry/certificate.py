"""What can a plugin's author show to those who are to trust it?

A certificate: which plugin, which engine and Python, each promise with its result, and which faults
it survived. Its digest covers all of it, and the digest of the package's files says which build was
checked. It is a record of what the author's machine saw, and no signature.
"""

from __future__ import annotations

import platform
import sys
from datetime import datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import msgspec

from payengine import __version__
from payengine.plugin import CONTRACT_VERSION
from payengine.registry.check import PluginReport
from payengine.testing.checks import FAULT_CHECKS
from payengine.testing.checks_rules import RULE_FAULT_CHECKS

__all__ = ["certify", "digest_of", "write"]

_MARKS = {"passed": "✓", "failed": "✗ **failed**", "skipped": "– skipped"}
_COMPILED = (".pyc", ".pyo")


def certify(report: PluginReport, *, at: datetime) -> dict[str, Any]:
    """The certificate of a check that ended at the instant `at`, as plain values."""
    plain = report.to_plain()
    results = [
        result
        for checked in report.checked
        for result in checked.results
        if result.name in FAULT_CHECKS | RULE_FAULT_CHECKS or result.name.startswith("host_")
    ]
    survived = [one.title for one in results if one.verdict == "passed"]
    certificate: dict[str, Any] = {
        "format": 1,
        "ok": report.ok,
        "verdict": report.verdict,
        "checked_at": at.isoformat(timespec="seconds"),
        "plugin": {**plain["plugin"], "files_sha256": _files_of(report.info.distribution)},
        "engine": {"version": __version__, "contract": CONTRACT_VERSION},
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "problem": report.problem,
        "in_process": plain["gateways"],
        "in_host": plain["in_host"],
        "rules": plain["rules"],
        "rails": plain["rails"],
        "faults_survived": list(dict.fromkeys(survived)),
    }
    return {**certificate, "digest": digest_of(certificate)}


def digest_of(certificate: dict[str, Any]) -> str:
    """The SHA-256 of the certificate without its digest, in JSON with sorted keys."""
    kept = {name: value for name, value in certificate.items() if name != "digest"}
    return sha256(msgspec.json.encode(kept, order="sorted")).hexdigest()


def write(certificate: dict[str, Any], file: Path) -> None:
    """Write the JSON, and beside it the same for people."""
    spelled = msgspec.json.format(msgspec.json.encode(certificate), indent=2)
    file.write_bytes(spelled + b"\n")
    file.with_suffix(".md").write_text(_page(certificate))


def _files_of(name: str) -> str:
    """The SHA-256 of the package's files with their names; "" where it was not installed so."""
    try:
        files = distribution(name).files if name else None
    except PackageNotFoundError:
        files = None
    found = sha256()
    for path in sorted(files or (), key=str):
        place = Path(str(path.locate()))
        if path.suffix in _COMPILED or ".dist-info" in str(path) or not place.is_file():
            continue
        found.update(f"{path}\0{sha256(place.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest() if files else ""


def _page(certificate: dict[str, Any]) -> str:
    plugin, engine = certificate["plugin"], certificate["engine"]
    lines = [
        f"# {plugin['title'] or plugin['name']} {certificate['verdict']}",
        "",
        "| | |",
        "|---|---|",
        f"| plugin | `{plugin['name']}`, {plugin['distribution']} {plugin['version']} |",
        f"| its files | `{plugin['files_sha256'] or 'not known'}` |",
        f"| engine | payengine {engine['version']}, plugin contract {engine['contract']} |",
        f"| Python | {certificate['python']} on {certificate['platform']} |",
        f"| checked | {certificate['checked_at']} |",
        f"| digest | `{certificate['digest']}` |",
    ]
    if certificate["problem"]:
        lines += ["", certificate["problem"]]
    for place, name in (("in_process", "In process"), ("in_host", "In a plugin host")):
        for gateway in certificate[place]:
            lines += ["", f"## {name}: {gateway['gateway']}", "", "| promise | kept |", "|---|---|"]
            lines += [_row(result) for result in gateway["results"]]
    for rule in certificate["rules"]:
        lines += ["", f"## Fraud rule: {rule['rule']}", "", "| promise | kept |", "|---|---|"]
        lines += [_row(result) for result in rule["results"]]
    for rail in certificate["rails"]:
        lines += ["", f"## Payout rail: {rail['rail']}", "", "| promise | kept |", "|---|---|"]
        lines += [_row(result) for result in rail["results"]]
    lines += ["", "## Faults survived", ""]
    lines += [f"- {fault}" for fault in certificate["faults_survived"]] or ["None was tried."]
    return "\n".join(lines) + "\n"


def _row(result: dict[str, Any]) -> str:
    why = f": {result['message']}" if result["message"] else ""
    return f"| {result['title']} | {_MARKS[result['verdict']]}{why} |".replace("\n", " ")
