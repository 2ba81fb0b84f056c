"""Rules that tests bring with them, as a plugin of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from payengine.plugin import (
    Feature,
    FraudContext,
    FraudRule,
    OnError,
    PluginSettings,
    RuleManifest,
    RuleMode,
    RuleStage,
    RuleVerdict,
    hookimpl,
)

__all__ = ["Rule", "RulePack"]


class Rule:
    """A rule made of a function."""

    def __init__(
        self,
        name: str,
        say: Callable[[FraudContext], Any],
        *features: Feature,
        mode: RuleMode = "live",
        on_error: OnError = "abstain",
        stages: tuple[RuleStage, ...] = ("pre_auth",),
        settings: type[PluginSettings] = PluginSettings,
    ) -> None:
        self._say = say
        self._features = features
        self._manifest = RuleManifest(
            name=name,
            title=name,
            version="1",
            default_mode=mode,
            on_error=on_error,
            stages=stages,
            settings=settings,
        )

    def describe(self) -> RuleManifest:
        """What it is."""
        return self._manifest

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """What it was given."""
        return self._features

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Whatever the function says, nonsense too."""
        return cast(RuleVerdict, self._say(context))


class RulePack:
    """A plugin of rules."""

    def __init__(self, *rules: FraudRule) -> None:
        self._rules = rules

    @hookimpl
    def fraud_rules(self) -> Sequence[FraudRule]:
        """Its rules."""
        return self._rules
