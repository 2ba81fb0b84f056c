"""What did the fake send to this address? An HTTP server that keeps what comes, as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from fake_stripe_http import Answer, Request, serve
from fake_stripe_process import FakeStripe
from payengine.plugin import WebhookRequest

__all__ = ["Mailbox", "open_mailbox"]


class Mailbox:
    """Keeps webhooks; the first `fails` of them are answered with an error."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[WebhookRequest] = []
        self.fails = 0

    async def answer(self, request: Request) -> Answer:
        """Keep the request."""
        came = WebhookRequest(
            headers=request.headers, body=request.body, received_at=datetime.now(UTC)
        )
        self.requests.append(came)
        self.fails -= 1
        return Answer(500 if self.fails >= 0 else 200, {})

    async def until_quiet(self, fake: FakeStripe, key: str) -> None:
        """Wait until nothing is under way."""
        for _ in range(1_200):
            await asyncio.sleep(0.05)
            if fake.state(key)["waiting"] == 0:
                return
        raise AssertionError("the courier does not come to an end")


@asynccontextmanager
async def open_mailbox() -> AsyncIterator[Mailbox]:
    """An address on this machine."""
    kept = Mailbox()
    server = await serve(kept.answer, host="127.0.0.1", port=0)
    kept.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    yield kept
    server.close()
