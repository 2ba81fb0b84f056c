"""What does the Stripe plugin bring? A gateway for cards and wallets, and its reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from payengine.plugin import Gateway, PayoutRail, SettlementParser, hookimpl

if TYPE_CHECKING:
    from payengine.testing import GatewayCase

__all__ = ["conformance", "gateways", "payout_rails", "settlement_parsers"]


@hookimpl
def gateways() -> Sequence[Gateway]:
    """The Stripe gateway; Stripe's SDK is imported with its first call."""
    from payengine_stripe.gateway import StripeGateway

    return [StripeGateway()]


@hookimpl
def payout_rails() -> Sequence[PayoutRail]:
    """Transfers to connected accounts."""
    from payengine_stripe.payouts import StripeRail

    return [StripeRail()]


@hookimpl
def settlement_parsers() -> Sequence[SettlementParser]:
    """The readers of Stripe's balance and payout reports."""
    from payengine_stripe.settlements import PARSERS

    return PARSERS


def conformance() -> list[GatewayCase]:
    """A case against Stripe's own test mode, where the environment holds a test key; else none."""
    from payengine_stripe.samples import case_of_environment

    return case_of_environment()
