"""Is another provider asked safely, and its answer believed only as far as it may be?"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from payengine.errors import PluginSettingsInvalid
from payengine.plugin import Call, RuleVerdict, parse_settings
from payengine.testing import RuleCase, RuleContract, RuleSample, sample_context
from payengine_fraud_remote import (
    ProviderFailed,
    RemoteProvider,
    RemoteProviderSettings,
    UrlRefused,
)
from standardwebhooks import Webhook

_SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQ="


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """Where the fake provider listens."""
    program = Path(__file__).with_name("fake_provider.py")
    process = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def _asked(
    url: str, *, deadline_ms: int = 5_000, allow_private: bool = True, **changes: Any
) -> RuleVerdict:
    settings = RemoteProviderSettings(url=url, secret=_SECRET, **changes)
    call = Call(account="acct_1", settings=settings, deadline_ms=deadline_ms)
    context = sample_context(features={"card.count.1h": 3}, metadata={"note": "private"})
    return await RemoteProvider(allow_private=allow_private).score(call, context)


def _last(provider: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{provider}/last", trust_env=False).json()
    return answer


async def test_verdict_is_taken_up_to_what_the_tenant_allows(provider: str) -> None:
    verdict = await _asked(f"{provider}/block", most="block")
    assert verdict == RuleVerdict(
        verdict="block", reason="known_bad", detail="seen before", score=0.97
    )
    assert (await _asked(f"{provider}/block", most="review")).verdict == "review"
    assert (await _asked(f"{provider}/fine")).verdict == "allow"
    assert (await _asked(f"{provider}/silent")) == RuleVerdict()


async def test_question_is_signed_and_says_no_more_than_it_must(provider: str) -> None:
    await _asked(f"{provider}/fine?v=1")
    asked = _last(provider)
    assert asked["path"] == "/fine?v=1"
    body = Webhook(_SECRET).verify(asked["body"], asked["headers"])
    assert body == json.loads(asked["body"])
    assert body["mode"] == "test"
    payment = body["payment"]
    assert payment["amount_minor"] == 1_200
    assert payment["card"] == "crd_7f3a"
    assert payment["features"] == {"card.count.1h": 3}
    assert "tenant" not in payment
    assert "private" not in asked["body"]
    assert asked["headers"]["webhook-id"] == f"{payment['payment_id']}.pre_auth"


async def test_names_stay_here_where_the_tenant_says_so(provider: str) -> None:
    await _asked(f"{provider}/fine", send_names=False)
    text = _last(provider)["body"]
    for name in ("crd_7f3a", "cus_19c2", "dev_e07b", "eml_55d1", "ip_90aa", "sel_3b"):
        assert name not in text


async def test_text_of_the_answer_is_made_harmless(provider: str) -> None:
    verdict = await _asked(f"{provider}/nan")
    assert verdict.reason == "b"
    assert verdict.detail.isprintable()
    assert len(verdict.detail) == 200


@pytest.mark.parametrize(
    "how",
    [
        *("garbage", "empty", "list", "deep", "latin", "huge", "override", "unscored"),
        *("500", "429", "404", "204", "201", "moved", "drop"),
    ],
)
async def test_what_is_no_verdict_is_a_failure(provider: str, how: str) -> None:
    with pytest.raises(ProviderFailed) as failed:
        await _asked(f"{provider}/{how}")
    assert _SECRET not in str(failed.value)


async def test_nobody_is_waited_for_past_the_deadline(provider: str) -> None:
    with pytest.raises((TimeoutError, ProviderFailed)):
        await _asked(f"{provider}/sleep", deadline_ms=200)


async def test_closed_port_is_a_failure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(ProviderFailed):
        await _asked(f"http://127.0.0.1:{port}/")


async def test_without_url_and_secret_nobody_is_asked() -> None:
    for settings in (
        RemoteProviderSettings(),
        RemoteProviderSettings(url="https://fraud.example/score"),
        RemoteProviderSettings(secret=_SECRET),
    ):
        call = Call(account="acct_1", settings=settings, deadline_ms=1_000)
        assert await RemoteProvider().score(call, sample_context()) == RuleVerdict()


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://10.1.2.3/",
        "https://192.168.1.1:8443/",
        "https://169.254.169.254/latest",
        "https://100.100.100.200/",
        "https://168.63.129.16/",
        "https://0.0.0.0/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[fe80::1]/",
        "https://[fd00::1]/",
        "https://224.0.0.1/",
        "https://nowhere.invalid/",
        "http://example.com/",
    ],
)
async def test_nothing_inside_is_reached(url: str) -> None:
    with pytest.raises(UrlRefused):
        await _asked(url, allow_private=False)


@pytest.mark.parametrize("url", ["https://169.254.169.254/", "https://[::ffff:10.0.0.1]/"])
async def test_some_addresses_stay_closed_whatever_the_operator_opens(url: str) -> None:
    with pytest.raises(UrlRefused):
        await _asked(url, allow_private=True)


@pytest.mark.parametrize(
    "plain",
    [
        {"url": "ftp://fraud.example/"},
        {"url": "fraud.example"},
        {"url": "https://user:word@fraud.example/"},
        {"url": "https://fraud.example/#x"},
        {"url": "https://fraud.example:22/"},
        {"url": "https://fraud.example:99999/"},
        {"url": "https://[::1/"},
        {"url": "https://fraud\\.example/"},
        {"url": "https://fräud.example/"},
        {"url": "https://fraud.example/\nx"},
        {"secret": "short"},
    ],
)
def test_settings_refuse_what_can_never_be_asked(plain: dict[str, str]) -> None:
    with pytest.raises(PluginSettingsInvalid):
        parse_settings(RemoteProviderSettings, plain)


class TestRemoteProvider(RuleContract):
    """The contract of a rule that asks somebody else; unset it abstains."""

    def case(self) -> RuleCase:
        return RuleCase(
            rule=RemoteProvider(),
            samples=[RuleSample(context=sample_context(), verdict="abstain")],
        )
