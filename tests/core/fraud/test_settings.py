"""Are settings taken that make sense, and no others?"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from payengine.errors import InputInvalid
from payengine.fraud.settings import FraudSettings, parse_fraud_settings


def test_the_defaults_are_settings() -> None:
    assert parse_fraud_settings({}) == FraudSettings()
    assert parse_fraud_settings(msgspec.to_builtins(FraudSettings())) == FraudSettings()


@pytest.mark.parametrize(
    "plain",
    [
        None,
        [],
        {"review_minutes": 0},
        {"review_minutes": 43_201},
        {"review_default": "perhaps"},
        {"alerts": {"success_drop": 0}},
        {"alerts": {"stop_change": 1.5}},
        {"alerts": {"fraud_times": 1}},
        {"alerts": {"stability": 0}},
        {"alerts": {"rule_errors": -1}},
        {"alerts": {"queue_age_minutes": 0}},
        {"alerts": {"perhaps": 1}},
        {"base_currency": "euro"},
        {"base_currency": "XXQ"},
        {"unknown": 1},
    ],
)
def test_nonsense_is_refused(plain: Any) -> None:
    with pytest.raises(InputInvalid) as refused:
        parse_fraud_settings(plain)
    assert refused.value.path[0] == "settings"
