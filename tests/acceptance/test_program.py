"""The installed program does what its page says, seen from the outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from payengine.embedded import running_servers, stop_all
from payengine.settings import Settings

from tests.acceptance.programs import PAYMENT, Serving, payengine, serving, start
from tests.core.embedded.processes import running_pids
from tests.servers import temporary_home


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A data folder that every test here finds stopped, and leaves so."""
    with temporary_home() as path:
        yield path


@pytest.fixture
async def server(home: Path) -> AsyncIterator[Serving]:
    """`payengine serve`, with everything stopped afterwards."""
    async with serving(home) as running:
        yield running
        await running.program.ended(signal.SIGINT)
    await stop_all(Settings.from_environment({}, home=home))


async def test_from_the_first_start_to_the_next(home: Path) -> None:
    async with serving(home) as server:
        tenant = await server.tenant()
        assert set(tenant) == {"tenant_id", "api_key"}
        watcher = await start(
            "watch", "--plain", "--url", server.url, "--key", tenant["api_key"], home=home
        )
        try:
            payment = None
            while not any("payment.captured" in line for line in watcher.lines):
                payment = await server.pay(tenant["api_key"])  # until it has begun to watch
                assert payment["status"] == "CAPTURED"
            seen = await watcher.said(r"(pay_\w+) payment\.captured 12\.34 EUR")
            assert payment is not None
            assert seen[1] <= payment["id"]
            done = await watcher.ended(signal.SIGINT)
            assert (done.code, done.complaints) == (130, "")
        finally:
            await watcher.kill()
        done = await server.program.ended(signal.SIGINT)
        assert done.code == 0
        assert done.output == f"ready {server.url}"
        assert done.complaints.splitlines()[-2:] == ["draining …", "stopped; the data is kept"]
        assert "Traceback" not in done.complaints
    assert running_pids(home) == []
    async with serving(home) as server:
        data = await server.ask(tenant["api_key"], PAYMENT, id=payment["id"])
        assert data["payment"]["status"] == "CAPTURED"
        done = await server.program.ended(signal.SIGTERM)
        assert done.code == 0
    assert running_pids(home) == []


async def test_a_server_with_watchers_stops_without_a_word_when_it_is_asked_twice(
    home: Path,
) -> None:
    async with serving(home) as server:
        tenant = await server.tenant()
        arguments = ("watch", "--plain", "--url", server.url, "--key", tenant["api_key"])
        watchers = [await start(*arguments, home=home) for _ in range(2)]
        try:
            while not all(watcher.lines for watcher in watchers):
                await server.pay(tenant["api_key"])
            watchers[0].process.send_signal(signal.SIGSTOP)  # a client that answers no more
            server.program.process.send_signal(signal.SIGINT)
            await server.program.said("^draining …$")
            done = await server.program.ended(signal.SIGINT)
            watchers[0].process.send_signal(signal.SIGCONT)
        finally:
            for watcher in watchers:
                await watcher.kill()
    assert done.code == 0
    assert done.complaints.splitlines()[1:] == ["draining …", "stopped; the data is kept"]
    assert running_pids(home) == []


async def test_the_demo_leaves_books_that_hold_and_verify_finds_what_does_not(
    home: Path, server: Serving
) -> None:
    done = await payengine(
        "demo", "--count", "300", "--rate", "max", "--url", server.url, home=home
    )
    assert done.code == 0, done.complaints
    assert "300 purchases in" in done.output

    done = await payengine("verify", "--json", home=home)
    report = json.loads(done.output)
    assert (done.code, report["ok"], report["broken"]) == (0, True, [])
    assert report["payments"] >= 300
    assert report["movements"] >= 250  # some purchases are declined

    settings = Settings.from_environment({}, home=home)
    tenant = json.loads((home / "demo.json").read_bytes())[0]["tenant_id"]
    async with running_servers(settings) as servers:
        owner = await asyncpg.connect(servers.owner_url)
        try:
            await owner.execute(f"SET app.tenant_id = '{tenant}'")
            changed = await owner.fetchval(
                "UPDATE payment SET captured_minor = captured_minor - 1 WHERE id ="
                " (SELECT id FROM payment WHERE status = 'CAPTURED' AND refunded_minor = 0"
                " ORDER BY id LIMIT 1) RETURNING id"
            )
            done = await payengine("verify", "--json", home=home)
            report = json.loads(done.output)
            assert (done.code, report["ok"]) == (1, False)
            assert {breach["subject"] for breach in report["broken"]} == {changed}
            told = await payengine("verify", home=home)
            assert told.code == 1
            assert changed in told.output
            await owner.execute(
                "UPDATE payment SET captured_minor = captured_minor + 1 WHERE id = $1", changed
            )
        finally:
            await owner.close()


async def test_a_taken_port_is_explained(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = await payengine("serve", "--port", port, home=home)
    assert done.code == 2
    assert done.output == ""
    assert f"127.0.0.1:{port}" in done.complaints
    assert "--port" in done.complaints
    assert "Traceback" not in done.complaints


@pytest.mark.skipif(os.geteuid() != 0, reason="only as root do the servers have another user")
async def test_a_folder_that_the_servers_cannot_reach_is_explained() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as above:  # 0700
        done = await payengine("serve", "--port", "0", home=Path(above) / "home")
        assert done.code == 2
        assert above in done.complaints
        assert "Traceback" not in done.complaints
        assert os.listdir(above) == []
        assert os.stat(above).st_mode & 0o777 == 0o700


async def test_reset_forgets_and_only_when_it_may() -> None:
    with temporary_home() as home:
        assert (await payengine("migrate", home=home)).code == 0
        kept = await payengine("reset", home=home)
        assert kept.code == 1
        assert "--yes" in kept.complaints
        async with running_servers(Settings.from_environment({}, home=home)):
            used = await payengine("reset", "--yes", home=home)
            assert used.code == 2
            assert "Stop it first" in used.complaints
        done = await payengine("reset", "--yes", home=home)
        assert done.code == 0
        assert not home.exists() or os.listdir(home) == []
        again = await payengine("reset", "--yes", home=home)
        assert again.code == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (
            ("--help",),
            ("serve", "demo", "watch", "tenant", "plugins", "verify", "migrate", "reset"),
        ),
        (("serve", "--help"), ("--port", "--home", "--demo")),
        (("demo", "--help"), ("--count", "--rate", "--concurrency")),
    ],
)
async def test_help_names_what_there_is(arguments: tuple[str, ...], named: tuple[str, ...]) -> None:
    done = await payengine(*arguments)
    assert (done.code, done.complaints) == (0, "")
    for word in named:
        assert word in done.output


async def test_a_demo_without_a_server_is_explained(home: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        done = await payengine("demo", "--count", "1", "--url", url, home=home)
    assert done.code == 2
    assert f"No server answers at {url}" in done.complaints
    assert "Traceback" not in done.complaints
