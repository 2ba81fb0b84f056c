"""Which promises does every gateway make?

One coroutine for each, by name. A check raises `ContractBroken` where the promise is broken and
`NotApplicable` where the manifest does not make it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from payengine.testing import (
    checks_declared,
    checks_disputes,
    checks_money,
    checks_unknown,
    checks_webhooks,
)
from payengine.testing.case import GatewayCase

__all__ = ["CHECKS", "FAULT_CHECKS", "PURE_CHECKS", "Check"]

Check = Callable[[GatewayCase], Coroutine[Any, Any, None]]

#: Those that call no provider.
PURE_CHECKS: tuple[str, ...] = tuple(check.__name__ for check in checks_declared.PURE)

#: Those in which something goes wrong: what a plugin survives.
FAULT_CHECKS: frozenset[str] = frozenset(
    {
        "one_key_charges_once_when_concurrent",
        "one_key_refuses_another_body",
        "lost_answer_is_no_decline",
        "tampered_webhook_is_refused",
        "forged_webhook_is_refused",
        "stale_webhook_is_refused",
        "early_webhook_is_refused",
        "garbage_webhook_is_refused",
    }
)

#: name → check, in the order in which they read best.
CHECKS: dict[str, Check] = {
    check.__name__: check
    for module in (
        checks_declared,
        checks_money,
        checks_unknown,
        checks_webhooks,
        checks_disputes,
    )
    for check in module.ALL
}
