"""How are payments, attempts, operations and refunds shown?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.payments.models import Attempt as AttemptRow
from payengine.payments.models import Evidence as EvidenceRow
from payengine.payments.models import Operation as OperationRow
from payengine.payments.models import Payment as PaymentRow
from payengine.plugin import BankDetails as PluginBankDetails
from payengine.plugin import from_plain
from payengine.plugin.declines import decline_rule

from payengine_graphql.context import Wire
from payengine_graphql.marketplace.splits import PaymentSplit
from payengine_graphql.scalars import JSON, Currency, DateTime
from payengine_graphql.types.customers import (
    Customer,
    SavedPaymentMethod,
    show_customer,
    show_method,
)
from payengine_graphql.types.enums import (
    CaptureMethod,
    DeclineCategory,
    EvidenceSource,
    OperationKind,
    OperationStatus,
    PaymentStatus,
)
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.money import Money, money
from payengine_graphql.types.nodes import DEFAULT_PAGE, Node, check_first

__all__ = [
    "Attempt",
    "BankDetails",
    "Decline",
    "Evidence",
    "NextAction",
    "Operation",
    "Payment",
    "PaymentMethod",
    "Refund",
    "show_operation",
    "show_payment",
    "show_refund",
]

_First = Annotated[
    int, strawberry.argument(description="How many at most, the oldest first; 1 to 100.")
]


@strawberry.type(description="The account to which the buyer is to transfer the money.")
class BankDetails:
    """See the description."""

    holder: str = strawberry.field(description="Whose account it is.")
    iban: str = strawberry.field(description="Its IBAN, without spaces.")
    bic: str | None = strawberry.field(description="Its bank's BIC, where it is known.")
    reference: str = strawberry.field(
        description="What the buyer must write, so that the money is recognised."
    )
    amount: Money = strawberry.field(description="What is still missing.")


@strawberry.type(description="What the buyer must do before the payment can go on.")
class NextAction:
    """See the description."""

    payment_id: strawberry.Private[str]
    type: str = strawberry.field(description="`redirect`: open the address in the browser.")
    url: str = strawberry.field(description="The address; it leads back to `returnUrl`.")

    @computed(
        "Where to transfer the money, for a page of your own: the address shows the same. None for "
        "other methods."
    )
    async def bank_details(self, info: Wire) -> BankDetails | None:
        """By the operations' loader: those of the operation that waits for the buyer."""
        rows = await info.context.loaders.operations.load(self.payment_id)
        return next((_bank_details(row) for row in rows if row.next_action_url == self.url), None)


@strawberry.type(description="Why the buyer's bank or the gateway refused.")
class Decline:
    """See the description."""

    code: str = strawberry.field(description="The reason in the engine's closed taxonomy.")
    category: DeclineCategory = strawberry.field(description="What it means for the next try.")
    retryable: bool = strawberry.field(
        description="Whether the same method may be tried again later without the buyer."
    )
    advice: str = strawberry.field(description="What to do next, in a sentence.")


@strawberry.type(description="What the buyer pays with; never a card number.")
class PaymentMethod:
    """See the description."""

    row: strawberry.Private[PaymentRow]

    @computed("The kind of method, such as `card`.")
    def kind(self) -> str | None:
        """As the client named it."""
        return self.row.method_kind

    @computed("The saved method that is charged, if it is one.")
    async def saved(self, info: Wire) -> SavedPaymentMethod | None:
        """By the loader; needs the scope `customers:read`."""
        if self.row.saved_payment_method_id is None:
            return None
        info.context.require("customers:read")
        found = await info.context.loaders.methods_by_id.load(self.row.saved_payment_method_id)
        return show_method(found) if found else None


@strawberry.type(description="Why the outcome of an operation is believed.")
class Evidence:
    """See the description."""

    row: strawberry.Private[EvidenceRow]
    id: strawberry.ID = column("The evidence's id.")
    source: EvidenceSource = column("Where it was found.")
    finding: str = column("What was found, as an operation's status.")
    data: JSON = column("What was said: the reason, the provider's words, or who said so.")
    created_at: DateTime = column("When it was found.")


