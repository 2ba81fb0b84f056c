"""Is the taxonomy of declines closed, and is an unknown code never taken for a known one?"""

from __future__ import annotations

import pytest
from payengine.plugin.declines import DECLINE_CODES, decline_rule


def test_there_are_51_codes_in_six_classes() -> None:
    assert len(DECLINE_CODES) == 51
    classes = {rule.decline_class for rule in DECLINE_CODES.values()}
    assert classes == {
        "customer_action",
        "hard",
        "integration",
        "new_method",
        "soft",
        "technical",
    }


def test_the_same_method_is_retried_for_soft_and_technical_declines_only() -> None:
    for rule in DECLINE_CODES.values():
        assert rule.known
        assert rule.auto_retry_same_method == (rule.decline_class in ("soft", "technical"))


@pytest.mark.parametrize("code", ["", "Lost_Card", "lost_card ", "05"])
def test_an_unknown_code_is_soft_and_says_that_it_is_unknown(code: str) -> None:
    rule = decline_rule(code)
    assert (rule.decline_class, rule.known) == ("soft", False)


def test_another_gateway_is_for_refusals_that_may_be_the_ways_own() -> None:
    marked = {rule.code for rule in DECLINE_CODES.values() if rule.other_gateway}
    assert {DECLINE_CODES[code].decline_class for code in marked} == {"soft", "technical"}
    assert "duplicate_transaction" not in marked
    assert "insufficient_funds" not in marked
    assert not decline_rule("never heard of").other_gateway


def test_each_row_has_advice_in_one_sentence_or_two() -> None:
    for rule in (*DECLINE_CODES.values(), decline_rule("never heard of")):
        assert rule.advice.endswith(".")
        assert 15 < len(rule.advice) < 90, rule.code
