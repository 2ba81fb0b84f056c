"""Which promises does every gateway make?

One coroutine for each, by name. A check raises `ContractBroken` where the promise is broken and
`NotApplicable` where the manifest does not make it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from payengine.testing import checks_declared, checks_money, checks_unknown, checks_webhooks
from payengine.testing.case import GatewayCase

__all__ = ["CHECKS", "PURE_CHECKS", "Check"]

Check = Callable[[GatewayCase], Coroutine[Any, Any, None]]

#: Those that call no provider.
PURE_CHECKS: tuple[str, ...] = tuple(check.__name__ for check in checks_declared.PURE)

#: name → check, in the order in which they read best.
CHECKS: dict[str, Check] = {
    check.__name__: check
    for module in (checks_declared, checks_money, checks_unknown, checks_webhooks)
    for check in module.ALL
}
