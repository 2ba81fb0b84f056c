"""What does the PayPal plugin bring? One gateway; the SDK is imported when it is used."""

from __future__ import annotations

from collections.abc import Sequence

from payengine.plugin import Gateway, hookimpl

__all__ = ["gateways"]


@hookimpl
def gateways() -> Sequence[Gateway]:
    """The PayPal gateway."""
    from payengine_paypal.gateway import PayPalGateway

    return [PayPalGateway()]
