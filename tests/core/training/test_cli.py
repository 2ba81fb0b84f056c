"""The commands say what they found in one line of JSON, and refuse what cannot be tested."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from payengine.cli import app
from payengine.errors import InputInvalid
from payengine.plugin.trees import read

from tests.core.fraud.replay.small_worlds import gateway_rows, terminal_rows, written

_SHORT = ["--train-days", "10", "--delay-days", "4", "--test-days", "8"]


def test_backtest_ends_with_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(gateway_rows(), tmp_path / "world.csv.gz")
    scores = tmp_path / "scores.csv"
    words = ["fraud", "backtest", str(file), "--protocol", "gateway", "--scores", str(scores)]
    assert app([*words, *_SHORT], result_action="return_value") == 0
    said = capsys.readouterr()
    report = json.loads(said.out.splitlines()[-1])
    for name in ("auc", "ap", "cp100", "recall_at_fpr_0_005", "value_recall", "p50_us", "p99_us"):
        assert isinstance(report[name], float), name
    assert report["ap"] > 0.6
    assert "100%" in said.err
    with scores.open(encoding="utf-8") as written_scores:
        rows = list(csv.DictReader(written_scores))
    assert len(rows) == report["payments"]
    assert sum(int(row["is_fraud"]) for row in rows) == report["frauds"]


def test_terminals_are_tested_without_cards_known_to_be_misused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(terminal_rows(), tmp_path / "world.csv")
    scores = str(tmp_path / "scores.csv")
    words = ["fraud", "backtest", str(file), "--protocol", "terminal", "--scores", scores]
    days = ["--train-days", "6", "--delay-days", "2", "--test-days", "5", "--folds", "2"]
    app([*words, *days], result_action="return_value")
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(report["folds"]) == 2
    with Path(scores).open(encoding="utf-8") as written_scores:
        assert len(list(csv.DictReader(written_scores))) > report["payments"] > 0


def test_a_world_of_the_other_form_is_refused(tmp_path: Path) -> None:
    file = written(gateway_rows(days=40), tmp_path / "world.csv")
    words = ["fraud", "backtest", str(file), "--protocol", "terminal", "--folds", "1"]
    with pytest.raises(InputInvalid, match="form"):
        app([*words, "--scores", str(tmp_path / "s.csv")], result_action="return_value")


def test_a_trained_model_is_a_whole_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(gateway_rows(days=40), tmp_path / "world.csv")
    output = tmp_path / "model.json"
    words = ["fraud", "train", str(file), "--output", str(output), "--most-inputs", "6"]
    app([*words, "--first-day", "--delay-days", "5"], result_action="return_value")
    model = read(output.read_bytes())
    assert 0 < len(model.inputs) <= 6
    assert not any(each.entity == "seller" for each in model.features)
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["sha256"] == model.sha256
    assert said["ap"] == model.metrics["ap"]
