"""Is a rate an exact fraction, rounded for the eye only?"""

from __future__ import annotations

import pytest
from payengine.reports.ratios import ratio


@pytest.mark.parametrize(
    ("part", "whole", "bps"),
    [(5, 6, 8_333), (2, 3, 6_667), (1, 20_000, 1), (1, 20_001, 0), (0, 0, None), (-1, 3, -3_333)],
)
def test_ratios(part: int, whole: int, bps: int | None) -> None:
    found = ratio(part, whole=whole)
    assert (found.fraction, found.bps) == (f"{part}/{whole}", bps)
