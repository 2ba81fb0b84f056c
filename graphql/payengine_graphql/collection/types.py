"""How is a collection shown?"""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry
from payengine.billing.collection.desk import CollectionView
from payengine.billing.collection.notices import Notice
from payengine.billing.collection.report import RecoveredPart
from payengine.billing.collection.rows import ChargeRow
from payengine.billing.entitlements import Entitlement as EntitlementRow

from payengine_graphql.context import Wire
from payengine_graphql.scalars import BigInt, DateTime
from payengine_graphql.types.enums import DeclineCategory
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.money import Money, money
from payengine_graphql.types.payments import Payment, show_payment

__all__ = [
    "ChargeOutcome",
    "ChargeTrigger",
    "CollectionCharge",
    "CollectionPhase",
    "CustomerNotice",
    "Entitlement",
    "InvoiceCollection",
    "NoticeKind",
    "NoticeStatus",
    "RecoveryPart",
    "show_collection",
]


def _value(value: str, description: str) -> Any:
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="Where an invoice's collection stands.")
class CollectionPhase(Enum):
    """See the description."""

    CHARGING = _value("charging", "A charge is under way.")
    UNKNOWN = _value("unknown", "Nobody can tell what became of a charge; nothing else is charged.")
    RETRYING = _value("retrying", "It was not sent, or failed technically; tried again soon.")
    SCHEDULED = _value("scheduled", "The next attempt has its time.")
    WAITING = _value("waiting", "Nothing is tried until the customer acts.")
    SETTLED = _value("settled", "Nothing is owed any more.")
    GIVEN_UP = _value("given_up", "The final action left the invoice open.")
    CANCELED = _value("canceled", "The subscription ended.")
    EXPIRED = _value("expired", "The first payment did not come in time.")


@strawberry.enum(description="Why a charge was made.")
class ChargeTrigger(Enum):
    """See the description."""

    FIRST_PAYMENT = _value("first_payment", "A subscription began.")
    RENEWAL = _value("renewal", "A period began.")
    USAGE = _value("usage", "Usage, or anything else, was invoiced.")
    SCHEDULE = _value("schedule", "It was an attempt's time.")
    PAYMENT_METHOD_UPDATED = _value("payment_method_updated", "There is another method.")
    CUSTOMER_AUTHENTICATED = _value("customer_authenticated", "The customer came to pay.")
    OTHER_METHOD = _value("other_method", "The method before was of no use.")


@strawberry.enum(description="What became of a charge.")
class ChargeOutcome(Enum):
    """See the description."""

    SUCCEEDED = _value("succeeded", "The money is taken.")
    DECLINED = _value("declined", "The bank or the gateway said no.")
    FAILED = _value("failed", "It is certain that nothing was taken; it says nothing of the card.")
    HELD = _value("held", "Nothing was sent: no method, or a network's limit.")
    CANCELED = _value("canceled", "Nothing was owed any more when it was to be sent.")


@strawberry.enum(description="What a customer is told.")
class NoticeKind(Enum):
    """See the description."""

    PAYMENT_FAILED = _value("payment_failed", "A charge failed, and what would help.")
    PAYMENT_RECOVERED = _value("payment_recovered", "The money came in after all.")
    SUBSCRIPTION_CANCELED = _value("subscription_canceled", "The subscription ended unpaid.")


@strawberry.enum(description="Whether a notice was brought.")
class NoticeStatus(Enum):
    """See the description."""

    WAITING = _value("waiting", "It is about to be sent, or sent again.")
    SENT = _value("sent", "A notifier has taken it.")
    DROPPED = _value("dropped", "Nobody was to be told, or nobody could be.")
    GIVEN_UP = _value("given_up", "Every try to send it failed.")


@strawberry.type(description="One charge of an invoice.")
class CollectionCharge:
    """See the description."""

    row: strawberry.Private[ChargeRow]
    attempt: int = column("How many failures counted before it: 0 for the first try.")
    decline_code: str | None = column("Why it was declined; a code of the taxonomy.")
    gateway: str | None = column("The gateway that answered.")
    made_at: DateTime = column("When it was decided to make it.")
    answered_at: DateTime | None = column("When its outcome became known.")

    @computed("The charge's number, from 0.")
    def number(self) -> int:
        """From the row."""
        return self.row.charge

    @computed("Why it was made.")
    def trigger(self) -> ChargeTrigger:
        """From the row."""
        return ChargeTrigger(self.row.trigger)

    @computed("What became of it; none while that is not known.")
    def outcome(self) -> ChargeOutcome | None:
        """From the row."""
        return ChargeOutcome(self.row.outcome) if self.row.outcome else None

    @computed("What the decline means for the next try.")
    def decline_category(self) -> DeclineCategory | None:
        """From the row."""
        return DeclineCategory(self.row.decline_class) if self.row.decline_class else None

    @computed("What was asked for; none where nothing was.")
    def amount(self) -> Money | None:
        """From the row."""
        if self.row.amount_minor is None or self.row.currency is None:
            return None
        return money(self.row.amount_minor, self.row.currency)

    @computed("The payment behind it. Needs the scope `payments:read`.")
    async def payment(self, info: Wire) -> Payment | None:
        """By the loader."""
        if self.row.payment_id is None:
            return None
        found = await info.context.loaders.payments.load(self.row.payment_id)
        return show_payment(found) if found else None


