"""Can a payment method be kept, charged while the buyer is away, and forgotten?"""

from __future__ import annotations

import pytest
from fake_stripe_process import FakeStripe, api_key, call_of, payment
from payengine.plugin import (
    ForgetMethod,
    LookupMethod,
    PaymentMethod,
    SavedToken,
    SaveMethod,
    SavesMethods,
)
from payengine_stripe.gateway import MANIFEST, StripeGateway
from payengine_stripe.problems import Refused


def keeping(token: str = "pm_card_visa", **more: str) -> SaveMethod:
    """A request to keep a method."""
    fields = {"key": f"keep_{token}", "return_url": "https://shop.example/back"} | more
    method = PaymentMethod(token=token)
    return SaveMethod(payment_method=method, customer_reference="cus_ours", **fields)


async def test_a_method_is_kept_and_charged_while_the_buyer_is_away(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    assert isinstance(gateway, SavesMethods)
    assert MANIFEST.saved_methods
    call = call_of(key)
    saved = await gateway.save_method(call, keeping())
    assert (saved.status, saved.label) == ("saved", "visa 4242")
    assert await gateway.save_method(call, keeping()) == saved
    token = saved.token or ""
    assert token.startswith("cus_")
    assert "/pm_" in token
    outcome = await gateway.authorize(call, payment(token=token, saved=True, off_session=True))
    assert outcome.status == "succeeded"
    books = fake.books(key)
    assert len(books["customer"]) == 1
    assert books["customer"][0]["metadata"] == {"payengine_customer": "cus_ours"}
    assert books["payment_intent"][0]["customer"] == books["customer"][0]["id"]


async def test_a_saved_token_without_its_customer_is_completed(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    call = call_of(key)
    saved = await gateway.save_method(call, keeping())
    method = (saved.token or "").partition("/")[2]
    outcome = await gateway.authorize(call, payment(token=method, saved=True, off_session=True))
    assert outcome.status == "succeeded"
    bare = await gateway.authorize(call, payment(token=method))
    assert bare.status == "declined"  # Stripe wants its customer named
    gone = await gateway.authorize(call, payment(token="pm_gone", saved=True))
    assert gone.decline is not None
    assert gone.decline.raw_code == "resource_missing"


@pytest.mark.parametrize(("choice", "status"), [("approve", "saved"), ("fail", "declined")])
async def test_keeping_may_ask_the_buyer_to_authenticate_and_later_charges_do_not(
    gateway: StripeGateway, fake: FakeStripe, key: str, choice: str, status: str
) -> None:
    call = call_of(key)
    asked = await gateway.save_method(call, keeping("pm_card_authenticationRequiredOnSetup"))
    assert asked.status == "requires_action"
    assert asked.next_action is not None
    fake.answer_challenge(asked.next_action.url, choice)
    lookup = LookupMethod(key="k", provider_reference=asked.provider_reference or "")
    found = await gateway.lookup_method(call, lookup)
    assert found.status == status
    if found.decline is not None:
        assert found.decline.code == "authentication_required"
        return
    away = payment(token=found.token or "", saved=True, off_session=True)
    assert (await gateway.authorize(call, away)).status == "succeeded"


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_nobody", "invalid_account"),
    ],
)
async def test_a_refusal_to_keep_is_a_decline(
    gateway: StripeGateway, key: str, token: str, code: str
) -> None:
    refused = await gateway.save_method(call_of(key), keeping(token))
    assert refused.status == "declined"
    assert refused.decline is not None
    assert refused.decline.code == code


async def test_forgetting_twice_changes_nothing(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    call = call_of(key)
    saved = await gateway.save_method(call, keeping())
    for name in ("f1", "f2"):
        forget = ForgetMethod(key=name, token=saved.token or "")
        assert (await gateway.forget_method(call, forget)).status == "forgotten"
    assert [one["customer"] for one in fake.books(key)["payment_method"]] == [None]
    unknown = await gateway.forget_method(call, ForgetMethod(key="f3", token="cus_1/pm_gone"))
    assert unknown == SavedToken(status="forgotten", token="cus_1/pm_gone")


async def test_an_outage_is_no_forgetting(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    call = call_of(key)
    saved = await gateway.save_method(call, keeping())
    fake.faults(key, error_before=1_000)
    with pytest.raises(Refused):
        await gateway.forget_method(call, ForgetMethod(key="f", token=saved.token or ""))


async def test_a_live_key_keeps_nothing_in_a_test_world(gateway: StripeGateway) -> None:
    with pytest.raises(ValueError, match="test account"):
        await gateway.save_method(call_of(api_key(live=True)), keeping())
