from __future__ import annotations

from pathlib import Path

from tests.bench.growth import statements_of


def test_statements_are_found_by_their_names() -> None:
    text = "-- What this is: words.\n-- one\nSELECT 1;\n-- two\nSELECT 2\n  FROM a;\n"
    assert statements_of(text) == {"one": "SELECT 1;\n", "two": "SELECT 2\n  FROM a;\n"}


def test_every_table_of_a_payment_grows() -> None:
    statements = statements_of((Path(__file__).parent / "growth.sql").read_text())
    assert list(statements) == [
        "key",
        "payment",
        "attempt",
        "operation",
        "event",
        "head",
        "transfer",
        "attempted",
        "decision",
    ]