@strawberry.type(description="What a customer was told of a charge.")
class CustomerNotice:
    """See the description."""

    row: strawberry.Private[Notice]
    id: strawberry.ID = column("The notice's id: the same however often it is sent.")
    charge: int = column("The number of the charge that it tells of.")
    told: list[str] = column("The notifiers that have taken it.")
    tries: int = column("How often it was tried.")
    problem: str | None = column("What kept it from being sent, at the last try.")
    created_at: DateTime = column("When it was written.")
    sent_at: DateTime | None = column("When it was taken.")

    @computed("What it tells.")
    def kind(self) -> NoticeKind:
        """From the row."""
        return NoticeKind(self.row.kind)

    @computed("Whether it was brought.")
    def status(self) -> NoticeStatus:
        """From the row."""
        return NoticeStatus(self.row.status)


@strawberry.type(description="How an invoice is collected; instants are the tenant's own time.")
class InvoiceCollection:
    """See the description."""

    row: strawberry.Private[CollectionView]
    invoice_id: strawberry.ID = column("The invoice.")
    subscription_id: strawberry.ID | None = column("Its subscription.")
    customer_id: strawberry.ID = column("Who owes it.")
    attempts: int = column("How many failures count: technical ones and unknown outcomes do not.")
    next_attempt_at: DateTime | None = column("When it is charged next by itself.")
    deadline_at: DateTime | None = column("When the final action runs if nothing has helped.")
    access_ends_at: DateTime | None = column("When access is suspended if nothing has helped.")
    ended_at: DateTime | None = column("When the collection ended, or the final action ran.")
    final_action: str = column("What is done at the deadline: cancel, unpaid or leave_past_due.")

    @computed("Where it stands.")
    def phase(self) -> CollectionPhase:
        """From the row."""
        return CollectionPhase(self.row.phase)

    @computed("The kind of decline that ended the attempts on the present method.")
    def stopped_by(self) -> DeclineCategory | None:
        """From the row."""
        return DeclineCategory(self.row.stopped_by) if self.row.stopped_by else None

    @computed("Its charges, the first one first.")
    def charges(self) -> list[CollectionCharge]:
        """From the row."""
        return [CollectionCharge(row=row) for row in self.row.charges]

    @computed("What the customer was told, the oldest first.")
    async def notices(self, info: Wire) -> list[CustomerNotice]:
        """By the loader."""
        rows = await info.context.loaders.notices.load(self.row.invoice_id)
        return [CustomerNotice(row=row) for row in rows]


@strawberry.type(description="What a customer may use of a feature.")
class Entitlement:
    """See the description."""

    row: strawberry.Private[EntitlementRow]
    feature: str = column("The feature's name, as the products spell it.")

    @computed("Up to how many units; none: without limit.")
    def limit(self) -> BigInt | None:
        """From the row."""
        return None if self.row.limit is None else BigInt(self.row.limit)


@strawberry.type(
    description="Invoices of one currency and kind of decline that failed at first, by what got "
    "them in."
)
class RecoveryPart:
    """See the description."""

    row: strawberry.Private[RecoveredPart]
    attempt: int | None = column("The attempt that got them in; none for those not got in so far.")
    failed: int = column("How many invoices.")
    recovered: int = column("How many of them were got in.")

    @computed("The kind of the first decline.")
    def decline_category(self) -> DeclineCategory:
        """From the row."""
        return DeclineCategory(self.row.decline_class)

    @computed("Why the charge was made that got them in.")
    def trigger(self) -> ChargeTrigger | None:
        """From the row."""
        return ChargeTrigger(self.row.trigger) if self.row.trigger else None

    @computed("What was owed on them.")
    def failed_amount(self) -> Money:
        """From the row."""
        return money(self.row.failed_minor, self.row.currency)

    @computed("What was got in.")
    def recovered_amount(self) -> Money:
        """From the row."""
        return money(self.row.recovered_minor, self.row.currency)


def show_collection(row: CollectionView) -> InvoiceCollection:
    """The collection for the wire."""
    return InvoiceCollection(row=row)
