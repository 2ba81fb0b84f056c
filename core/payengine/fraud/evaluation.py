"""What if a rule raises, is too slow or answers nonsense?

Then its manifest's word for that stands in its place, and every other rule is asked as if nothing
had happened. A rule runs in this process: what burns its time is stopped by a timer where the
platform has one, and a rule that was too slow three times in a row is left alone for a while, for
the tenant whose settings made it so.
"""

from __future__ import annotations

import asyncio
import gc
import math
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from types import FrameType

import msgspec
import structlog

from payengine.fraud.decide import STRENGTH, Evaluated
from payengine.plugin.fraud import FraudContext, FraudRule, RuleManifest, RuleMode, RuleVerdict
from payengine.plugin.settings import PluginSettings
from payengine.screen import contains_card_number

__all__ = ["UNREAD", "ActiveRule", "Evaluator", "Unusable", "judged"]

#: All rules together; what one takes beyond its own limit is not charged to the others.
_ALL_MS = 5.0
#: A busy machine is no rule's fault, so the processor's time counts; but nobody holds the others
#: longer than this, whatever it waits for.
_WALL_MS = 10.0
_TICK_S = 0.001
_LEAST_MS = 0.05
_MOST_REASON = 100
_MOST_DETAIL = 500
_PATIENCE = 3
_REST_S = 30.0
_MOST_RESTING = 10_000
_MAIN_THREAD = threading.main_thread().ident

#: The error of a rule that was not asked because what it declared was not read.
UNREAD = "not asked: its features are unavailable"

_log = structlog.get_logger(__name__)


class ActiveRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as one tenant has set it up; `version` 0 stands for its defaults, `reads` are the
    names of the features that it declares."""

    name: str
    rule: FraudRule
    manifest: RuleManifest
    mode: RuleMode
    settings: PluginSettings
    version: int
    reads: frozenset[str] = frozenset()


class Unusable:
    """Stands for a rule whose settings it cannot say anything by."""

    def __init__(self, problem: str) -> None:
        self._problem = problem

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Raises `ValueError`."""
        raise ValueError(self._problem)


_NO_TEXT = RuleVerdict().reason
_PLAIN = frozenset({"abstain", "allow"})


class _TooSlow(BaseException):
    """Raised inside a rule, which must not catch it by chance."""


class Evaluator:
    """Asks the rules of this process; knows nothing of tenants but their ids."""

    def __init__(self) -> None:
        #: rule → how often it failed, by what.
        self.failures: Counter[tuple[str, str]] = Counter()
        self._slow: dict[tuple[uuid.UUID, str], tuple[int, float]] = {}
        self._alarm = _Alarm()

    def evaluate(
        self,
        tenant_id: uuid.UUID,
        rules: Sequence[ActiveRule],
        context: FraudContext,
        *,
        unread: bool = False,
    ) -> list[Evaluated]:
        """What each rule says, in their order; never raises because of a rule.

        `unread`: the context does not hold all that was declared. Rules that lack a part of theirs
        are not asked and abstain: it is not they who failed.
        """
        said = []
        left_ms = _ALL_MS
        with self._alarm:
            for each in rules:
                if unread and not each.reads <= context.features.keys():
                    said.append(_unread(each))
                    continue
                limit_ms = min(each.manifest.time_limit_ms, left_ms)
                if limit_ms <= _LEAST_MS or (self._slow and self._rests(tenant_id, each.name)):
                    said.append(self._failed(each, "not asked: too slow before", took_us=0))
                    continue
                one = self._ask(tenant_id, each, context, limit_ms=limit_ms)
                left_ms -= min(one.took_us / 1000, limit_ms)
                said.append(one)
        return said

    def _ask(
        self, tenant_id: uuid.UUID, each: ActiveRule, context: FraudContext, *, limit_ms: float
    ) -> Evaluated:
        alarm = self._alarm
        answer: object = None
        error = ""
        began = time.perf_counter()
        try:
            try:
                alarm.began, alarm.limit_ms = began, limit_ms
                answer = each.rule.evaluate(context, each.settings)
            finally:
                alarm.began = math.inf
        except _TooSlow:
            error = "too slow"
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as problem:
            error = f"raised {type(problem).__name__}"
        took_s = time.perf_counter() - began
        took_us = int(took_s * 1e6)
        # What no timer could stop is told by its clock.
        if not error and took_s * 1000 > limit_ms and alarm.is_over(began, limit_ms):
            error = "too slow"
        if error == "too slow" or self._slow:
            self._remember(tenant_id, each.name, slow=error == "too slow")
        if not error:
            verdict = judged(answer)
            if not isinstance(verdict, str):
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
            error = verdict
        return self._failed(each, error, took_us=took_us)

    def _failed(self, each: ActiveRule, error: str, *, took_us: int) -> Evaluated:
        self.failures[each.name, error] += 1
        times = self.failures[each.name, error]
        if times & (times - 1) == 0:  # the first, second, fourth, eighth …
            _log.warning("fraud_rule_failed", rule=each.name, error=error, times=times)
        return Evaluated(
            rule=each.name,
            version=each.version,
            mode=each.mode,
            verdict=each.manifest.on_error,
            reason="rule_failed",
            took_us=took_us,
            error=error,
        )

    def _rests(self, tenant_id: uuid.UUID, name: str) -> bool:
        times, until = self._slow.get((tenant_id, name), (0, 0.0))
        return times >= _PATIENCE and time.monotonic() < until

    def _remember(self, tenant_id: uuid.UUID, name: str, *, slow: bool) -> None:
        key = (tenant_id, name)
        if not slow:
            if self._slow:
                self._slow.pop(key, None)
            return
        if len(self._slow) >= _MOST_RESTING:
            self._slow.clear()
        times, _ = self._slow.get(key, (0, 0.0))
        self._slow[key] = (times + 1, time.monotonic() + _REST_S)


