"""Does a certificate say what was checked, and can it be told from a forged one?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from payengine.registry.certificate import certify, digest_of, write
from payengine.registry.check import check_plugin

from tests.template import rendered

AT = datetime(2026, 5, 4, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def acorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Acorn Pay on the import path, as if its wheel had been installed."""
    folder = rendered(tmp_path_factory.mktemp("acorn"))
    metadata = folder / "payengine_acorn-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: payengine-acorn\nVersion: 0.1.0\n"
    )
    (metadata / "entry_points.txt").write_text("[payengine.plugins]\nacorn = payengine_acorn\n")
    (metadata / "RECORD").write_text("payengine_acorn/__init__.py,,\n")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.startswith("payengine_acorn")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def certificate(acorn: Path) -> dict[str, Any]:
    """Acorn's."""
    return certify(check_plugin("acorn"), at=AT)


def test_it_names_what_was_checked(certificate: dict[str, Any]) -> None:
    assert certificate["ok"], certificate
    assert certificate["plugin"]["distribution"] == "payengine-acorn"
    assert len(certificate["plugin"]["files_sha256"]) == 64
    assert certificate["checked_at"] == "2026-05-04T10:00:00+00:00"
    assert certificate["engine"]["contract"] == "1.0"


def test_every_promise_is_kept_in_process_and_in_a_host(certificate: dict[str, Any]) -> None:
    (here,), (there,) = certificate["in_process"], certificate["in_host"]
    verdicts = {one["name"]: one["verdict"] for one in there["results"]}
    assert {one["name"]: one["verdict"] for one in here["results"]}.items() <= verdicts.items()
    assert verdicts["host_killed_at_rest"] == "passed"
    assert verdicts["host_killed_at_work"] == "passed"
    assert "Its host is killed" in " ".join(certificate["faults_survived"])


def test_fraud_rules_are_certified_too(certificate: dict[str, Any], tmp_path: Path) -> None:
    (rule,) = certificate["rules"]
    assert rule["rule"] == "acorn_busy_device"
    assert {one["verdict"] for one in rule["results"]} == {"passed"}
    assert "Extreme amounts" in " ".join(certificate["faults_survived"])
    write(certificate, tmp_path / "acorn.json")
    assert "## Fraud rule: acorn_busy_device" in (tmp_path / "acorn.md").read_text()


def test_its_digest_covers_all_of_it(certificate: dict[str, Any], tmp_path: Path) -> None:
    write(certificate, tmp_path / "acorn.json")
    read = msgspec.json.decode((tmp_path / "acorn.json").read_bytes())
    assert digest_of(read) == read["digest"] == certificate["digest"]
    read["in_process"][0]["results"][0]["verdict"] = "skipped"
    assert digest_of(read) != read["digest"]
    page = (tmp_path / "acorn.md").read_text()
    assert page.startswith("# Acorn Pay keeps the contract\n")
    assert certificate["digest"] in page


def test_a_broken_plugin_gets_one_that_says_so(
    acorn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import payengine_acorn  # type: ignore[import-not-found]

    monkeypatch.setitem(payengine_acorn.REASONS, "NSF", "broke")
    found = certify(check_plugin("acorn"), at=AT)
    assert not found["ok"]
    assert not found["in_process"][0]["ok"]


def test_a_plugin_of_which_nothing_was_checked_is_not_said_to_keep_anything() -> None:
    unchecked = certify(check_plugin("google_pay"), at=AT)
    assert unchecked["ok"]
    assert unchecked["verdict"] == "loads; nothing else of it was checked"
