"""Does it stand on one of the tenant's lists?

What stands there, and how it is kept, is the engine's; this rule says what it means. A card, an
e-mail address or its domain, an address or a network, a device, an issuer range, a country, a
customer or a seller can be blocked or allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from payengine.plugin import (
    Feature,
    FraudContext,
    PluginSettings,
    RuleManifest,
    RuleVerdict,
    listed,
)

__all__ = ["Lists", "ListsSettings"]

_FEATURES = (listed("block"), listed("allow"))
_BLOCK, _ALLOW = (feature.name for feature in _FEATURES)
_NOTHING = RuleVerdict()


class ListsSettings(PluginSettings, frozen=True, kw_only=True):
    """What an entry of the block list means.

    An allow list overrules `block`, so that one customer of a blocked country may be let in; it
    does not overrule `hard_block`.

    With `allow_list_decides` off, an allowed entry is logged and overrules nothing.
    """

    blocked: Literal["hard_block", "block", "challenge", "review"] = "block"
    allow_list_decides: bool = True


class Lists:
    """The tenant's block and allow lists."""

    def describe(self) -> RuleManifest:
        """What it is."""
        return RuleManifest(
            name="lists",
            title="Block and allow lists",
            version="1.0.0",
            stages=("pre_auth", "payout", "refund"),
            default_mode="live",
            settings=ListsSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """On which lists the payment stands."""
        return _FEATURES

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains where it stands on none."""
        assert isinstance(settings, ListsSettings)
        blocked, allowed = context.features.get(_BLOCK), context.features.get(_ALLOW)
        if isinstance(blocked, str) and blocked:
            if allowed and settings.blocked != "hard_block" and settings.allow_list_decides:
                return _allowed(str(allowed))
            return RuleVerdict(
                verdict=settings.blocked,
                reason="block_list",
                detail=f"on the block list: {blocked[:100]}",
                score=1.0,
            )
        if isinstance(allowed, str) and allowed:
            if settings.allow_list_decides:
                return _allowed(allowed)
            return RuleVerdict(
                verdict="allow", reason="allow_list", detail=f"on the allow list: {allowed[:100]}"
            )
        return _NOTHING


def _allowed(kinds: str) -> RuleVerdict:
    return RuleVerdict(
        verdict="allow_list",
        reason="allow_list",
        detail=f"on the allow list: {kinds[:100]}",
        score=0.0,
    )
