"""Does the check of an installed plugin report what a person needs to know?"""

from __future__ import annotations

import json

import pytest
from payengine.testing import CheckReport, run
from payengine.testing.checks import CHECKS, PURE_CHECKS
from payengine_sandbox.gateway import SandboxGateway

from tests.core.testing.faulty import FutureContract


@pytest.fixture(scope="module")
def report() -> CheckReport:
    return run("sandbox")


def test_an_installed_plugin_is_checked_by_name(report: CheckReport) -> None:
    assert report.ok
    assert report.failed == ()
    assert report.gateway == "sandbox"
    assert [result.name for result in report.results] == list(CHECKS)
    assert {result.verdict for result in report.results} == {"passed"}


def test_a_report_is_plain_data(report: CheckReport) -> None:
    plain = json.loads(json.dumps(report.to_plain()))
    assert plain["ok"] is True
    assert plain["results"][0]["name"] == "manifest_is_valid"
    assert plain["results"][0]["title"].endswith(".")


def test_a_gateway_without_a_case_gets_the_pure_checks() -> None:
    report = run(SandboxGateway())
    verdicts = {result.name: result.verdict for result in report.results}
    assert {name for name, verdict in verdicts.items() if verdict == "passed"} == set(PURE_CHECKS)
    assert {name for name, verdict in verdicts.items() if verdict == "skipped"} == (
        set(CHECKS) - set(PURE_CHECKS)
    )


def test_a_broken_promise_fails_the_report() -> None:
    report = run(FutureContract())
    assert not report.ok
    assert report.failed == ("manifest_is_valid",)
    assert "contract 2.0" in report.results[0].message


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LookupError, match=r"known: .*sandbox"):
        run("nothing_of_this_name")
