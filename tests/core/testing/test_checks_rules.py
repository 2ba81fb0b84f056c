"""Does each check of fraud rules notice the fault that it is there for?"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from payengine.plugin import (
    Call,
    Feature,
    FraudContext,
    PluginSettings,
    RuleManifest,
    RuleVerdict,
    Secret,
    velocity,
)
from payengine.testing import (
    RuleCase,
    RuleContract,
    RuleReport,
    RuleSample,
    check_rule,
    sample_context,
)
from payengine.testing.checks_rules import RULE_CHECKS, RULE_FAULT_CHECKS

_COUNT = velocity("card", "count", "1h")


class _Settings(PluginSettings, frozen=True, kw_only=True):
    most: int = 2


class Sound:
    """A rule that keeps the contract."""

    def describe(self) -> RuleManifest:
        return RuleManifest(name="sound", title="Sound", version="1", settings=_Settings)

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        return (_COUNT,)

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        assert isinstance(settings, _Settings)
        if context.number(_COUNT.name) > settings.most:
            return RuleVerdict(verdict="review", reason="often", score=0.4)
        return RuleVerdict(verdict="allow")


class _Described(Sound):
    changes: ClassVar[dict[str, Any]]

    def describe(self) -> RuleManifest:
        return msgspec.structs.replace(super().describe(), **self.changes)


class NoStage(_Described):
    changes: ClassVar[dict[str, Any]] = {"stages": ()}


class TooPatient(_Described):
    changes: ClassVar[dict[str, Any]] = {"time_limit_ms": 50}


class OtherContract(_Described):
    changes: ClassVar[dict[str, Any]] = {"contract": "2.0"}


class Changing(Sound):
    def __init__(self) -> None:
        self._asked = 0

    def describe(self) -> RuleManifest:
        self._asked += 1
        return msgspec.structs.replace(super().describe(), version=str(self._asked))


class _Needy(PluginSettings, frozen=True, kw_only=True):
    most: int


class NeedsSettings(_Described):
    changes: ClassVar[dict[str, Any]] = {"settings": _Needy}


class _Keyed(PluginSettings, frozen=True, kw_only=True):
    key: Secret = ""


class HoldsSecret(_Described):
    changes: ClassVar[dict[str, Any]] = {"settings": _Keyed}

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        return RuleVerdict()


class DeclaresNonsense(Sound):
    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        return (Feature(entity="card", measure="distinct", of="colour"),)


class Remembers(Sound):
    def __init__(self) -> None:
        self._seen: set[int] = set()

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        known = context.amount_minor in self._seen
        self._seen.add(context.amount_minor)
        return RuleVerdict(verdict="allow" if known else "abstain")


class Scribbles(Sound):
    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        context.features["mine"] = 1
        return RuleVerdict()


class ReadsMore(Sound):
    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        context.number("device.count.1h")
        return super().evaluate(context, settings)


class NeedsFeatures(Sound):
    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        count = context.features[_COUNT.name]
        assert isinstance(count, (int, float)), "no count"
        return RuleVerdict()


class Divides(Sound):
    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        return RuleVerdict(verdict="allow", score=min(1.0, 1 / abs(context.amount_minor)))


class Shouts(Sound):
    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        return RuleVerdict(verdict="block", reason="Very Bad!")


class Certain(Sound):
    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        return RuleVerdict(verdict="review", reason="sure", score=1.5)


class Ponders(Sound):
    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        until = time.thread_time_ns() + 3_000_000
        while time.thread_time_ns() < until:
            pass
        return RuleVerdict()


class ReadsFiles(Sound):
    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        Path(__file__).read_bytes()
        return RuleVerdict()


class SpeaksUnchecked(_Described):
    changes: ClassVar[dict[str, Any]] = {"stages": ("post_auth",), "needs_checks": True}


class Misjudges(Sound):
    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        return RuleVerdict(verdict="allow")


FAULTS: list[tuple[type[Sound], str]] = [
    (NoStage, "rule_manifest_is_valid"),
    (TooPatient, "rule_manifest_is_valid"),
    (OtherContract, "rule_manifest_is_valid"),
    (Changing, "rule_manifest_is_constant"),
    (NeedsSettings, "rule_settings_are_valid"),
    (HoldsSecret, "rule_settings_are_valid"),
    (DeclaresNonsense, "rule_features_are_declared"),
    (Misjudges, "rule_samples_get_their_verdicts"),
    (Remembers, "rule_is_deterministic"),
    (Scribbles, "rule_changes_nothing"),
    (ReadsMore, "rule_reads_only_what_it_declares"),
    (NeedsFeatures, "rule_survives_missing_features"),
    (Divides, "rule_survives_nonsense"),
    (Shouts, "rule_verdicts_are_valid"),
    (Certain, "rule_verdicts_are_valid"),
    (SpeaksUnchecked, "rule_verdicts_are_valid"),
    (Ponders, "rule_keeps_its_time"),
    (ReadsFiles, "rule_reaches_out_to_nobody"),
]


def _case(kind: type[Sound]) -> RuleCase:
    often = sample_context(features={_COUNT.name: 3})
    return RuleCase(rule=kind(), samples=[RuleSample(context=often, verdict="review")])


def _verdicts(report: RuleReport) -> dict[str, str]:
    return {result.name: result.verdict for result in report.results}


@pytest.mark.parametrize(("kind", "check"), FAULTS, ids=lambda one: getattr(one, "__name__", one))
def test_a_planted_fault_is_noticed(kind: type[Sound], check: str) -> None:
    with pytest.raises(Exception) as fault:
        RULE_CHECKS[check](_case(kind))
    assert str(fault.value)


def test_every_check_has_a_planted_fault() -> None:
    assert {check for _, check in FAULTS} == set(RULE_CHECKS)
    assert set(RULE_CHECKS) > RULE_FAULT_CHECKS


def test_a_sound_rule_passes_every_check() -> None:
    report = check_rule(_case(Sound))
    assert report.ok
    assert set(_verdicts(report).values()) == {"passed"}
    assert json.loads(json.dumps(report.to_plain()))["rule"] == "sound"


def test_a_fault_fails_the_report_and_no_more() -> None:
    report = check_rule(_case(Shouts))
    assert not report.ok
    assert "rule_verdicts_are_valid" in report.failed
    assert _verdicts(report)["rule_manifest_is_valid"] == "passed"


class _Asks:
    """A scorer whose provider always answers the same."""

    def describe(self) -> RuleManifest:
        return RuleManifest(name="asks", title="Asks", version="1", remote=True, time_limit_ms=500)

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        return ()

    async def score(self, call: Call, context: FraudContext) -> RuleVerdict:
        return RuleVerdict(verdict="review", reason="said_so")


def test_who_asks_somebody_else_is_checked_by_its_samples() -> None:
    samples = [RuleSample(context=sample_context(), verdict="review", reason="said_so")]
    verdicts = _verdicts(check_rule(RuleCase(rule=_Asks(), samples=samples)))
    assert verdicts["rule_samples_get_their_verdicts"] == "passed"
    assert verdicts["rule_verdicts_are_valid"] == "passed"
    assert verdicts["rule_is_deterministic"] == "skipped"


class TestSound(RuleContract):
    """The tests are inherited, one for each check."""

    def case(self) -> RuleCase:
        return _case(Sound)

    def test_every_check_is_a_test(self) -> None:
        assert {f"test_{name}" for name in RULE_CHECKS} <= set(dir(self))
