"""Is it known already, as bad, as good or as a throw-away? Two rules about lists."""

from __future__ import annotations

from collections.abc import Sequence

from payengine.plugin import FraudRule, hookimpl

from payengine_fraud_lists.disposable import (
    DisposableEmail,
    DisposableEmailSettings,
    is_disposable,
)
from payengine_fraud_lists.lists import Lists, ListsSettings

__all__ = [
    "DisposableEmail",
    "DisposableEmailSettings",
    "Lists",
    "ListsSettings",
    "fraud_rules",
    "is_disposable",
]


@hookimpl
def fraud_rules() -> Sequence[FraudRule]:
    """What this plugin brings."""
    return [Lists(), DisposableEmail()]
