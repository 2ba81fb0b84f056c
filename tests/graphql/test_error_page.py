"""The page of errors is the closed table."""

from __future__ import annotations

from pathlib import Path

from payengine_graphql.error_page import error_page, table

_COMMITTED = Path(__file__).parents[2] / "docs" / "errors" / "README.md"


def test_the_committed_page_is_the_table() -> None:
    assert _COMMITTED.read_text() == error_page(), (
        "run: python -m payengine_graphql.error_page > docs/errors/README.md"
    )


def test_each_code_has_a_row_and_a_sentence() -> None:
    page = error_page()
    for code, error in table().items():
        assert f"| `{code}` |" in page
        assert (error.__doc__ or "").strip()
