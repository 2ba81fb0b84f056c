"""What do `payengine plugins list` and `payengine plugins check` show?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from payengine.errors import PluginNotFound
from payengine.plugin import FraudContext, PluginSettings, RuleManifest, RuleVerdict, hookimpl
from payengine.registry import InstalledPlugins
from payengine.registry.check import check_plugin
from payengine.registry.cli import plugins_app
from payengine.testing import GatewayCase

from tests.core.registry.gateways import HOSTILE, GoodGateway, PluginOf


def run(*arguments: str) -> int:
    """Run the command line in this process; returns its exit status."""
    try:
        plugins_app(list(arguments), result_action="return_value")
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


class Cased:
    """A plugin with a case for the contract tests."""

    def __init__(self, gateway: GoodGateway, case: Any = None) -> None:
        self._gateway = gateway
        self._case = case or GatewayCase(
            gateway=gateway,
            settings=PluginSettings(),
            approved_token="tok_ok",
            declined_token="tok_declined",
        )

    @hookimpl
    def gateways(self) -> list[GoodGateway]:
        return [self._gateway]

    def conformance(self) -> Any:
        if isinstance(self._case, BaseException):
            raise self._case
        return self._case


def checked(plugin: object) -> Any:
    return check_plugin("it", installed=InstalledPlugins.load(extra={"it": plugin}, discover=False))


def test_list_shows_the_sandbox(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    assert "sandbox          ready    payengine-sandbox" in capsys.readouterr().out


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--json") == 0
    listed = {info["name"]: info for info in json.loads(capsys.readouterr().out)}
    assert listed["sandbox"]["status"] == "ready"
    assert listed["sandbox"]["gateways"] == ["sandbox"]


def test_unknown_plugin_is_told_and_exits_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "absent") == 1
    assert "No plugin named 'absent' is installed." in capsys.readouterr().err
    assert run("check", "absent", "--json") == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
    with pytest.raises(PluginNotFound):
        check_plugin("absent")


def test_refused_plugin_fails_the_check_with_its_reason() -> None:
    report = checked(object())
    assert not report.ok
    assert "implements no hook" in report.problem


def test_plugin_without_a_case_is_checked_as_far_as_it_goes() -> None:
    report = checked(PluginOf(GoodGateway("it")))
    verdicts = {result.verdict for result in report.reports[0].results}
    assert "skipped" in verdicts
    assert json.loads(json.dumps(report.to_plain()))["gateways"][0]["gateway"] == "it"


class _Ruled:
    """A plugin that brings one fraud rule and no gateway."""

    def __init__(self, *, reason: str) -> None:
        self._reason = reason

    @hookimpl
    def fraud_rules(self) -> list[Any]:
        return [self]

    def describe(self) -> RuleManifest:
        return RuleManifest(name="it_rules", title="It rules", version="1")

    def features(self, settings: PluginSettings) -> list[Any]:
        return []

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        return RuleVerdict(verdict="review", reason=self._reason)


@pytest.mark.parametrize(("reason", "expected"), [("odd", True), ("Not A Code", False)])
def test_fraud_rule_is_checked_without_a_case(reason: str, expected: bool) -> None:
    report = checked(_Ruled(reason=reason))
    (rule,) = report.rules
    assert (report.ok, rule.rule) == (expected, "it_rules")
    assert json.loads(json.dumps(report.to_plain()))["rules"][0]["ok"] is expected


def test_plugin_that_breaks_the_contract_fails_the_check() -> None:
    authorizes, _, _ = HOSTILE["says a float"]
    report = checked(Cased(GoodGateway("it", authorizes=authorizes)))
    assert not report.ok
    assert report.reports[0].failed


@pytest.mark.parametrize("case", [SystemExit(1), RuntimeError("boom"), 7, ["no case"]])
def test_broken_conformance_is_a_failure_and_no_crash(case: Any) -> None:
    report = checked(Cased(GoodGateway("it"), case=case))
    assert not report.ok
    assert report.problem.startswith("conformance() failed: ")
