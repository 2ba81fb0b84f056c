"""Does a saved method stay with the gateway in whose vault it rests?"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from payengine.customers import CreateCustomer, SavePaymentMethod
from payengine.errors import GatewayUnavailable
from payengine.payments import PaymentResult
from payengine.plugin import NotSent

from tests.engines import Shop, Till, key
from tests.gateways import NamedSandbox, declined, open_several, shop_with_only
from tests.servers import HomeOfTest


class Vaults:
    """A shop with two gateways and a customer."""

    def __init__(self, shop: Shop, alpha: NamedSandbox, beta: NamedSandbox) -> None:
        self.shop = shop
        self.alpha = alpha
        self.beta = beta
        self.customer = ""

    async def save(self, gateway: str | None = None) -> str:
        """A method that is kept, in this gateway's vault if one is named."""
        customers = self.shop.engine.customers
        if not self.customer:
            made = await customers.create(self.shop.context, CreateCustomer(idempotency_key=key()))
            self.customer = made.id
        request = SavePaymentMethod(
            idempotency_key=key(), customer_id=self.customer, token="tok_visa", gateway=gateway
        )
        return (await customers.save_method(self.shop.context, request)).id

    async def pay(self, method_id: str) -> PaymentResult:
        """Charge the method."""
        return await self.shop.pay(token=None, saved_payment_method_id=method_id)

    async def prefer(self, gateway: str) -> None:
        """From now on this gateway comes first."""
        document = {"otherwise": {"by": "priority", "gateways": [gateway]}}
        await self.shop.engine.router.policies.save(
            self.shop.context, document, reason="a test", activate=True
        )


@pytest.fixture(scope="module")
async def pair(payment_home: HomeOfTest) -> AsyncIterator[tuple[Till, NamedSandbox, NamedSandbox]]:
    """An engine with two gateways."""
    alpha = NamedSandbox("alpha", path=payment_home.home / "vault-alpha.sqlite3")
    beta = NamedSandbox("beta", path=payment_home.home / "vault-beta.sqlite3")
    async with open_several(payment_home, alpha, beta) as till:
        yield till, alpha, beta


@pytest.fixture
async def vaults(pair: tuple[Till, NamedSandbox, NamedSandbox]) -> Vaults:
    """A fresh shop at the two gateways."""
    till, alpha, beta = pair
    for each in (alpha, beta):
        each.answers, each.asked = [], []
    return Vaults(await shop_with_only(till), alpha, beta)


async def test_a_method_goes_to_the_gateway_that_it_names_and_to_no_other(vaults: Vaults) -> None:
    method = await vaults.save("beta")
    assert (await vaults.pay(method)).payment.gateway == "beta"
    vaults.beta.answers = [NotSent("refused"), declined("do_not_honor")]
    assert (await vaults.pay(method)).payment.status == "CREATED"
    assert (await vaults.pay(method)).payment.status == "DECLINED"
    assert vaults.alpha.asked == []


async def test_one_that_names_none_stays_with_the_gateway_that_charged_it(vaults: Vaults) -> None:
    method = await vaults.save()
    assert (await vaults.pay(method)).payment.gateway == "alpha"
    await vaults.prefer("beta")
    assert (await vaults.pay(method)).payment.gateway == "alpha"
    assert (await vaults.pay(await vaults.save())).payment.gateway == "beta"


async def test_one_that_was_never_charged_goes_to_one_gateway_and_no_further(
    vaults: Vaults,
) -> None:
    method = await vaults.save()
    vaults.alpha.answers = [NotSent("refused")]
    assert (await vaults.pay(method)).payment.status == "CREATED"
    assert vaults.beta.asked == []


async def test_a_refusal_binds_a_method_to_nobody(vaults: Vaults) -> None:
    method = await vaults.save()
    vaults.alpha.answers = [declined("do_not_honor")]
    assert (await vaults.pay(method)).payment.status == "DECLINED"
    await vaults.prefer("beta")
    assert (await vaults.pay(method)).payment.gateway == "beta"


async def test_where_its_gateway_is_not_enabled_it_cannot_be_charged(vaults: Vaults) -> None:
    method = await vaults.save("elsewhere")
    with pytest.raises(GatewayUnavailable, match="elsewhere"):
        await vaults.pay(method)


async def test_a_confirmation_with_a_saved_method_keeps_to_its_gateway(vaults: Vaults) -> None:
    method = await vaults.save("beta")
    vaults.alpha.answers = [declined("lost_card")]
    refused = await vaults.shop.pay()
    paid = await vaults.shop.confirm(refused.payment.id, saved_payment_method_id=method)
    assert (paid.payment.status, paid.payment.gateway) == ("CAPTURED", "beta")
