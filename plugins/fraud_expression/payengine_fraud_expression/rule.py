"""Which of a tenant's own conditions hold for a payment?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Literal

import msgspec
from payengine.plugin import (
    Feature,
    FraudContext,
    PluginSettings,
    RuleManifest,
    RuleStage,
    RuleVerdict,
)

from payengine_fraud_expression.language import Condition, compile_condition

__all__ = ["ExpressionRule", "ExpressionSettings", "OwnCondition"]

_MOST_CONDITIONS = 20
_MOST_FEATURES = 50

OwnVerdict = Literal["review", "challenge", "block", "allow_list", "hard_block"]
#: From the weakest.
_STRENGTH: tuple[str, ...] = ("review", "challenge", "block", "allow_list", "hard_block")

_NOTHING = RuleVerdict()
_FINE = RuleVerdict(verdict="allow")


class OwnCondition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When `when` holds at `stage`, the verdict is `then`.

    `name` is the reason that a reviewer is shown, `detail` a sentence for them. `score` is the
    share of such payments that the tenant expects to be fraud.
    """

    name: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,39}$")]
    when: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
    then: OwnVerdict = "review"
    stage: RuleStage = "pre_auth"
    detail: Annotated[str, msgspec.Meta(max_length=200)] = ""
    score: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None

    def __post_init__(self) -> None:
        """Raises `ExpressionWrong`."""
        compile_condition(self.when)


class ExpressionSettings(PluginSettings, frozen=True, kw_only=True, dict=True):
    """A tenant's conditions, in the order in which equal verdicts go before each other."""

    conditions: Annotated[tuple[OwnCondition, ...], msgspec.Meta(max_length=_MOST_CONDITIONS)] = ()

    def __post_init__(self) -> None:
        """Raises `ValueError` for two conditions of one name, and for too many features."""
        names = [one.name for one in self.conditions]
        if len(set(names)) < len(names):
            raise ValueError("two conditions have one name")
        if len(self.read) > _MOST_FEATURES:
            raise ValueError(f"the conditions ask for more than {_MOST_FEATURES} features")

    @cached_property
    def read(self) -> tuple[Feature, ...]:
        """What the conditions ask of the past, each once."""
        asked = [feature for one in self.compiled for feature in one[1].features]
        return tuple({feature.name: feature for feature in asked}.values())

    @cached_property
    def compiled(self) -> tuple[tuple[OwnCondition, Condition], ...]:
        """The conditions with their code, the strongest first."""
        order = sorted(self.conditions, key=lambda one: -_STRENGTH.index(one.then))
        return tuple((one, compile_condition(one.when)) for one in order)

    @cached_property
    def by_stage(self) -> dict[str, tuple[tuple[Condition, RuleVerdict], ...]]:
        """What to try at a stage, and what to say where it holds."""
        return {
            stage: tuple(
                (
                    code,
                    RuleVerdict(
                        verdict=one.then, reason=one.name, detail=one.detail, score=one.score
                    ),
                )
                for one, code in self.compiled
                if one.stage == stage
            )
            for stage in {one.stage for one in self.conditions}
        }


class ExpressionRule:
    """The tenant's own conditions; of those that hold, the strongest verdict stands."""

    def describe(self) -> RuleManifest:
        """What it is; off until there are conditions."""
        return RuleManifest(
            name="expression",
            title="Own conditions",
            version="1.0.0",
            stages=("pre_auth", "post_auth", "payout", "refund"),
            default_mode="off",
            settings=ExpressionSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """What the conditions ask of the past."""
        assert isinstance(settings, ExpressionSettings)
        return settings.read

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """The strongest verdict; abstains where the stage has no condition."""
        assert isinstance(settings, ExpressionSettings)
        own = settings.by_stage.get(context.stage)
        if own is None:
            return _NOTHING
        for condition, verdict in own:
            if condition.holds(context):
                return verdict
        return _FINE
