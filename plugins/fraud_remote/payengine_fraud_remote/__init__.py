"""How is another fraud provider asked? Signed JSON out, a verdict in."""

from __future__ import annotations

import os
from collections.abc import Sequence

from payengine.plugin import RemoteScorer, hookimpl

from payengine_fraud_remote.addresses import UrlRefused
from payengine_fraud_remote.provider import (
    ProviderFailed,
    RemoteProvider,
    RemoteProviderSettings,
)

__all__ = [
    "ProviderFailed",
    "RemoteProvider",
    "RemoteProviderSettings",
    "UrlRefused",
    "fraud_rules",
]

#: The operator's switch for outbound webhooks opens private networks here too.
_ALLOW_PRIVATE = "PAYENGINE_WEBHOOK_ALLOW_PRIVATE"
_ON = ("1", "true")


@hookimpl
def fraud_rules() -> Sequence[RemoteScorer]:
    """The one scorer."""
    allow_private = os.environ.get(_ALLOW_PRIVATE, "").strip().lower() in _ON
    return [RemoteProvider(allow_private=allow_private)]
