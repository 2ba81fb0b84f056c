"""Does the wallet follow Google's keys as they rotate, and stay within its tenant's settings?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from payengine.errors import PluginSettingsInvalid
from payengine.plugin import Call, OpenToken, WalletRefused, parse_settings, secret_fields
from payengine_google_pay.roots import KEYS_URLS, RootKeys
from payengine_google_pay.settings import GooglePaySettings
from payengine_google_pay.testing import GoogleOfTest, message_of
from payengine_google_pay.wallet import GooglePayWallet

NOW = datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC)


@dataclass
class Published:
    """An HTTP server with Google's keys, which counts who asks."""

    url: str
    text: str
    status: str = "200 OK"
    cache: str = "Cache-Control: public, max-age=100\r\n"
    asked: int = 0
    clock: float = 0.0
    paths: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.paths.append(head.split()[1].decode())
        self.asked += 1
        body = self.text.encode()
        writer.write(
            f"HTTP/1.1 {self.status}\r\nContent-Length: {len(body)}\r\n{self.cache}"
            "Connection: close\r\n\r\n".encode()
        )
        writer.write(body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    def wallet(self) -> GooglePayWallet:
        """A wallet that asks here, by a clock that the test moves."""
        return GooglePayWallet(keys_url=self.url, roots=RootKeys(seconds=lambda: self.clock))


@asynccontextmanager
async def published(google: GoogleOfTest) -> AsyncIterator[Published]:
    """The keys of this Google, served."""
    keys = Published("", json.dumps(google.root_keys()))
    server = await asyncio.start_server(keys.serve, "127.0.0.1", 0)
    keys.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys.json"
    async with server:
        yield keys


def call(google: GoogleOfTest, mode: Any = "test", **more: Any) -> Call:
    """The frame of a call with this merchant's settings, without pasted root keys."""
    plain = google.settings | {"root_keys": ""} | more
    return Call(account="a", settings=GooglePaySettings(**plain), deadline_ms=1_000, mode=mode)


def request(token: dict[str, Any]) -> OpenToken:
    return OpenToken(token=json.dumps(token), at=NOW)


async def test_keys_are_fetched_once_and_kept_as_long_as_the_answer_says() -> None:
    google = GoogleOfTest(NOW)
    async with published(google) as keys:
        wallet = keys.wallet()
        opened = await asyncio.gather(
            *(wallet.open_token(call(google), request(google.token())) for _ in range(10))
        )
        assert {one.token_id for one in opened} == {"AH2Ejtc_example"}
        assert keys.asked == 1
        keys.clock = 99.0
        await wallet.open_token(call(google), request(google.token()))
        assert keys.asked == 1
        keys.clock = 101.0
        await wallet.open_token(call(google), request(google.token()))
        assert keys.asked == 2


async def test_new_root_key_is_found_before_the_old_answer_ends() -> None:
    google, next_year = GoogleOfTest(NOW), GoogleOfTest(NOW)
    next_year.merchant = google.merchant
    async with published(google) as keys:
        wallet = keys.wallet()
        await wallet.open_token(call(google), request(google.token()))
        both = [*google.root_keys()["keys"], *next_year.root_keys()["keys"]]
        keys.text = json.dumps({"keys": both})
        with pytest.raises(WalletRefused):  # asked a moment ago: not again within the minute
            await wallet.open_token(call(google), request(next_year.token()))
        assert keys.asked == 1
        keys.clock = 61.0
        opened = await wallet.open_token(call(google), request(next_year.token()))
        assert opened.token_id == "AH2Ejtc_example"
        assert keys.asked == 2


async def test_forged_tokens_do_not_make_the_server_ask_google_more_than_once_a_minute() -> None:
    google, stranger = GoogleOfTest(NOW), GoogleOfTest(NOW)
    async with published(google) as keys:
        wallet = keys.wallet()
        for second in range(0, 90, 3):
            keys.clock = float(second)
            with pytest.raises(WalletRefused):
                await wallet.open_token(call(google), request(stranger.token()))
        assert keys.asked == 2


async def test_kept_keys_outlast_a_day_without_google_and_no_longer() -> None:
    google = GoogleOfTest(NOW)
    async with published(google) as keys:
        wallet = keys.wallet()
        await wallet.open_token(call(google), request(google.token()))
        keys.status = "503 Service Unavailable"
        for seconds in (101.0, 102.0, 80_000.0):
            keys.clock = seconds
            await wallet.open_token(call(google), request(google.token()))
        assert keys.asked == 3  # the second try within a minute was spared
        keys.clock = 86_501.0
        with pytest.raises(ValueError, match="503"):
            await wallet.open_token(call(google), request(google.token()))


@pytest.mark.parametrize("text", ["", "<html>", "{}", '{"keys": []}', "[1]", " " * 70_000])
async def test_nonsense_instead_of_keys_opens_nothing(text: str) -> None:
    google = GoogleOfTest(NOW)
    async with published(google) as keys:
        keys.text = text
        with pytest.raises(ValueError):
            await keys.wallet().open_token(call(google), request(google.token()))


async def test_operator_may_put_another_in_googles_place(monkeypatch: pytest.MonkeyPatch) -> None:
    google = GoogleOfTest(NOW)
    async with published(google) as keys:
        monkeypatch.setenv("PAYENGINE_GOOGLE_PAY_KEYS_URL", keys.url)
        opened = await GooglePayWallet().open_token(call(google), request(google.token()))
        assert opened.network_token.number == "4802370000000009"
        assert keys.paths == ["/keys.json"]


async def test_pasted_keys_need_no_network() -> None:
    google = GoogleOfTest(NOW)
    pasted = call(google, root_keys=json.dumps(google.root_keys()))
    opened = await GooglePayWallet(keys_url="http://127.0.0.1:9/").open_token(
        pasted, request(google.token())
    )
    assert opened.approved is None


async def test_previous_key_opens_while_a_rotation_lasts() -> None:
    google, later = GoogleOfTest(NOW), GoogleOfTest(NOW)
    rotated = call(
        google,
        root_keys=json.dumps(google.root_keys()),
        private_key=later.settings["private_key"],
        previous_private_key=google.settings["private_key"],
    )
    assert await GooglePayWallet().open_token(rotated, request(google.token()))


async def test_live_world_takes_no_test_tokens() -> None:
    google = GoogleOfTest(NOW)
    assert set(KEYS_URLS) == {"PRODUCTION", "TEST"}
    with pytest.raises(WalletRefused, match="live world"):
        await GooglePayWallet().open_token(
            call(google, "live", environment="TEST"), request(google.token())
        )


async def test_card_numbers_are_refused_and_keys_have_to_be_set() -> None:
    google = GoogleOfTest(NOW)
    pasted = {"root_keys": json.dumps(google.root_keys())}
    message = message_of(NOW)
    message["paymentMethodDetails"]["authMethod"] = "PAN_ONLY"
    with pytest.raises(WalletRefused) as refused:
        await GooglePayWallet().open_token(call(google, **pasted), request(google.token(message)))
    assert refused.value.reason == "unsupported"
    with pytest.raises(WalletRefused, match="key is not set"):
        await GooglePayWallet().open_token(call(google, private_key=None), request(google.token()))


def test_keys_are_secret_and_checked_before_they_are_saved() -> None:
    assert secret_fields(GooglePaySettings) == {"private_key", "previous_private_key"}
    good = GoogleOfTest(NOW).settings
    assert parse_settings(GooglePaySettings, good)
    assert parse_settings(GooglePaySettings, good | {"root_keys": ""})
    for wrong in (
        {"private_key": "x"},
        {"root_keys": "{"},
        {"recipient_id": ""},
        {"recipient_id": "gateway:acme"},
        {"environment": "STAGING"},
        {"protocol_versions": ["ECv0"]},
    ):
        with pytest.raises((ValueError, PluginSettingsInvalid)):
            parse_settings(GooglePaySettings, good | wrong)
