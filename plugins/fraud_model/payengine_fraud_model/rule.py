"""From which probability on is a payment reviewed, challenged or blocked?

The rule judges by the model that the tenant promoted, or by the one that is shipped here: trained
on synthetic payments, and good for the first day only. Each model's own features are read, no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from typing import Annotated

import msgspec
from payengine.plugin import (
    Feature,
    FraudContext,
    FraudRule,
    PluginSettings,
    RuleManifest,
    RuleVerdict,
    VerdictKind,
)
from payengine.plugin.trees import Scorer, TreeModel, read

__all__ = ["ModelRule", "ModelSettings", "shipped_model"]

#: A probability; 0 for never.
Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class ModelSettings(PluginSettings, frozen=True, kw_only=True):
    """From which probability of fraud on; 0 switches a threshold off."""

    review_at: Probability = 0.0
    challenge_at: Probability = 0.3
    block_at: Probability = 0.8


def shipped_model() -> TreeModel:
    """The model for the first day; raises `ModelInvalid` where the file was tampered with."""
    return read((files(__package__) / "day0.json").read_bytes())


class ModelRule:
    """The probability of fraud, by one model."""

    def __init__(self, model: TreeModel | None = None) -> None:
        """Without a model, the shipped one; it is read when it is first needed."""
        self._model = model

    @cached_property
    def scorer(self) -> Scorer:
        """The model, ready to score."""
        return Scorer(self._model or shipped_model())

    def with_model(self, model: TreeModel) -> FraudRule:
        """The same rule by another model."""
        return ModelRule(model)

    def describe(self) -> RuleManifest:
        """What it is: off until somebody wants it, because its facts are many."""
        return RuleManifest(
            name="model",
            title="Learned model",
            version="1.0.0",
            default_mode="off",
            time_limit_ms=3,
            settings=ModelSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """What the model reads of the past."""
        return self.scorer.model.features

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """The score, and the verdict of the highest threshold that it reaches."""
        assert isinstance(settings, ModelSettings)
        score = self.scorer.score(context)
        verdict: VerdictKind = "allow"
        if settings.block_at and score >= settings.block_at:
            verdict = "block"
        elif settings.challenge_at and score >= settings.challenge_at:
            verdict = "challenge"
        elif settings.review_at and score >= settings.review_at:
            verdict = "review"
        else:
            return RuleVerdict(verdict="allow", score=score)
        return RuleVerdict(
            verdict=verdict,
            reason="model_score",
            detail=f"a chance of fraud of {score:.0%} by the model {self.scorer.model.sha256[:8]}",
            score=score,
        )
