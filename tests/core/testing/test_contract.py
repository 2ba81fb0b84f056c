"""Does the contract hold for the sandbox, over both of its transports?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest
from payengine.testing import GatewayCase, GatewayContract, NotApplicable
from payengine.testing.checks import CHECKS
from payengine_sandbox.samples import sandbox_case
from payengine_sandbox.testing import SandboxProcess


class TestSandboxInProcess(GatewayContract):
    def case(self) -> GatewayCase:
        return sandbox_case()


class TestSandboxOverHttp(GatewayContract):
    url: ClassVar[str]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        with SandboxProcess(tmp_path_factory.mktemp("sandbox")) as server:
            cls.url = server.url
            yield

    def case(self) -> GatewayCase:
        return sandbox_case(url=self.url)


def test_the_contract_has_a_test_for_every_check() -> None:
    tests = {name for name in dir(GatewayContract) if name.startswith("test_")}
    assert tests == {f"test_{name}" for name in CHECKS}
    assert all(check.__doc__ for check in CHECKS.values())


def test_what_a_case_leaves_out_is_skipped() -> None:
    class Sparse(GatewayContract):
        def case(self) -> GatewayCase:
            full = sandbox_case()
            return GatewayCase(
                gateway=full.gateway,
                settings=full.settings,
                approved_token=full.approved_token,
                declined_token=full.declined_token,
            )

    for name in ("lost_answer_is_no_decline", "genuine_webhook_is_read"):
        with pytest.raises(pytest.skip.Exception):
            getattr(Sparse(), f"test_{name}")()
    assert issubclass(NotApplicable, Exception)
