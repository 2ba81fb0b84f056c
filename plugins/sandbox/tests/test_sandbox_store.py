"""Do the sandbox's books survive crashes and sharing, without making anybody wait?"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from payengine.plugin import Lookup
from payengine_sandbox.gateway import SandboxGateway
from payengine_sandbox.store import Store, StoreBusy
from payengine_sandbox.testing import SandboxProcess, frame, payment

WRITER = """
import asyncio, sys
from pathlib import Path
from payengine_sandbox.gateway import SandboxGateway
from payengine_sandbox.testing import frame, payment

async def main():
    gateway = SandboxGateway(path=Path(sys.argv[1]))
    for i in range(int(sys.argv[3])):
        outcome = await gateway.authorize(frame("acct"), payment(f"{sys.argv[2]}-{i}"))
        assert outcome.status == "succeeded", outcome
        print(i, flush=True)

asyncio.run(main())
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


async def charged(path: Path) -> set[str]:
    gateway = SandboxGateway(path=path)
    now, day = datetime.now(UTC), timedelta(days=1)
    lines = await gateway.movements(frame("acct"), since=now - day, until=now + day)
    await gateway.aclose()
    assert len(lines) == len({line.key for line in lines})
    return {line.key for line in lines}


async def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.sqlite3"
    for round_ in range(3):
        child = writer(path, f"round{round_}", 1_000_000)
        assert child.stdout is not None
        answered = [int(child.stdout.readline()) for _ in range(200)]
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split(b"\n")
        child.wait(timeout=60)
        child.stdout.close()
        answered += [int(line) for line in rest[:-1]]
        found = await charged(path)
        assert {f"round{round_}-{i}" for i in answered} <= found
        assert len([key for key in found if key.startswith(f"round{round_}-")]) <= (
            len(answered) + 1
        )


async def test_a_killed_server_answers_the_same_afterwards(tmp_path: Path) -> None:
    server = SandboxProcess(tmp_path)
    gateway = SandboxGateway(url=server.url)
    first = await gateway.authorize(frame(), payment("k"))
    server.kill()
    await gateway.aclose()
    with SandboxProcess(tmp_path) as again:
        gateway = SandboxGateway(url=again.url)
        assert await gateway.authorize(frame(), payment("k")) == first
        assert await gateway.lookup(frame(), Lookup(key="k", kind="authorize")) == first
        await gateway.aclose()


async def test_processes_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.sqlite3"
    writers = [writer(path, f"w{number}", 300) for number in range(3)]
    for child in writers:
        await asyncio.to_thread(child.communicate, timeout=240)
        assert child.returncode == 0
    assert len(await charged(path)) == 900


async def test_another_writer_is_awaited_without_blocking_the_loop(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.sqlite3"
    gateway = SandboxGateway(path=path)
    await gateway.authorize(frame(), payment("before"))
    other = Store(path)
    waiting = None
    turns = 0
    with other.transaction():
        waiting = asyncio.create_task(gateway.authorize(frame(), payment("k")))
        while turns < 20 and not waiting.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert not waiting.done()
    assert (await waiting).status == "succeeded"
    assert turns == 20
    other.close()
    await gateway.aclose()


def test_a_busy_store_says_so_at_once(tmp_path: Path) -> None:
    one, two = Store(tmp_path / "s.sqlite3"), Store(tmp_path / "s.sqlite3")
    with one.transaction():
        began = time.monotonic()
        with pytest.raises(StoreBusy), two.transaction():
            raise AssertionError("the lock was taken twice")
        assert time.monotonic() - began < 4  # left to itself, SQLite waits for five
    one.close()
    two.close()


def test_a_failed_block_leaves_nothing_behind(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite3")

    def fail() -> None:
        with store.transaction():
            store.set_endpoint(account="a", url="http://x.example", secret="s")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert store.endpoint("a") is None
    store.close()


async def test_the_folder_is_made_where_it_is_missing(tmp_path: Path) -> None:
    gateway = SandboxGateway(path=tmp_path / "deep" / "er" / "sandbox.sqlite3")
    assert (await gateway.authorize(frame(), payment("k"))).status == "succeeded"
    await gateway.aclose()
    assert os.listdir(tmp_path / "deep" / "er")


async def test_closing_one_gateway_leaves_another_one_able_to_work(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.sqlite3"
    one, another_gateway = SandboxGateway(path=path), SandboxGateway(path=path)
    first = await one.authorize(frame(), payment("k"))
    assert await another_gateway.authorize(frame(), payment("k")) == first
    await one.aclose()
    assert await another_gateway.authorize(frame(), payment("k")) == first
    await another_gateway.aclose()


async def test_an_authorization_waits_for_nothing(tmp_path: Path) -> None:
    gateway = SandboxGateway(path=tmp_path / "sandbox.sqlite3")
    took_s = []
    for i in range(500):
        began = time.perf_counter()
        await gateway.authorize(frame(), payment(f"k{i}"))
        took_s.append(time.perf_counter() - began)
    assert sorted(took_s)[250] < 0.05  # the usual one takes a fraction of a millisecond
    await gateway.aclose()
