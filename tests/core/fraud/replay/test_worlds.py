"""Both forms are read alike from every kind of file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


def _without(rows: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return [{name: one[name] for name in one if name not in names} for one in rows]


def test_columns_stand_in_any_order_and_optional_ones_may_lack(tmp_path: Path) -> None:
    rows = gateway_rows(days=3)
    turned = [dict(reversed(one.items())) for one in rows]
    whole = read_world(written(rows, tmp_path / "a.csv"), label_delay_days=3)
    other = read_world(written(turned, tmp_path / "b.csv"), label_delay_days=3)
    assert other == whole
    few = _without(rows, "payment_id", "tenant", "avs", "cvc", "device", "label_ts", "declined")
    world = read_world(written(few, tmp_path / "c.csv"), label_delay_days=3)
    assert "device" not in world.fields
    assert [row.label_at for row in world.rows] == [row.at + 3 * DAY_S for row in world.rows]
    assert len({row.payment_id for row in world.rows}) == len(world.rows)
    assert {row.address_ok for row in world.rows} == {None}


def test_terminals_may_have_amounts_in_major_units_and_no_ids(tmp_path: Path) -> None:
    rows = terminal_rows(days=2)
    whole = read_world(written(rows, tmp_path / "a.csv"), label_delay_days=3)
    major = [
        one | {"TX_AMOUNT": f"{one['TX_AMOUNT_MINOR'] / 100:.2f}"}
        for one in _without(rows, "TX_TIME_DAYS")
    ]
    major = _without(major, "TX_AMOUNT_MINOR", "TRANSACTION_ID")
    other = read_world(written(major, tmp_path / "b.csv"), label_delay_days=3)
    assert [row.minor for row in other.rows] == [row.minor for row in whole.rows]


def test_days_are_counted_from_the_first_payments_day(tmp_path: Path) -> None:
    rows = gateway_rows(days=3)
    begin = 18_262 * DAY_S
    later = [
        one | {"ts": one["ts"] + begin, "label_ts": one["label_ts"] and one["label_ts"] + begin}
        for one in rows
    ]
    whole = read_world(written(rows, tmp_path / "a.csv"), label_delay_days=3)
    path = written(later, tmp_path / "b.csv")
    world = read_world(path, label_delay_days=3)
    assert world.rows == whole.rows
    assert (world.origin_s, whole.origin_s, days_in(path)) == (begin, 0, 3)


def test_numbers_and_flags_may_be_spelled_as_tables_spell_them(tmp_path: Path) -> None:
    rows = gateway_rows(days=2)
    spelled = [
        one
        | {
            "ts": f"{one['ts']}.0",
            "avs": "True",
            "cvc": "1.0",
            "declined": "false",
            "is_fraud": str(bool(one["is_fraud"])),
            "label_ts": one["label_ts"] or "NaN",
        }
        for one in rows
    ]
    plain = read_world(written(_zeroed(rows), tmp_path / "a.csv"), label_delay_days=3)
    assert read_world(written(spelled, tmp_path / "b.csv"), label_delay_days=3) == plain


def _zeroed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one | {"declined": 0} for one in rows]


def test_what_a_file_is_says_its_beginning(tmp_path: Path) -> None:
    rows = gateway_rows(days=2)
    packed = written(rows, tmp_path / "a.csv.gz")
    named = packed.rename(tmp_path / "payments.data")
    plain = read_world(written(rows, tmp_path / "a.csv"), label_delay_days=3)
    assert read_world(named, label_delay_days=3) == plain


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"is_fraud": None}, "lacks is_fraud"),
        ({"ts": None}, "neither form"),
        ({"amount": "a lot"}, "row 1 cannot be read"),
        ({"amount": "nan"}, "row 1 cannot be read"),
        ({"ts": "today"}, "ts cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    (name, value), *_ = change.items()
    rows = gateway_rows(days=1)
    broken = _without(rows, name) if value is None else [rows[0] | change, *rows[1:]]
    with pytest.raises(InputInvalid, match=said):
        read_world(written(broken, tmp_path / "a.csv"), label_delay_days=3)


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8b broken", b"\xff\xfe\x00", b"ts,amount,is_fraud\n"]
)
def test_what_is_no_file_of_payments_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InputInvalid):
        read_world(path, label_delay_days=3)
