"""What does the Stripe plugin bring? A gateway for cards and wallets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from payengine.plugin import Gateway, hookimpl

if TYPE_CHECKING:
    from payengine.testing import GatewayCase

__all__ = ["conformance", "gateways"]


@hookimpl
def gateways() -> Sequence[Gateway]:
    """The Stripe gateway; Stripe's SDK is imported with its first call."""
    from payengine_stripe.gateway import StripeGateway

    return [StripeGateway()]


def conformance() -> list[GatewayCase]:
    """A case against Stripe's own test mode, where the environment holds a test key; else none."""
    from payengine_stripe.samples import case_of_environment

    return case_of_environment()
