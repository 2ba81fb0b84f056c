"""What do the rules say whose code is not here?

Remote scorers and the rules of plugin hosts are asked side by side, with no transaction open, each
within its own time. One that says nothing usable has its manifest's word for that in its place, and
the decision knows that something was missing.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import msgspec
import structlog

from payengine.context import TenantContext
from payengine.errors import PayengineError
from payengine.fraud.decide import Evaluated
from payengine.fraud.evaluation import ActiveRule, Unusable, judged
from payengine.plugin.fraud import FraudContext, RuleVerdict
from payengine.plugin.settings import PluginSettings

__all__ = ["Asking", "Asks"]

_log = structlog.get_logger(__name__)


class Asks(Protocol):
    """Whoever knows the way to a rule."""

    async def ask(
        self, context: TenantContext, rule: str, *, settings: PluginSettings, about: FraudContext
    ) -> object:
        """What the rule returned; raises a `PayengineError` where it did not."""
        ...


class Asking:
    """Asks for one process; without `desk` nobody can be reached."""

    def __init__(self, desk: Asks | None) -> None:
        self._desk = desk
        #: rule → how often nothing usable came back.
        self.failures: Counter[str] = Counter()

    async def ask(
        self, tenant: TenantContext, rules: Sequence[ActiveRule], about: FraudContext
    ) -> tuple[Evaluated, ...]:
        """What each says, in their order; never raises because of one."""
        if not rules:
            return ()
        # What crosses a socket is spelled, and a view of a mapping has no spelling.
        about = msgspec.structs.replace(
            about, metadata=dict(about.metadata), features=dict(about.features)
        )
        return tuple(await asyncio.gather(*(self._one(tenant, each, about) for each in rules)))

    async def _one(self, tenant: TenantContext, each: ActiveRule, about: FraudContext) -> Evaluated:
        began = time.perf_counter()
        verdict: RuleVerdict | str = "unreachable"
        if isinstance(each.rule, Unusable):
            verdict = "its settings cannot be read"
        elif self._desk is not None:
            try:
                answer = await self._desk.ask(
                    tenant, each.name, settings=each.settings, about=about
                )
                verdict = judged(answer)
            except PayengineError as problem:
                verdict = problem.message[:100]
        took_us = int((time.perf_counter() - began) * 1e6)
        if isinstance(verdict, str):
            return self._failed(each, verdict, took_us=took_us)
        return Evaluated(
            rule=each.name,
            version=each.version,
            mode=each.mode,
            verdict=verdict.verdict,
            reason=verdict.reason,
            detail=verdict.detail,
            score=verdict.score,
            took_us=took_us,
        )

    def _failed(self, each: ActiveRule, error: str, *, took_us: int) -> Evaluated:
        self.failures[each.name] += 1
        times = self.failures[each.name]
        if times & (times - 1) == 0:  # the first, second, fourth, eighth …
            _log.warning("fraud_rule_unanswered", rule=each.name, error=error, times=times)
        return Evaluated(
            rule=each.name,
            version=each.version,
            mode=each.mode,
            verdict=each.manifest.on_error,
            reason="rule_failed",
            took_us=took_us,
            error=error,
        )
