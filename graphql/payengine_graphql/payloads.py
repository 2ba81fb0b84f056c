"""What does a mutation answer?"""

from __future__ import annotations

import strawberry

from payengine_graphql.types.customers import Customer, SavedPaymentMethod
from payengine_graphql.types.payments import Operation, Payment, Refund
from payengine_graphql.types.plugins import Plugin
from payengine_graphql.types.problems import Problem
from payengine_graphql.types.tenancy import ApiKey

__all__ = [
    "CapturePaymentPayload",
    "ConfigurePluginPayload",
    "ConfirmPaymentPayload",
    "CreateApiKeyPayload",
    "CreateCustomerPayload",
    "CreatePaymentPayload",
    "DetachPaymentMethodPayload",
    "IncrementAuthorizationPayload",
    "RefundPaymentPayload",
    "RevokeApiKeyPayload",
    "SavePaymentMethodPayload",
    "UpdateCustomerPayload",
    "VoidPaymentPayload",
]


@strawberry.type(description="The answer to createPayment.")
class CreatePaymentPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(
        description="Why it was not done; empty where it was. A decline is no error."
    )
    payment: Payment | None = strawberry.field(
        description="The payment as it now stands; none where the input was refused.", default=None
    )
    operation: Operation | None = strawberry.field(
        description="The operation that was asked for.", default=None
    )


@strawberry.type(description="The answer to confirmPayment.")
class ConfirmPaymentPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(
        description="Why it was not done; empty where it was. A decline is no error."
    )
    payment: Payment | None = strawberry.field(
        description="The payment as it now stands; none where the input was refused.", default=None
    )
    operation: Operation | None = strawberry.field(
        description="The operation that was asked for.", default=None
    )


@strawberry.type(description="The answer to capturePayment.")
class CapturePaymentPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(
        description="Why it was not done; empty where it was. A decline is no error."
    )
    payment: Payment | None = strawberry.field(
        description="The payment as it now stands; none where the input was refused.", default=None
    )
    operation: Operation | None = strawberry.field(
        description="The operation that was asked for.", default=None
    )


@strawberry.type(description="The answer to voidPayment.")
class VoidPaymentPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(
        description="Why it was not done; empty where it was. A decline is no error."
    )
    payment: Payment | None = strawberry.field(
        description="The payment as it now stands; none where the input was refused.", default=None
    )
    operation: Operation | None = strawberry.field(
        description="The operation that was asked for.", default=None
    )


@strawberry.type(description="The answer to incrementAuthorization.")
class IncrementAuthorizationPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(
        description="Why it was not done; empty where it was. A decline is no error."
    )
    payment: Payment | None = strawberry.field(
        description="The payment as it now stands; none where the input was refused.", default=None
    )
    operation: Operation | None = strawberry.field(
        description="The operation that was asked for.", default=None
    )


@strawberry.type(description="The answer to refundPayment.")
class RefundPaymentPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(
        description="Why it was not done; empty where it was. A decline is no error."
    )
    payment: Payment | None = strawberry.field(
        description="The payment as it now stands; none where the input was refused.", default=None
    )
    refund: Refund | None = strawberry.field(
        description="The refund that was asked for.", default=None
    )


@strawberry.type(description="The answer to createCustomer.")
class CreateCustomerPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(
        description="Why it was not done; empty where it was. A decline is no error."
    )
    customer: Customer | None = strawberry.field(
        description="The customer as it now stands.", default=None
    )


@strawberry.type(description="The answer to updateCustomer.")
class UpdateCustomerPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(
        description="Why it was not done; empty where it was. A decline is no error."
    )
    customer: Customer | None = strawberry.field(
        description="The customer as it now stands.", default=None
    )


@strawberry.type(description="The answer to savePaymentMethod.")
class SavePaymentMethodPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(
        description="Why it was not done; empty where it was. A decline is no error."
    )
    payment_method: SavedPaymentMethod | None = strawberry.field(
        description="The saved method as it now stands.", default=None
    )


@strawberry.type(description="The answer to detachPaymentMethod.")
class DetachPaymentMethodPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(
        description="Why it was not done; empty where it was. A decline is no error."
    )
    payment_method: SavedPaymentMethod | None = strawberry.field(
        description="The saved method as it now stands.", default=None
    )


@strawberry.type(description="The answer to configurePlugin.")
class ConfigurePluginPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(
        description="Why it was not done; empty where it was. A decline is no error."
    )
    plugin: Plugin | None = strawberry.field(
        description="The plugin as it is now set up.", default=None
    )


@strawberry.type(description="The answer to createApiKey.")
class CreateApiKeyPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(
        description="Why it was not done; empty where it was. A decline is no error."
    )
    api_key: ApiKey | None = strawberry.field(description="The new key.", default=None)
    secret: str | None = strawberry.field(
        description="The secret, shown once: none where the request is repeated.", default=None
    )


@strawberry.type(description="The answer to revokeApiKey.")
class RevokeApiKeyPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(
        description="Why it was not done; empty where it was. A decline is no error."
    )
    api_key: ApiKey | None = strawberry.field(description="The key, revoked.", default=None)