@strawberry.type(description="One request to a gateway and what became of it.")
class Operation(Node):
    """See the description."""

    row: strawberry.Private[OperationRow]
    payment_id: strawberry.ID = column("The payment that it moves.")
    attempt_id: strawberry.ID = column("The attempt that it belongs to.")
    kind: OperationKind = column("What was asked.")
    status: OperationStatus = column("What became of it.")
    gateway: str = column("The gateway that was asked.")
    capture: bool = column("Whether an authorization takes the money at once.", name="captures")
    final: bool = column("Whether a capture releases what it leaves.")
    provider_reference: str | None = column("The gateway's own name for it.")
    raw_code: str | None = column("The gateway's code of a refusal, as it was sent.")
    raw_text: str | None = column("The gateway's words of a refusal, as they were sent.")
    anomaly: str | None = column("What was out of order about it.")
    tries: int = column("How often the gateway was asked about it since.")
    hold_expires_at: DateTime | None = column("When the gateway lets go of what it holds.")
    sent_at: DateTime = column("When it was sent.")
    created_at: DateTime = column("When it was written down.")
    updated_at: DateTime = column("When it last changed.")

    @computed("The amount asked for.")
    def amount(self) -> Money:
        """In the payment's currency."""
        return money(self.row.amount_minor, self.row.currency)

    @computed("What a final capture or a void let go of.")
    def released_amount(self) -> Money:
        """In the payment's currency."""
        return money(self.row.released_minor, self.row.currency)

    @computed("The gateway's fee.")
    def fee(self) -> Money:
        """In the payment's currency."""
        return money(self.row.fee_minor, self.row.currency)

    @computed("Why it was refused.")
    def decline(self) -> Decline | None:
        """None unless refused."""
        return _decline(self.row.decline_code)

    @computed("What the buyer must do first.")
    def next_action(self) -> NextAction | None:
        """None unless something is to be done."""
        return _next_action(self.row.payment_id, self.row.next_action_url)

    @computed("Why the outcome is believed, where more than the answer counts.")
    async def evidence(self, info: Wire) -> list[Evidence]:
        """By the loader."""
        return [Evidence(row=row) for row in await info.context.loaders.evidence.load(self.row.id)]

    @computed("The payment that it moves.")
    async def payment(self, info: Wire) -> Payment | None:
        """By the loader."""
        found = await info.context.loaders.payments.load(self.row.payment_id)
        return show_payment(found) if found else None


@strawberry.type(description="Money that goes back to the buyer: an operation of kind REFUND.")
class Refund(Node):
    """See the description."""

    row: strawberry.Private[OperationRow]
    payment_id: strawberry.ID = column("The payment that is refunded.")
    status: OperationStatus = column("What became of it.")
    gateway: str = column("The gateway that was asked.")
    provider_reference: str | None = column("The gateway's own name for it.")
    created_at: DateTime = column("When it was asked for.")
    updated_at: DateTime = column("When it last changed.")

    @computed("How much goes back.")
    def amount(self) -> Money:
        """In the payment's currency."""
        return money(self.row.amount_minor, self.row.currency)

    @computed("Why, as the client said.")
    def reason(self) -> str | None:
        """From the request."""
        reason = self.row.request.get("reason")
        return reason if isinstance(reason, str) else None

    @computed("Why the gateway refused.")
    def decline(self) -> Decline | None:
        """None unless refused."""
        return _decline(self.row.decline_code)


@strawberry.type(description="One try at one gateway.")
class Attempt:
    """See the description."""

    row: strawberry.Private[AttemptRow]
    id: strawberry.ID = column("The attempt's id.")
    number: int = column("Counts from 1 within the payment.")
    gateway: str = column("The gateway that was tried.")
    routing: JSON = column("Why this gateway: the candidates, what each was judged by, the choice.")
    created_at: DateTime = column("When it began.")

    @computed("The operations sent to this gateway, the oldest first.")
    async def operations(self, info: Wire, first: _First = DEFAULT_PAGE) -> list[Operation]:
        """By the payment's loader."""
        rows = await info.context.loaders.operations.load(self.row.payment_id)
        mine = [row for row in rows if row.attempt_id == self.row.id]
        return [show_operation(row) for row in mine[: check_first(first)]]


