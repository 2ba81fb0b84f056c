"""A stranger's rules, which run in a plugin host: by metadata each misbehaves in its way."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Annotated, Any, cast

import msgspec
from payengine.plugin import (
    Feature,
    FraudContext,
    PluginSettings,
    RuleManifest,
    RuleVerdict,
    hookimpl,
    velocity,
)

__all__ = ["fraud_rules"]


class CountSettings(PluginSettings, frozen=True, kw_only=True):
    """From how many payments in the window on the rule says so."""

    most: Annotated[int, msgspec.Meta(ge=1, le=100)] = 2
    window: str = "1h"


class There:
    """A rule that counts, and misbehaves where the payment's metadata asks for it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def describe(self) -> RuleManifest:
        """Off until a tenant switches it on."""
        return RuleManifest(
            name=self._name,
            title=self._name,
            version="1",
            default_mode="off",
            on_error="abstain",
            settings=CountSettings,
            stages=("pre_auth", "post_auth"),
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """One count over the window of the settings."""
        assert isinstance(settings, CountSettings)
        return (velocity("card", "count", settings.window),)

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Says what it counts, or misbehaves."""
        assert isinstance(settings, CountSettings)
        if context.stage == "post_auth":
            return RuleVerdict()
        wish = context.metadata.get(self._name)
        if wish is not None:
            return cast(RuleVerdict, _misbehave(wish))
        counted = context.number(f"card.count.{settings.window}")
        verdict: Any = "block" if counted >= settings.most else "allow"
        return RuleVerdict(verdict=verdict, reason="counted", detail=f"{counted:g}", score=0.25)


def _misbehave(wish: str) -> Any:
    if wish == "raise":
        raise ValueError("no")
    if wish == "spin":
        until = time.monotonic() + 60
        while time.monotonic() < until:
            pass
    if wish == "die":
        os._exit(3)
    if wish == "sure":
        return RuleVerdict(verdict="block", score=7.0)
    return {"verdict": "block"}


@hookimpl
def fraud_rules() -> Sequence[There]:
    """Two of them, so that one may fail beside the other."""
    return [There("there_one"), There("there_two")]
