"""Both forms are read alike from every kind of file."""

from __future__ import annotations

from pathlib import Path

import pytest
from payengine.errors import InputInvalid
from payengine.fraud.replay.worlds import DAY_S, days_in, read_world

from tests.core.fraud.replay.small_worlds import gateway_rows, terminal_rows, written


def test_gzipped_and_plain_files_hold_the_same(tmp_path: Path) -> None:
    rows = gateway_rows(days=2)
    plain = read_world(written(rows, tmp_path / "a.csv"), label_delay_days=3)
    packed = read_world(written(rows, tmp_path / "a.csv.gz"), label_delay_days=3)
    assert plain == packed
    assert plain.form == "gateway"


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    from pyarrow import csv, parquet

    path = written(gateway_rows(days=2), tmp_path / "a.csv")
    parquet.write_table(csv.read_csv(path), tmp_path / "a.parquet")
    table = read_world(tmp_path / "a.parquet", label_delay_days=3)
    assert table == read_world(path, label_delay_days=3)
    assert days_in(tmp_path / "a.parquet") == days_in(path) == 2


def test_a_gateway_says_itself_when_labels_became_known(tmp_path: Path) -> None:
    world = read_world(written(gateway_rows(), tmp_path / "a.csv"), label_delay_days=3)
    good = next(row for row in world.rows if not row.fraud)
    assert good.label_at == good.at + 5 * DAY_S
    assert any(row.label_at is None and row.declined for row in world.rows)


def test_terminals_labels_are_known_after_the_delay(tmp_path: Path) -> None:
    path = written(terminal_rows(days=3), tmp_path / "a.csv")
    world = read_world(path, label_delay_days=7)
    assert world.form == "terminal"
    assert {row.label_at - row.at for row in world.rows if row.label_at} == {7 * DAY_S}
    context = world.context(world.rows[0])
    assert context.seller is not None
    assert context.card is not None
    assert context.device is None


def test_amounts_are_exact(tmp_path: Path) -> None:
    rows = gateway_rows(days=1)
    rows[0]["amount"] = "0.29"
    world = read_world(written(rows, tmp_path / "a.csv"), label_delay_days=3)
    assert world.rows[0].minor == 29


def test_what_the_issuer_says_is_known_only_afterwards(tmp_path: Path) -> None:
    world = read_world(written(gateway_rows(days=1), tmp_path / "a.csv"), label_delay_days=3)
    assert world.context(world.rows[0]).cvc_ok is None
    after = world.context(world.rows[0], after_answer=True)
    assert (after.stage, after.cvc_ok, after.declined) == ("post_auth", True, False)


def test_days_outside_are_left_out(tmp_path: Path) -> None:
    path = written(terminal_rows(days=9), tmp_path / "a.csv")
    world = read_world(path, label_delay_days=7, first_day=3, end_day=5)
    assert {row.at // DAY_S for row in world.rows} == {3, 4}


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "b.parquet").write_bytes(b"nothing")
    broken = [*terminal_rows(days=1)]
    broken[3]["TX_TIME_SECONDS"] = "soon"
    written(broken, tmp_path / "c.csv")
    for name in ("a.csv", "b.parquet", "c.csv", "missing.csv"):
        with pytest.raises(InputInvalid):
            read_world(tmp_path / name, label_delay_days=7)
