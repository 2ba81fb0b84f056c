"""How is a buyer's PayPal account kept for later payments?

By PayPal's vault (Payment Method Tokens v3): a setup token that the buyer approves, then a payment
token in exchange for it. No money moves.
"""

from __future__ import annotations

from typing import Any

import msgspec
from payengine.plugin import ForgetMethod, LookupMethod, NextAction, SavedToken, SaveMethod

from payengine_paypal.bodies import REDIRECT_TOKEN
from payengine_paypal.client import Refused, derived_id
from payengine_paypal.declines import decline_of_problem
from payengine_paypal.outcomes import link_to_buyer
from payengine_paypal.records import Link, Unclear, read
from payengine_paypal.steps import Steps

__all__ = ["forget", "look_up", "save"]

_WAITING = ("CREATED", "PAYER_ACTION_REQUIRED", "PENDING")
_AGREED = ("APPROVED", "TOKENIZED", "VAULTED")


class _Wallet(msgspec.Struct, frozen=True):
    email_address: str = ""


class _Card(msgspec.Struct, frozen=True):
    brand: str = ""
    last_digits: str = ""


class _Source(msgspec.Struct, frozen=True):
    paypal: _Wallet | None = None
    card: _Card | None = None


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    status: str = ""
    payment_source: _Source = msgspec.field(default_factory=_Source)
    links: list[Link] = msgspec.field(default_factory=list)


def save(steps: Steps, request: SaveMethod) -> SavedToken:
    """Make a setup token; one that is given already is exchanged at once."""
    token = request.payment_method.token
    if token != REDIRECT_TOKEN:
        return _exchanged(steps, key=request.key, setup_id=token)
    context: dict[str, Any] = {"shipping_preference": "NO_SHIPPING"}
    if request.return_url:
        context |= {"return_url": request.return_url, "cancel_url": request.return_url}
    wallet = {"usage_type": "MERCHANT", "experience_context": context}
    body = {"payment_source": {"paypal": wallet}}
    try:
        reply = steps.client.create_setup_token(
            steps.until, body, request_id=derived_id(request.key)
        )
    except Refused as refused:
        return _declined(refused)
    return _waiting(read(reply.body, _Kept))


def look_up(steps: Steps, request: LookupMethod) -> SavedToken:
    """Ask for the setup token; one that the buyer approved is exchanged."""
    setup_id = request.provider_reference
    try:
        made = read(steps.client.setup_token(steps.until, setup_id).body, _Kept)
    except Refused as refused:
        if refused.status != 404:
            raise
        # It lives for three days at most, and for no time once it was exchanged.
        return _exchanged(steps, key=request.key, setup_id=setup_id)
    if made.status in _AGREED:
        return _exchanged(steps, key=request.key, setup_id=setup_id)
    return _waiting(made)


def forget(steps: Steps, request: ForgetMethod) -> SavedToken:
    """Delete the payment token; one that is gone is forgotten."""
    try:
        steps.client.delete_payment_token(steps.until, request.token)
    except Refused as refused:
        if refused.status != 404:
            raise
    return SavedToken(status="forgotten")


def _exchanged(steps: Steps, *, key: str, setup_id: str) -> SavedToken:
    body = {"payment_source": {"token": {"id": setup_id, "type": "SETUP_TOKEN"}}}
    try:
        reply = steps.client.create_payment_token(
            steps.until, body, request_id=derived_id(key, "keep")
        )
    except Refused as refused:
        return _declined(refused, reference=setup_id)
    kept = read(reply.body, _Kept)
    return SavedToken(
        status="saved",
        provider_reference=setup_id,
        token=kept.id,
        label=_label(kept.payment_source),
        raw_status=kept.status,
    )


def _waiting(made: _Kept) -> SavedToken:
    if made.status not in _WAITING:
        raise Unclear(f"the setup token is {made.status[:40]}")
    url = link_to_buyer(made.links)
    if url is None:
        raise Unclear("the setup token leads nowhere")
    return SavedToken(
        status="requires_action",
        provider_reference=made.id,
        next_action=NextAction(url=url),
        raw_status=made.status,
    )


def _declined(refused: Refused, *, reference: str | None = None) -> SavedToken:
    if refused.status not in (400, 403, 404, 422):
        raise refused
    return SavedToken(
        status="declined",
        provider_reference=reference,
        decline=decline_of_problem(refused.problem),
        raw_status=refused.problem.code,
    )


def _label(source: _Source) -> str:
    """What people may read: `PayPal b…@example.com`, `VISA 4242`."""
    if source.card is not None:
        return f"{source.card.brand} {source.card.last_digits}".strip()
    name, at, host = (source.paypal.email_address if source.paypal else "").partition("@")
    return f"PayPal {name[:1]}…@{host}" if at else "PayPal"
