"""What may a client send?

Each input turns itself into the engine's own; the engine checks the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import strawberry
from payengine.customers import (
    CreateCustomer,
    DetachPaymentMethod,
    SavePaymentMethod,
    UpdateCustomer,
)
from payengine.errors import InputInvalid
from payengine.events import EventFilter
from payengine.ids import is_id
from payengine.payments import (
    CapturePayment,
    ConfirmPayment,
    CreatePayment,
    FraudInput,
    IncrementAuthorization,
    MethodInput,
    PaymentFilter,
    RefundPayment,
    VoidPayment,
)

from payengine_graphql.marketplace.split_inputs import (
    SplitPaymentInput,
    SplitShareInput,
    shares_of,
)
from payengine_graphql.scalars import JSON, Currency, DateTime, MinorUnits
from payengine_graphql.types.enums import CaptureMethod, PaymentStatus
from payengine_graphql.types.money import MoneyInput

__all__ = [
    "CapturePaymentInput",
    "ConfigurePluginInput",
    "ConfirmPaymentInput",
    "CreateApiKeyInput",
    "CreateCustomerInput",
    "CreatePaymentInput",
    "DetachPaymentMethodInput",
    "FraudDetailsInput",
    "IncrementAuthorizationInput",
    "PaymentEventFilter",
    "PaymentFilterInput",
    "PaymentMethodInput",
    "RefundPaymentInput",
    "RevokeApiKeyInput",
    "SavePaymentMethodInput",
    "UpdateCustomerInput",
    "VoidPaymentInput",
    "check_id",
]

_MAX_FILTER = 50
_KEY = "1 to 255 printable characters of your own: the same key never moves money twice."


def _key() -> Any:
    return strawberry.field(description=_KEY)


def _given(description: str) -> Any:
    return strawberry.field(description=description)


def _optional(description: str) -> Any:
    return strawberry.field(description=description, default=None)


def check_id(text: str, *prefixes: str, field: str) -> str:
    """The id as it came; raises `InputInvalid` unless it has the form of one of `prefixes`."""
    if not any(is_id(text, prefix) for prefix in prefixes):
        forms = ", ".join(f"{prefix}_…" for prefix in prefixes)
        raise InputInvalid(f"This is not an id of the form {forms}.", path=(field,))
    return text


def _metadata(given: object) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputInvalid("Metadata is an object whose values are texts.", path=("metadata",))
    return dict(given)


@strawberry.input(description="What the buyer pays with.")
class PaymentMethodInput:
    """See the description."""

    token: str = _given(
        "The provider's token, or the JSON text that a wallet encrypted; never a card number."
    )
    kind: str = strawberry.field(
        description="The kind of method: `card`, or a wallet's name; case is ignored.",
        default="card",
    )
    gateway: str | None = _optional(
        "The gateway that made the token: no other one is then asked. Left out, any may be."
    )
    country: str | None = _optional("The country of the card's bank, if you were told: `DE`.")
    card_digits: str | None = _optional(
        "The card's first 4 to 8 digits, if you were told; never more."
    )

    def to_core(self) -> MethodInput:
        """For the engine."""
        return MethodInput(
            token=self.token,
            kind=self.kind.lower(),
            gateway=self.gateway,
            country=self.country,
            card_digits=self.card_digits,
        )


@strawberry.input(
    description="What you know of the buyer; fraud rules read it, and nothing of it is kept but by "
    "keyed hashes."
)
class FraudDetailsInput:
    """See the description."""

    device: str | None = _optional("Your stable name of the buyer's device.")
    ip: str | None = _optional("The buyer's IP address.")
    ip_country: str | None = _optional("The country of that address: `DE`.")
    email: str | None = _optional("The buyer's e-mail address.")
    card_fingerprint: str | None = _optional("Any stable name of the card; never its number.")
    billing_country: str | None = _optional("The country of the billing address.")
    shipping_country: str | None = _optional("The country that it is shipped to.")
    account_age_days: int | None = _optional("How long the buyer has had an account with you.")
    seller_id: str | None = _optional("Your name of the seller, on a marketplace.")

    def to_core(self) -> FraudInput:
        """For the engine."""
        return FraudInput(
            device=self.device,
            ip=self.ip,
            ip_country=self.ip_country,
            email=self.email,
            card_fingerprint=self.card_fingerprint,
            billing_country=self.billing_country,
            shipping_country=self.shipping_country,
            account_age_days=self.account_age_days,
            seller_id=self.seller_id,
        )


@strawberry.input(description="A new payment; give paymentMethod or savedPaymentMethodId.")
class CreatePaymentInput:
    """See the description."""

    idempotency_key: str = _key()
    amount: MoneyInput = _given("What the buyer owes.")
    capture_method: CaptureMethod = strawberry.field(
        description="When the money is taken.", default=CaptureMethod.AUTOMATIC
    )
    payment_method: PaymentMethodInput | None = _optional("What the buyer pays with.")
    saved_payment_method_id: strawberry.ID | None = _optional("The saved method to charge.")
    customer_id: strawberry.ID | None = _optional("Who pays.")
    off_session: bool = strawberry.field(
        description="Whether the buyer is away and cannot act.", default=False
    )
    return_url: str | None = _optional("Where the buyer comes back to; http or https.")
    description: str | None = _optional("Your own words, up to 500 characters.")
    metadata: JSON | None = _optional(
        "Your own notes: up to 50 texts of up to 500 characters by keys of up to 40."
    )
    fraud: FraudDetailsInput | None = _optional("What you know of the buyer, for fraud rules.")
    split: SplitPaymentInput | None = _optional("How it is divided among its owners.")

    def to_core(self) -> CreatePayment:
        """For the engine."""
        return CreatePayment(
            idempotency_key=self.idempotency_key,
            amount_minor=self.amount.amount_minor,
            currency=self.amount.currency,
            capture_method=self.capture_method.value,
            payment_method=self.payment_method.to_core() if self.payment_method else None,
            saved_payment_method_id=self.saved_payment_method_id,
            customer_id=self.customer_id,
            off_session=self.off_session,
            return_url=self.return_url,
            description=self.description,
            metadata=_metadata(self.metadata),
            fraud=self.fraud.to_core() if self.fraud else None,
            split=self.split.to_core() if self.split else None,
        )


@strawberry.input(
    description="Go on with a payment: by another method after a decline, or after the buyer acted."
)
class ConfirmPaymentInput:
    """See the description."""

    idempotency_key: str = _key()
    payment_id: strawberry.ID = _given("The payment.")
    payment_method: PaymentMethodInput | None = _optional("Another method to try.")
    saved_payment_method_id: strawberry.ID | None = _optional("Another saved method to try.")
    fraud: FraudDetailsInput | None = _optional("What you know of the buyer, for fraud rules.")

    def to_core(self) -> ConfirmPayment:
        """For the engine."""
        return ConfirmPayment(
            idempotency_key=self.idempotency_key,
            payment_id=self.payment_id,
            payment_method=self.payment_method.to_core() if self.payment_method else None,
            saved_payment_method_id=self.saved_payment_method_id,
            fraud=self.fraud.to_core() if self.fraud else None,
        )


@strawberry.input(description="Take what is held, or a part of it.")
class CapturePaymentInput:
    """See the description."""

    idempotency_key: str = _key()
    payment_id: strawberry.ID = _given("The payment.")
    amount_minor: MinorUnits | None = _optional("How much; all that is held where left out.")
    final: bool = strawberry.field(
        description="Whether what is left is released; false keeps it for further captures.",
        default=True,
    )
    shares: list[SplitShareInput] | None = _optional(
        "How this capture is divided, whatever the payment's own split says."
    )

    def to_core(self) -> CapturePayment:
        """For the engine."""
        return CapturePayment(
            idempotency_key=self.idempotency_key,
            payment_id=self.payment_id,
            amount_minor=self.amount_minor,
            final=self.final,
            shares=shares_of(self.shares),
        )


@strawberry.input(description="Release what is held, or give a payment up.")
class VoidPaymentInput:
    """See the description."""

    idempotency_key: str = _key()
    payment_id: strawberry.ID = _given("The payment.")

    def to_core(self) -> VoidPayment:
        """For the engine."""
        return VoidPayment(idempotency_key=self.idempotency_key, payment_id=self.payment_id)


@strawberry.input(description="Give money back to the buyer.")
class RefundPaymentInput:
    """See the description."""

    idempotency_key: str = _key()
    payment_id: strawberry.ID = _given("The payment.")
    amount_minor: MinorUnits | None = _optional("How much; all that is left where left out.")
    reason: str | None = _optional("Why, in your own words.")
    in_spite_of_fraud: str | None = _optional(
        "Why it is to be sent though fraud rules stop it; needs the scope fraud:write."
    )
    shares: list[SplitShareInput] | None = _optional(
        "Who gives back how much; left out, each owner in proportion."
    )

    def to_core(self) -> RefundPayment:
        """For the engine."""
        return RefundPayment(
            idempotency_key=self.idempotency_key,
            payment_id=self.payment_id,
            amount_minor=self.amount_minor,
            reason=self.reason,
            in_spite_of_fraud=self.in_spite_of_fraud,
            shares=shares_of(self.shares),
        )


@strawberry.input(description="Raise what is held.")
class IncrementAuthorizationInput:
    """See the description."""

    idempotency_key: str = _key()
    payment_id: strawberry.ID = _given("The payment.")
    amount_minor: MinorUnits = _given("By how much the hold is raised.")

    def to_core(self) -> IncrementAuthorization:
        """For the engine."""
        return IncrementAuthorization(
            idempotency_key=self.idempotency_key,
            payment_id=self.payment_id,
            amount_minor=self.amount_minor,
        )


@strawberry.input(description="A new customer.")
class CreateCustomerInput:
    """See the description."""

    idempotency_key: str = _key()
    reference: str | None = _optional("Your own name for the customer, unique in the tenant.")
    email: str | None = _optional("The e-mail address; sealed at rest.")
    name: str | None = _optional("The name; sealed at rest.")
    metadata: JSON | None = _optional("Your own notes: an object whose values are texts.")

    def to_core(self) -> CreateCustomer:
        """For the engine."""
        return CreateCustomer(
            idempotency_key=self.idempotency_key,
            reference=self.reference,
            email=self.email,
            name=self.name,
            metadata=_metadata(self.metadata),
        )


@strawberry.input(description="What is left out stays as it is.")
class UpdateCustomerInput:
    """See the description."""

    idempotency_key: str = _key()
    customer_id: strawberry.ID = _given("The customer.")
    email: str | None = _optional("The new e-mail address.")
    name: str | None = _optional("The new name.")
    metadata: JSON | None = _optional("Replaces all notes.")

    def to_core(self) -> UpdateCustomer:
        """For the engine."""
        return UpdateCustomer(
            idempotency_key=self.idempotency_key,
            customer_id=self.customer_id,
            email=self.email,
            name=self.name,
            metadata=None if self.metadata is None else _metadata(self.metadata),
        )


@strawberry.input(description="Keep a provider's token for later charges.")
class SavePaymentMethodInput:
    """See the description."""

    idempotency_key: str = _key()
    customer_id: strawberry.ID = _given("Whose it is.")
    token: str = _given("The provider's token; sealed at rest, never shown again.")
    kind: str = strawberry.field(description="The kind of method.", default="card")
    label: str = strawberry.field(
        description="What the buyer recognises it by, such as `Visa, ends in 42`.", default=""
    )
    gateway: str | None = _optional(
        "The gateway in whose vault it rests: it is charged there only. Left out, it stays with "
        "the first gateway that charges it."
    )
    network: str | None = _optional(
        "The card's network, such as `visa`: networks limit how often a refused card may be "
        "charged again."
    )

    def to_core(self) -> SavePaymentMethod:
        """For the engine."""
        return SavePaymentMethod(
            idempotency_key=self.idempotency_key,
            customer_id=self.customer_id,
            token=self.token,
            kind=self.kind,
            label=self.label,
            gateway=self.gateway,
            network=self.network,
        )


@strawberry.input(description="Charge a saved method no more.")
class DetachPaymentMethodInput:
    """See the description."""

    idempotency_key: str = _key()
    payment_method_id: strawberry.ID = _given("The saved method.")

    def to_core(self) -> DetachPaymentMethod:
        """For the engine."""
        return DetachPaymentMethod(
            idempotency_key=self.idempotency_key, payment_method_id=self.payment_method_id
        )


@strawberry.input(description="Set a plugin up for this tenant; what is left out stays as it is.")
class ConfigurePluginInput:
    """See the description."""

    idempotency_key: str = _key()
    plugin: str = _given("The plugin's name.")
    enabled: bool | None = _optional("Whether new payments may take its gateways.")
    settings: JSON | None = _optional(
        "An object that fits the plugin's schema and replaces all settings but the secrets that "
        "it leaves out; a secret that is null is forgotten."
    )


@strawberry.input(description="A new API key.")
class CreateApiKeyInput:
    """See the description."""

    idempotency_key: str = _key()
    name: str = _given("Your own name for it.")
    scopes: list[str] = _given("What its holder may do; no more than the key that asks.")
    expires_at: DateTime | None = _optional("When it stops to work; never where left out.")


@strawberry.input(description="End an API key for ever.")
class RevokeApiKeyInput:
    """See the description."""

    idempotency_key: str = _key()
    api_key_id: strawberry.ID = _given("The key's id.")


@strawberry.input(description="Which payments to list; all that is given must hold.")
class PaymentFilterInput:
    """See the description."""

    statuses: list[PaymentStatus] | None = _optional("In one of these states.")
    customer_id: strawberry.ID | None = _optional("Of this customer.")
    currency: Currency | None = _optional("In this currency.")
    created_from: DateTime | None = _optional("Created at this instant or later.")
    created_until: DateTime | None = _optional("Created before this instant.")

    def to_core(self) -> PaymentFilter:
        """For the engine; raises `InputInvalid`."""
        statuses = self.statuses or []
        if len(statuses) > _MAX_FILTER:
            raise InputInvalid("Too many statuses.", path=("filter", "statuses"))
        if self.customer_id is not None:
            check_id(self.customer_id, "cus", field="filter")
        return PaymentFilter(
            statuses=tuple(status.value for status in statuses),
            customer_id=self.customer_id,
            currency=self.currency,
            created_from=self.created_from,
            created_until=self.created_until,
        )


@strawberry.input(description="Which events to send; all that is given must hold.")
class PaymentEventFilter:
    """See the description."""

    types: list[str] | None = _optional("Of one of these types, such as `payment.captured`.")
    payment_id: strawberry.ID | None = _optional("Of this payment.")
    customer_id: strawberry.ID | None = _optional("Of this customer's payments.")

    def to_core(self) -> EventFilter:
        """For the engine; raises `InputInvalid`."""
        types = self.types or []
        if len(types) > _MAX_FILTER or any(len(each) > 80 for each in types):
            raise InputInvalid("Too many or too long types.", path=("filter", "types"))
        if self.payment_id is not None:
            check_id(self.payment_id, "pay", field="filter")
        if self.customer_id is not None:
            check_id(self.customer_id, "cus", field="filter")
        return EventFilter(
            types=frozenset(types), payment_id=self.payment_id, customer_id=self.customer_id
        )
