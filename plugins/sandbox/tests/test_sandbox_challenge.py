"""Can the buyer answer a 3-D Secure challenge, and nothing but answer it?"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import payengine_sandbox
import pytest
from payengine.plugin import Lookup
from payengine_sandbox.gateway import SandboxGateway
from payengine_sandbox.testing import SandboxProcess, frame, payment
from starlette.applications import Starlette
from starlette.routing import Mount

KEY = Lookup(key="k", kind="authorize")


@pytest.fixture
async def platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[SandboxGateway, httpx.AsyncClient]]:
    """The gateway in process, and a browser on the pages that the platform mounts."""
    monkeypatch.setenv("PAYENGINE_HOME", str(tmp_path))
    monkeypatch.setenv("PAYENGINE_PUBLIC_URL", "http://pay.example")
    monkeypatch.delenv("PAYENGINE_SANDBOX_URL", raising=False)
    app = Starlette(routes=[Mount("/plugins/sandbox", routes=list(payengine_sandbox.web()))])
    gateway = SandboxGateway()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as browser:
        yield gateway, browser
    await gateway.aclose()


@pytest.mark.parametrize(("decision", "end"), [("approve", "succeeded"), ("decline", "declined")])
async def test_the_buyer_decides(
    platform: tuple[SandboxGateway, httpx.AsyncClient], decision: str, end: str
) -> None:
    gateway, browser = platform
    request = payment("k", token="tok_challenge", return_url="https://shop.example/?a=1&b=2")
    asked = await gateway.authorize(frame(), request)
    assert asked.next_action is not None
    url = asked.next_action.url
    assert url.startswith("http://pay.example/plugins/sandbox/challenge/")
    page = await browser.get(url)
    assert page.status_code == 200
    assert "Approve" in page.text
    assert "1\u2009000 EUR" in page.text
    answer = await browser.post(url, data={"decision": decision}, follow_redirects=True)
    assert answer.status_code == 200
    assert "https://shop.example/?a=1&amp;b=2" in answer.text
    found = await gateway.lookup(frame(), KEY)
    assert found.status == end
    if end == "declined":
        assert found.decline is not None
        assert found.decline.code == "authentication_required"


async def test_a_decision_stands(platform: tuple[SandboxGateway, httpx.AsyncClient]) -> None:
    gateway, browser = platform
    asked = await gateway.authorize(frame(), payment("k", token="tok_challenge"))
    assert asked.next_action is not None
    await browser.post(asked.next_action.url, data={"decision": "decline"})
    await browser.post(asked.next_action.url, data={"decision": "approve"})
    assert (await gateway.lookup(frame(), KEY)).status == "declined"


async def test_pages_load_nothing_foreign_and_run_nothing(
    platform: tuple[SandboxGateway, httpx.AsyncClient],
) -> None:
    gateway, browser = platform
    asked = await gateway.authorize(
        frame(), payment("k", token="tok_challenge", return_url="javascript:alert(1)")
    )
    assert asked.next_action is not None
    page = await browser.get(asked.next_action.url)
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<script" not in page.text
    assert " style=" not in page.text
    assert re.findall(r'(?:src|href)="([^"]+)"', page.text) == ["/plugins/sandbox/challenge.css"]
    style = await browser.get("http://pay.example/plugins/sandbox/challenge.css")
    assert style.headers["content-type"].startswith("text/css")
    done = await browser.post(
        asked.next_action.url, data={"decision": "approve"}, follow_redirects=True
    )
    assert "javascript:" not in done.text


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"decision=perhaps", 400), (b"x" * 5_000, 413)]
)
async def test_a_strange_form_decides_nothing(
    platform: tuple[SandboxGateway, httpx.AsyncClient], body: bytes, status: int
) -> None:
    gateway, browser = platform
    asked = await gateway.authorize(frame(), payment("k", token="tok_challenge"))
    assert asked.next_action is not None
    assert (await browser.post(asked.next_action.url, content=body)).status_code == status
    assert (await gateway.lookup(frame(), KEY)).status == "requires_action"


async def test_an_unknown_challenge_is_not_found(
    platform: tuple[SandboxGateway, httpx.AsyncClient],
) -> None:
    _, browser = platform
    url = "http://pay.example/plugins/sandbox/challenge/sbx_none"
    assert (await browser.get(url)).status_code == 404
    assert (await browser.post(url, data={"decision": "approve"})).status_code == 404


async def test_the_server_serves_the_pages_too(tmp_path: Path) -> None:
    with SandboxProcess(tmp_path) as server:
        gateway = SandboxGateway(url=server.url)
        asked = await gateway.authorize(frame(), payment("k", token="tok_challenge"))
        assert asked.next_action is not None
        assert asked.next_action.url.startswith(server.url)
        async with httpx.AsyncClient(trust_env=False) as browser:
            await browser.post(asked.next_action.url, data={"decision": "approve"})
        assert (await gateway.lookup(frame(), KEY)).captured is True
        await gateway.aclose()
