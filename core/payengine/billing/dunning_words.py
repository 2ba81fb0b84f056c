"""Which words does dunning speak: what it knows, what it hears, and what it asks for?

An invoice in collection is in one phase. What it hears are events; what it asks for are actions,
which whoever runs the machine carries out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from payengine.plugin.declines import DeclineClass

__all__ = [
    "Access",
    "Action",
    "ChargeCustomer",
    "ChargeDeclined",
    "ChargeFailed",
    "ChargeHeld",
    "ChargeNotFound",
    "ChargeSucceeded",
    "ChargeUnknown",
    "CollectionKind",
    "CollectionPhase",
    "CustomerAuthenticated",
    "CustomerCanceled",
    "DunningEvent",
    "InvoicePaid",
    "InvoiceVoided",
    "MethodUpdated",
    "MoveAccess",
    "MoveInvoice",
    "MoveSubscription",
    "Noticed",
    "NotifyCustomer",
    "OpenReview",
    "ReconcileCharge",
    "SubscriptionStanding",
    "TimeCame",
    "Trigger",
]

#: `charging`: a charge is out. `unknown`: nobody can tell what became of it. `retrying`: it was not
#: sent or failed technically, and is tried again soon. `scheduled`: the next attempt has its time.
#: `waiting`: nothing is tried until the customer acts. The others are ends: `settled` (paid or
#: void), `given_up` (the final action ran and left the invoice open), `canceled`, `expired`.
CollectionPhase = Literal[
    "charging",
    "unknown",
    "retrying",
    "scheduled",
    "waiting",
    "settled",
    "given_up",
    "canceled",
    "expired",
]

#: What the invoice is to its subscription: the first one, a renewal, or usage inside of a period.
CollectionKind = Literal["first", "renewal", "usage"]

SubscriptionStanding = Literal[
    "incomplete", "active", "past_due", "unpaid", "canceled", "incomplete_expired"
]

#: May the customer use what was bought? `withheld`: not yet; `suspended`: not now; `ended`: never.
Access = Literal["withheld", "granted", "suspended", "ended"]

#: Why a charge is made.
Trigger = Literal[
    "first_payment",
    "renewal",
    "usage",
    "schedule",
    "payment_method_updated",
    "customer_authenticated",
    "other_method",
]

Noticed = Literal["payment_failed", "payment_recovered", "subscription_canceled"]


# -- what is heard ---------------------------------------------------------------------------------


class TimeCame(msgspec.Struct, frozen=True, tag="time_came"):
    """The instant is reached at which something is due; it does no harm at another time."""


class ChargeSucceeded(msgspec.Struct, frozen=True, tag="charge_succeeded"):
    """The money is taken. `others_open` counts the subscription's other invoices still open."""

    charge: int
    others_open: int = 0


class ChargeDeclined(msgspec.Struct, frozen=True, tag="charge_declined"):
    """The bank or the gateway said no, with a code of the taxonomy."""

    charge: int
    code: str
    gateway: str | None = None


class ChargeFailed(msgspec.Struct, frozen=True, tag="charge_failed"):
    """It is certain that nothing was taken, for a reason that says nothing of the customer."""

    charge: int
    gateway: str | None = None


class ChargeUnknown(msgspec.Struct, frozen=True, tag="charge_unknown"):
    """Nobody can tell yet whether the money was taken."""

    charge: int


class ChargeNotFound(msgspec.Struct, frozen=True, tag="charge_not_found"):
    """The provider proves that it never saw the charge: it may be sent again with its key."""

    charge: int


class ChargeHeld(msgspec.Struct, frozen=True, tag="charge_held"):
    """A card network's limit kept the charge back, until an instant or, with none, for good."""

    charge: int
    until: datetime | None = None


class MethodUpdated(msgspec.Struct, frozen=True, tag="method_updated"):
    """The customer has a new default payment method."""

    method: str | None = None


class CustomerAuthenticated(msgspec.Struct, frozen=True, tag="customer_authenticated"):
    """The customer came and did what the bank asked for."""


class CustomerCanceled(msgspec.Struct, frozen=True, tag="customer_canceled"):
    """The customer has ended the subscription."""


class InvoicePaid(msgspec.Struct, frozen=True, tag="invoice_paid"):
    """The invoice was settled by other means: a transfer, a credit note, a charge of its own."""

    others_open: int = 0


class InvoiceVoided(msgspec.Struct, frozen=True, tag="invoice_voided"):
    """The invoice is owed no more or, `written_off`, nobody hopes to be paid any more."""

    others_open: int = 0
    written_off: bool = False


DunningEvent = (
    TimeCame
    | ChargeSucceeded
    | ChargeDeclined
    | ChargeFailed
    | ChargeUnknown
    | ChargeNotFound
    | ChargeHeld
    | MethodUpdated
    | CustomerAuthenticated
    | CustomerCanceled
    | InvoicePaid
    | InvoiceVoided
)


# -- what is asked for -----------------------------------------------------------------------------


class ChargeCustomer(msgspec.Struct, frozen=True, tag="charge_customer"):
    """Charge the invoice under the key of charge number `charge`, once however often it is asked.

    `method` is `None` for the customer's default. Other gateways than those of `avoid_gateways` are
    preferred: these refused in a way that another may not. `is_resend` sends the same charge again.
    """

    charge: int
    trigger: Trigger
    method: str | None = None
    avoid_gateways: tuple[str, ...] = ()
    is_resend: bool = False


class ReconcileCharge(msgspec.Struct, frozen=True, tag="reconcile_charge"):
    """Find out what became of the charge; until then nothing else is charged."""

    charge: int


class NotifyCustomer(msgspec.Struct, frozen=True, tag="notify_customer"):
    """Tell the customer what came of charge number `charge`, and with `ask` what would help."""

    notice: Noticed
    charge: int
    ask: DeclineClass | None = None


class MoveSubscription(msgspec.Struct, frozen=True, tag="move_subscription"):
    """The subscription's standing is now this one."""

    status: SubscriptionStanding


class MoveInvoice(msgspec.Struct, frozen=True, tag="move_invoice"):
    """The invoice's status is now this one."""

    status: Literal["paid", "void", "uncollectible"]


class MoveAccess(msgspec.Struct, frozen=True, tag="move_access"):
    """What the customer may use is now this."""

    access: Access


class OpenReview(msgspec.Struct, frozen=True, tag="open_review"):
    """A person should look: money came twice or too late, or the tenant's set-up is at fault."""

    why: Literal["paid_twice", "paid_after_end", "set_up_at_fault"]
    charge: int


Action = (
    ChargeCustomer
    | ReconcileCharge
    | NotifyCustomer
    | MoveSubscription
    | MoveInvoice
    | MoveAccess
    | OpenReview
)
