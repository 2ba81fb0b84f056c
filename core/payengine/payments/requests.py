"""What exactly is sent to a gateway?

The request is made once, stored with the operation, and read back for a second sending: the same
key always carries the same body.
"""

from __future__ import annotations

from typing import Any

import msgspec

from payengine.payments.models import Operation, Payment
from payengine.plugin import (
    Amount,
    Authorize,
    Capture,
    Increment,
    Lookup,
    PaymentMethod,
    Refund,
    Void,
    from_plain,
)

__all__ = [
    "authorize_request",
    "lookup_request",
    "step_request",
    "stored_authorization",
    "stored_request",
]

_KINDS: dict[str, type[msgspec.Struct]] = {
    "authorize": Authorize,
    "increment": Increment,
    "capture": Capture,
    "void": Void,
    "refund": Refund,
}


def authorize_request(
    payment: Payment,
    method: PaymentMethod,
    *,
    key: str,
    challenge: bool = False,
    held: bool = False,
) -> Authorize:
    """The request that opens an attempt; one that is `held` captures nothing yet."""
    return Authorize(
        key=key,
        amount=Amount(payment.amount_minor, payment.currency),
        capture=payment.capture_method == "AUTOMATIC" and not held,
        payment_method=method,
        payment_id=payment.id,
        off_session=payment.off_session,
        return_url=payment.return_url,
        customer_reference=payment.customer_id,
        description=payment.description,
        metadata=payment.metadata,
        challenge=challenge,
    )


def stored_authorization(request: Authorize, *, saved_id: str | None) -> dict[str, Any]:
    """The request in its stored form: a saved method's id stands for its token, which is sealed.

    A network token is left out: what it holds is good for one sending and rests nowhere.
    """
    method = msgspec.structs.replace(request.payment_method, network_token=None)
    plain: dict[str, Any] = msgspec.to_builtins(
        msgspec.structs.replace(request, payment_method=method)
    )
    if saved_id is not None:
        plain["payment_method"]["token"] = saved_id
    return plain


def step_request(
    kind: str,
    *,
    key: str,
    provider_reference: str,
    amount: Amount,
    final: bool = True,
    reason: str | None = None,
) -> dict[str, Any]:
    """The request of a further operation, in its stored form."""
    common = {"key": key, "provider_reference": provider_reference, "amount": amount}
    if kind == "capture":
        common["final"] = final
    if kind == "refund":
        common["reason"] = reason
    plain: dict[str, Any] = msgspec.to_builtins(_KINDS[kind](**common))
    return plain


def stored_request(operation: Operation) -> msgspec.Struct:
    """The request as it was first sent, but for a saved method's token."""
    return from_plain(operation.request, _KINDS[operation.kind])


def lookup_request(operation: Operation) -> Lookup:
    """The question what became of an operation."""
    return Lookup(
        key=operation.provider_key,
        kind=operation.kind if operation.kind != "dispute" else "authorize",
        provider_reference=operation.provider_reference
        or operation.request.get("provider_reference"),
        sent_at=operation.sent_at,
    )
