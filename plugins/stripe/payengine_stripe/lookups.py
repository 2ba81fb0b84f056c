"""What became of a request that nobody answered?

Where Stripe's name for it is known, the object itself tells. Where it is not, Stripe has no lookup
by idempotency key, and its search is late: so the PaymentIntents of that time are listed and their
metadata read. What is found is evidence. `not_found` is none while Stripe still remembers the key
(the manifest says so): sending again with the same key is what tells then, and a short span is
looked at. Later it is given only after the list of every moment at which the request may have been
sent was read to its end.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from payengine.plugin import Call, Lookup, Outcome

from payengine_stripe import answers
from payengine_stripe.client import Clients
from payengine_stripe.marks import CAPTURE, KEY, marked
from payengine_stripe.objects import Intent, RefundObject, read
from payengine_stripe.paging import listed
from payengine_stripe.problems import Unreadable, not_processed
from payengine_stripe.requests import EXPAND
from payengine_stripe.statement import fees_of_captures

__all__ = ["CONSISTENT_AFTER_S", "KEY_WINDOW_S", "find", "intent_of"]

#: Stripe keeps a key for at least 24 hours; the last hour is left to a request under way.
KEY_WINDOW_S = 23 * 3_600
#: Long after the last moment at which a request with the key can have been carried out.
CONSISTENT_AFTER_S = 26 * 3_600

_MOST_PAGES = 20
_MOST_REFUND_PAGES = 10
#: Only a request with the key could still charge a PaymentIntent in one of these.
_UNTRIED = frozenset({"requires_confirmation", "requires_payment_method"})
#: Clocks differ, and `created` has whole seconds.
_SKEW = timedelta(minutes=5)
#: The first request made its PaymentIntent within this, if it made one.
_ANSWERED_WITHIN = timedelta(minutes=5)
#: So did every later one, as none is sent when the key may be forgotten.
_SENT_WITHIN = timedelta(seconds=CONSISTENT_AFTER_S)


async def find(clients: Clients, call: Call, request: Lookup) -> Outcome:
    """The operation's outcome or `not_found`; raises where Stripe cannot be asked for it."""
    reference = request.provider_reference or ""
    if request.kind == "refund":
        return await _find_refund(clients, call, request, reference)
    if not reference.startswith("pi_"):
        if request.kind != "authorize":
            raise Unreadable(f"no PaymentIntent is known to which this {request.kind} belongs")
        return await _find_authorization(clients, call, request)
    intent = await intent_of(clients, call, reference)
    if request.kind == "capture":
        return await _with_fee(clients, call, intent, request.key)
    if request.kind == "increment":
        return answers.increment(intent, request.key)
    if request.kind == "void":
        return answers.void(intent)
    if answers.authorization_key(intent) != request.key:
        raise Unreadable(f"{intent.id} was made with another key")
    return _authorization(intent)


async def intent_of(clients: Clients, call: Call, reference: str) -> Intent:
    """The PaymentIntent as it now is."""
    plain = await clients.ask(
        call,
        lambda client, options: client.v1.payment_intents.retrieve_async(
            reference, {"expand": EXPAND}, options
        ),
    )
    return read(plain, Intent)


async def _find_authorization(clients: Clients, call: Call, request: Lookup) -> Outcome:
    remembered = _is_remembered(request)
    query = _span(request.sent_at, _ANSWERED_WITHIN if remembered else _SENT_WITHIN)
    async for plain in listed(clients, call, "payment_intents", query, most_pages=_MOST_PAGES):
        if plain is None and not remembered:
            raise Unreadable("there are more PaymentIntents of that time than can be read")
        if plain is not None and _is_marked(plain, request.key):
            return _authorization(await intent_of(clients, call, str(plain.get("id"))))
    return Outcome(status="not_found")


def _authorization(intent: Intent) -> Outcome:
    """The outcome; one that was left between two steps for so long never charged anything."""
    try:
        return answers.authorization(intent)
    except Unreadable:
        age = datetime.now(UTC) - datetime.fromtimestamp(intent.created, UTC)
        if intent.status not in _UNTRIED or age < _SENT_WITHIN:
            raise
    return not_processed("never_confirmed", f"{intent.id} was never tried to be charged.")


def _is_remembered(request: Lookup) -> bool:
    """Whether Stripe still knows the key, so that nothing hangs on a `not_found`."""
    age = datetime.now(UTC) - request.sent_at if request.sent_at is not None else _SENT_WITHIN
    return age < timedelta(seconds=KEY_WINDOW_S)


def _span(sent_at: datetime | None, within: timedelta) -> dict[str, Any]:
    if sent_at is None:
        return {}
    first, last = sent_at - _SKEW, sent_at + within
    return {"created": {"gte": int(first.timestamp()), "lte": int(last.timestamp())}}


def _is_marked(plain: dict[str, Any], key: str) -> bool:
    metadata = plain.get("metadata")
    return isinstance(metadata, dict) and metadata.get(KEY) == key


async def _find_refund(clients: Clients, call: Call, request: Lookup, reference: str) -> Outcome:
    if reference.startswith("pi_"):
        query = {"payment_intent": reference}
        async for plain in listed(clients, call, "refunds", query, most_pages=_MOST_REFUND_PAGES):
            if plain is None:
                raise Unreadable(f"{reference} has more refunds than can be read")
            if _is_marked(plain, request.key):
                return answers.refund(read(plain, RefundObject))
        return Outcome(status="not_found")
    if not reference:
        raise Unreadable("no PaymentIntent is known to which this refund belongs")
    plain = await clients.ask(
        call, lambda client, options: client.v1.refunds.retrieve_async(reference, {}, options)
    )
    return answers.refund(read(plain, RefundObject))


async def _with_fee(clients: Clients, call: Call, intent: Intent, key: str) -> Outcome:
    """The capture; of several, each has its fee in a line of its own."""
    outcome = answers.capture(intent, key)
    charge = intent.charge
    if outcome.status != "succeeded" or charge is None:
        return outcome
    captures = marked(CAPTURE, intent.metadata)
    if len(captures) < 2:
        return outcome
    fees = await fees_of_captures(clients, call, charge.id, captures, intent.currency)
    return msgspec.structs.replace(outcome, fee_minor=fees.get(key, 0))
