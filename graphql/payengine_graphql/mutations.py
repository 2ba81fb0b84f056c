"""What may be done?

Each mutation takes an idempotency key; its payload carries the object and `errors`. A gateway's
refusal is a result: the payment is DECLINED and `errors` is empty.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

import strawberry
from payengine.errors import InputInvalid, NotFound, PluginNotFound
from payengine.payments.service import PaymentResult
from payengine_tenants.keys import ApiKey as ApiKeyRow

from payengine_graphql import inputs, payloads
from payengine_graphql.context import Wire
from payengine_graphql.guarded import guarded
from payengine_graphql.inputs import check_id
from payengine_graphql.types.customers import show_customer, show_method
from payengine_graphql.types.fields import mutation
from payengine_graphql.types.payments import (
    Operation,
    Payment,
    show_operation,
    show_payment,
    show_refund,
)
from payengine_graphql.types.plugins import Plugin
from payengine_graphql.types.problems import Problem, problem
from payengine_graphql.types.tenancy import ApiKey

__all__ = ["Mutation"]

_INPUT = strawberry.argument(description="What is asked.")


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation:
    """See the description."""

    @mutation("Make a payment. Needs the scope `payments:write`.")
    async def create_payment(
        self, info: Wire, input: Annotated[inputs.CreatePaymentInput, _INPUT]
    ) -> payloads.CreatePaymentPayload:
        """See `payengine.payments`."""
        change = info.context.engine.payments.create
        payment, operation, errors = await _change(info, "createPayment", input, change)
        return payloads.CreatePaymentPayload(payment=payment, operation=operation, errors=errors)

    @mutation(
        "Go on with a payment: another method, or after the buyer acted. Needs `payments:write`."
    )
    async def confirm_payment(
        self, info: Wire, input: Annotated[inputs.ConfirmPaymentInput, _INPUT]
    ) -> payloads.ConfirmPaymentPayload:
        """See `payengine.payments`."""
        change = info.context.engine.payments.confirm
        payment, operation, errors = await _change(info, "confirmPayment", input, change)
        return payloads.ConfirmPaymentPayload(payment=payment, operation=operation, errors=errors)

    @mutation("Take what is held, or a part of it. Needs the scope `payments:write`.")
    async def capture_payment(
        self, info: Wire, input: Annotated[inputs.CapturePaymentInput, _INPUT]
    ) -> payloads.CapturePaymentPayload:
        """See `payengine.payments`."""
        change = info.context.engine.payments.capture
        payment, operation, errors = await _change(info, "capturePayment", input, change)
        return payloads.CapturePaymentPayload(payment=payment, operation=operation, errors=errors)

    @mutation("Release what is held, or give a payment up. Needs `payments:write`.")
    async def void_payment(
        self, info: Wire, input: Annotated[inputs.VoidPaymentInput, _INPUT]
    ) -> payloads.VoidPaymentPayload:
        """See `payengine.payments`."""
        change = info.context.engine.payments.void
        payment, operation, errors = await _change(info, "voidPayment", input, change)
        return payloads.VoidPaymentPayload(payment=payment, operation=operation, errors=errors)

    @mutation("Raise what is held. Needs the scope `payments:write`.")
    async def increment_authorization(
        self, info: Wire, input: Annotated[inputs.IncrementAuthorizationInput, _INPUT]
    ) -> payloads.IncrementAuthorizationPayload:
        """See `payengine.payments`."""
        change = info.context.engine.payments.increment
        payment, operation, errors = await _change(info, "incrementAuthorization", input, change)
        return payloads.IncrementAuthorizationPayload(
            payment=payment, operation=operation, errors=errors
        )

    @mutation("Give money back, all or a part. Needs the scope `payments:write`.")
    async def refund_payment(
        self, info: Wire, input: Annotated[inputs.RefundPaymentInput, _INPUT]
    ) -> payloads.RefundPaymentPayload:
        """See `payengine.payments`."""
        change = info.context.engine.payments.refund
        payment, operation, errors = await _change(info, "refundPayment", input, change)
        refund = show_refund(operation.row) if operation else None
        return payloads.RefundPaymentPayload(payment=payment, refund=refund, errors=errors)

    @mutation("Make a customer. Needs the scope `customers:write`.")
    async def create_customer(
        self, info: Wire, input: Annotated[inputs.CreateCustomerInput, _INPUT]
    ) -> payloads.CreateCustomerPayload:
        """See `payengine.customers`."""
        context = info.context
        row, errors = await guarded(
            info,
            "createCustomer",
            input,
            lambda: context.engine.customers.create(context.tenant, input.to_core()),
            scope="customers:write",
        )
        customer = show_customer(row) if row else None
        return payloads.CreateCustomerPayload(customer=customer, errors=errors)

    @mutation("Change a customer. Needs the scope `customers:write`.")
    async def update_customer(
        self, info: Wire, input: Annotated[inputs.UpdateCustomerInput, _INPUT]
    ) -> payloads.UpdateCustomerPayload:
        """See `payengine.customers`."""
        context = info.context

        async def work() -> Any:
            check_id(input.customer_id, "cus", field="customerId")
            return await context.engine.customers.update(context.tenant, input.to_core())

        row, errors = await guarded(info, "updateCustomer", input, work, scope="customers:write")
        customer = show_customer(row) if row else None
        return payloads.UpdateCustomerPayload(customer=customer, errors=errors)

    @mutation("Keep a provider's token for a customer. Needs the scope `customers:write`.")
    async def save_payment_method(
        self, info: Wire, input: Annotated[inputs.SavePaymentMethodInput, _INPUT]
    ) -> payloads.SavePaymentMethodPayload:
        """See `payengine.customers`."""
        context = info.context

        async def work() -> Any:
            check_id(input.customer_id, "cus", field="customerId")
            return await context.engine.customers.save_method(context.tenant, input.to_core())

        row, errors = await guarded(info, "savePaymentMethod", input, work, scope="customers:write")
        method = show_method(row) if row else None
        return payloads.SavePaymentMethodPayload(payment_method=method, errors=errors)

    @mutation("Charge a saved method no more. Needs the scope `customers:write`.")
    async def detach_payment_method(
        self, info: Wire, input: Annotated[inputs.DetachPaymentMethodInput, _INPUT]
    ) -> payloads.DetachPaymentMethodPayload:
        """See `payengine.customers`."""
        context = info.context

        async def work() -> Any:
            check_id(input.payment_method_id, "pm", field="paymentMethodId")
            return await context.engine.customers.detach_method(context.tenant, input.to_core())

        row, errors = await guarded(
            info, "detachPaymentMethod", input, work, scope="customers:write"
        )
        method = show_method(row) if row else None
        return payloads.DetachPaymentMethodPayload(payment_method=method, errors=errors)

    @mutation("Set a plugin up for this tenant. Needs the scope `plugins:write`.")
    async def configure_plugin(
        self, info: Wire, input: Annotated[inputs.ConfigurePluginInput, _INPUT]
    ) -> payloads.ConfigurePluginPayload:
        """See `payengine.registry`."""
        plugin, errors = await guarded(
            info, "configurePlugin", input, lambda: _configure(info, input), scope="plugins:write"
        )
        return payloads.ConfigurePluginPayload(plugin=plugin, errors=errors)

    @mutation("Make an API key. Needs the scope `keys:write`.")
    async def create_api_key(
        self, info: Wire, input: Annotated[inputs.CreateApiKeyInput, _INPUT]
    ) -> payloads.CreateApiKeyPayload:
        """See `payengine_tenants.keys`."""
        made, errors = await guarded(
            info, "createApiKey", input, lambda: _create_key(info, input), scope="keys:write"
        )
        row, secret = made or (None, None)
        return payloads.CreateApiKeyPayload(
            api_key=ApiKey(row=row) if row else None, secret=secret, errors=errors
        )

    @mutation("End an API key for ever, within five seconds. Needs the scope `keys:write`.")
    async def revoke_api_key(
        self, info: Wire, input: Annotated[inputs.RevokeApiKeyInput, _INPUT]
    ) -> payloads.RevokeApiKeyPayload:
        """See `payengine_tenants.keys`."""
        row, errors = await guarded(
            info, "revokeApiKey", input, lambda: _revoke_key(info, input), scope="keys:write"
        )
        return payloads.RevokeApiKeyPayload(api_key=ApiKey(row=row) if row else None, errors=errors)


async def _change(
    info: Wire,
    mutation: str,
    given: Any,
    change: Callable[[Any, Any], Awaitable[PaymentResult]],
) -> tuple[Payment | None, Operation | None, list[Problem]]:
    context = info.context

    async def work() -> PaymentResult:
        return await change(context.tenant, given.to_core())

    result, errors = await guarded(info, mutation, given, work, scope="payments:write")
    if result is None:
        return None, None, errors
    context.services.count(mutation, result.payment.status)
    if result.error is not None:
        errors = [problem(result.error)]
    asked = result.operation
    if asked is not None:
        context.services.count_operation(asked.gateway, asked.kind, asked.status)
    operation = show_operation(asked) if asked else None
    return show_payment(result.payment), operation, errors


async def _configure(info: Wire, given: inputs.ConfigurePluginInput) -> Plugin:
    context = info.context
    registry = context.engine.registry
    if given.settings is not None and not isinstance(given.settings, dict):
        raise InputInvalid("The settings are an object.", path=("settings",))
    settings = given.settings

    async def do() -> tuple[str, Plugin]:
        state = await registry.save_settings(
            context.tenant, given.plugin, enabled=given.enabled, settings=settings
        )
        return given.plugin, Plugin(row=state)

    async def again(name: str) -> Plugin:
        for state in await registry.describe(context.tenant):
            if state.info.name == name:
                return Plugin(row=state)
        raise PluginNotFound

    return await context.services.once.run(
        context.tenant, "configurePlugin", given, at=_now(info), do=do, again=again
    )


async def _create_key(info: Wire, given: inputs.CreateApiKeyInput) -> tuple[ApiKeyRow, str | None]:
    context = info.context
    keys = context.services.keys

    async def do() -> tuple[str, tuple[ApiKeyRow, str | None]]:
        key, secret = await keys.create(context.tenant, given.name, given.scopes, given.expires_at)
        return key.id, (key, secret)

    async def again(key_id: str) -> tuple[ApiKeyRow, str | None]:
        return await _key(info, key_id), None

    return await context.services.once.run(
        context.tenant, "createApiKey", given, at=_now(info), do=do, again=again
    )


async def _revoke_key(info: Wire, given: inputs.RevokeApiKeyInput) -> ApiKeyRow:
    context = info.context
    check_id(given.api_key_id, "key", field="apiKeyId")

    async def do() -> tuple[str, ApiKeyRow]:
        key = await context.services.keys.revoke(context.tenant, given.api_key_id)
        return key.id, key

    async def again(key_id: str) -> ApiKeyRow:
        return await _key(info, key_id)

    return await context.services.once.run(
        context.tenant, "revokeApiKey", given, at=_now(info), do=do, again=again
    )


async def _key(info: Wire, key_id: str) -> ApiKeyRow:
    for key in await info.context.services.keys.list(info.context.tenant):
        if key.id == key_id:
            return key
    raise NotFound("There is no such API key in this tenant.")


def _now(info: Wire) -> datetime:
    return info.context.engine.clock.now(info.context.tenant.tenant_id)
