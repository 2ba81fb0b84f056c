"""What do the test tokens say to the fraud rules?

A rule for test worlds, so that each way a decision can go can be gone by hand: its tokens are the
sandbox's own, and every one of them is approved by the gateway.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from payengine.plugin import (
    Feature,
    FraudContext,
    PluginSettings,
    RuleManifest,
    RuleVerdict,
)

__all__ = ["FRAUD_TOKENS", "SandboxRule"]

#: Longer than any rule may take.
_TOO_LONG_S = 0.05

FRAUD_TOKENS: dict[str, RuleVerdict] = {
    "tok_fraud_allow": RuleVerdict(verdict="allow", reason="test_token"),
    "tok_fraud_review": RuleVerdict(verdict="review", reason="test_token"),
    "tok_fraud_challenge": RuleVerdict(verdict="challenge", reason="test_token"),
    "tok_fraud_block": RuleVerdict(verdict="block", reason="test_token"),
    "tok_fraud_timeout": RuleVerdict(verdict="block", reason="test_token"),
}
_NOTHING = RuleVerdict()
_LATE_TOKEN = "tok_fraud_timeout"  # noqa: S105 - a test token's name, no secret


class SandboxRule:
    """Says what the token's name says; `tok_fraud_timeout` says it too late."""

    def describe(self) -> RuleManifest:
        """What this rule is."""
        return RuleManifest(
            name="sandbox_tokens", title="Sandbox tokens", version="1.0", default_mode="live"
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """Nothing: the token is enough."""
        return ()

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """What it thinks of the payment."""
        found = FRAUD_TOKENS.get(context.test_token or "", _NOTHING)
        if context.test_token == _LATE_TOKEN:
            time.sleep(_TOO_LONG_S)
        return found
