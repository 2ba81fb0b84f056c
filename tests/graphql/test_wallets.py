"""Wallets over the wire: pay with what a device encrypted, and show a wallet on a page."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from payengine.engine import Engine
from payengine_apple_pay.fake_apple import SESSION, fake_apple
from payengine_apple_pay.testing import PAYLOAD, AppleOfTest
from payengine_google_pay.testing import GoogleOfTest, message_of

from tests.graphql.worlds import World, make_world, new_key, row_counts

CONFIGURE = """
mutation Set($input: ConfigurePluginInput!) {
  configurePlugin(input: $input) { errors { code message path } plugin { enabled wallets } }
}
"""
START = """
mutation Start($input: StartWalletSessionInput!) {
  startWalletSession(input: $input) { session errors { code message path retryable } }
}
"""
URL = "https://apple-pay-gateway.apple.com/paymentservices/startSession"


async def configure(world: World, plugin: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Enable the plugin with these settings."""
    given = {"idempotencyKey": new_key(), "plugin": plugin, "enabled": True, "settings": settings}
    payload: dict[str, Any] = (await world.run(CONFIGURE, input=given))["configurePlugin"]
    return payload


async def start(world: World, **given: Any) -> dict[str, Any]:
    """The payload of startWalletSession."""
    fields = {"idempotencyKey": new_key(), "wallet": "apple_pay", "validationUrl": URL} | given
    payload: dict[str, Any] = (await world.run(START, input=fields))["startWalletSession"]
    return payload


async def test_encrypted_token_pays_by_either_spelling_of_the_kind(world: World) -> None:
    now = datetime.now(UTC)
    apple, google = AppleOfTest(now), GoogleOfTest(now)
    payload = await configure(world, "apple_pay", apple.settings)
    assert payload["plugin"] == {"enabled": True, "wallets": ["apple_pay"]}
    await configure(world, "google_pay", google.settings)
    of_apple = json.dumps(apple.token(PAYLOAD | {"transactionAmount": 1_234}))
    of_google = json.dumps(google.token(message_of(now)))
    for kind, token in (("APPLE_PAY", of_apple), ("google_pay", of_google)):
        paid = await world.pay(paymentMethod={"kind": kind, "token": token})
        assert (paid["errors"], paid["payment"]["status"]) == ([], "CAPTURED")
        again = await world.pay(paymentMethod={"kind": kind, "token": token})
        assert [error["code"] for error in again["errors"]] == ["WALLET_TOKEN_REPLAYED"]
        assert again["errors"][0]["path"] == ["paymentMethod", "token"]


async def test_forged_token_is_a_typed_refusal(world: World, engine: Engine) -> None:
    now = datetime.now(UTC)
    await configure(world, "apple_pay", AppleOfTest(now).settings)
    before = await row_counts(engine, world.context)
    token = json.dumps(AppleOfTest(now).token())
    refused = await world.pay(paymentMethod={"kind": "APPLE_PAY", "token": token})
    assert [error["code"] for error in refused["errors"]] == ["WALLET_TOKEN_REFUSED"]
    long = await world.pay(paymentMethod={"kind": "APPLE_PAY", "token": "{" * 16_385})
    assert [error["code"] for error in long["errors"]] == ["INPUT_INVALID"]
    assert await row_counts(engine, world.context) == before


async def test_keys_show_four_characters(world: World) -> None:
    await configure(world, "google_pay", GoogleOfTest(datetime.now(UTC)).settings)
    shown = await world.run("{ plugins { name settings secrets { name lastFour } } }")
    (found,) = (each for each in shown["plugins"] if each["name"] == "google_pay")
    assert found["settings"].keys() == {"recipient_id", "root_keys"}
    assert [(each["name"], len(each["lastFour"])) for each in found["secrets"]] == [
        ("private_key", 4)
    ]


async def test_faulty_keys_are_refused_when_they_are_saved(world: World) -> None:
    payload = await configure(world, "apple_pay", {"processing_key": "x", "merchant_id": "m"})
    assert [error["code"] for error in payload["errors"]] == ["PLUGIN_SETTINGS_INVALID"]


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"wallet": "pouch"}, "PLUGIN_NOT_FOUND", ["wallet"]),
        ({"wallet": "google_pay"}, "INPUT_INVALID", ["wallet"]),
        ({"validationUrl": "https://169.254.169.254/"}, "INPUT_INVALID", ["validationUrl"]),
        ({"validationUrl": "a" * 501}, "INPUT_INVALID", ["validationUrl"]),
        ({"domain": "evil.example.com"}, "INPUT_INVALID", ["validationUrl"]),
        ({"idempotencyKey": ""}, "IDEMPOTENCY_KEY_MALFORMED", ["idempotencyKey"]),
    ],
)
async def test_session_that_may_not_be_started_is_refused(
    world: World, engine: Engine, given: dict[str, Any], code: str, path: list[str]
) -> None:
    apple = AppleOfTest(datetime.now(UTC))
    await configure(world, "apple_pay", apple.settings | {"domains": ["shop.example.com"]})
    before = await row_counts(engine, world.context)
    (error,) = (await start(world, **given))["errors"]
    assert (error["code"], error["path"]) == (code, path)
    assert await row_counts(engine, world.context) == before


async def test_wallet_that_is_not_enabled_starts_nothing(world: World) -> None:
    (error,) = (await start(world))["errors"]
    assert error["code"] == "PLUGIN_NOT_ENABLED"


async def test_wallet_that_cannot_be_reached_may_be_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYENGINE_APPLE_PAY_URL", "https://127.0.0.1:9")
    apple = AppleOfTest(datetime.now(UTC))
    identity = {"identity_certificate": apple.leaf.pem, "identity_key": apple.leaf.key_pem}
    more = {"domains": ["shop.example.com"]} | identity
    await configure(world, "apple_pay", apple.settings | more)
    mine = new_key()
    for _ in range(2):
        (error,) = (await start(world, idempotencyKey=mine))["errors"]
        assert (error["code"], error["retryable"]) == ("WALLET_UNAVAILABLE", True)


async def test_page_gets_its_session_once(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with fake_apple(tmp_path) as apple:
        monkeypatch.setenv("PAYENGINE_APPLE_PAY_URL", apple.address)
        monkeypatch.setenv("PAYENGINE_APPLE_PAY_CA", str(apple.trust))
        await configure(world, "apple_pay", apple.settings)
        mine = new_key()
        first = await start(world, idempotencyKey=mine, domain="www.example.com")
        assert first == {"session": SESSION, "errors": []}
        again = await start(world, idempotencyKey=mine, domain="www.example.com")
        assert again == {"session": None, "errors": []}
        (error,) = (await start(world, idempotencyKey=mine))["errors"]
        assert error["code"] == "IDEMPOTENCY_CONFLICT"
        ((_, body, _),) = apple.requests
    assert body["initiativeContext"] == "www.example.com"


async def test_scope_is_needed(engine: Engine, client: httpx.AsyncClient) -> None:
    reader = await make_world(engine, client, scopes=["payments:read"])
    (error,) = (await start(reader))["errors"]
    assert error["code"] == "PERMISSION_DENIED"