@strawberry.type(description="What a buyer owes, and what became of it.")
class Payment(Node):
    """See the description."""

    row: strawberry.Private[PaymentRow]
    status: PaymentStatus = column("Where the payment stands.")
    currency: Currency = column("The currency of all its amounts.")
    capture_method: CaptureMethod = column("When the money is taken.")
    customer_id: strawberry.ID | None = column("The id of the customer who pays.")
    off_session: bool = column("Whether the buyer was away when it was made.")
    return_url: str | None = column("Where the buyer comes back to.")
    description: str | None = column("Your own words about the payment.")
    metadata: JSON = column("Your own notes: an object whose values are texts.")
    gateway: str | None = column("The gateway of the last attempt.")
    anomalies: list[str] = column(
        "What happened although it should not have, such as `over_refunded`; empty is well."
    )
    needs_review: bool = column("Whether a person must look at it.")
    conflicted: bool = column("Whether the gateway says something else than the engine asked.")
    hold_expires_at: DateTime | None = column("When the hold ends.")
    created_at: DateTime = column("When it was created.")
    updated_at: DateTime = column("When it last changed.")

    @computed("What the buyer owes.")
    def amount(self) -> Money:
        """As it was asked for."""
        return money(self.row.amount_minor, self.row.currency)

    @computed("What was held in all, captured or not.")
    def authorized_amount(self) -> Money:
        """Sum of holds."""
        return money(self.row.authorized_minor, self.row.currency)

    @computed("What was taken.")
    def captured_amount(self) -> Money:
        """Sum of captures."""
        return money(self.row.captured_minor, self.row.currency)

    @computed("What was released without being taken.")
    def voided_amount(self) -> Money:
        """Sum of voids."""
        return money(self.row.voided_minor, self.row.currency)

    @computed("What went back to the buyer.")
    def refunded_amount(self) -> Money:
        """Sum of refunds."""
        return money(self.row.refunded_minor, self.row.currency)

    @computed("What the buyer's bank took back.")
    def charged_back_amount(self) -> Money:
        """Sum of disputes lost."""
        return money(self.row.charged_back_minor, self.row.currency)

    @computed("What can still be captured.")
    def capturable_amount(self) -> Money:
        """Held, and not captured, voided or reserved."""
        return money(self.row.capturable_minor, self.row.currency)

    @computed("What can still be refunded.")
    def refundable_amount(self) -> Money:
        """Captured, and not refunded, charged back or reserved."""
        return money(self.row.refundable_minor, self.row.currency)

    @computed("What the buyer pays with.")
    def payment_method(self) -> PaymentMethod:
        """Of the last attempt."""
        return PaymentMethod(row=self.row)

    @computed("What the buyer must do before the payment can go on.")
    def next_action(self) -> NextAction | None:
        """None unless the status is REQUIRES_ACTION."""
        return _next_action(self.row.id, self.row.next_action_url)

    @computed("Why the last attempt was refused.")
    def decline(self) -> Decline | None:
        """None unless it was."""
        return _decline(self.row.decline_code)

    @computed("Who pays. Needs the scope `customers:read`.")
    async def customer(self, info: Wire) -> Customer | None:
        """By the loader."""
        if self.row.customer_id is None:
            return None
        info.context.require("customers:read")
        found = await info.context.loaders.customers.load(self.row.customer_id)
        return show_customer(found) if found else None

    @computed("The tries at gateways, in their order.")
    async def attempts(self, info: Wire) -> list[Attempt]:
        """By the loader."""
        rows = await info.context.loaders.attempts.load(self.row.id)
        return [Attempt(row=row) for row in rows]

    @computed("Every request to gateways, the oldest first.")
    async def operations(self, info: Wire, first: _First = DEFAULT_PAGE) -> list[Operation]:
        """By the loader."""
        rows = await info.context.loaders.operations.load(self.row.id)
        return [show_operation(row) for row in rows[: check_first(first)]]

    @computed("The refunds, the oldest first.")
    async def refunds(self, info: Wire, first: _First = DEFAULT_PAGE) -> list[Refund]:
        """By the operations' loader."""
        rows = await info.context.loaders.operations.load(self.row.id)
        refunds = [row for row in rows if row.kind == "refund"]
        return [show_refund(row) for row in refunds[: check_first(first)]]

    @computed("How it is divided among its owners. Needs the scope `accounts:read`.")
    async def split(self, info: Wire) -> PaymentSplit | None:
        """By the loader; None where all of it is the platform's."""
        info.context.require("accounts:read")
        found = await info.context.loaders.splits.load(self.row.id)
        return PaymentSplit(divided=found) if found else None


def _decline(code: str | None) -> Decline | None:
    if code is None:
        return None
    rule = decline_rule(code)
    return Decline(
        code=code,
        category=DeclineCategory(rule.decline_class),
        retryable=rule.auto_retry_same_method,
        advice=rule.advice,
    )


def _next_action(payment_id: str, url: str | None) -> NextAction | None:
    return None if url is None else NextAction(payment_id=payment_id, type="redirect", url=url)


def _bank_details(row: OperationRow) -> BankDetails | None:
    if row.bank_details is None:
        return None
    told = from_plain(row.bank_details, PluginBankDetails)
    return BankDetails(
        holder=told.holder,
        iban=told.iban,
        bic=told.bic or None,
        reference=told.reference,
        amount=money(told.amount.minor, told.amount.currency),
    )


def show_payment(row: PaymentRow) -> Payment:
    """The payment for the wire."""
    return Payment(id=strawberry.ID(row.id), row=row)


def show_operation(row: OperationRow) -> Operation:
    """The operation for the wire."""
    return Operation(id=strawberry.ID(row.id), row=row)


def show_refund(row: OperationRow) -> Refund:
    """The operation of kind refund for the wire."""
    return Refund(id=strawberry.ID(row.id), row=row)
