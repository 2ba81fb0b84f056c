"""Does Acorn keep the contract? Every test is inherited; add those of your provider's own ways."""

from __future__ import annotations

from payengine.testing import GatewayCase, GatewayContract
from payengine_acorn.samples import acorn_case


class TestAcorn(GatewayContract):
    def case(self) -> GatewayCase:
        return acorn_case()
