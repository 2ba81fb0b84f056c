"""How do I know that my plugin is right?

Inherit the contract, and give it a case:

    from payengine.testing import GatewayCase, GatewayContract

    class TestMyGateway(GatewayContract):
        def case(self):
            return GatewayCase(gateway=MyGateway(), settings=MySettings(), ...)

The same case, returned by a function `conformance` of the plugin, serves
`payengine plugins check NAME`. A wallet inherits `WalletContract` likewise, a fraud rule
`RuleContract` with a `RuleCase`, a payout rail `RailContract` with a `RailCase`.
`ChaosGateway` makes any gateway fail by a seed.
"""

from __future__ import annotations

from payengine.testing.case import ContractBroken, GatewayCase, NotApplicable
from payengine.testing.chaos import Chaos, ChaosGateway
from payengine.testing.check import CheckReport, CheckResult, check_gateway, run
from payengine.testing.contract import GatewayContract
from payengine.testing.rail import RailCase, RailContract, RailReport, check_rail
from payengine.testing.rule_case import RuleCase, RuleSample, sample_context
from payengine.testing.rule_contract import RuleContract, RuleReport, check_rule
from payengine.testing.wallet import WalletCase, WalletContract

__all__ = [
    "Chaos",
    "ChaosGateway",
    "CheckReport",
    "CheckResult",
    "ContractBroken",
    "GatewayCase",
    "GatewayContract",
    "NotApplicable",
    "RailCase",
    "RailContract",
    "RailReport",
    "RuleCase",
    "RuleContract",
    "RuleReport",
    "RuleSample",
    "WalletCase",
    "WalletContract",
    "check_gateway",
    "check_rail",
    "check_rule",
    "run",
    "sample_context",
]
