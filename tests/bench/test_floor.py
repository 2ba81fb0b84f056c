from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.bench.floor import tps_of

_SAID = """transaction type: floor.sql
number of transactions actually processed: 3000
number of failed transactions: {failed} (0.000%)
latency average = 10.667 ms
tps = 2999.500000 (without initial connection time)
"""


def test_rate_is_read_from_what_pgbench_says() -> None:
    assert tps_of(_SAID.format(failed=0)) == 2999.5


@pytest.mark.parametrize("said", [_SAID.format(failed=3), "", "pgbench: error: no such file"])
def test_a_run_that_failed_is_no_floor(said: str) -> None:
    with pytest.raises(ValueError):
        tps_of(said)


def test_floor_makes_ten_round_trips_in_two_transactions() -> None:
    script = (Path(__file__).parent / "floor.sql").read_text()
    # A message is a line that ends in `;`: what goes together is joined by a backslash.
    messages = [
        line
        for line in script.splitlines()
        if line.endswith(";") and not line.startswith(("--", "\\"))
    ]
    assert len(messages) == 10
    assert len(re.findall(r"\bBEGIN\b", script)) == script.count("COMMIT;") == 2
