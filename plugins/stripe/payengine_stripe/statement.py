"""What do Stripe's own books say?

Balance transactions, oldest first, with the charge or the refund that each is for. A line in
another currency than the payment's (the account settles in its own) is told in the payment's, and
without the fee, which the payment's currency cannot express.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from payengine.plugin import Call, Movement

from payengine_stripe.client import Clients
from payengine_stripe.marks import CAPTURE, KEY, marked
from payengine_stripe.objects import (
    BalanceTransaction,
    Charge,
    Intent,
    RefundObject,
    amount_in,
    fee_in,
    read,
)
from payengine_stripe.paging import listed
from payengine_stripe.problems import Unreadable

__all__ = ["fees_of_captures", "movements"]

_MOST_PAGES = 500
_CHARGES = frozenset({"charge", "payment"})
_REFUNDS = frozenset({"refund", "payment_refund"})
_FAILED_REFUNDS = frozenset({"refund_failure", "payment_failure_refund"})
#: Four levels are the most that Stripe expands.
_EXPAND = ["data.source", "data.source.payment_intent"]


async def movements(
    clients: Clients, call: Call, *, since: datetime, until: datetime
) -> Sequence[Movement]:
    """Every capture and refund of ours with since ≤ at < until; lines of others are passed over."""
    span = {"gte": math.ceil(since.timestamp()), "lt": math.ceil(until.timestamp())}
    lines = await _lines(clients, call, {"created": span, "expand": _EXPAND})
    found: list[Movement] = []
    taken: dict[str, set[str]] = {}
    for line in reversed(lines):  # Stripe lists the newest first
        movement = _movement(line, taken)
        if movement is not None:
            found.append(movement)
    return found


async def fees_of_captures(
    clients: Clients, call: Call, charge_id: str, captures: Mapping[str, int], currency: str
) -> dict[str, int]:
    """key → fee of each of a charge's several captures."""
    lines = await _lines(clients, call, {"source": charge_id})
    fees: dict[str, int] = {}
    for line in reversed(lines):
        if line.type in _CHARGES and line.currency == currency:
            key = _next_capture(captures, line.amount, set(fees))
            if key is not None:
                fees[key] = fee_in(line.fee, line.currency, of=currency)
    return fees


async def _lines(clients: Clients, call: Call, query: dict[str, Any]) -> list[BalanceTransaction]:
    found: list[BalanceTransaction] = []
    every = listed(clients, call, "balance_transactions", query, most_pages=_MOST_PAGES)
    async for plain in every:
        if plain is None:
            raise Unreadable("more lines than can be read: ask for a shorter time")
        found.append(read(plain, BalanceTransaction))
    return found


def _movement(line: BalanceTransaction, taken: dict[str, set[str]]) -> Movement | None:
    if line.type in _CHARGES:
        return _capture(line, taken)
    if line.type in _REFUNDS or line.type in _FAILED_REFUNDS:
        return _refund(line)
    return None


def _capture(line: BalanceTransaction, taken: dict[str, set[str]]) -> Movement | None:
    charge = read(line.source, Charge)
    if not isinstance(charge.payment_intent, Mapping):
        return None
    intent = read(charge.payment_intent, Intent)
    key = intent.metadata.get(KEY)
    if key is None:
        return None
    asked = intent.amount_received
    if intent.capture_method == "manual":
        captures = marked(CAPTURE, intent.metadata)
        used = taken.setdefault(intent.id, set())
        only = next(iter(captures)) if len(captures) == 1 else None
        key = only or _next_capture(captures, line.amount, used)
        if key is None:
            raise Unreadable(f"{line.id} is a capture of {intent.id} that was not marked")
        used.add(key)
        asked = captures[key]
    minor = line.amount if line.currency == intent.currency else asked
    return Movement(
        key=key,
        kind="capture",
        provider_reference=intent.id,
        amount=amount_in(minor, intent.currency),
        fee_minor=fee_in(line.fee, line.currency, of=intent.currency),
        at=datetime.fromtimestamp(line.created, UTC),
    )


def _refund(line: BalanceTransaction) -> Movement | None:
    refund = read(line.source, RefundObject)
    key = (refund.metadata or {}).get(KEY)
    if key is None:
        return None
    amount = amount_in(refund.amount, refund.currency)
    sign = 1 if line.type in _FAILED_REFUNDS else -1
    return Movement(
        key=key,
        kind="refund",
        provider_reference=refund.id,
        amount=type(amount)(sign * amount.minor, amount.currency),
        fee_minor=fee_in(line.fee, line.currency, of=refund.currency),
        at=datetime.fromtimestamp(line.created, UTC),
    )


def _next_capture(captures: Mapping[str, int], minor: int, used: set[str]) -> str | None:
    """A capture of this amount that no line was for yet; equal ones are like each other."""
    return next((key for key, own in captures.items() if own == minor and key not in used), None)
