"""How does the platform take money by bank transfer and by direct debit?

A buyer's transfer is asked for with a reference of its own; a debit is ordered under a mandate.
Either succeeds when the bank has booked it, days later, and a debit may come back after that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime

from payengine.plugin import (
    Authorize,
    Call,
    Capture,
    DisputeEvent,
    ForgetMethod,
    Lookup,
    LookupMethod,
    Manifest,
    Movement,
    NotSent,
    Outcome,
    Refund,
    SavedToken,
    SaveMethod,
    Void,
    WebhookEvent,
    WebhookRequest,
)

from payengine_bank_transfer import notices
from payengine_bank_transfer.desk import Desk
from payengine_bank_transfer.ibans import masked
from payengine_bank_transfer.mandates import KEPT, Mandate, MandateUnreadable
from payengine_bank_transfer.reasons import NOT_PROCESSED_CODES, decline_of
from payengine_bank_transfer.records import Operation, Refused
from payengine_bank_transfer.settings import BankTransferSettings, settings_of
from payengine_bank_transfer.store import now_us
from payengine_bank_transfer.wire import movement_of, not_processed, outcome_of

__all__ = ["MANIFEST", "BankTransferGateway"]

MANIFEST = Manifest(
    name="bank_transfer",
    title="Bank transfer (SEPA)",
    version="0.1.0",
    contract="1.0",
    methods=("bank_transfer", "sepa_debit"),
    currencies=("EUR",),
    operations=("authorize", "void", "refund"),
    supports_idempotency=True,
    # Keys are kept in the plugin's own books, for ever; a manifest says it in seconds.
    key_window_s=10 * 365 * 86_400,
    lookup=True,
    # Books that are busy may be written some seconds after the engine has given up waiting.
    lookup_consistent_after_ms=10_000,
    not_processed_codes=NOT_PROCESSED_CODES,
    # The longest notice of a debit (60 days) or patience with a transfer (30), and two weeks more
    # for cut-offs, holidays and statements that come late.
    pending_for_s=75 * 86_400,
    webhooks=True,
    movements=True,
    saved_methods=True,
    max_concurrency=32,
    settings=BankTransferSettings,
)

_DONE = frozenset({"booked", "rejected", "expired", "canceled"})


class BankTransferGateway:
    """A tenant's bank account as a provider of payments."""

    def __init__(self, desk: Desk | None = None) -> None:
        self.desk = desk or Desk()

    def describe(self) -> Manifest:
        """The gateway's manifest."""
        return MANIFEST

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        """Await a transfer, or order a debit; nothing is held, the money is taken or not."""
        await self.desk.remember(call)
        self.desk.rail(call)
        books = await self.desk.run(self.desk.books)
        try:
            made = await self.desk.run(
                books.authorize, call.account, request, settings_of(call), at_us=now_us()
            )
            made = await self._send(call, made)
        except Refused as refused:
            return not_processed(refused.code)
        if made.status == "awaited":
            token = request.payment_method.token
            made = await self.desk.pay_as_simulated(call, made, token)
        return outcome_of(made, settings_of(call))

    async def capture(self, call: Call, request: Capture) -> Outcome:
        """Nothing is held that could be captured."""
        return not_processed("manual_capture")

    async def void(self, call: Call, request: Void) -> Outcome:
        """Call off a transfer that has not come, or a debit that no bank was told."""
        books = await self.desk.run(self.desk.books)
        try:
            await self.desk.run(books.cancel, call.account, request.provider_reference)
        except Refused as refused:
            return not_processed(refused.code)
        return Outcome(status="succeeded", provider_reference=request.provider_reference)

    async def refund(self, call: Call, request: Refund) -> Outcome:
        """Order a transfer to the account from which the money came."""
        await self.desk.remember(call)
        self.desk.rail(call)
        books = await self.desk.run(self.desk.books)
        try:
            made = await self.desk.run(books.refund, call.account, request, at_us=now_us())
            return outcome_of(await self._send(call, made))
        except Refused as refused:
            return not_processed(refused.code)

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        """What the books say, after the bank was asked once more for what it has to tell.

        A file of which it is unknown whether the bank has it is sent again, by the same MsgId.
        """
        books = await self.desk.run(self.desk.books)
        if request.kind == "void":
            return await self._look_up_void(call, request)
        found = await self.desk.run(books.find, call.account, request.key, at_us=now_us())
        if found is None or found.kind != request.kind:
            return Outcome(status="not_found")
        if found.status not in _DONE:
            await self._ask_the_bank(call, found)
            found = await self.desk.run(books.find, call.account, request.key, at_us=now_us())
        return (
            Outcome(status="not_found") if found is None else outcome_of(found, settings_of(call))
        )

    def parse_webhook(
        self, call: Call, request: WebhookRequest
    ) -> Sequence[WebhookEvent | DisputeEvent]:
        """Verify the signature, the time and the account, then read the fact."""
        secret = settings_of(call).webhook_secret
        return notices.parse(request, secret=secret, account=call.account)

    async def movements(
        self, call: Call, *, since: datetime, until: datetime
    ) -> Sequence[Movement]:
        """What statements showed, at the instants at which they were taken in."""
        books = await self.desk.run(self.desk.books)
        span = {"since_us": _us(since), "until_us": _us(until)}
        return [
            movement_of(one)
            for one in await self.desk.run(books.store.booked, call.account, **span)
            if one.kind != "payout"  # it is no payment's
        ]

    async def save_method(self, call: Call, request: SaveMethod) -> SavedToken:
        """Keep a mandate; its reference is the keeping's name, so the same one is kept once."""
        await self.desk.remember(call)
        books = await self.desk.run(self.desk.books)
        token = request.payment_method.token
        try:
            kept = await self.desk.run(books.keep_mandate, call.account, token, at_us=now_us())
        except MandateUnreadable as refused:
            return SavedToken(status="declined", decline=decline_of("MD02", str(refused)))
        return _saved(kept)

    async def lookup_method(self, call: Call, request: LookupMethod) -> SavedToken:
        """The mandate of this reference."""
        return await self._mandate(call, request.provider_reference)

    async def forget_method(self, call: Call, request: ForgetMethod) -> SavedToken:
        """Revoke the mandate: no further debit is ordered under it."""
        books = await self.desk.run(self.desk.books)
        name = request.token.removeprefix(KEPT)
        await self.desk.run(books.store.revoke_mandate, call.account, name, at_us=now_us())
        return SavedToken(status="forgotten", provider_reference=name or None)

    async def aclose(self) -> None:
        """Close what was opened; the next call opens it again."""
        await self.desk.aclose()

    async def _send(self, call: Call, made: Operation) -> Operation:
        if made.status == "refused":
            books = await self.desk.run(self.desk.books)
            again = await self.desk.run(books.order_again, call.account, made.reference)
            made = again or made
        return await self.desk.send(call, made)

    async def _ask_the_bank(self, call: Call, found: Operation) -> None:
        # What the bank does not take now it may have taken the first time: its files tell.
        with contextlib.suppress(NotSent, Refused):
            await self.desk.send(call, found)
        await self.desk.collect(call)

    async def _look_up_void(self, call: Call, request: Lookup) -> Outcome:
        books = await self.desk.run(self.desk.books)
        reference = request.provider_reference or ""
        found = await self.desk.run(books.store.by_reference, call.account, reference)
        if found is None or found.status != "canceled":
            return Outcome(status="not_found")
        return Outcome(status="succeeded", provider_reference=reference)

    async def _mandate(self, call: Call, name: str) -> SavedToken:
        books = await self.desk.run(self.desk.books)
        kept = await self.desk.run(books.store.mandate, call.account, name)
        if kept is None:
            return SavedToken(status="declined", decline=decline_of("MD01"))
        return _saved(kept)


def _saved(mandate: Mandate) -> SavedToken:
    if mandate.revoked_us is not None:
        return SavedToken(status="forgotten", provider_reference=mandate.mandate_id)
    return SavedToken(
        status="saved",
        provider_reference=mandate.mandate_id,
        token=f"{KEPT}{mandate.mandate_id}",
        label=f"SEPA {masked(mandate.iban)}",
    )


def _us(instant: datetime) -> int:
    return int(instant.timestamp() * 1_000_000)
