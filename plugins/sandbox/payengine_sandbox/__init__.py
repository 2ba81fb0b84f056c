"""What does the sandbox plugin bring?

A gateway, a payout rail, a fraud rule, the command `sandbox` and the challenge pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from payengine.plugin import FraudRule, Gateway, PayoutRail, SettlementParser, hookimpl

if TYPE_CHECKING:
    from payengine.testing import GatewayCase, RailCase

__all__ = [
    "commands",
    "conformance",
    "fraud_rules",
    "gateways",
    "payout_rails",
    "settlement_parsers",
    "web",
]


@hookimpl
def gateways() -> Sequence[Gateway]:
    """The sandbox gateway."""
    from payengine_sandbox.gateway import SandboxGateway

    return [SandboxGateway()]


@hookimpl
def payout_rails() -> Sequence[PayoutRail]:
    """The sandbox's payout rail."""
    from payengine_sandbox.payouts import SandboxRail

    return [SandboxRail()]


@hookimpl
def fraud_rules() -> Sequence[FraudRule]:
    """The rule that the test tokens speak to."""
    from payengine_sandbox.fraud import SandboxRule

    return [SandboxRule()]


@hookimpl
def settlement_parsers() -> Sequence[SettlementParser]:
    """The reader of the sandbox's settlement files."""
    from payengine_sandbox.settlements import SandboxSettlement

    return [SandboxSettlement()]


@hookimpl
def commands() -> Sequence[Any]:
    """`payengine sandbox`: the provider as a server of its own."""
    from payengine_sandbox.cli import app

    return [app]


@hookimpl
def web() -> Sequence[Any]:
    """The challenge pages and the disputes of the sandbox that runs in this process."""
    from payengine_sandbox.challenge import challenge_routes
    from payengine_sandbox.dispute_routes import dispute_control
    from payengine_sandbox.local import book_at, provider_at, store_path

    return [
        *challenge_routes(lambda: provider_at(store_path()), base_path="/plugins/sandbox"),
        *dispute_control(lambda: book_at(store_path())),
    ]


def conformance() -> Sequence[GatewayCase | RailCase]:
    """What the contract tests need to know about this gateway and this rail."""
    from payengine_sandbox.samples import rail_case, sandbox_case

    return [sandbox_case(), rail_case()]
