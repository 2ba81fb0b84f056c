"""Payments, customers, plugins and keys over the API."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from payengine.engine import Engine

from tests.graphql.worlds import CREATE, World, codes, new_key, row_counts

_STEP = """
mutation Step($input: %sInput!) {
  %s(input: $input) {
    errors { code message path retryable }
    payment {
      id status authorizedAmount { amountMinor } capturedAmount { amountMinor }
      voidedAmount { amountMinor } refundedAmount { amountMinor }
      refundableAmount { amountMinor } capturableAmount { amountMinor }
    }
    %s
  }
}
"""


async def _step(world: World, mutation: str, **given: Any) -> dict[str, Any]:
    title = mutation[0].upper() + mutation[1:]
    more = "refund { id status reason amount { amountMinor } }" if "refund" in mutation else ""
    fields = {"idempotencyKey": new_key()} | given
    data = await world.run(_STEP % (title, mutation, more), input=fields)
    payload: dict[str, Any] = data[mutation]
    return payload


async def test_a_payment_is_captured_in_one_request(world: World) -> None:
    payload = await world.pay()
    assert payload["errors"] == []
    assert payload["payment"]["status"] == "CAPTURED"
    assert payload["payment"]["amount"] == {
        "amountMinor": 1_234,
        "currency": "EUR",
        "formatted": "12.34 EUR",
    }
    assert payload["operation"]["kind"] == "AUTHORIZE"
    assert payload["operation"]["status"] == "SUCCEEDED"


async def test_a_hold_is_raised_captured_in_part_and_refunded(world: World) -> None:
    held = await world.pay(captureMethod="MANUAL")
    assert held["payment"]["status"] == "AUTHORIZED"
    payment_id = held["payment"]["id"]
    raised = await _step(world, "incrementAuthorization", paymentId=payment_id, amountMinor=100)
    assert raised["errors"] == []
    assert raised["payment"]["authorizedAmount"] == {"amountMinor": 1_334}
    captured = await _step(world, "capturePayment", paymentId=payment_id, amountMinor=1_000)
    assert captured["payment"]["status"] == "CAPTURED"
    assert captured["payment"]["capturedAmount"] == {"amountMinor": 1_000}
    assert captured["payment"]["voidedAmount"] == {"amountMinor": 334}
    given = {"paymentId": payment_id, "amountMinor": 400, "reason": "came late"}
    refunded = await _step(world, "refundPayment", **given)
    assert refunded["refund"]["status"] == "SUCCEEDED"
    assert refunded["refund"]["amount"] == {"amountMinor": 400}
    assert refunded["payment"]["refundableAmount"] == {"amountMinor": 600}
    rest = await _step(world, "refundPayment", paymentId=payment_id)
    assert rest["payment"]["refundedAmount"] == {"amountMinor": 1_000}
    more = await _step(world, "refundPayment", paymentId=payment_id, amountMinor=1)
    assert [error["code"] for error in more["errors"]] == ["REFUND_EXCEEDS_CAPTURED"]


async def test_a_hold_is_released(world: World) -> None:
    held = await world.pay(captureMethod="MANUAL")
    voided = await _step(world, "voidPayment", paymentId=held["payment"]["id"])
    assert voided["payment"]["status"] == "CANCELED"
    late = await _step(world, "capturePayment", paymentId=held["payment"]["id"])
    assert late["errors"] != []


async def test_a_decline_is_a_result_and_another_method_may_follow(world: World) -> None:
    declined = await world.pay(paymentMethod={"token": "tok_decline_insufficient_funds"})
    assert declined["errors"] == []
    assert declined["payment"]["status"] == "DECLINED"
    assert declined["payment"]["decline"] == {
        "code": "insufficient_funds",
        "category": "SOFT",
        "retryable": True,
        "advice": declined["payment"]["decline"]["advice"],
    }
    again = await _step(
        world,
        "confirmPayment",
        paymentId=declined["payment"]["id"],
        paymentMethod={"token": "tok_visa"},
    )
    assert again["errors"] == []
    assert again["payment"]["status"] == "CAPTURED"


async def test_a_challenge_tells_where_the_buyer_must_go(world: World) -> None:
    payload = await world.pay(
        paymentMethod={"token": "tok_challenge"}, returnUrl="https://shop.example/back"
    )
    assert payload["payment"]["status"] == "REQUIRES_ACTION"
    assert payload["payment"]["nextAction"]["type"] == "redirect"
    assert payload["payment"]["nextAction"]["url"].startswith("http")
    assert payload["payment"]["nextAction"]["bankDetails"] is None


async def test_a_transfer_tells_to_which_account_and_with_which_reference(
    world: World, engine: Engine
) -> None:
    account = {"holder": "ACME", "iban": "NL91 ABNA 0417 1643 00", "bic": "ABNANL2A"}
    await engine.registry.save_settings(
        world.context, "bank_transfer", enabled=True, settings=account
    )
    payload = await world.pay(
        paymentMethod={"token": "bank_transfer", "kind": "bank_transfer"},
        amount={"amountMinor": 1_200, "currency": "EUR"},
    )
    action = payload["payment"]["nextAction"]
    assert action["bankDetails"] == {
        "holder": "ACME",
        "iban": "NL91ABNA0417164300",
        "bic": "ABNANL2A",
        "reference": action["url"].rpartition("/")[2],
        "amount": {"amountMinor": 1_200},
    }


async def test_the_same_key_gives_the_same_payment(world: World, engine: Engine) -> None:
    key = new_key()
    first = await world.pay(idempotencyKey=key)
    before = await row_counts(engine, world.context)
    replays = await asyncio.gather(*(world.pay(idempotencyKey=key) for _ in range(10)))
    assert {replay["payment"]["id"] for replay in replays} == {first["payment"]["id"]}
    assert await row_counts(engine, world.context) == before
    other = await world.pay(idempotencyKey=key, amount={"amountMinor": 1, "currency": "EUR"})
    assert [error["code"] for error in other["errors"]] == ["IDEMPOTENCY_CONFLICT"]
    assert other["errors"][0]["path"] == ["idempotencyKey"]
    assert await row_counts(engine, world.context) == before


async def test_two_tenants_may_use_one_key(world: World, foreign: World) -> None:
    key = new_key()
    mine = await world.pay(idempotencyKey=key)
    theirs = await foreign.pay(idempotencyKey=key, amount={"amountMinor": 9, "currency": "JPY"})
    assert mine["errors"] == theirs["errors"] == []
    assert mine["payment"]["id"] != theirs["payment"]["id"]


async def test_an_amount_may_be_sent_as_a_text_of_digits(world: World) -> None:
    payload = await world.pay(amount={"amountMinor": "999999999999", "currency": "JPY"})
    assert payload["payment"]["amount"]["formatted"] == "999999999999 JPY"


_CUSTOMER = "customer { id reference email name metadata paymentMethods { id label } }"


async def test_a_customers_saved_method_is_charged_until_it_is_detached(world: World) -> None:
    created = await world.run(
        "mutation($input: CreateCustomerInput!) { createCustomer(input: $input)"
        f" {{ errors {{ code }} {_CUSTOMER} }} }}",
        input={
            "idempotencyKey": new_key(),
            "reference": "c-1",
            "email": "ada@example.org",
            "name": "Ada",
            "metadata": {"tier": "gold"},
        },
    )
    customer = created["createCustomer"]["customer"]
    assert customer["email"] == "ada@example.org"
    updated = await world.run(
        "mutation($input: UpdateCustomerInput!) { updateCustomer(input: $input)"
        f" {{ errors {{ code }} {_CUSTOMER} }} }}",
        input={"idempotencyKey": new_key(), "customerId": customer["id"], "name": "Ada L."},
    )
    assert updated["updateCustomer"]["customer"] == customer | {"name": "Ada L."}
    saved = await world.run(
        "mutation($input: SavePaymentMethodInput!) { savePaymentMethod(input: $input)"
        " { errors { code } paymentMethod { id kind label customerId customer { name } } } }",
        input={
            "idempotencyKey": new_key(),
            "customerId": customer["id"],
            "token": "tok_visa",
            "label": "Visa",
        },
    )
    method = saved["savePaymentMethod"]["paymentMethod"]
    assert method["customer"] == {"name": "Ada L."}
    given = {
        "paymentMethod": None,
        "savedPaymentMethodId": method["id"],
        "customerId": customer["id"],
        "offSession": True,
    }
    charged = await world.pay(**given)
    assert charged["payment"]["status"] == "CAPTURED"
    detached = await world.run(
        "mutation($input: DetachPaymentMethodInput!) { detachPaymentMethod(input: $input)"
        " { errors { code } paymentMethod { detachedAt } } }",
        input={"idempotencyKey": new_key(), "paymentMethodId": method["id"]},
    )
    assert detached["detachPaymentMethod"]["paymentMethod"]["detachedAt"] is not None
    refused = await world.pay(**given)
    assert [error["code"] for error in refused["errors"]] == ["PAYMENT_METHOD_INVALID"]


_CONFIGURE = """
mutation($input: ConfigurePluginInput!) {
  configurePlugin(input: $input) {
    errors { code path } plugin { name enabled version settings secrets { name lastFour } }
  }
}
"""


async def test_a_plugin_is_switched_off_and_on(world: World) -> None:
    key = new_key()
    off = {"idempotencyKey": key, "plugin": "sandbox", "enabled": False}
    answer = (await world.run(_CONFIGURE, input=off))["configurePlugin"]
    assert answer["plugin"]["enabled"] is False
    refused = await world.pay()
    assert [error["code"] for error in refused["errors"]] == ["GATEWAY_UNAVAILABLE"]
    assert refused["errors"][0]["retryable"] is True
    on = {"idempotencyKey": new_key(), "plugin": "sandbox", "enabled": True}
    await world.run(_CONFIGURE, input=on)
    replay = (await world.run(_CONFIGURE, input=off))["configurePlugin"]
    assert replay["plugin"]["enabled"] is True, "a replay shows the present state"
    other = (await world.run(_CONFIGURE, input=off | {"enabled": True}))["configurePlugin"]
    assert [error["code"] for error in other["errors"]] == ["IDEMPOTENCY_CONFLICT"]
    assert (await world.pay())["payment"]["status"] == "CAPTURED"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"plugin": "nothing", "enabled": True}, "PLUGIN_NOT_FOUND"),
        ({"plugin": "sandbox", "settings": {"nothing": 1}}, "PLUGIN_SETTINGS_INVALID"),
        ({"plugin": "sandbox", "settings": []}, "INPUT_INVALID"),
        ({"plugin": "sandbox", "settings": {"a": "4242 4242 4242 4242"}}, "SENSITIVE_DATA_REFUSED"),
        ({"plugin": "sandbox", "enabled": True, "idempotencyKey": ""}, "IDEMPOTENCY_KEY_MALFORMED"),
    ],
)
async def test_bad_settings_leave_no_row(
    world: World, engine: Engine, given: dict[str, Any], code: str
) -> None:
    before = await row_counts(engine, world.context)
    answer = await world.ask(_CONFIGURE, input={"idempotencyKey": new_key()} | given)
    assert codes(answer) == [code]
    assert await row_counts(engine, world.context) == before


_CREATE_KEY = """
mutation($input: CreateApiKeyInput!) {
  createApiKey(input: $input) { errors { code path } secret apiKey { id name scopes lastFour } }
}
"""
_REVOKE_KEY = """
mutation($input: RevokeApiKeyInput!) {
  revokeApiKey(input: $input) { errors { code path } apiKey { id revokedAt } }
}
"""


async def test_a_keys_secret_is_shown_once_and_works_until_it_is_revoked(
    world: World, client: httpx.AsyncClient
) -> None:
    given = {"idempotencyKey": new_key(), "name": "till", "scopes": ["payments:read"]}
    made = (await world.run(_CREATE_KEY, input=given))["createApiKey"]
    assert made["errors"] == []
    assert made["secret"].endswith(made["apiKey"]["lastFour"])
    replay = (await world.run(_CREATE_KEY, input=given))["createApiKey"]
    assert replay["secret"] is None
    assert replay["apiKey"] == made["apiKey"]
    holder = World(world.context, made["secret"], client, world.url)
    assert (await holder.run("{ viewer { scopes } }"))["viewer"]["scopes"] == ["payments:read"]
    end = {"idempotencyKey": new_key(), "apiKeyId": made["apiKey"]["id"]}
    for _ in range(2):
        revoked = (await world.run(_REVOKE_KEY, input=end))["revokeApiKey"]
        assert revoked["apiKey"]["revokedAt"] is not None
    assert codes(await holder.ask("{ viewer { scopes } }")) == ["UNAUTHENTICATED"]
    names = await world.run("{ apiKeys(first: 1) { nodes { name } pageInfo { hasNextPage } } }")
    assert names["apiKeys"] == {"nodes": [{"name": "till"}], "pageInfo": {"hasNextPage": True}}


async def test_a_key_grants_no_more_than_its_maker_has(world: World, engine: Engine) -> None:
    before = await row_counts(engine, world.context)
    for scopes, code in ((["everything"], "INPUT_INVALID"), ([], "INPUT_INVALID")):
        given = {"idempotencyKey": new_key(), "name": "x", "scopes": scopes}
        assert codes(await world.ask(_CREATE_KEY, input=given)) == [code]
    assert await row_counts(engine, world.context) == before


async def test_one_failed_mutation_keeps_the_others_of_its_document(world: World) -> None:
    answer = await world.ask(
        "mutation($good: CreatePaymentInput!, $bad: VoidPaymentInput!) {"
        " a: createPayment(input: $good) { payment { status } errors { code } }"
        " b: voidPayment(input: $bad) { errors { code } } }",
        good={
            "idempotencyKey": new_key(),
            "amount": {"amountMinor": 5, "currency": "EUR"},
            "paymentMethod": {"token": "tok_visa"},
        },
        bad={"idempotencyKey": new_key(), "paymentId": "nonsense"},
    )
    assert answer["data"]["a"]["payment"]["status"] == "CAPTURED"
    assert codes(answer) == ["INPUT_INVALID"]


async def test_more_payments_at_once_than_connections_come_to_their_end(world: World) -> None:
    answers = await asyncio.gather(*(world.ask(CREATE, input=_given()) for _ in range(20)))
    assert {answer["data"]["createPayment"]["payment"]["status"] for answer in answers} == {
        "CAPTURED"
    }


def _given() -> dict[str, Any]:
    return {
        "idempotencyKey": new_key(),
        "amount": {"amountMinor": 77, "currency": "EUR"},
        "paymentMethod": {"token": "tok_visa"},
    }
