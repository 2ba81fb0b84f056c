"""Does an installed plugin keep the contract?

`run("name")` finds the gateway by the plugins' entry points and its case by the plugin's function
`conformance`; `check_gateway(case)` runs the same checks as the contract tests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Literal

from payengine.plugin import ENTRY_POINT_GROUP, Gateway, PluginSettings
from payengine.testing.case import GatewayCase, NotApplicable
from payengine.testing.checks import CHECKS, PURE_CHECKS

__all__ = ["CheckReport", "CheckResult", "check_gateway", "run"]

_CHECK_LIMIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """How one check ended; `message` says what is broken or why it was skipped."""

    name: str
    title: str
    verdict: Literal["passed", "failed", "skipped"]
    message: str = ""
    took_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """The results of one gateway."""

    gateway: str
    results: tuple[CheckResult, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(result.verdict != "failed" for result in self.results)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(result.name for result in self.results if result.verdict == "failed")

    def to_plain(self) -> dict[str, Any]:
        """The report as JSON-ready builtins."""
        return {
            "gateway": self.gateway,
            "ok": self.ok,
            "results": [dict(vars(result)) for result in self.results],
        }


async def check_gateway(
    case: GatewayCase, *, only: Iterable[str] | None = None
) -> list[CheckResult]:
    """Run every check, or those named in `only`, one after the other; never raises for a fault."""
    wanted = set(CHECKS if only is None else only)
    results = [await _check(name, case) for name in CHECKS if name in wanted]
    await case.aclose()
    return results


def run(gateway: str | Gateway | GatewayCase) -> CheckReport:
    """Check a gateway: a case, an object, or the name of an installed plugin or gateway.

    An object without a case gets the checks that need no provider. Raises `LookupError` where no
    gateway of that name is installed.
    """
    found = _installed(gateway) if isinstance(gateway, str) else gateway
    if isinstance(found, GatewayCase):
        results = asyncio.run(check_gateway(found))
        return CheckReport(gateway=found.manifest.name, results=tuple(results))
    case = GatewayCase(
        gateway=found, settings=PluginSettings(), approved_token="", declined_token=""
    )
    results = asyncio.run(check_gateway(case, only=PURE_CHECKS))
    results += [
        CheckResult(
            name=name,
            title=_title(name),
            verdict="skipped",
            message="the plugin has no function `conformance` that returns a GatewayCase",
        )
        for name in CHECKS
        if name not in PURE_CHECKS
    ]
    return CheckReport(gateway=case.manifest.name, results=tuple(results))


async def _check(name: str, case: GatewayCase) -> CheckResult:
    began = time.perf_counter()
    verdict: Literal["passed", "failed", "skipped"] = "passed"
    message = ""
    try:
        await asyncio.wait_for(CHECKS[name](case), _CHECK_LIMIT_S)
    except NotApplicable as why:
        verdict, message = "skipped", str(why)
    except Exception as fault:
        verdict, message = "failed", f"{type(fault).__name__}: {fault}"
    took_ms = round((time.perf_counter() - began) * 1000)
    return CheckResult(
        name=name, title=_title(name), verdict=verdict, message=message, took_ms=took_ms
    )


def _title(name: str) -> str:
    return (CHECKS[name].__doc__ or name).strip().splitlines()[0]


def _installed(name: str) -> GatewayCase | Gateway:
    known: list[str] = []
    for point in entry_points(group=ENTRY_POINT_GROUP):
        plugin = point.load()
        offered = plugin.gateways() if hasattr(plugin, "gateways") else ()
        for gateway in offered:
            own_name = gateway.describe().name
            known.append(own_name)
            if name not in (own_name, point.name):
                continue
            return _case_of(plugin, own_name) or gateway
    raise LookupError(f"no gateway {name!r} is installed; known: {', '.join(sorted(known))}")


def _case_of(plugin: Any, gateway_name: str) -> GatewayCase | None:
    conformance = getattr(plugin, "conformance", None)
    if conformance is None:
        return None
    made = conformance()
    cases = made if isinstance(made, Iterable) else (made,)
    return next(
        (
            case
            for case in cases
            if isinstance(case, GatewayCase) and case.manifest.name == gateway_name
        ),
        None,
    )
