"""Does each check notice the fault that it is there for?"""

from __future__ import annotations

import dataclasses

import pytest
from payengine.testing import GatewayCase, check_gateway
from payengine.testing.checks import CHECKS
from payengine_sandbox.gateway import SandboxGateway
from payengine_sandbox.samples import sandbox_case

from tests.core.testing.faulty import FAULTS


def case_of(kind: type[SandboxGateway], path: object) -> GatewayCase:
    from pathlib import Path

    assert isinstance(path, Path)
    sound = sandbox_case()
    return dataclasses.replace(
        sound, gateway=kind(path=path / "sandbox.sqlite3"), settle_s=0.3, deadline_ms=600
    )


@pytest.mark.parametrize("kind", list(FAULTS), ids=lambda kind: kind.__name__)
async def test_a_planted_fault_is_noticed(kind: type[SandboxGateway], tmp_path: object) -> None:
    expected = FAULTS[kind]
    faulty = await check_gateway(case_of(kind, tmp_path), only=expected)
    assert {result.name for result in faulty if result.verdict == "failed"} == set(expected)
    sound = await check_gateway(case_of(SandboxGateway, tmp_path), only=expected)
    assert {result.verdict for result in sound} == {"passed"}


def test_every_check_has_a_planted_fault() -> None:
    assert {name for names in FAULTS.values() for name in names} == set(CHECKS)
