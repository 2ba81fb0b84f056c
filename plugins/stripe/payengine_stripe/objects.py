"""What do we read of Stripe's objects?

Only what the plugin decides on; every other field may come and go. A field of the wrong type makes
the whole object unreadable, and the outcome unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from payengine.plugin import Amount

from payengine_stripe.currencies import from_stripe
from payengine_stripe.problems import Unreadable

__all__ = [
    "BalanceTransaction",
    "Charge",
    "Dispute",
    "Intent",
    "RefundObject",
    "SetupIntent",
    "amount_in",
    "fee_in",
    "read",
]


class _Object(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that are not named here are passed over."""


class BalanceTransaction(_Object, frozen=True, kw_only=True):
    """One line of Stripe's books, in the currency in which the account settles."""

    id: str
    amount: int
    currency: str
    fee: int
    type: str
    created: int
    source: Any = None


class Charge(_Object, frozen=True, kw_only=True):
    """A try to charge; `balance_transaction` and `payment_intent` are ids, objects or None."""

    id: str
    amount: int
    currency: str
    paid: bool
    captured: bool
    balance_transaction: Any = None
    payment_intent: Any = None
    payment_method_details: dict[str, Any] | None = None


class Intent(_Object, frozen=True, kw_only=True):
    """A PaymentIntent; amounts in Stripe's count."""

    id: str
    amount: int
    currency: str
    status: str
    created: int
    livemode: bool
    capture_method: str
    amount_capturable: int = 0
    amount_received: int = 0
    metadata: dict[str, str] = {}
    next_action: dict[str, Any] | None = None
    last_payment_error: dict[str, Any] | None = None
    latest_charge: Any = None
    cancellation_reason: str | None = None
    canceled_at: int | None = None

    @property
    def charge(self) -> Charge | None:
        """The latest charge where it was expanded."""
        if not isinstance(self.latest_charge, Mapping):
            return None
        return read(self.latest_charge, Charge)


class RefundObject(_Object, frozen=True, kw_only=True):
    """A refund."""

    id: str
    amount: int
    currency: str
    status: str | None
    metadata: dict[str, str] | None = None
    failure_reason: str | None = None


class SetupIntent(_Object, frozen=True, kw_only=True):
    """The keeping of a payment method; `payment_method` is an id, an object or None."""

    id: str
    status: str
    livemode: bool
    customer: str | None = None
    payment_method: Any = None
    next_action: dict[str, Any] | None = None
    last_setup_error: dict[str, Any] | None = None


class _EvidenceDetails(_Object, frozen=True, kw_only=True):
    due_by: int | None = None


class Dispute(_Object, frozen=True, kw_only=True):
    """A dispute with the lines that it has in Stripe's books."""

    id: str
    amount: int
    currency: str
    status: str
    reason: str
    charge: str
    payment_intent: str | None = None
    balance_transactions: list[BalanceTransaction] = []
    evidence_details: _EvidenceDetails = _EvidenceDetails()


#: The first decoder of a class reads its fields' types, and keeps them with the class: two threads
#: that do so at one time break the process, so it is done here, once.
_READY = tuple(msgspec.json.Decoder(kind) for kind in _Object.__subclasses__())

ObjectT = TypeVar("ObjectT", bound=_Object)


def read(plain: object, kind: type[ObjectT]) -> ObjectT:
    """The object that `plain` spells; raises `Unreadable`."""
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as problem:
        raise Unreadable(f"{kind.__name__}: {problem}") from None


def amount_in(minor: int, currency: str) -> Amount:
    """Stripe's figure as an amount; raises `Unreadable` where it cannot be one."""
    try:
        return from_stripe(minor, currency)
    except ValueError as problem:
        raise Unreadable(str(problem)) from None


def fee_in(minor: int, currency: str, *, of: str) -> int:
    """A fee of Stripe's in minor units of the payment's currency `of`.

    0 where that currency cannot express it: the account settles in another one, or the fee is a
    fraction of the smallest unit.
    """
    if currency != of or minor <= 0:
        return 0
    try:
        return from_stripe(minor, currency).minor
    except ValueError:
        return 0
