"""Does the command start, explain itself and end?"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import payengine_sandbox
import pytest
from cyclopts import App
from payengine_sandbox.testing import SandboxProcess


def sandbox(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "payengine_sandbox", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def test_a_taken_port_is_explained(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = sandbox("--port", port, "--data", str(tmp_path))
    assert done.returncode == 1
    assert f"127.0.0.1:{port} cannot be listened on" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_rate_beyond_a_thousand_is_refused(tmp_path: Path) -> None:
    done = sandbox("--port", "0", "--data", str(tmp_path), "--error-after", "1001")
    assert done.returncode == 1
    assert "error_after" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_hook_brings_the_command_sandbox(capsys: pytest.CaptureFixture[str]) -> None:
    program = App(name="payengine", result_action="return_value")
    for command in payengine_sandbox.commands():
        program.command(command)
    program(["sandbox", "--help"])
    assert "--error-after" in capsys.readouterr().out


async def test_the_options_hold_for_every_request(tmp_path: Path) -> None:
    body = {"amount_minor": 1000, "currency": "EUR", "token": "tok_visa"}
    with SandboxProcess(tmp_path, "--seed", "3", "--error-after", "1000") as server:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
            headers = {"Sandbox-Account": "a", "Idempotency-Key": "k"}
            answer = await client.post("/v1/authorize", json=body, headers=headers)
            assert answer.status_code == 500
            assert answer.json()["error"]["code"] == "internal_error"
            found = await client.get("/v1/operations", params={"key": "k"}, headers=headers)
            assert found.json()["status"] == "succeeded"


async def test_a_hanging_request_does_not_keep_the_server_from_ending(tmp_path: Path) -> None:
    server = SandboxProcess(tmp_path, "--hang-after", "1000")
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=30) as client:
        headers = {"Sandbox-Account": "a", "Idempotency-Key": "k"}
        body = {"amount_minor": 1000, "currency": "EUR", "token": "tok_visa"}
        hanging = asyncio.create_task(client.post("/v1/authorize", json=body, headers=headers))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.stop)
        with pytest.raises((httpx.HTTPError, AssertionError)):
            assert (await hanging).status_code == 200


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/v1/authorize", {}, b"{}", 400),
        ("/v1/authorize", {"Sandbox-Account": "a"}, b"{}", 400),
        ("/v1/authorize", {"Sandbox-Account": "a", "Idempotency-Key": "k"}, b"\xff", 400),
        ("/v1/authorize", {"Sandbox-Account": "a", "Idempotency-Key": "k"}, b"[" * 9_000, 400),
        ("/v1/authorize", {"Sandbox-Account": "a", "Idempotency-Key": "k"}, b" " * 70_000, 413),
        ("/v1/authorize", {"Sandbox-Account": "a", "Sandbox-Options": "{"}, b"{}", 400),
        ("/v1/authorize", {"Sandbox-Account": "a", "Sandbox-Options": '{"no": 1}'}, b"{}", 400),
        ("/v1/transmogrify", {"Sandbox-Account": "a"}, b"{}", 404),
    ],
)
async def test_strange_requests_are_refused(
    server: SandboxProcess, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        answer = await client.post(path, content=body, headers=headers)
        assert answer.status_code == status
        if status != 404:
            assert answer.json()["error"]["code"] == "invalid_request"


@pytest.mark.parametrize("query", ["", "from=x&to=y", "from=2026-01-01&to=2026-01-02", "after=x"])
async def test_a_strange_span_is_refused(server: SandboxProcess, query: str) -> None:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        answer = await client.get(f"/v1/movements?{query}", headers={"Sandbox-Account": "a"})
        assert answer.status_code == 400


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with SandboxProcess(tmp_path_factory.mktemp("sandbox")) as started:
        yield started
