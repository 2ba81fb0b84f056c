"""What do the rules say of a payment of the past?

The installed rules with their defaults, the same objects that judge payments that wait. Without
labels they are all there is: then each rule's score is a chance of fraud by itself, and together
they are the chance that at least one of them is right. No time limit holds here, so that a busy
machine changes no score.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from payengine.fraud.decide import Evaluated, decide
from payengine.fraud.evaluation import ActiveRule, judged
from payengine.plugin.features import Feature
from payengine.plugin.fraud import FraudContext, RuleStage, RuleVerdict, VerdictKind
from payengine.plugin.settings import PluginSettings
from payengine.plugin.trees import TakesModel, TreeModel
from payengine.registry import InstalledPlugins, LoadedRule

__all__ = ["Bench", "Said", "combined"]

#: What a verdict is worth where its rule gives no score.
_WORTH: dict[VerdictKind, float] = {
    "abstain": 0.0,
    "allow": 0.0,
    "review": 0.3,
    "challenge": 0.5,
    "block": 0.9,
    "allow_list": 0.0,
    "hard_block": 0.99,
}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What all rules say: the decision, their combined score and the model's."""

    verdict: VerdictKind
    rules: float
    model: float | None


class Bench:
    """The rules of a stage that judge by themselves, and at most one model's."""

    def __init__(self, rules: Iterable[LoadedRule], *, stage: RuleStage) -> None:
        local = [
            each
            for each in rules
            if stage in each.manifest.stages and not each.manifest.remote and not each.hosted
        ]
        self._learned = [each for each in local if isinstance(each.rule, TakesModel)]
        self._plain = [
            _active(each)
            for each in local
            if each not in self._learned and each.manifest.default_mode != "off"
        ]

    @classmethod
    def installed(cls, *, stage: RuleStage) -> Bench:
        """Those that this program would use; strangers' code is left alone."""
        return cls(InstalledPlugins.load(strangers=False).rules.values(), stage=stage)

    @property
    def names(self) -> tuple[str, ...]:
        """Which rules are asked, without the model's."""
        return tuple(each.name for each in self._plain)

    @property
    def takes_models(self) -> bool:
        """Whether a rule that judges by a model is installed."""
        return bool(self._learned)

    def features(self) -> list[Feature]:
        """What the plain rules read."""
        return [f for each in self._plain for f in each.rule.features(each.settings)]

    def model(self, model: TreeModel) -> ActiveRule:
        """The model's rule, judging by this one. Raises `LookupError` where none is installed."""
        if not self._learned:
            raise LookupError("No installed rule takes a model.")
        loaded = self._learned[0]
        rule = loaded.rule
        assert isinstance(rule, TakesModel)
        return msgspec.structs.replace(_active(loaded), rule=rule.with_model(model), mode="live")

    def judge(self, context: FraudContext, model: ActiveRule | None = None) -> Said:
        """What they say; a rule that fails says what its manifest says for that."""
        plain = [_asked(each, context) for each in self._plain]
        scored = None if model is None else _asked(model, context)
        whole = plain if scored is None else [*plain, scored]
        return Said(
            verdict=decide(whole).verdict,
            rules=combined(plain),
            model=None if scored is None else scored.score,
        )


def combined(said: Sequence[Evaluated]) -> float:
    """One less the chance that every rule is wrong, taken as if they knew nothing of each other."""
    innocent = 1.0
    for each in said:
        if each.error or each.verdict == "abstain":
            continue
        worth = _WORTH[each.verdict] if each.score is None else each.score
        innocent *= 1.0 - worth
    return 1.0 - innocent


def _active(loaded: LoadedRule) -> ActiveRule:
    settings: PluginSettings = loaded.manifest.settings()
    return ActiveRule(
        name=loaded.name,
        rule=loaded.rule,  # type: ignore[arg-type]
        manifest=loaded.manifest,
        mode=loaded.manifest.default_mode,
        settings=settings,
        version=0,
    )


def _asked(each: ActiveRule, context: FraudContext) -> Evaluated:
    try:
        answer = judged(each.rule.evaluate(context, each.settings))
    except Exception as problem:
        answer = f"raised {type(problem).__name__}"
    if isinstance(answer, RuleVerdict):
        return Evaluated(
            rule=each.name,
            version=0,
            mode=each.mode,
            verdict=answer.verdict,
            reason=answer.reason,
            detail=answer.detail,
            score=answer.score,
        )
    return Evaluated(
        rule=each.name, version=0, mode=each.mode, verdict=each.manifest.on_error, error=answer
    )
