"""Does a condition hold for exactly the payments that it means?"""

from __future__ import annotations

from typing import Any

import pytest
from payengine.routing import draw_of, parse_policy
from payengine.routing.facts import fits

from tests.core.routing.cases import facts


def holds(when: dict[str, Any], **given: Any) -> bool:
    """Whether a rule with this condition would fit."""
    rule = {"name": "r", "when": when, "then": {"by": "cost"}}
    return fits(parse_policy({"rules": [rule]}).rules[0].when, facts(**given))


@pytest.mark.parametrize(
    ("when", "given", "expected"),
    [
        ({}, {}, True),
        ({"currencies": ["EUR", "USD"]}, {}, True),
        ({"currencies": ["USD"]}, {}, False),
        ({"methods": ["card"], "currencies": ["USD"]}, {}, False),
        ({"countries": ["DE"]}, {"country": "DE"}, True),
        ({"countries": ["DE"]}, {"country": None}, False),
        ({"currencies": ["EUR"], "amountFromMinor": 1_000}, {"amount_minor": 1_000}, True),
        ({"currencies": ["EUR"], "amountFromMinor": 1_000}, {"amount_minor": 999}, False),
        ({"currencies": ["EUR"], "amountToMinor": 1_000}, {"amount_minor": 1_000}, True),
        ({"currencies": ["EUR"], "amountToMinor": 1_000}, {"amount_minor": 1_001}, False),
        ({"cardRanges": ["4111"]}, {"card_digits": "411111"}, True),
        ({"cardRanges": ["411111"]}, {"card_digits": "4111"}, False),
        ({"cardRanges": ["400000-499999"]}, {"card_digits": "49999999"}, True),
        ({"cardRanges": ["400000-499999"]}, {"card_digits": "500000"}, False),
        ({"cardRanges": ["5000", "4000-4999"]}, {"card_digits": "4999"}, True),
        ({"cardRanges": ["4111"]}, {}, False),
        ({"metadata": {"plan": "pro"}}, {"metadata": {"plan": "pro", "x": "y"}}, True),
        ({"metadata": {"plan": "pro"}}, {"metadata": {"plan": "PRO"}}, False),
        ({"metadata": {"plan": "pro"}}, {}, False),
    ],
)
def test_condition(when: dict[str, Any], given: dict[str, Any], expected: bool) -> None:
    assert holds(when, **given) is expected


def test_draws_are_a_payments_own_and_lie_between_0_and_1() -> None:
    draws = [draw_of(f"pay_{n}")("a") for n in range(1_000)]
    assert all(0 < each < 1 for each in draws)
    assert len(set(draws)) == 1_000
    assert 0.45 < sum(draws) / 1_000 < 0.55
    assert draw_of("pay_1")("a") != draw_of("pay_1")("b")
    assert draw_of("pay_1")("a") == draw_of("pay_1")("a")
