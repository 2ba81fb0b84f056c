"""A crash point does nothing unless it is switched on, and then it strikes when it was told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import payengine
import payengine_graphql
import pytest
from payengine import faults

_PASS = """
import sys
from payengine import faults
for number in range(int(sys.argv[1])):
    faults.point("before_commit")
    print(number, flush=True)
    faults.point("after_commit")
"""


def _run(named: str, *, passes: int = 3) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _PASS, str(passes)],
        env={**os.environ, "PAYENGINE_FAULTS": named},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("named", "printed"),
    [("before_commit", ""), ("after_commit", "0\n"), ("before_commit:3", "0\n1\n")],
)
def test_the_process_is_killed_at_the_pass_that_was_named(named: str, printed: str) -> None:
    done = _run(named)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == printed


@pytest.mark.parametrize("named", ["", "after_gateway", "before_commit:9"])
def test_nothing_happens_elsewhere(named: str) -> None:
    done = _run(named)
    assert (done.returncode, done.stdout) == (0, "0\n1\n2\n")


def test_a_point_that_hangs_stops_the_process_where_it_is() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(
            [sys.executable, "-c", _PASS, "1"],
            env={**os.environ, "PAYENGINE_FAULTS": "before_commit:hang"},
            timeout=1.5,
        )


def test_a_point_that_nobody_knows_is_refused() -> None:
    done = _run("before_lunch")
    assert done.returncode == 1
    assert "before_lunch" in done.stderr


def test_every_point_of_the_table_is_passed_somewhere() -> None:
    rooms = [Path(str(package.__file__)).parent for package in (payengine, payengine_graphql)]
    lines = [
        line
        for room in rooms
        for path in room.rglob("*.py")
        for line in path.read_text().splitlines()
        if "faults.point(" in line
    ]
    for name in faults.POINTS:
        assert any(f'"{name}"' in line for line in lines), f"{name} can never fire"
