"""How does a tenant write its own fraud rules, and why can none of them hurt?"""

from __future__ import annotations

from collections.abc import Sequence

from payengine.plugin import FraudRule, hookimpl

from payengine_fraud_expression.language import Condition, ExpressionWrong, compile_condition
from payengine_fraud_expression.rule import ExpressionRule, ExpressionSettings, OwnCondition

__all__ = [
    "Condition",
    "ExpressionRule",
    "ExpressionSettings",
    "ExpressionWrong",
    "OwnCondition",
    "compile_condition",
    "fraud_rules",
]


@hookimpl
def fraud_rules() -> Sequence[FraudRule]:
    """The one rule."""
    return [ExpressionRule()]
