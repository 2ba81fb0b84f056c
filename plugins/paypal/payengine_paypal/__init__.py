"""What does the PayPal plugin bring? One gateway; the SDK is imported when it is used."""

from __future__ import annotations

from collections.abc import Sequence

from payengine.plugin import Gateway, SettlementParser, hookimpl

__all__ = ["gateways", "settlement_parsers"]


@hookimpl
def gateways() -> Sequence[Gateway]:
    """The PayPal gateway."""
    from payengine_paypal.gateway import PayPalGateway

    return [PayPalGateway()]


@hookimpl
def settlement_parsers() -> Sequence[SettlementParser]:
    """The reader of PayPal's settlement report."""
    from payengine_paypal.settlements import PayPalSettlement

    return [PayPalSettlement()]
