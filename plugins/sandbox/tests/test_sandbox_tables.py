"""Are the sandbox's tables complete, and does its page name every line of them?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from payengine.plugin import DECLINE_CODES
from payengine_sandbox.cards import (
    FIRST_DECLINE_AMOUNT,
    MAGIC_AMOUNTS,
    NOT_PROCESSED_CODES,
    PLAIN,
    TOKENS,
    Fault,
    script_for,
)
from payengine_sandbox.declines import DECLINES
from payengine_sandbox.engine import fee_of
from payengine_sandbox.settings import SandboxSettings
from payengine_sandbox.wire import LIMITS

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "tests/data/examples/examples_decline_codes.json"
PAGE = ROOT / "docs/reference/sandbox-http.md"


def test_every_code_of_the_worked_examples_can_be_provoked() -> None:
    codes = [case["code"] for case in json.loads(EXAMPLES.read_text())["cases"]]
    assert list(DECLINES) == codes
    assert set(codes) == set(DECLINE_CODES)
    for place, code in enumerate(codes):
        assert TOKENS[f"tok_decline_{code}"].code == code
        assert MAGIC_AMOUNTS[FIRST_DECLINE_AMOUNT + place].code == code


def test_every_fault_has_a_magic_amount() -> None:
    assert {script.fault for script in MAGIC_AMOUNTS.values()} == {None, *Fault}


def test_every_limit_maps_into_the_taxonomy() -> None:
    assert {code for code, _ in LIMITS.values()} <= set(DECLINE_CODES)
    assert not set(LIMITS) & set(NOT_PROCESSED_CODES)


def test_the_page_names_every_token_amount_code_and_setting() -> None:
    page = PAGE.read_text()
    names = [*TOKENS, *map(str, MAGIC_AMOUNTS), *LIMITS, *NOT_PROCESSED_CODES]
    names += SandboxSettings.__struct_fields__
    assert [name for name in names if f"`{name}`" not in page] == []


def test_tokens_speak_for_the_authorization_alone() -> None:
    assert script_for("refund", "tok_decline_lost_card", 100) == PLAIN
    assert script_for("capture", "tok_magic", 3013) == PLAIN
    assert script_for("authorize", "tok_visa", 3002) == PLAIN


@pytest.mark.parametrize(
    ("amount", "fee"),
    [(1, 0), (17, 0), (18, 1), (50, 1), (51, 1), (52, 2), (1_000, 29), (10**15, 29 * 10**12)],
)
def test_fees_round_once_half_away_from_zero(amount: int, fee: int) -> None:
    assert fee_of(amount, bps=290, fixed_minor=0) == fee
    assert fee_of(amount, bps=290, fixed_minor=30) == fee + 30


def test_a_half_rounds_away_from_zero() -> None:
    assert [fee_of(n, bps=5_000, fixed_minor=0) for n in (1, 2, 3, 5)] == [1, 1, 2, 3]
