"""What did this process send a moment ago, and how did it end?

PayPal finds an order by its own id only. What was sent and not answered is therefore remembered for
a while: a lookup asks it again under the same PayPal-Request-Id. Nothing relies on it: another
process, or this one later, does the same by the engine's stored request.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from payengine.plugin import Authorize, Outcome

__all__ = ["Memory", "Sent"]

#: Far less than the shortest time for which PayPal remembers the id of a request.
_KEPT_S = 600.0
_MOST = 10_000


@dataclass(slots=True)
class Sent:
    """An authorization that was sent; `outcome` is PayPal's answer, None while there is none."""

    request: Authorize
    at: float
    outcome: Outcome | None = None


class Memory:
    """What was sent, by account and key; the oldest goes first. Safe for threads."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._sent: OrderedDict[tuple[str, str], Sent] = OrderedDict()

    def sending(self, account: str, request: Authorize) -> None:
        """`request` is about to go out; the answer to an earlier sending stays."""
        name, now = (account, request.key), time.monotonic()
        with self._turn:
            if self._found(name, now) is None:
                self._sent[name] = Sent(request, now)
            while len(self._sent) > _MOST:
                self._sent.popitem(last=False)

    def ended(self, account: str, key: str, outcome: Outcome) -> None:
        """PayPal has answered."""
        with self._turn:
            sent = self._sent.get((account, key))
            if sent is not None:
                sent.outcome = outcome

    def never_left(self, account: str, key: str) -> None:
        """It was not sent after all; an earlier sending that had an answer stays."""
        with self._turn:
            sent = self._sent.get((account, key))
            if sent is not None and sent.outcome is None:
                del self._sent[account, key]

    def find(self, account: str, key: str) -> Sent | None:
        """What was sent with `key`, if that was a moment ago."""
        with self._turn:
            return self._found((account, key), time.monotonic())

    def _found(self, name: tuple[str, str], now: float) -> Sent | None:
        sent = self._sent.get(name)
        if sent is not None and now - sent.at > _KEPT_S:
            del self._sent[name]
            return None
        return sent
