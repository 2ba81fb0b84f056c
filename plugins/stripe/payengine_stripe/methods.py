"""How does Stripe keep a payment method for later?

As a PaymentMethod of one of its customers, made by a SetupIntent that may ask the buyer to
authenticate. Our token names both: `cus_…/pm_…`. Stripe gets a customer for each method that is
kept, because its customers cannot be found by our name for them.
"""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
from payengine.plugin import (
    Call,
    Decline,
    ForgetMethod,
    LookupMethod,
    NextAction,
    PaymentMethod,
    SavedToken,
    SaveMethod,
)

from payengine_stripe.answers import challenge_url
from payengine_stripe.client import Clients
from payengine_stripe.declines import decline_of
from payengine_stripe.marks import KEY
from payengine_stripe.objects import SetupIntent, read
from payengine_stripe.problems import Refused, Unreadable, outcome_of_refusal
from payengine_stripe.requests import method_params, split_token
from payengine_stripe.settings import settings_of

__all__ = ["complete_method", "forget_method", "lookup_method", "save_method"]

_CUSTOMER = "payengine_customer"
_EXPAND = ["payment_method"]
_GONE = 404


async def complete_method(clients: Clients, call: Call, method: PaymentMethod) -> PaymentMethod:
    """A saved method whose token lacks the customer that Stripe wants named, with that customer.

    Asks Stripe and changes nothing; raises `Refused` where it knows no such method.
    """
    customer, token = split_token(method.token)
    if not method.saved or customer is not None or not token.startswith("pm_"):
        return method
    plain = await clients.ask(
        call, lambda client, options: client.v1.payment_methods.retrieve_async(token, {}, options)
    )
    owner = plain.get("customer")
    if not isinstance(owner, str):
        return method
    return msgspec.structs.replace(method, token=f"{owner}/{token}")


async def save_method(clients: Clients, call: Call, request: SaveMethod) -> SavedToken:
    """Attach the method to a customer and make it ready for payments without the buyer."""
    settings = settings_of(call)
    try:
        customer = await _customer(clients, call, request)
        named = method_params(request.payment_method)
        params: dict[str, Any] = {
            **named,
            "customer": named.get("customer") or customer,
            "confirm": True,
            "usage": "off_session",
            "metadata": {KEY: request.key},
            "expand": _EXPAND,
        }
        return_url = request.return_url or settings.return_url
        if return_url:
            params["return_url"] = return_url
        plain = await clients.ask(
            call,
            lambda client, options: client.v1.setup_intents.create_async(params, options),
            key=request.key,
        )
    except Refused as refused:
        outcome = outcome_of_refusal(refused)
        reference = refused.error.get("setup_intent")
        return SavedToken(
            status="declined",
            provider_reference=reference.get("id") if isinstance(reference, dict) else None,
            decline=outcome.decline,
            raw_status=outcome.raw_status,
        )
    return _saved(read(plain, SetupIntent))


async def lookup_method(clients: Clients, call: Call, request: LookupMethod) -> SavedToken:
    """How the SetupIntent stands."""
    plain = await clients.ask(
        call,
        lambda client, options: client.v1.setup_intents.retrieve_async(
            request.provider_reference, {"expand": _EXPAND}, options
        ),
    )
    return _saved(read(plain, SetupIntent))


async def forget_method(clients: Clients, call: Call, request: ForgetMethod) -> SavedToken:
    """Detach the method from its customer; one that is gone already is forgotten too."""
    _, token = split_token(request.token)
    try:
        await clients.ask(
            call,
            lambda client, options: client.v1.payment_methods.detach_async(token, {}, options),
            key=request.key,
        )
    except Refused as refused:
        gone = refused.status == _GONE or refused.code == "payment_method_not_attached"
        if not gone and not await _is_detached(clients, call, token):
            raise
    return SavedToken(status="forgotten", token=request.token)


async def _is_detached(clients: Clients, call: Call, token: str) -> bool:
    with contextlib.suppress(Refused):
        plain = await clients.ask(
            call,
            lambda client, options: client.v1.payment_methods.retrieve_async(token, {}, options),
        )
        return plain.get("customer") is None
    return False


async def _customer(clients: Clients, call: Call, request: SaveMethod) -> str:
    plain = await clients.ask(
        call,
        lambda client, options: client.v1.customers.create_async(
            {"metadata": {_CUSTOMER: request.customer_reference}}, options
        ),
        key=f"{request.key}-customer",
    )
    found = plain.get("id")
    if not isinstance(found, str):
        raise Unreadable("the customer has no id")
    return found


def _saved(intent: SetupIntent) -> SavedToken:
    method = intent.payment_method if isinstance(intent.payment_method, dict) else {}
    said: dict[str, Any] = {"provider_reference": intent.id, "raw_status": intent.status}
    if intent.status == "succeeded" and intent.customer and isinstance(method.get("id"), str):
        token = f"{intent.customer}/{method['id']}"
        return SavedToken(status="saved", token=token, label=_label(method), **said)
    url = challenge_url(intent.next_action)
    if intent.status == "requires_action" and url is not None:
        return SavedToken(status="requires_action", next_action=NextAction(url=url), **said)
    if intent.status == "processing":
        return SavedToken(status="pending", **said)
    if intent.status == "canceled" or intent.last_setup_error is not None:
        error = intent.last_setup_error or {"code": "setup_intent_canceled"}
        decline: Decline = decline_of(error)
        return SavedToken(status="declined", decline=decline, **said)
    raise Unreadable(f"{intent.id} is {intent.status}")


def _label(method: dict[str, Any]) -> str:
    card = method.get("card")
    if not isinstance(card, dict):
        return str(method.get("type") or "")
    return f"{card.get('brand')} {card.get('last4')}"
