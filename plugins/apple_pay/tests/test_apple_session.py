"""Does Apple see the merchant's certificate, and does nobody else ever get a call?"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from payengine.errors import PluginSettingsInvalid
from payengine.plugin import (
    Call,
    OpenToken,
    PluginSettings,
    StartSession,
    WalletRefused,
    parse_settings,
    secret_fields,
)
from payengine_apple_pay.fake_apple import SESSION, FakeApple, fake_apple
from payengine_apple_pay.settings import APPLE_HOSTS, ApplePaySettings
from payengine_apple_pay.testing import AppleOfTest, issue
from payengine_apple_pay.wallet import ApplePayWallet

NOW = datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC)
URL = "https://apple-pay-gateway.apple.com/paymentservices/startSession"


@dataclass
class Place:
    """A fake Apple, and a merchant that talks to it."""

    apple: FakeApple
    trust: Path

    async def start(self, request: StartSession | None = None, **more: Any) -> dict[str, Any]:
        """Start a session."""
        settings = parse_settings(ApplePaySettings, self.apple.settings | more)
        wallet = ApplePayWallet(endpoint=self.apple.address, trust=self.trust)
        asked = request or StartSession(validation_url=URL)
        return (await wallet.start_session(call(settings), asked)).session


@asynccontextmanager
async def place(folder: Path) -> AsyncIterator[Place]:
    """A fake Apple that runs inside."""
    async with fake_apple(folder) as apple:
        yield Place(apple, apple.trust)


async def test_apple_sees_the_merchant_and_answers(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        assert await here.start() == SESSION
        ((line, body, subject),) = here.apple.requests
    assert line == "POST /paymentservices/startSession HTTP/1.1"
    assert body == {
        "merchantIdentifier": "merchant.com.example.shop",
        "displayName": "A Shop",
        "initiative": "web",
        "initiativeContext": "shop.example.com",
    }
    assert "Merchant Identity" in subject


async def test_page_is_one_of_the_registered_domains(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.start(StartSession(validation_url=URL, domain="www.example.com"))
        assert here.apple.requests[0][1]["initiativeContext"] == "www.example.com"
        with pytest.raises(WalletRefused, match="domain"):
            await here.start(StartSession(validation_url=URL, domain="evil.example.com"))
        with pytest.raises(WalletRefused, match="domain"):
            await here.start(domains=[])
        assert len(here.apple.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://apple-pay-gateway.apple.com/paymentservices/startSession",
        "https://apple-pay-gateway.apple.com.evil.com/paymentservices/startSession",
        "https://evil.com/paymentservices/startSession",
        "https://evil.com#apple-pay-gateway.apple.com/paymentservices/startSession",
        "https://apple-pay-gateway.apple.com@evil.com/paymentservices/startSession",
        "https://evil.com@apple-pay-gateway.apple.com/paymentservices/startSession",
        "https://APPLE-PAY-GATEWAY.apple.com/paymentservices/startSession",
        "https://apple-pay-gateway.apple.com:8443/paymentservices/startSession",
        "https://apple-pay-gateway.apple.com:x/paymentservices/startSession",
        "https://apple-pay-gateway.apple.com./paymentservices/startSession",
        "https://apple-pay-gateway.apple.com/other",
        "https://apple-pay-gateway.apple.com/paymentservices/../other",
        "https://apple-pay-gateway.apple.com/paymentservices/startSession?a=b",
        "https://127.0.0.1/paymentservices/startSession",
        "https://[::1]/paymentservices/startSession",
        "https://[/paymentservices/startSession",
        "https://аpple-pay-gateway.apple.com/paymentservices/startSession",
        "//apple-pay-gateway.apple.com/paymentservices/startSession",
        "https://apple-pay-gateway.apple.com/paymentservices/" + "a" * 500,
        "file:///etc/passwd",
        "",
    ],
)
async def test_nobody_but_apple_is_called(tmp_path: Path, url: str) -> None:
    async with place(tmp_path) as here:
        with pytest.raises(WalletRefused, match="not one of Apple's"):
            await here.start(StartSession(validation_url=url))
        assert here.apple.requests == []


async def test_hosts_can_be_fewer_and_none_but_apples(tmp_path: Path) -> None:
    assert len(set(APPLE_HOSTS)) == len(APPLE_HOSTS) == 36
    async with place(tmp_path) as here:
        with pytest.raises(WalletRefused, match="not one of Apple's"):
            await here.start(validation_hosts=["cn-apple-pay-gateway.apple.com"])
    with pytest.raises(ValueError, match="Apple's"):
        ApplePaySettings(validation_hosts=("evil.com",))


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        ("417 Expectation Failed", b"{}"),
        ("302 Found", b"{}"),
        ("200 OK", b"[]"),
        ("200 OK", b"<html>"),
        ("200 OK", b'"' + b"a" * 70_000 + b'"'),
    ],
)
async def test_answer_that_is_no_session_fails(tmp_path: Path, status: str, answer: bytes) -> None:
    async with place(tmp_path) as here:
        here.apple.status, here.apple.answer = status, answer
        with pytest.raises(ValueError):
            await here.start()
        assert len(here.apple.requests) == 1


async def test_server_that_is_not_trusted_gets_no_request(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        (tmp_path / "other").mkdir()
        other = issue("Another", is_authority=True, since=NOW, until=NOW + timedelta(days=1))
        here.trust = tmp_path / "other" / "authority.pem"
        here.trust.write_text(other.pem)
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
            await here.start()
        assert here.apple.requests == []


async def test_certificate_has_to_be_set(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        with pytest.raises(WalletRefused, match="identity certificate"):
            await here.start(identity_key=None)


async def test_operator_may_put_another_in_apples_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place(tmp_path) as here:
        monkeypatch.setenv("PAYENGINE_APPLE_PAY_URL", here.apple.address)
        monkeypatch.setenv("PAYENGINE_APPLE_PAY_CA", str(here.trust))
        settings = parse_settings(ApplePaySettings, here.apple.settings)
        asked = StartSession(validation_url=URL)
        assert (await ApplePayWallet().start_session(call(settings), asked)).session == SESSION


# -- settings and tokens ---------------------------------------------------------------------------


def call(settings: PluginSettings, mode: Any = "test") -> Call:
    return Call(account="a", settings=settings, deadline_ms=2_000, mode=mode)


def test_keys_are_secret_and_checked_before_they_are_saved() -> None:
    assert secret_fields(ApplePaySettings) == {
        "processing_key",
        "previous_processing_key",
        "identity_key",
    }
    good = AppleOfTest(NOW).settings
    assert parse_settings(ApplePaySettings, good)
    for wrong in ({"processing_key": "x"}, {"root_certificate": "x"}, {"merchant_id": ""}):
        with pytest.raises((ValueError, PluginSettingsInvalid)):
            parse_settings(ApplePaySettings, good | wrong)
    with pytest.raises(PluginSettingsInvalid):
        parse_settings(ApplePaySettings, {"max_age_s": 0})


async def test_wallet_opens_what_decrypt_opens() -> None:
    apple = AppleOfTest(NOW)
    other = AppleOfTest(NOW)
    token = apple.token()
    settings = ApplePaySettings(**apple.settings)
    request = OpenToken(token=json.dumps(token), at=NOW)
    opened = await ApplePayWallet().open_token(call(settings), request)
    assert opened.token_id == token["header"]["transactionId"]
    assert opened.network_token.number == "4802370000000009"
    rotating = other.settings | {
        "merchant_id": apple.merchant_id,
        "root_certificate": apple.root.pem,
        "previous_processing_key": apple.settings["processing_key"],
    }
    again = await ApplePayWallet().open_token(call(ApplePaySettings(**rotating)), request)
    assert again.network_token == opened.network_token
    with pytest.raises(WalletRefused, match="key is not set"):
        await ApplePayWallet().open_token(call(ApplePaySettings()), request)


async def test_live_world_trusts_apples_root_alone() -> None:
    apple = AppleOfTest(NOW)
    settings = ApplePaySettings(**apple.settings)
    request = OpenToken(token=json.dumps(apple.token()), at=NOW)
    with pytest.raises(ValueError, match="Apple Root CA - G3"):
        await ApplePayWallet().open_token(call(settings, "live"), request)
    pinned = ApplePaySettings(**(apple.settings | {"root_certificate": ""}))
    with pytest.raises(WalletRefused) as refused:
        await ApplePayWallet().open_token(call(pinned, "live"), request)
    assert refused.value.reason == "signature"
