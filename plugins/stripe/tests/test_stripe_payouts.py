"""Does the rail of Stripe's transfers keep its contract, and does it read what Stripe says?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

import httpx
import pytest
from fake_stripe_process import FakeStripe, api_key, call_of
from payengine.plugin import (
    Amount,
    Call,
    LookUpPayouts,
    NotSent,
    PayoutDestination,
    PayoutOrder,
    SendPayouts,
)
from payengine.testing import RailCase, RailContract
from payengine_stripe.payouts import StripeRail
from payengine_stripe.settings import StripeSettings


class TestStripeRail(RailContract):
    fake: ClassVar[FakeStripe]

    @pytest.fixture(autouse=True)
    def _know_the_fake(self, fake: FakeStripe) -> None:
        type(self).fake = fake

    def case(self) -> RailCase:
        """A new account at the fake."""
        key = api_key()
        fake = type(self).fake

        async def books(call: Call) -> list[str]:
            made = fake.books(key).get("transfer", [])
            return [one["metadata"]["payengine_payout"] for one in made]

        def to(account: str) -> PayoutDestination:
            return PayoutDestination(kind="stripe_account", number=account)

        return RailCase(
            rail=StripeRail(api_base=fake.url),
            settings=StripeSettings(api_key=key),
            pays=to("acct_vendor"),
            refuses=to("acct_restricted"),
            loses=to("acct_fake_loses"),
            books=books,
            deadline_ms=5_000,
        )


@pytest.fixture
async def rail(fake: FakeStripe) -> AsyncIterator[StripeRail]:
    made = StripeRail(api_base=fake.url)
    yield made
    await made.aclose()


def _sending(account: str = "acct_vendor", *, minor: int = 1_000, code: str = "EUR") -> SendPayouts:
    order = PayoutOrder(
        key="po_1",
        amount=Amount(minor, code),
        destination=PayoutDestination(kind="stripe_account", number=account),
    )
    return SendPayouts(key="pob_1", orders=(order,))


@pytest.mark.parametrize(
    ("request_", "failure", "raw_code"),
    [
        (_sending("acct_unknown"), "account_invalid", "resource_missing"),
        (_sending("acct_restricted"), "account_blocked", "insufficient_capabilities_for_transfer"),
        (_sending(minor=200_000_000), "insufficient_funds", "balance_insufficient"),
        (_sending(minor=1_001, code="KWD"), "limit_exceeded", "amount_not_exact"),
    ],
)
async def test_refusals_name_their_reason(
    rail: StripeRail, request_: SendPayouts, failure: str, raw_code: str
) -> None:
    (result,) = (await rail.send(call_of(api_key()), request_)).results
    assert (result.status, result.failure, result.raw_code) == ("failed", failure, raw_code)


async def test_amounts_are_counted_as_stripe_does(rail: StripeRail, fake: FakeStripe) -> None:
    key = api_key()
    (result,) = (await rail.send(call_of(key), _sending(minor=12, code="ISK"))).results
    assert (result.status, result.amount) == ("paid", Amount(12, "ISK"))
    assert [one["amount"] for one in fake.books(key)["transfer"]] == [1_200]


async def test_what_was_reversed_has_come_back(rail: StripeRail, fake: FakeStripe) -> None:
    key = api_key()
    request = _sending()
    (sent,) = (await rail.send(call_of(key), request)).results
    answer: httpx.Response = fake.post(f"transfers/{sent.provider_reference}/reversals", key, {})
    assert answer.status_code == 200
    asked = LookUpPayouts(key=request.key, orders=request.orders)
    (back,) = (await rail.look_up(call_of(key), asked)).results
    assert (back.status, back.raw_code) == ("returned", "reversed")


async def test_where_stripe_cannot_be_reached_nothing_was_sent() -> None:
    rail = StripeRail(api_base="http://127.0.0.1:9")
    with pytest.raises(NotSent):
        await rail.send(call_of(api_key()), _sending())
    await rail.aclose()
