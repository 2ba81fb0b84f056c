"""Does the plugin template work as it comes out of the box, whatever its author answers?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doc_pages import ROOT
from tests.template import rendered

#: What an author may answer; the defaults first.
ANSWERS: list[dict[str, str]] = [
    {},
    {
        "name": "birch_bark",
        "title": "Birch & Co.",
        "currencies": "SEK",
        "method": "birch_wallet",
    },
]


def _run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(cwd), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.parametrize("answers", ANSWERS, ids=["defaults", "others"])
def test_its_own_tests_pass_and_skip_only_what_it_does_not_declare(
    tmp_path: Path, answers: dict[str, str]
) -> None:
    plugin = rendered(tmp_path / "plugin", **answers)
    options = ("-p", "no:cacheprovider", "-p", "no:asyncio", "-rs", "-W", "error")
    done = _run("-m", "pytest", *options, cwd=plugin)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout
    skipped = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    undeclared = {
        "increment",
        "movements",
        "challenge_token",
        "pending_token",
        "submit_evidence",
        "accept_dispute",
    }
    said = {word for word in undeclared for line in skipped if line.endswith(word)}
    assert said == undeclared, done.stdout
    assert len(skipped) == len(undeclared), done.stdout


@pytest.mark.parametrize("answers", ANSWERS, ids=["defaults", "others"])
def test_it_is_as_tidy_as_the_house(tmp_path: Path, answers: dict[str, str]) -> None:
    plugin = rendered(tmp_path / "plugin", **answers)
    rules = ("--config", str(ROOT / "pyproject.toml"), "--no-cache")
    for command in (("check",), ("format", "--check")):
        done = _run("-m", "ruff", *command, *rules, str(plugin), cwd=plugin)
        assert done.returncode == 0, done.stdout + done.stderr
    left = [path for path in plugin.rglob("*") if path.is_file() and "{{" in path.read_text()]
    assert left == []


def test_it_breaks_aloud_when_its_author_errs(tmp_path: Path) -> None:
    program = (
        "import payengine_acorn as a; from payengine.testing import run;"
        "a.REASONS['NSF'] = 'broke'; case, _ = a.conformance(); print(*run(case).failed)"
    )
    done = _run("-c", program, cwd=rendered(tmp_path / "plugin"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["decline_is_a_result"]


def test_its_rule_breaks_aloud_when_its_author_errs(tmp_path: Path) -> None:
    program = (
        "import payengine_acorn as a; from payengine.testing import check_rule;"
        "from payengine.plugin import velocity; from payengine_acorn import rules;"
        "_, case = a.conformance(); rules.COUNT = velocity('card', 'count', '1h');"
        "rules.BusyDeviceRule.features = lambda *_: (); print(*check_rule(case).failed)"
    )
    done = _run("-c", program, cwd=rendered(tmp_path / "plugin"))
    assert done.returncode == 0, done.stderr
    assert "rule_reads_only_what_it_declares" in done.stdout.split()


def test_the_gateway_is_short_enough_to_be_read(tmp_path: Path) -> None:
    source = (rendered(tmp_path / "plugin") / "payengine_acorn" / "__init__.py").read_text()
    assert len(source.splitlines()) < 140
    assert "import payengine." not in source.replace("from payengine.plugin", "")
