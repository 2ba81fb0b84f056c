"""Is a buyer's account kept, charged and forgotten?"""

from __future__ import annotations

import uuid

from payengine.plugin import (
    ForgetMethod,
    LookupMethod,
    PaymentMethod,
    SaveMethod,
)
from paypal_account import Account

pytest_plugins = ("paypal_account",)


async def test_buyers_account_is_kept_charged_and_forgotten(account: Account) -> None:
    request = SaveMethod(
        key=f"save-{uuid.uuid4().hex}",
        payment_method=PaymentMethod(token="paypal", kind="paypal"),
        customer_reference="cus_1",
        return_url="https://shop.example/kept",
    )
    asked = await account.gateway.save_method(account.call, request)
    assert asked.status == "requires_action"
    assert await account.gateway.save_method(account.call, request) == asked
    lookup = LookupMethod(key=request.key, provider_reference=str(asked.provider_reference))
    assert (await account.gateway.lookup_method(account.call, lookup)).status == "requires_action"
    assert asked.next_action is not None
    account.paypal.click(asked.next_action.url, "agree")
    kept = await account.gateway.lookup_method(account.call, lookup)
    assert (kept.status, kept.label) == ("saved", "PayPal b…@example.com")
    assert await account.gateway.lookup_method(account.call, lookup) == kept
    method = PaymentMethod(token=str(kept.token), kind="paypal", saved=True)
    paid = await account.pay(payment_method=method, off_session=True)
    assert (paid.status, paid.captured) == ("succeeded", True)
    forget = ForgetMethod(key="f", token=str(kept.token))
    for _ in range(2):
        assert (await account.gateway.forget_method(account.call, forget)).status == "forgotten"
    gone = await account.pay(payment_method=method)
    assert gone.decline is not None
    assert gone.decline.code == "invalid_account"
