"""What is asked of the payments room for a charge, and may it be asked at all?

The request is written down before it is sent and is the same ever after, whatever becomes of the
subscription's method meanwhile: who is killed and comes again asks the same under the same key.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from payengine.billing.collection.rows import ChargeRow, CollectionRow
from payengine.billing.dunning_state import charge_key
from payengine.billing.dunning_words import (
    ChargeHeld,
    DunningEvent,
    InvoicePaid,
    InvoiceVoided,
)
from payengine.billing.network_limits import CardHistory, may_present
from payengine.payments.inputs import CreatePayment
from payengine.storage import Session

__all__ = ["Prepared", "Refused", "is_present", "prepare", "request_of"]

_GROUND = """
    SELECT invoice.status, invoice.currency, invoice.number,
           invoice.amount_due - invoice.amount_paid AS owed,
           invoice.customer_id, subscription.payment_method_id AS named
    FROM invoice LEFT JOIN subscription
        ON subscription.tenant_id = $1 AND subscription.id = invoice.subscription_id
    WHERE invoice.tenant_id = $1 AND invoice.id = $2
"""
#: The newest is the customer's default.
_METHODS = """
    SELECT id, kind, network FROM payment_method
    WHERE tenant_id = $1 AND customer_id = $2 AND detached_at IS NULL ORDER BY id DESC
"""
_HISTORY = """
    SELECT count(*) FILTER (WHERE answered_at >= $3) AS today,
           count(*) FILTER (WHERE amount_minor = $5 AND currency = $6) AS same,
           min(answered_at) FILTER (WHERE amount_minor = $5 AND currency = $6) AS oldest
    FROM collection_charge
    WHERE tenant_id = $1 AND payment_method_id = $2 AND outcome = 'declined'
      AND answered_at > $4
"""
_WINDOW = timedelta(days=30)


class Prepared(msgspec.Struct, frozen=True):
    """The charge with its request, and the methods that may be tried after this one."""

    charge: ChargeRow
    others: tuple[str, ...]


class Refused(msgspec.Struct, frozen=True):
    """Nothing is to be sent; what the machine is to hear instead."""

    charge: ChargeRow
    event: DunningEvent


def is_present(charge: ChargeRow) -> bool:
    """Whether the customer is there, so that they can be asked to authenticate."""
    return charge.return_url is not None or charge.trigger == "first_payment"


def request_of(charge: ChargeRow) -> CreatePayment:
    """The request as it was written down."""
    return msgspec.convert(charge.request, CreatePayment)


async def prepare(
    session: Session, tenant_id: uuid.UUID, row: CollectionRow, charge: ChargeRow, *, at: datetime
) -> Prepared | Refused:
    """Decide what is asked for, at the tenant's instant `at`; writes nothing."""
    ground = await session.fetchrow(_GROUND, tenant_id, row.invoice_id)
    if ground is None or ground["status"] in ("void", "deleted"):
        return Refused(charge, InvoiceVoided())
    if ground["status"] == "paid" or ground["owed"] <= 0:
        return Refused(charge, InvoicePaid())
    saved = await session.fetch(_METHODS, tenant_id, ground["customer_id"])
    method = _chosen(charge, ground["named"], saved)
    if method is None:
        return Refused(charge, ChargeHeld(charge=charge.charge))
    chosen = msgspec.structs.replace(
        charge,
        payment_method_id=method["id"],
        network=method["network"],
        amount_minor=ground["owed"],
        currency=ground["currency"],
    )
    held = await _held_back(session, tenant_id, chosen, at=at)
    if held is not None:
        return Refused(chosen, held)
    request = _request(row, chosen, number=ground["number"])
    others = tuple(each["id"] for each in saved if each["id"] != method["id"])
    return Prepared(msgspec.structs.replace(chosen, request=msgspec.to_builtins(request)), others)


def _chosen(
    charge: ChargeRow, named: str | None, saved: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The method of this charge; one that was detached is never charged.

    Where the subscription's own method is gone, the customer's default takes its place; one that a
    charge was made for is not replaced by another.
    """
    by_id = {each["id"]: each for each in saved}
    if charge.asked_method_id is not None:
        return by_id.get(charge.asked_method_id)
    return by_id.get(named or "") or next(iter(saved), None)


async def _held_back(
    session: Session, tenant_id: uuid.UUID, charge: ChargeRow, *, at: datetime
) -> ChargeHeld | None:
    """What the card's network has to say against one more presentment."""
    if charge.network is None:
        return None
    midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    row = await session.fetchrow(
        _HISTORY,
        tenant_id,
        charge.payment_method_id,
        midnight,
        at - _WINDOW,
        charge.amount_minor,
        charge.currency,
    )
    assert row is not None
    history = CardHistory(
        declines_today=row["today"], declines_30d=row["same"], oldest_30d=row["oldest"]
    )
    verdict = may_present(charge.network, history, at=at)
    return None if verdict.send else ChargeHeld(charge=charge.charge, until=verdict.retry_at)


def _request(row: CollectionRow, charge: ChargeRow, *, number: int | None) -> CreatePayment:
    metadata = {"invoice": row.invoice_id}
    if row.subscription_id is not None:
        metadata["subscription"] = row.subscription_id
    assert charge.amount_minor is not None
    assert charge.currency is not None
    return CreatePayment(
        idempotency_key=charge_key(row.invoice_id, charge.charge),
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        saved_payment_method_id=charge.payment_method_id,
        customer_id=row.customer_id,
        off_session=not is_present(charge),
        return_url=charge.return_url,
        description=None if number is None else f"Invoice {number}",
        metadata=metadata,
        avoid_gateways=charge.avoid_gateways,
    )
