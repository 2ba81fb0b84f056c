"""Killed again and again, the program loses nothing and doubles nothing; and defects are seen."""

from __future__ import annotations

import os

import pytest

from tests.acceptance.crash.defects import DEFECTS
from tests.acceptance.crash.options import Options, planted
from tests.acceptance.crash.run import crash, places

pytestmark = pytest.mark.skipif(
    not os.environ.get("PAYENGINE_CRASHES"), reason="`make crash-short` runs it, with no other load"
)

_KILLS = 20


async def test_twenty_kills_lose_nothing_and_double_nothing() -> None:
    figures = await crash(Options(kills=_KILLS, seed=1))
    assert figures.wrong == [], figures.words
    assert figures.kills.total() == _KILLS
    struck = {name.partition(",")[0] for name in figures.kills}
    assert len(struck & set(places())) >= min(len(places()), _KILLS) * 2 // 3
    assert figures.payments >= 10 * _KILLS
    assert figures.charges > _KILLS
    assert len(figures.recovery_s) == figures.left_open > _KILLS


#: By which figures each defect is seen at least.
_SEEN = {
    "fresh_key": {"orphans", "broken"},
    "no_lookup": {"blind", "doubled"},
    "no_check": {"exceeded", "doubled"},
    "webhook_twice": {"events_doubled", "drift_minor", "broken"},
    "period_twice": {"doubled", "invoices_doubled"},
    "charge_key": {"doubled", "invoices_doubled"},
    "payout_key": {"doubled", "payouts_doubled"},
}


@pytest.mark.parametrize("defect", DEFECTS)
async def test_a_planted_defect_turns_the_run_red(defect: str) -> None:
    figures = await crash(planted(defect, seed=1))
    assert set(figures.wrong) >= _SEEN[defect], figures.words
