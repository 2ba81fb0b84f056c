"""How does the fake tell of events?

As Stripe does: signed with each secret, at least once, in no order, again and again until
it is answered with 2xx. How often twice and how far out of order is settled by the seed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import time
from dataclasses import dataclass
from typing import Any

import httpx

__all__ = ["Courier", "Endpoint", "signature"]

_PAUSES_S = (0.0, 0.1, 0.3, 1.0, 3.0)
_MOST_WAITING = 20_000
_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where an account's events go. Of a hundred, `doubled` are sent twice and `late` wait."""

    url: str
    secrets: tuple[str, ...]
    doubled: int = 0
    late: int = 0
    seed: int = 0


def signature(body: bytes, secrets: tuple[str, ...], timestamp: int) -> str:
    """The header `Stripe-Signature`, with one signature for each secret."""
    signed = f"{timestamp}.".encode() + body
    digests = [hmac.new(one.encode(), signed, hashlib.sha256).hexdigest() for one in secrets]
    return ",".join([f"t={timestamp}", *(f"v1={digest}" for digest in digests)])


class Courier:
    """Carries events to endpoints."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(_AT_ONCE)
        self.delivered = 0

    def send(self, endpoint: Endpoint, event: dict[str, Any]) -> None:
        """Begin to deliver an event."""
        if len(self._tasks) >= _MOST_WAITING:
            return
        dice = random.Random(f"{endpoint.seed}/{event['id']}")
        times = 2 if dice.randrange(100) < endpoint.doubled else 1
        body = json.dumps(event).encode()
        for _ in range(times):
            wait_s = dice.random() / 2 if dice.randrange(100) < endpoint.late else 0.0
            task = asyncio.get_running_loop().create_task(self._carry(endpoint, body, wait_s))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    @property
    def waiting(self) -> int:
        """How many deliveries are under way."""
        return len(self._tasks)

    async def _carry(self, endpoint: Endpoint, body: bytes, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        async with self._places, httpx.AsyncClient(trust_env=False, timeout=60) as client:
            for pause_s in _PAUSES_S:
                await asyncio.sleep(pause_s)
                header = signature(body, endpoint.secrets, int(time.time()))
                headers = {"Stripe-Signature": header, "Content-Type": "application/json"}
                try:
                    answer = await client.post(endpoint.url, content=body, headers=headers)
                except httpx.HTTPError:
                    continue
                if answer.is_success:
                    self.delivered += 1
                    return
