"""Is what does not fit together noticed, and are travellers left alone?"""

from __future__ import annotations

from typing import Any

import pytest
from payengine.testing import RuleCase, RuleContract, RuleSample, sample_context
from payengine_fraud_mismatch import (
    CountryMismatch,
    CountryMismatchSettings,
    ImpossibleTravel,
    ImpossibleTravelSettings,
    IssuerChecks,
    IssuerChecksSettings,
    NewDevice,
    NewDeviceSettings,
)
from payengine_fraud_mismatch.countries import PLACES, kilometres


class TestCountryMismatch(RuleContract):
    def case(self) -> RuleCase:
        new = {"account_age_days": 2}
        return RuleCase(
            rule=CountryMismatch(),
            samples=[
                RuleSample(context=sample_context(), verdict="allow"),
                RuleSample(context=sample_context(ip_country="BR"), verdict="allow"),
                RuleSample(
                    context=sample_context(ip_country="BR", **new),
                    verdict="challenge",
                    reason="foreign_card_new_account",
                ),
                RuleSample(
                    context=sample_context(ip_country="BR", ship_country="NG"),
                    verdict="review",
                    reason="three_countries",
                ),
                RuleSample(
                    context=sample_context(
                        ip_country=None, ship_country=None, billing_country=None
                    ),
                    verdict="abstain",
                ),
            ],
        )


class TestImpossibleTravel(RuleContract):
    def case(self) -> RuleCase:
        def came(before: str | None, gap_s: float | None) -> Any:
            return sample_context(
                ip_country="DE",
                features={"customer.previous.ip_country": before, "customer.gap": gap_s},
            )

        return RuleCase(
            rule=ImpossibleTravel(),
            samples=[
                RuleSample(context=came("DE", 60.0), verdict="allow"),
                RuleSample(context=came("BR", 3_600.0), verdict="challenge"),
                RuleSample(context=came("BR", 86_400.0), verdict="allow"),
                RuleSample(context=came("FR", 60.0), verdict="allow"),
                RuleSample(context=came("ZZ", 60.0), verdict="abstain"),
                RuleSample(context=came(None, None), verdict="abstain"),
            ],
        )


class TestNewDevice(RuleContract):
    def case(self) -> RuleCase:
        past: dict[str, Any] = {
            "device.age": None,
            "customer.age": 90 * 86_400.0,
            "customer.previous.ship_country": "DE",
            "customer.median.last20": 1_000.0,
        }
        return RuleCase(
            rule=NewDevice(),
            samples=[
                RuleSample(context=sample_context(features=past), verdict="allow"),
                RuleSample(context=sample_context(features=past, ip_country="BR"), verdict="allow"),
                RuleSample(
                    context=sample_context(features=past, ip_country="BR", base_minor=3_000),
                    verdict="challenge",
                    reason="new_device",
                ),
                RuleSample(
                    context=sample_context(
                        features={**past, "device.age": 90_000.0},
                        ip_country="BR",
                        ship_country="BR",
                    ),
                    verdict="allow",
                ),
                RuleSample(
                    context=sample_context(features={}, account_age_days=29), verdict="abstain"
                ),
                RuleSample(context=sample_context(features=past, device=None), verdict="abstain"),
            ],
        )


class TestIssuerChecks(RuleContract):
    def case(self) -> RuleCase:
        def answered(address: bool | None, code: bool | None, days: int | None = 0) -> Any:
            return sample_context(
                stage="post_auth", address_ok=address, cvc_ok=code, account_age_days=days
            )

        return RuleCase(
            rule=IssuerChecks(),
            samples=[
                RuleSample(context=answered(None, None), verdict="abstain"),
                RuleSample(context=answered(True, None), verdict="allow"),
                RuleSample(context=answered(False, True), verdict="allow", reason="address_failed"),
                RuleSample(context=answered(True, False), verdict="review", reason="code_failed"),
                RuleSample(context=answered(False, False, None), verdict="block"),
                RuleSample(
                    context=answered(False, False, 31),
                    verdict="allow",
                    reason="address_and_code_failed",
                ),
            ],
        )


def test_countries_of_one_market_are_one() -> None:
    settings = CountryMismatchSettings(together=("DE", "FR", "NL"))
    context = sample_context(ip_country="FR", ship_country="NL", account_age_days=1)
    assert CountryMismatch().evaluate(context, settings).verdict == "allow"
    abroad = sample_context(ip_country="BR", ship_country="NL", account_age_days=1)
    assert CountryMismatch().evaluate(abroad, settings).verdict == "challenge"


def test_speed_and_least_distance_are_the_tenants_own() -> None:
    context = sample_context(
        ip_country="DE", features={"customer.previous.ip_country": "FR", "customer.gap": 60.0}
    )
    near = ImpossibleTravelSettings(least_km=100)
    assert ImpossibleTravel().evaluate(context, near).verdict == "challenge"
    by_rocket = ImpossibleTravelSettings(least_km=100, most_kmh=100_000)
    assert ImpossibleTravel().evaluate(context, by_rocket).verdict == "allow"


def test_what_a_new_device_needs_beside_it_is_the_tenants_own() -> None:
    context = sample_context(ip_country="BR", features={"device.age": None})
    assert NewDevice().evaluate(context, NewDeviceSettings(review_at=1)).verdict == "review"


def test_failed_checks_of_a_known_account_can_be_blocked() -> None:
    context = sample_context(stage="post_auth", cvc_ok=False)
    settings = IssuerChecksSettings(known_account="block")
    assert IssuerChecks().evaluate(context, settings).verdict == "block"


@pytest.mark.parametrize(
    ("one", "other", "least", "most"),
    [("DE", "DE", 0, 0), ("GB", "US", 6_500, 7_800), ("AU", "NZ", 3_500, 4_600)],
)
def test_distances_are_about_right(one: str, other: str, least: int, most: int) -> None:
    found = kilometres(one, other)
    assert found is not None
    assert least <= found <= most
    assert kilometres(other, one) == pytest.approx(found)


def test_every_country_lies_on_the_globe() -> None:
    assert len(PLACES) > 180
    assert all(
        len(code) == 2 and abs(north) <= 90 and abs(east) <= 180
        for code, (north, east) in PLACES.items()
    )
    assert kilometres("DE", "ZZ") is None
