"""Is every refusal put into the taxonomy, with Stripe's own words kept?"""

from __future__ import annotations

import pytest
from fake_stripe_cards import CARDS
from fake_stripe_process import FakeStripe, call_of, payment
from payengine.plugin import DECLINE_CODES, decline_rule
from payengine_stripe.declines import ALIASES, decline_of
from payengine_stripe.gateway import StripeGateway

#: Stripe's test payment method → our code and theirs.
_TABLE = {
    "pm_card_chargeCustomerFail": ("generic_decline", "generic_decline"),
    "pm_card_chargeDeclined": ("generic_decline", "generic_decline"),
    "pm_card_chargeDeclinedFraudulent": ("fraudulent", "fraudulent"),
    "pm_card_radarBlock": ("fraudulent", "fraudulent"),
    "pm_card_visa_chargeDeclined": ("generic_decline", "generic_decline"),
    "pm_card_visa_chargeDeclinedExpiredCard": ("expired_card", "expired_card"),
    "pm_card_visa_chargeDeclinedIncorrectCvc": ("incorrect_cvc", "incorrect_cvc"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("insufficient_funds", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": ("lost_card", "lost_card"),
    "pm_card_visa_chargeDeclinedProcessingError": ("processing_error", "processing_error"),
    "pm_card_visa_chargeDeclinedStolenCard": ("stolen_card", "stolen_card"),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": (
        "card_velocity_exceeded",
        "card_velocity_exceeded",
    ),
    "pm_fake_decline_invalid_number": ("incorrect_number", "invalid_number"),
    "pm_fake_decline_never_heard_of": ("never_heard_of", "never_heard_of"),
    "pm_no_such_method": ("invalid_account", "resource_missing"),
    "tok_chargeDeclinedLostCard": ("lost_card", "lost_card"),
}


@pytest.mark.parametrize(("token", "codes"), _TABLE.items())
async def test_a_test_card_is_declined_with_its_code(
    gateway: StripeGateway, fake: FakeStripe, key: str, token: str, codes: tuple[str, str]
) -> None:
    request = payment(token=token)
    outcome = await gateway.authorize(call_of(key), request)
    assert outcome.status == "declined"
    assert outcome.decline is not None
    assert (outcome.decline.code, outcome.decline.raw_code) == codes
    assert outcome.decline.raw_text
    assert fake.books(key).get("balance_transaction") is None
    again = await gateway.authorize(call_of(key), request)
    assert again == outcome


@pytest.mark.parametrize("code", sorted(DECLINE_CODES))
def test_the_taxonomys_own_codes_are_stripes(code: str) -> None:
    decline = decline_of({"code": "card_declined", "decline_code": code, "message": "no"})
    assert (decline.code, decline.raw_code, decline.raw_text) == (code, code, "no")


def test_aliases_lead_into_the_taxonomy_and_none_is_superfluous() -> None:
    assert set(ALIASES.values()) <= DECLINE_CODES.keys()
    assert not ALIASES.keys() & DECLINE_CODES.keys()


def test_an_unmapped_code_is_passed_on_and_no_fallback_follows() -> None:
    decline = decline_of({"code": "brand_new_code", "message": "who knows"})
    assert decline.code == decline.raw_code == "brand_new_code"
    assert not decline_rule(decline.code).known


@pytest.mark.parametrize(
    ("decline_code", "ours"),
    [
        ("do_not_honor", "do_not_try_again"),
        ("never_heard_of", "do_not_try_again"),
        ("stolen_card", "stolen_card"),
    ],
)
def test_the_networks_advice_to_stop_is_heeded(decline_code: str, ours: str) -> None:
    said = {"decline_code": decline_code, "advice_code": "do_not_try_again"}
    decline = decline_of(said)
    assert (decline.code, decline.raw_code) == (ours, decline_code)


@pytest.mark.parametrize("said", [{}, {"code": None, "message": 5}, {"type": "api_error"}])
def test_a_bare_refusal_still_has_a_code(said: dict[str, object]) -> None:
    assert decline_of(said).raw_code


def test_the_fake_knows_stripes_test_cards() -> None:
    assert len(CARDS) > 40
    assert {card.code for card in CARDS.values()} == {
        "",
        "card_declined",
        "expired_card",
        "incorrect_cvc",
        "processing_error",
    }
