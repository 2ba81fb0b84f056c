"""Does one bench leave alone what another one wrote?"""

from __future__ import annotations

from pathlib import Path

from tests.bench.report import others_of, write_growth

_OTHERS = (
    "## How the cost grows\n\n<!-- growth -->\nold\n<!-- /growth -->\n\n## Renewals\n\nWords.\n"
)


def test_the_page_of_the_others_is_kept_whole() -> None:
    assert others_of(f"# Performance\n\n## Results\n\n{_OTHERS}") == _OTHERS


def test_what_nobody_measured_is_said() -> None:
    assert "Not measured yet" in others_of("# Performance\n")


def test_a_table_of_growth_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(_OTHERS)
    write_growth(page, ("payments", "ms"), [("10", "1")])
    assert "old" not in page.read_text()
    assert page.read_text().endswith("## Renewals\n\nWords.\n")