def _unread(each: ActiveRule) -> Evaluated:
    return Evaluated(
        rule=each.name,
        version=each.version,
        mode=each.mode,
        verdict="abstain",
        reason="features_unavailable",
        error=UNREAD,
    )


def judged(answer: object) -> RuleVerdict | str:
    """The verdict, or what is wrong with it: nothing of what a rule says is believed unseen."""
    if type(answer) is not RuleVerdict:
        return f"nonsense: a {type(answer).__name__}"
    verdict: object = answer.verdict
    if (  # as nearly all are: with nothing beside the word
        type(verdict) is str
        and verdict in _PLAIN
        and answer.score is None
        and answer.reason is _NO_TEXT
        and answer.detail is _NO_TEXT
    ):
        return answer
    if not isinstance(verdict, str) or verdict not in STRENGTH:
        return "nonsense: an unknown verdict"
    score: object = answer.score
    if score is not None and (
        isinstance(score, bool)
        or not isinstance(score, int | float)
        or not math.isfinite(score)
        or not 0 <= score <= 1
    ):
        return "nonsense: a score that is no probability"
    for text, most in ((answer.reason, _MOST_REASON), (answer.detail, _MOST_DETAIL)):
        spelled: object = text
        if not isinstance(spelled, str) or len(spelled) > most:
            return "nonsense: a text that is none, or too long"
        if spelled and (not spelled.isprintable() or contains_card_number(spelled)):
            return "nonsense: a text that may not be kept"
    return answer


class _Alarm:
    """Stops what runs in the main thread, unless others use its timer; elsewhere it cannot.

    Inside an event loop the timer runs until the loop's next turn: the payments of one batch are
    judged one after the other, and setting it takes longer than most rules do.
    """

    def __init__(self) -> None:
        #: When the rule began that runs, by the wall; infinite where none does.
        self.began = math.inf
        self.limit_ms = 0.0
        self._entered = (0.0, 0.0)
        self._runs = self._watches = self._collects = self._goes_on = False

    def __enter__(self) -> None:
        # What a collection runs must not be met by our alarm: nobody would hear of it.
        self._collects = gc.isenabled()
        gc.disable()
        is_main = threading.get_ident() == _MAIN_THREAD
        if not (is_main and self._runs):
            self._entered = (time.perf_counter(), time.thread_time())
            self._watches = is_main and self._set()
        else:
            self._watches = True

    def is_over(self, began: float, limit_ms: float) -> bool:
        """Whether what began then has had its time.

        The processor's time of what came before, since the timer was set, is taken to be its time
        by the wall: where the machine was busy, this one gains.
        """
        now = time.perf_counter()
        if (now - began) * 1000 >= _WALL_MS:
            return True
        wall, worked = self._entered
        return (time.thread_time() - worked - (began - wall)) * 1000 >= limit_ms

    def __exit__(self, *_: object) -> None:
        if self._watches and not self._goes_on:
            self._unset()
        self._watches = False
        if self._collects:
            gc.enable()

    def _set(self) -> bool:
        """Set the timer; False where it is somebody else's."""
        if not hasattr(signal, "setitimer") or signal.getitimer(signal.ITIMER_REAL)[0]:
            return False
        if signal.getsignal(signal.SIGALRM) != self._tick:
            signal.signal(signal.SIGALRM, self._tick)
        signal.setitimer(signal.ITIMER_REAL, _TICK_S, _TICK_S)
        self._runs = True
        try:
            asyncio.get_running_loop().call_soon(self._unset)
        except RuntimeError:
            self._goes_on = False  # no loop: it ends with what runs now
        else:
            self._goes_on = True
        return True

    def _unset(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        self._runs = False

    def _tick(self, number: int, frame: FrameType | None) -> None:
        if self._watches and self.began != math.inf and self.is_over(self.began, self.limit_ms):
            raise _TooSlow
