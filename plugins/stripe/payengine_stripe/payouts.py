"""How does the platform pay connected accounts out through Stripe?

A payout is a transfer from the platform's balance at Stripe to a connected account
(https://docs.stripe.com/api/transfers). Stripe knows a key for a day; the batch's key is also the
transfer's group, by which transfers are listed when an answer was lost. What was reversed has come
back.
"""

from __future__ import annotations

from typing import Any

from payengine.plugin import (
    Call,
    LookUpPayouts,
    PayoutFailure,
    PayoutOrder,
    PayoutResult,
    PayoutsTold,
    RailManifest,
    SendPayouts,
)

from payengine_stripe.client import Ask, Clients
from payengine_stripe.currencies import CURRENCIES, from_stripe, to_stripe
from payengine_stripe.lookups import CONSISTENT_AFTER_S, KEY_WINDOW_S
from payengine_stripe.paging import listed
from payengine_stripe.problems import Refused, Unreadable
from payengine_stripe.settings import StripeSettings

__all__ = ["RAIL_MANIFEST", "StripeRail"]

RAIL_MANIFEST = RailManifest(
    name="stripe",
    title="Stripe transfers",
    version="0.1.0",
    currencies=CURRENCIES,
    destinations=("stripe_account",),
    # What Stripe cannot spell exactly stays in the balance.
    steps={"MGA": 100, "BHD": 10, "JOD": 10, "KWD": 10, "OMR": 10, "TND": 10},
    key_window_s=KEY_WINDOW_S,
    lookup_consistent_after_ms=CONSISTENT_AFTER_S * 1_000,
    # A transfer may be reversed later; the platform does that itself, mostly within a month.
    returns_s=30 * 86_400,
    paid_from="psp_receivable:stripe",
    settings=StripeSettings,
)

_KEY = "payengine_payout"
_MOST_PAGES = 10

#: Stripe's error codes of a transfer that it refused, and that will not be made.
_FAILURES: dict[str, PayoutFailure] = {
    "account_closed": "account_closed",
    "account_invalid": "account_invalid",
    "amount_too_large": "limit_exceeded",
    "amount_too_small": "limit_exceeded",
    "balance_insufficient": "insufficient_funds",
    "insufficient_capabilities_for_transfer": "account_blocked",
    "resource_missing": "account_invalid",
    "transfers_not_allowed": "not_allowed",
}


class StripeRail:
    """Transfers to connected accounts, one at a time."""

    def __init__(self, *, api_base: str | None = None) -> None:
        """`api_base` is where Stripe is; None leaves it to the environment and the SDK."""
        self._clients = Clients(api_base=api_base)

    def describe(self) -> RailManifest:
        """The rail's manifest."""
        return RAIL_MANIFEST

    async def send(self, call: Call, request: SendPayouts) -> PayoutsTold:
        """Make the transfer once; the same key is the same transfer for a day."""
        results = [await self._transfer(call, request.key, order) for order in request.orders]
        return PayoutsTold(results=tuple(results))

    async def look_up(self, call: Call, request: LookUpPayouts) -> PayoutsTold:
        """The transfers of this group, by the order that their metadata names."""
        query = {"transfer_group": request.key}
        found: dict[str, dict[str, Any]] = {}
        pages = listed(self._clients, call, "transfers", query, most_pages=_MOST_PAGES)
        async for one in pages:
            if one is None:
                raise Unreadable("more transfers are of this group than could be read")
            key = (one.get("metadata") or {}).get(_KEY)
            if isinstance(key, str):
                found[key] = one
        results = [
            _told(order, found[order.key])
            if order.key in found
            else PayoutResult(key=order.key, status="not_found")
            for order in request.orders
        ]
        return PayoutsTold(results=tuple(results))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._clients.aclose()

    async def _transfer(self, call: Call, key: str, order: PayoutOrder) -> PayoutResult:
        minor = to_stripe(order.amount)
        if minor is None:
            return PayoutResult(
                key=order.key,
                status="failed",
                failure="limit_exceeded",
                raw_code="amount_not_exact",
                detail="Stripe cannot transfer exactly this amount.",
            )
        params: dict[str, Any] = {
            "amount": minor,
            "currency": order.amount.currency.lower(),
            "destination": order.destination.number,
            "transfer_group": key,
            "metadata": {_KEY: order.key},
        }
        if order.statement:
            params["description"] = order.statement
        try:
            made = await self._clients.ask(call, _creating(params), key=f"{key}:{order.key}")
        except Refused as refused:
            return _refused(order, refused)
        return _told(order, made)


def _creating(params: dict[str, Any]) -> Ask:
    return lambda client, options: client.v1.transfers.create_async(params, options)


def _refused(order: PayoutOrder, refused: Refused) -> PayoutResult:
    """A refusal that is final; raises `refused` where it does not prove that nothing was made."""
    failure = _FAILURES.get(refused.code)
    if refused.status not in (400, 402, 404) or refused.type == "idempotency_error":
        raise refused
    return PayoutResult(
        key=order.key,
        status="failed",
        failure=failure or "unspecified",
        raw_code=refused.code or refused.type,
        detail=str(refused.error.get("message") or ""),
    )


def _told(order: PayoutOrder, transfer: dict[str, Any]) -> PayoutResult:
    minor, currency = transfer.get("amount"), transfer.get("currency")
    reference, is_back = transfer.get("id"), transfer.get("reversed")
    if not isinstance(minor, int) or not isinstance(currency, str):
        raise Unreadable("the transfer has no amount")
    return PayoutResult(
        key=order.key,
        status="returned" if is_back is True else "paid",
        amount=from_stripe(minor, currency),
        provider_reference=reference if isinstance(reference, str) else None,
        failure="unspecified" if is_back is True else None,
        raw_code="reversed" if is_back is True else None,
    )
