"""How are payments taken through Stripe?

Each operation is one request with the engine's key: a PaymentIntent for a payment, then captures,
increments, cancellation and refunds on it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec
from payengine.plugin import (
    AcceptDispute,
    Amount,
    Authorize,
    Call,
    Capture,
    Decline,
    DisputeEvent,
    DisputeEvidence,
    ForgetMethod,
    Increment,
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

from payengine_stripe import answers, disputes, lookups, methods, requests, statement, webhooks
from payengine_stripe.client import Ask, Clients
from payengine_stripe.currencies import CURRENCIES, nearest, to_stripe
from payengine_stripe.marks import INCREMENT, marked
from payengine_stripe.objects import Intent, RefundObject, read
from payengine_stripe.problems import (
    NOT_PROCESSED_CODES,
    Refused,
    Unreadable,
    not_processed,
    outcome_of_refusal,
)
from payengine_stripe.settings import StripeSettings, settings_of

__all__ = ["MANIFEST", "PLAIN_MANIFEST", "StripeGateway"]

MANIFEST = Manifest(
    name="stripe",
    title="Stripe",
    version="0.1.0",
    contract="1.0",
    methods=tuple(requests.METHOD_TYPES),
    currencies=CURRENCIES,
    operations=(
        "authorize",
        "increment",
        "capture",
        "void",
        "refund",
        "submit_evidence",
        "accept_dispute",
    ),
    multiple_captures=True,
    supports_idempotency=True,
    key_window_s=lookups.KEY_WINDOW_S,
    lookup=True,
    lookup_consistent_after_ms=lookups.CONSISTENT_AFTER_S * 1_000,
    not_processed_codes=NOT_PROCESSED_CODES,
    webhooks=True,
    movements=True,
    saved_methods=True,
    max_concurrency=64,
    settings=StripeSettings,
)

#: The same for an account whose pricing has neither multicapture nor increments.
PLAIN_MANIFEST = msgspec.structs.replace(
    MANIFEST,
    operations=tuple(kind for kind in MANIFEST.operations if kind != "increment"),
    multiple_captures=False,
)

T = TypeVar("T")

#: A PaymentIntent in one of these is no refusal, even where it came with an error.
_UNDER_WAY = frozenset({"processing", "requires_capture", "succeeded"})


class StripeGateway:
    """A provider of payments by card and by the wallets that Stripe takes as cards."""

    def __init__(self, *, api_base: str | None = None, manifest: Manifest = MANIFEST) -> None:
        """`api_base` is where Stripe is reached; None leaves it to the environment and the SDK.

        `manifest` may promise less than Stripe can do: to check an account without multicapture.
        """
        self._clients = Clients(api_base=api_base)
        self._manifest = manifest

    def describe(self) -> Manifest:
        """Stripe's manifest."""
        return self._manifest

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        """Make a PaymentIntent and confirm it."""
        refusal = _refusal(call, request.amount)
        if refusal is not None:
            return refusal
        try:
            method = await _asked_first(
                methods.complete_method(self._clients, call, request.payment_method)
            )
            params = requests.intent_params(
                request, settings_of(call), minor=_minor(request.amount), method=method
            )
            intent = await self._intent(
                call,
                lambda client, options: client.v1.payment_intents.create_async(params, options),
                key=request.key,
            )
        except Refused as refused:
            if refused.intent is not None and refused.intent.get("status") in _UNDER_WAY:
                return answers.authorization(read(refused.intent, Intent))
            return outcome_of_refusal(refused)
        return answers.authorization(intent)

    async def capture(self, call: Call, request: Capture) -> Outcome:
        """Take a part of the hold or all of it; without multicapture the rest is released."""
        refusal = _refusal(call, request.amount)
        if refusal is not None:
            return refusal
        if not request.final and not settings_of(call).multicapture:
            return not_processed(
                "multicapture_is_off", "Several captures are not switched on for this account."
            )
        params = requests.capture_params(request, minor=_minor(request.amount))
        try:
            intent = await self._intent(
                call,
                lambda client, options: client.v1.payment_intents.capture_async(
                    request.provider_reference, params, options
                ),
                key=request.key,
            )
        except Refused as refused:
            return outcome_of_refusal(refused)
        return _done(answers.capture(intent, request.key), intent)

    async def void(self, call: Call, request: Void) -> Outcome:
        """Cancel the PaymentIntent: releases the hold, or ends the wait for the buyer."""
        refusal = _wrong_mode(call)
        if refusal is not None:
            return refusal
        try:
            intent = await self._intent(
                call,
                lambda client, options: client.v1.payment_intents.cancel_async(
                    request.provider_reference, requests.cancel_params(), options
                ),
                key=request.key,
            )
        except Refused as refused:
            if refused.intent is not None and refused.intent.get("status") == "canceled":
                return answers.void(read(refused.intent, Intent))
            return outcome_of_refusal(refused)
        return _done(answers.void(intent), intent)

    async def refund(self, call: Call, request: Refund) -> Outcome:
        """Give back a part of what was captured."""
        refusal = _refusal(call, request.amount)
        if refusal is not None:
            return refusal
        params = requests.refund_params(request, minor=_minor(request.amount))
        try:
            plain = await self._clients.ask(
                call,
                lambda client, options: client.v1.refunds.create_async(params, options),
                key=request.key,
            )
        except Refused as refused:
            return outcome_of_refusal(refused)
        return answers.refund(read(plain, RefundObject))

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        """What became of the operation; see `payengine_stripe.lookups` for what that can tell."""
        return await lookups.find(self._clients, call, request)

    def parse_webhook(
        self, call: Call, request: WebhookRequest
    ) -> Sequence[WebhookEvent | DisputeEvent]:
        """Verify the signature, the time, the mode and the account, then read the object."""
        return webhooks.parse(call, request)

    async def increment(self, call: Call, request: Increment) -> Outcome:
        """Raise the hold. Stripe wants the new sum, so it is asked for the old one first."""
        refusal = _refusal(call, request.amount)
        if refusal is not None:
            return refusal
        if not settings_of(call).increments:
            return not_processed(
                "increments_are_off", "Raising a hold is not switched on for this account."
            )
        minor = _minor(request.amount)
        try:
            held = await _asked_first(
                lookups.intent_of(self._clients, call, request.provider_reference)
            )
            if request.key in marked(INCREMENT, held.metadata):
                return answers.increment(held, request.key)
            params = requests.increment_params(request.key, minor=minor, total=held.amount + minor)
            intent = await self._intent(
                call,
                lambda client, options: client.v1.payment_intents.increment_authorization_async(
                    request.provider_reference, params, options
                ),
                key=request.key,
            )
        except Refused as refused:
            return outcome_of_refusal(refused)
        return _done(answers.increment(intent, request.key), intent)

    async def submit_evidence(self, call: Call, request: DisputeEvidence) -> Outcome:
        """Hand in the evidence of a dispute."""
        return _wrong_mode(call) or await disputes.submit(self._clients, call, request)

    async def accept_dispute(self, call: Call, request: AcceptDispute) -> Outcome:
        """Give a dispute up."""
        return _wrong_mode(call) or await disputes.accept(self._clients, call, request)

    async def movements(
        self, call: Call, *, since: datetime, until: datetime
    ) -> Sequence[Movement]:
        """The captures and refunds in Stripe's own books."""
        return await statement.movements(self._clients, call, since=since, until=until)

    async def save_method(self, call: Call, request: SaveMethod) -> SavedToken:
        """Keep a payment method for payments without the buyer."""
        _require_mode(call)
        return await methods.save_method(self._clients, call, request)

    async def lookup_method(self, call: Call, request: LookupMethod) -> SavedToken:
        """How the keeping of a payment method ended."""
        return await methods.lookup_method(self._clients, call, request)

    async def forget_method(self, call: Call, request: ForgetMethod) -> SavedToken:
        """Take a saved payment method out of use."""
        _require_mode(call)
        return await methods.forget_method(self._clients, call, request)

    async def aclose(self) -> None:
        """Close the connections; the next call opens others."""
        await self._clients.aclose()

    async def _intent(self, call: Call, what: Ask, *, key: str) -> Intent:
        intent = read(await self._clients.ask(call, what, key=key), Intent)
        if intent.livemode != (call.mode == "live"):
            raise Unreadable(f"{intent.id} is of another mode than this world")
        return intent


