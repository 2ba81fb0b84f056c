"""How does the platform reach PayPal?

The SDK blocks, so every call works in a thread of the plugin's own pool, with what is left of its
deadline on every request that it sends.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from payengine.plugin import (
    AcceptDispute,
    Authorize,
    Call,
    Capture,
    DisputeEvent,
    DisputeEvidence,
    ForgetMethod,
    Lookup,
    LookupMethod,
    Manifest,
    NotSent,
    Outcome,
    Refund,
    SavedToken,
    SaveMethod,
    Void,
    WebhookEvent,
    WebhookRequest,
)

from payengine_paypal.amounts import CURRENCIES
from payengine_paypal.bodies import CARD_KIND
from payengine_paypal.declines import NOT_PROCESSED
from payengine_paypal.settings import PayPalSettings

if TYPE_CHECKING:
    from payengine_paypal.desk import Desk

__all__ = ["MANIFEST", "PayPalGateway"]

#: PayPal's shortest memory of a PayPal-Request-Id: three hours in the vault, six for orders (72 by
#: agreement), 45 days for captures of holds and for refunds.
_KEY_WINDOW_S = 3 * 3_600
#: An order is found by its own id only: that a key finds nothing never proves that nothing was
#: done. Longer than the engine looks.
_NEVER_MS = 30 * 86_400_000
#: The thread ends a little before the engine stops waiting, so that it can say why.
_MARGIN_S = 0.05
#: The most calls at once; a few threads more serve the lookups among them.
_AT_ONCE = 32
_THREADS = 36
#: A payment by eCheck takes a week; one that waits for the merchant's word expires after 30 days.
_PENDING_S = 31 * 86_400

MANIFEST = Manifest(
    name="paypal",
    title="PayPal",
    version="0.1.0",
    contract="1.0",
    methods=("paypal", CARD_KIND),
    currencies=CURRENCIES,
    operations=("authorize", "capture", "void", "refund", "submit_evidence", "accept_dispute"),
    multiple_captures=True,
    supports_idempotency=True,
    key_window_s=_KEY_WINDOW_S,
    lookup=True,
    lookup_consistent_after_ms=_NEVER_MS,
    not_processed_codes=NOT_PROCESSED,
    pending_for_s=_PENDING_S,
    webhooks=True,
    movements=False,
    saved_methods=True,
    max_concurrency=_AT_ONCE,
    settings=PayPalSettings,
)


class PayPalGateway:
    """Orders v2, Payments v2 and the vault of PayPal."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._desk: Desk | None = None

    def describe(self) -> Manifest:
        """PayPal's manifest."""
        return MANIFEST

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        """Create an order: the buyer approves it, or a saved method completes it at once."""
        return await self._ask(call, request)

    async def capture(self, call: Call, request: Capture) -> Outcome:
        """Take a part of the hold; after the honour period the hold is renewed first."""
        return await self._ask(call, request)

    async def void(self, call: Call, request: Void) -> Outcome:
        """Release the hold, or make the order one that cannot be paid any more."""
        return await self._ask(call, request)

    async def refund(self, call: Call, request: Refund) -> Outcome:
        """Give back a part of what was captured."""
        return await self._ask(call, request)

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        """What became of an operation; an order that the buyer has approved is completed."""
        return await self._ask(call, request)

    def parse_webhook(
        self, call: Call, request: WebhookRequest
    ) -> Sequence[WebhookEvent | DisputeEvent]:
        """Verify the signature, then read the event; a certificate may have to be fetched."""
        return self._opened().read_webhook(call, request)

    async def save_method(self, call: Call, request: SaveMethod) -> SavedToken:
        """Begin to keep the buyer's PayPal account: the buyer agrees at PayPal."""
        return await self._keep(call, request)

    async def lookup_method(self, call: Call, request: LookupMethod) -> SavedToken:
        """Whether the buyer has agreed; then the account is kept."""
        return await self._keep(call, request)

    async def forget_method(self, call: Call, request: ForgetMethod) -> SavedToken:
        """Delete the account from PayPal's vault."""
        return await self._keep(call, request)

    async def submit_evidence(self, call: Call, request: DisputeEvidence) -> Outcome:
        """Hand in what speaks for the merchant."""
        return await self._ask(call, request)

    async def accept_dispute(self, call: Call, request: AcceptDispute) -> Outcome:
        """Accept the buyer's claim."""
        return await self._ask(call, request)

    async def aclose(self) -> None:
        """Close the connections; the next call opens them again."""
        with self._turn:
            threads, self._threads = self._threads, None
            desk, self._desk = self._desk, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)
        if desk is not None:
            desk.close()

    async def _ask(self, call: Call, request: object) -> Outcome:
        outcome: Outcome = await self._work(call, request)
        return outcome

    async def _keep(self, call: Call, request: object) -> SavedToken:
        saved: SavedToken = await self._work(call, request)
        return saved

    async def _work(self, call: Call, request: object) -> Any:
        """Answer the request in a thread, within the call's deadline."""
        until = time.monotonic() + call.deadline_ms / 1000 - _MARGIN_S

        def begin() -> Any:
            if time.monotonic() >= until:
                raise NotSent("no thread was free in time")
            return self._opened().answer(call, request, until=until)

        return await asyncio.get_running_loop().run_in_executor(self._pool(), begin)

    def _opened(self) -> Desk:
        from payengine_paypal.desk import Desk

        with self._turn:
            if self._desk is None:
                self._desk = Desk()
            return self._desk

    def _pool(self) -> ThreadPoolExecutor:
        with self._turn:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="paypal")
            return self._threads
