"""Which tests does a fraud rule inherit, and how does a check of an installed one report?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from payengine.testing.case import NotApplicable
from payengine.testing.check import CheckResult
from payengine.testing.checks_rules import RULE_CHECKS, RuleCheck
from payengine.testing.rule_case import RuleCase

__all__ = ["RuleContract", "RuleReport", "check_rule"]


@dataclass(frozen=True, kw_only=True)
class RuleReport:
    """The results of one fraud rule."""

    rule: str
    results: tuple[CheckResult, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(result.verdict != "failed" for result in self.results)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(result.name for result in self.results if result.verdict == "failed")

    def to_plain(self) -> dict[str, Any]:
        """The report as JSON-ready builtins."""
        return {
            "rule": self.rule,
            "ok": self.ok,
            "results": [dict(vars(result)) for result in self.results],
        }


def check_rule(case: RuleCase) -> RuleReport:
    """Run every check, one after the other; never raises for a fault of the rule."""
    results = tuple(_result(name, case) for name in RULE_CHECKS)
    return RuleReport(rule=case.manifest.name, results=results)


class RuleContract:
    """Inherit it in a class whose name starts with `Test`, and give `case`."""

    checks: ClassVar[dict[str, RuleCheck]] = RULE_CHECKS

    def case(self) -> RuleCase:
        """The rule under test with its samples; made anew for each test."""
        raise NotImplementedError

    def _keeps(self, name: str) -> None:
        try:
            RULE_CHECKS[name](self.case())
        except NotApplicable as why:
            import pytest

            pytest.skip(str(why))


def _result(name: str, case: RuleCase) -> CheckResult:
    began = time.perf_counter()
    verdict: Literal["passed", "failed", "skipped"] = "passed"
    message = ""
    try:
        RULE_CHECKS[name](case)
    except NotApplicable as why:
        verdict, message = "skipped", str(why)
    except Exception as fault:
        verdict, message = "failed", f"{type(fault).__name__}: {fault}"
    took_ms = round((time.perf_counter() - began) * 1_000)
    title = (RULE_CHECKS[name].__doc__ or name).strip().splitlines()[0]
    return CheckResult(name=name, title=title, verdict=verdict, message=message, took_ms=took_ms)


def _test(name: str) -> Callable[[RuleContract], None]:
    def test(self: RuleContract) -> None:
        self._keeps(name)

    test.__name__ = f"test_{name}"
    test.__qualname__ = f"RuleContract.test_{name}"
    test.__doc__ = RULE_CHECKS[name].__doc__
    return test


for _name in RULE_CHECKS:
    setattr(RuleContract, f"test_{_name}", _test(_name))