async def _asked_first(question: Awaitable[T]) -> T:
    """What must be known before the request: while it is not, the request is not sent."""
    try:
        return await question
    except Unreadable as lost:
        raise NotSent(f"Stripe did not answer a question that comes first: {lost}") from lost
    except Refused as refused:
        if refused.status >= 500:
            raise NotSent("Stripe did not answer a question that comes first.") from refused
        raise


def _refusal(call: Call, amount: Amount) -> Outcome | None:
    """Why nothing may be sent: the key is of another mode, or Stripe cannot take this amount."""
    wrong = _wrong_mode(call)
    if wrong is not None or to_stripe(amount) is not None:
        return wrong
    text = (
        f"Stripe cannot take exactly {amount.minor} minor units of {amount.currency}; "
        f"the nearest that it may take is {nearest(amount).minor}."
    )
    decline = Decline(code="invalid_amount", raw_code="amount_not_exact", raw_text=text)
    return Outcome(status="declined", decline=decline)


def _minor(amount: Amount) -> int:
    minor = to_stripe(amount)
    if minor is None:
        raise ValueError("the amount was not checked")
    return minor


def _wrong_mode(call: Call) -> Outcome | None:
    """A live key in a test world would charge for real, and the other way round would not."""
    key = settings_of(call).api_key
    if not (key.isascii() and key.isprintable()):
        return not_processed("authentication_error", "The API key is malformed.")
    other = "_test_" if call.mode == "live" else "_live_"
    if other not in key[:16]:
        return None
    return not_processed("key_of_another_mode", f"The API key is not one of a {call.mode} account.")


def _require_mode(call: Call) -> None:
    if _wrong_mode(call) is not None:
        raise ValueError(f"the API key is not one of a {call.mode} account")


def _done(outcome: Outcome, intent: Intent) -> Outcome:
    """What Stripe answered to a request itself; that it shows no trace of it is no outcome."""
    if outcome.status == "not_found":
        raise Unreadable(f"{intent.id} does not show what was asked")
    return outcome
