"""Which calls keep a payment method for later?

A provider that keeps methods turns what the buyer gave once into a token that may be charged again,
also while the buyer is away. No money moves. The token goes into `PaymentMethod.token`, with
`saved` set.
"""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from payengine.plugin.messages import Call, Decline, Message, NextAction, PaymentMethod

__all__ = ["ForgetMethod", "LookupMethod", "SaveMethod", "SavedToken", "SavesMethods"]


class SaveMethod(Message, frozen=True, kw_only=True):
    """Keep `payment_method` for the customer whom the engine calls `customer_reference`.

    `key` is the idempotency key to send; `return_url` is where the buyer comes back to after a
    challenge, None where there is nowhere.
    """

    key: str
    payment_method: PaymentMethod
    customer_reference: str
    return_url: str | None = None


class LookupMethod(Message, frozen=True, kw_only=True):
    """What became of keeping the method that the provider calls `provider_reference`?"""

    key: str
    provider_reference: str


class ForgetMethod(Message, frozen=True, kw_only=True):
    """Take the saved `token` out of use at the provider; forgetting twice changes nothing."""

    key: str
    token: str


class SavedToken(Message, frozen=True, kw_only=True):
    """What the provider says of keeping a method.

    `saved` carries the `token`, and in `label` what people may read of the method ("visa 4242").
    `provider_reference` names the keeping itself, for `LookupMethod`.
    """

    status: Literal["saved", "declined", "requires_action", "pending", "forgotten"]
    provider_reference: str | None = None
    token: str | None = None
    label: str = ""
    decline: Decline | None = None
    next_action: NextAction | None = None
    raw_status: str = ""


@runtime_checkable
class SavesMethods(Protocol):
    """Optional: the manifest sets `saved_methods`."""

    async def save_method(self, call: Call, request: SaveMethod) -> SavedToken:
        """Keep the method; the same key is the same keeping."""
        ...

    async def lookup_method(self, call: Call, request: LookupMethod) -> SavedToken:
        """How the keeping ended, after a challenge or a lost answer."""
        ...

    async def forget_method(self, call: Call, request: ForgetMethod) -> SavedToken:
        """Take the token out of use."""
        ...
