"""Does the plugin keep the contract in a plugin host too, and what is left when that is killed?

The same contract tests, every call of which crosses the host's socket; then the host is killed
while it rests and while a call is out, and must be replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal

from payengine.host.plugin import HostedPlugin
from payengine.plugin import parse_settings, to_plain
from payengine.registry.answers import clean_text, said_by
from payengine.registry.loader import LoadedPlugin
from payengine.testing import CheckReport, CheckResult, ContractBroken, GatewayCase, NotApplicable
from payengine.testing import check_gateway as run_checks

__all__ = ["check_in_host"]

_PATIENCE_S = 5.0
_STEP_S = 0.01


def check_in_host(plugin: LoadedPlugin, case: GatewayCase) -> CheckReport:
    """The results of the case's gateway; the plugin must have been loaded into a host."""
    assert isinstance(plugin.source, HostedPlugin)
    source = plugin.source
    name = case.manifest.name
    found = next(one for one in plugin.gateways if one.name == name)
    settings = parse_settings(found.manifest.settings, to_plain(case.settings))
    hosted = replace(case, gateway=found.gateway, settings=settings)
    # Started before the first deadline runs: that it starts in time is not the plugin's promise.
    source.host.describe(source.name)
    try:
        results = asyncio.run(_checked(source, hosted))
    finally:
        source.host.rest()
    return CheckReport(gateway=name, results=tuple(results))


async def _checked(source: HostedPlugin, case: GatewayCase) -> list[CheckResult]:
    results = await run_checks(case)
    for check in (_killed_at_rest, _killed_at_work):
        results.append(await _result(check, source, case))
    await case.aclose()
    return results


async def _result(
    check: Callable[[HostedPlugin, GatewayCase], Awaitable[None]],
    source: HostedPlugin,
    case: GatewayCase,
) -> CheckResult:
    began = time.perf_counter()
    verdict: Literal["passed", "failed", "skipped"] = "passed"
    message = ""
    try:
        await check(source, case)
    except NotApplicable as why:
        verdict, message = "skipped", str(why)
    except Exception as fault:
        verdict, message = "failed", clean_text(said_by(fault))
    return CheckResult(
        name=f"host{check.__name__}",
        title=(check.__doc__ or "").splitlines()[0],
        verdict=verdict,
        message=message,
        took_ms=round((time.perf_counter() - began) * 1_000),
    )


async def _killed_at_rest(source: HostedPlugin, case: GatewayCase) -> None:
    """Its host is killed between two payments: the next one finds another host."""
    if not case.approved_token:
        raise NotApplicable("the case gives no approved_token")
    await _approved(case)
    await _kill(source)
    await _approved(case)


async def _killed_at_work(source: HostedPlugin, case: GatewayCase) -> None:
    """Its host is killed while a payment is out: that one is unknown, the next one is served."""
    if case.make_timeout is None:
        raise NotApplicable("the case cannot make the provider fall silent")
    await _approved(case)
    silent = case.make_timeout(case.payment(capture=True))
    out = asyncio.ensure_future(case.gateway.authorize(case.call(), silent))
    await asyncio.sleep(_STEP_S)
    await _kill(source)
    with contextlib.suppress(Exception):
        answer = await asyncio.wait_for(out, _PATIENCE_S)
        raise ContractBroken(f"it answered {answer.status} after its host was killed")
    await _approved(case)


async def _approved(case: GatewayCase) -> None:
    """A payment that succeeds, with time for a host to start."""
    patient = replace(case, deadline_ms=round(_PATIENCE_S * 1_000))
    await patient.approved(capture=True)


async def _kill(source: HostedPlugin) -> None:
    pid = source.host.pid
    if pid is None:
        raise ContractBroken("its host does not run")
    os.kill(pid, signal.SIGKILL)
    for _ in range(round(_PATIENCE_S / _STEP_S)):
        if source.host.pid != pid:
            return
        await asyncio.sleep(_STEP_S)
