"""Does the command do what a person asks, and say plainly what it cannot do?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import payengine_bank_transfer
import pytest
from cyclopts import App
from fake_bank import OUR_IBAN, frame, mandate, payment
from payengine_bank_transfer.cli import app
from payengine_bank_transfer.desk import Desk
from payengine_bank_transfer.gateway import BankTransferGateway
from payengine_bank_transfer.simulated import Written, write_notification


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYENGINE_HOME", str(tmp_path))
    monkeypatch.delenv("PAYENGINE_BANK_FOLDER", raising=False)


def _authorize(*requests: Any) -> list[str]:
    async def ask() -> list[str]:
        gateway = BankTransferGateway(Desk())
        outcomes = [await gateway.authorize(frame(), one) for one in requests]
        await gateway.aclose()
        return [str(one.provider_reference) for one in outcomes]

    return asyncio.run(ask())


def _run(*words: str) -> None:
    app(words, result_action="return_value")


def test_the_hook_brings_the_command_bank(capsys: pytest.CaptureFixture[str]) -> None:
    program = App(name="payengine", result_action="return_value")
    for command in payengine_bank_transfer.commands():
        program.command(command)
    program(["bank", "--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("import", "unmatched", "assign", "dismiss", "export"))


def test_a_file_that_is_none_is_refused_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _authorize(payment("k1"))
    path = tmp_path / "x.xml"
    path.write_text("<!DOCTYPE a><a/>")
    for given in (path, tmp_path / "missing.xml"):
        with pytest.raises(SystemExit):
            _run("import", str(given))
    assert "Traceback" not in capsys.readouterr().err


def test_before_an_account_was_used_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _run("unmatched")
    assert "none was used yet" in capsys.readouterr().err


def test_import_says_what_it_found_and_twice_finds_nothing_new(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (reference,) = _authorize(payment("k1"))
    path = tmp_path / "camt.xml"
    path.write_bytes(
        write_notification(
            OUR_IBAN,
            Written(direction="credit", minor=700, bank_ref="B1", text=reference),
            Written(direction="credit", minor=5, bank_ref="B2", text="a gift"),
        )
    )
    _run("import", str(path))
    assert "2 new lines, 0 known, 1 matched, 1 unmatched" in capsys.readouterr().out
    _run("import", str(path))
    assert "0 new lines" in capsys.readouterr().out
    _run("unmatched")
    shown = capsys.readouterr().out
    assert "a gift" in shown
    assert f"partly paid: {reference}  7.00 of 12.00" in shown
    line = shown.split()[0]
    _run("dismiss", line, "--note", "a gift")
    _run("unmatched")
    assert "a gift" not in capsys.readouterr().out.replace("dismissed", "")
    with pytest.raises(SystemExit):
        _run("assign", line, reference, "--by", "grace")


def test_export_writes_the_orders_that_wait(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _authorize(payment("k1", 100, mandate("M-1")), payment("k2", 200, mandate("M-2")))
    _run("export")
    (path,) = (tmp_path / "bank" / "acct_1" / "outbox").glob("*.xml")
    assert str(path) in capsys.readouterr().out
    assert b"<CtrlSum>3.00</CtrlSum>" in path.read_bytes()
    _run("export")
    assert "0 files" in capsys.readouterr().out
