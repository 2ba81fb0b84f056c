"""The operator's own commands, as a program of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Servers

_PROGRAM = Path(sys.executable).with_name("payengine")


def _run(
    *arguments: str, home: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    place = {"PAYENGINE_HOME": str(home)} if home is not None else {}
    return subprocess.run(
        [_PROGRAM, *arguments],
        env=kept | place | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_migrating_again_changes_nothing_and_says_so(servers: Servers) -> None:
    for _ in range(2):
        done = _run("migrate", home=servers.home)
        assert (done.returncode, done.stdout) == (0, "The database has the newest shape.\n")


def test_verify_answers_people_and_programs(servers: Servers) -> None:
    told = _run("verify", home=servers.home)
    asked = _run("verify", "--json", home=servers.home)
    report = json.loads(asked.stdout)
    assert told.returncode == asked.returncode == (0 if report["ok"] else 1)
    assert set(report) >= {"ok", "tenants", "payments", "movements", "broken"}
    assert "tenants" in told.stdout


def test_the_plugins_can_be_listed(servers: Servers) -> None:
    done = _run("plugins", "list", home=servers.home)
    assert done.returncode == 0
    assert "sandbox" in done.stdout


def test_reset_touches_no_folder_that_it_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    done = _run("reset", "--yes", home=tmp_path)
    assert done.returncode == 2
    assert "was not made by payengine" in done.stderr
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_reset_asks_where_somebody_can_be_asked(tmp_path: Path) -> None:
    done = _run("reset", home=tmp_path)
    assert done.returncode == 1
    assert "--yes" in done.stderr


def test_a_setting_that_makes_no_sense_is_explained(tmp_path: Path) -> None:
    done = _run("migrate", home=tmp_path / "home", PAYENGINE_PORT="eighty")
    assert done.returncode == 2
    assert done.stderr.startswith("payengine: PAYENGINE_PORT is 'eighty'")
    assert "Traceback" not in done.stderr


def test_a_command_that_does_not_exist_is_no_success() -> None:
    done = _run("frobnicate")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("jobs", "list", "--limit", "-1"),
        ("jobs", "retry", str(2**63)),
        ("jobs", "list", "--kind", "\udcff"),
        ("sandbox", "--port", "99999"),
        ("plugins", "check", "sandbox", "--report", "/dev/null/certificate.json"),
    ],
)
def test_what_makes_no_sense_is_explained_without_a_traceback(
    servers: Servers, words: tuple[str, ...]
) -> None:
    done = _run(*words, home=servers.home)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_who_has_seen_enough_is_no_failure(servers: Servers) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = subprocess.run(
            [_PROGRAM, "migrate"],
            env=kept | {"PAYENGINE_HOME": str(servers.home)},
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            timeout=240,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
