"""Does the plugin template work as it is, as an author finds it?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TEMPLATE = Path(__file__).parents[3] / "plugin-template"


def _run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(TEMPLATE), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )


def test_its_own_tests_pass_and_skip_only_what_it_does_not_declare(tmp_path: Path) -> None:
    options = ("-p", "no:cacheprovider", "-p", "no:asyncio", "-rs", "-W", "error")
    done = _run("-m", "pytest", *options, str(TEMPLATE / "tests"), cwd=TEMPLATE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout
    skipped = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    undeclared = ("increment", "movements", "challenge_token", "pending_token")
    assert all(any(word in line for word in undeclared) for line in skipped), done.stdout
    assert len(skipped) == len(undeclared)


def test_it_breaks_aloud_when_its_author_errs(tmp_path: Path) -> None:
    program = (
        "import payengine_acorn as a; from payengine.testing import run;"
        "a.REASONS['NSF'] = 'broke'; report = run(a.conformance()); print(*report.failed)"
    )
    done = _run("-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["decline_is_a_result"]


def test_the_gateway_is_short_enough_to_be_read() -> None:
    source = (TEMPLATE / "payengine_acorn" / "__init__.py").read_text()
    assert len(source.splitlines()) < 120
    assert "import payengine." not in source.replace("from payengine.plugin", "")
