"""How likely is fraud, by what was learned? One rule, with a model for the first day."""

from __future__ import annotations

from collections.abc import Sequence

from payengine.plugin import FraudRule, hookimpl

from payengine_fraud_model.rule import ModelRule, ModelSettings, shipped_model

__all__ = ["ModelRule", "ModelSettings", "fraud_rules", "shipped_model"]


@hookimpl
def fraud_rules() -> Sequence[FraudRule]:
    """What this plugin brings."""
    return [ModelRule()]
