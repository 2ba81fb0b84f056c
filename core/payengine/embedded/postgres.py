"""How is the embedded PostgreSQL made, started, found again and stopped?

Every method runs under the data folder's `lock`, so one process at a time does any of it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from urllib.parse import quote

from payengine.embedded.account import Account
from payengine.embedded.home import Home, check_space
from payengine.embedded.process import (
    ENVIRONMENT,
    is_running,
    mentions,
    recorded_pid,
    run,
    start_detached,
    tail,
)
from payengine.errors import EnvironmentProblem

__all__ = ["LOGIN_ROLE", "OWNER_ROLE", "Postgres"]

OWNER_ROLE = "payengine_owner"
LOGIN_ROLE = "payengine_login"

_DATABASE = "payengine"
_PORT = 5432  # names the socket file; nothing listens on a network
_MAJOR = "18"
_STEP_S = 0.02
_START_S = 60.0
_FAST_STOP_S = 60.0
_IMMEDIATE_STOP_S = 10.0
#: SQLSTATE of a server that is starting up, shutting down or recovering.
_NOT_YET = b"C57P03\0"
_LOG_AGE_S = 6 * 86_400.0
_ORPHANS = "pre-existing shared memory block"

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(_PORT),
    "max_connections": "100",
    "shared_buffers": "128MB",
    "huge_pages": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    # Errors go to the program that asked; a log that holds the server's own words only stays
    # small and free of people's data. One file a weekday, begun anew each week.
    "logging_collector": "on",
    "log_filename": "postgres-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
}

_SET_UP = """
\\set ON_ERROR_STOP on
SELECT 'CREATE ROLE {role}' WHERE NOT EXISTS
    (SELECT FROM pg_roles WHERE rolname = '{role}') \\gexec
ALTER ROLE {role} {attributes} PASSWORD '{password}';
"""

_SET_UP_DATABASE = f"""
SELECT 'CREATE DATABASE {_DATABASE} OWNER {OWNER_ROLE}' WHERE NOT EXISTS
    (SELECT FROM pg_database WHERE datname = '{_DATABASE}') \\gexec
"""


class _State(Enum):
    ABSENT = "absent"
    BUSY = "busy"
    READY = "ready"


class Postgres:
    """One cluster in the data folder. `programs` is the folder of the server's programs."""

    def __init__(self, home: Home, *, programs: Path, account: Account) -> None:
        self._programs = programs
        self._account = account
        self._home = home
        self._data = home.postgres / "data"
        self._pid_file = self._data / "postmaster.pid"
        self._prepared = home.postgres / "roles-1"
        self._log_folder = home.logs / "postgres"
        self._start_log = home.logs / "postgres-start.log"
        self._sockets = home.sockets(account)
        self._socket = self._sockets / f".s.PGSQL.{_PORT}"
        self._pid = 0
        self._is_own_start = False

    # -- start ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Adopt the running server or start it; `wait` says when it answers.

        Raises EnvironmentProblem where the data are another major version's, or initdb fails.
        """
        if not self._data.exists():
            self._create()
        self._refuse_other_major()
        self._pid = self._running_pid()
        if not self._pid:
            self._start()

    def wait(self, pause: Callable[[float], None]) -> None:
        """Return when the server answers and its roles are there.

        Raises EnvironmentProblem with the log's tail after 60 s or when it cannot start.
        """
        give_up_at = time.monotonic() + _START_S
        while (state := self._probe()) is not _State.READY:
            if time.monotonic() > give_up_at:
                raise EnvironmentProblem(
                    f"PostgreSQL (process {self._pid}, data in {self._data}) does not answer "
                    f"after {_START_S:.0f} s. Its log ends with:\n{self._said()}"
                )
            if state is _State.ABSENT and not is_running(self._pid):
                self._start_again()
            pause(_STEP_S)
        if not self._prepared.exists():
            self._prepare()

    def url(self, role: str) -> str:
        """The URL by which `role` connects, understood by asyncpg, SQLAlchemy and libpq."""
        password = quote(self._passwords()[role], safe="")
        host = quote(str(self._sockets), safe="/")
        return f"postgresql://{role}:{password}@/{_DATABASE}?host={host}&port={_PORT}"

    def _create(self) -> None:
        check_space(self._home.root)
        self._home.branch(self._home.postgres)
        unfinished = self._home.postgres / "unfinished"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        password = self._home.postgres / "superuser"
        self._prepared.unlink(missing_ok=True)
        password.unlink(missing_ok=True)
        try:
            _write_private(password, self._passwords(create=True)["postgres"])
            self._account.own(password)
            run(
                [
                    str(self._programs / "initdb"),
                    *("-D", str(self._home.leaf(unfinished, self._account))),
                    *("-U", "postgres", f"--pwfile={password}", "--auth=scram-sha-256"),
                    # The built-in locale sorts alike on every machine and for ever.
                    *("--encoding=UTF8", "--locale-provider=builtin", "--locale=C"),
                    *("--builtin-locale=C.UTF-8", "--data-checksums", "--no-instructions"),
                ],
                account=self._account,
                environment=ENVIRONMENT,
            )
        finally:
            password.unlink(missing_ok=True)
        unfinished.rename(self._data)

    def _refuse_other_major(self) -> None:
        try:
            major = (self._data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            major = "an unknown version"
        if major != _MAJOR:
            raise EnvironmentProblem(
                f"The data in {self._data} were made by PostgreSQL {major}, and this is "
                f"PostgreSQL {_MAJOR}. Dump them with the release of payengine that made them "
                "and restore them here, choose another folder with PAYENGINE_HOME, or forget "
                "them with `payengine reset`."
            )

    def _start(self) -> None:
        check_space(self._home.root)
        self._home.branch(self._home.logs)
        self._home.leaf(self._log_folder, self._account)
        self._drop_old_logs()
        self._clear_the_way()
        settings = dict(_SETTINGS)
        settings["log_directory"] = str(self._log_folder)
        quoted = str(self._sockets).replace('"', '""')
        settings["unix_socket_directories"] = f'"{quoted}"'
        environment = dict(ENVIRONMENT)
        if stale := recorded_pid(self._pid_file):
            # A process that took over the dead server's number would keep PostgreSQL from
            # starting. This tells it that the number is ours, and leaves its own check for
            # orphans on the shared memory in force.
            environment["PG_GRANDPARENT_PID"] = str(stale)
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._is_own_start = True
        self._pid = start_detached(
            [str(self._programs / "postgres"), "-D", str(self._data), *options],
            account=self._account,
            log=self._start_log,
            pid_file=self._own_pid_file(),
            environment=environment,
        )

    def _start_again(self) -> None:
        """The server ended before it answered: go on where that mends itself, else say why."""
        if running := self._running_pid():
            self._pid, self._is_own_start = running, False
            return
        if self._is_own_start and _ORPHANS not in tail(self._start_log):
            raise EnvironmentProblem(f"PostgreSQL could not start and said:\n{self._said()}")
        # It was on its way out when we found it, or the sessions of a killed server still live.
        time.sleep(_STEP_S)
        self._start()

    def _drop_old_logs(self) -> None:
        """PostgreSQL begins a weekday's file anew only if it runs at midnight."""
        for log in self._log_folder.glob("*.log"):
            if log.lstat().st_mtime < time.time() - _LOG_AGE_S:
                log.unlink()

    def _clear_the_way(self) -> None:
        """Remove what a crash left half written; PostgreSQL mends the rest itself."""
        if self._pid_file.exists() and not recorded_pid(self._pid_file):
            self._pid_file.unlink()
        # Nobody answers here, and the folder is private to this cluster.
        self._socket.unlink(missing_ok=True)
        self._socket.with_name(f"{self._socket.name}.lock").unlink(missing_ok=True)

    # -- roles ---------------------------------------------------------------------------------

    def _prepare(self) -> None:
        passwords = self._passwords()
        script = (
            _SET_UP.format(
                role=OWNER_ROLE,
                attributes="LOGIN CREATEROLE NOSUPERUSER NOBYPASSRLS",
                password=passwords[OWNER_ROLE],
            )
            + _SET_UP.format(
                role=LOGIN_ROLE,
                attributes="LOGIN NOINHERIT NOSUPERUSER NOCREATEROLE NOBYPASSRLS",
                password=passwords[LOGIN_ROLE],
            )
            + _SET_UP_DATABASE
        )
        run(
            [
                str(self._programs / "psql"),
                *("-X", "-q", "-h", str(self._sockets), "-p", str(_PORT)),
                *("-U", "postgres", "-d", "postgres", "-f", "-"),
            ],
            account=self._account,
            environment={**ENVIRONMENT, "PGPASSWORD": passwords["postgres"]},
            text=script,
        )
        self._prepared.touch()

    def _passwords(self, *, create: bool = False) -> dict[str, str]:
        import json

        path = self._home.passwords
        try:
            found: dict[str, str] = json.loads(path.read_text())
            if {"postgres", OWNER_ROLE, LOGIN_ROLE} <= found.keys():
                return found
        except (FileNotFoundError, ValueError):
            pass
        if not create:
            raise EnvironmentProblem(
                f"{path} is missing or damaged, and without it nobody can log in to the "
                f"database in {self._data}. Put it back from a backup, or forget the data with "
                "`payengine reset`."
            )
        made = {role: secrets.token_urlsafe(24) for role in ("postgres", OWNER_ROLE, LOGIN_ROLE)}
        unfinished = path.with_name(f"{path.name}.new")
        unfinished.unlink(missing_ok=True)
        _write_private(unfinished, json.dumps(made))
        unfinished.rename(path)
        return made

    # -- stop ----------------------------------------------------------------------------------

    def ask_to_stop(self) -> None:
        """Send the running server a fast shutdown, if there is one; `wait_until_stopped` waits."""
        self._pid = self._running_pid()
        if self._pid:
            is_up = recorded_pid(self._pid_file) == self._pid
            # One that is not a server yet is deaf to the interrupt.
            os.kill(self._pid, signal.SIGINT if is_up else signal.SIGTERM)

    def wait_until_stopped(self) -> None:
        """Return when the server has ended; past 60 s it is stopped as by a crash.

        Raises EnvironmentProblem where even that does not end it.
        """
        if not self._pid or _ends_within(self._pid, _FAST_STOP_S):
            return
        os.kill(self._pid, signal.SIGQUIT)  # loses nothing: the next start replays the log
        if not _ends_within(self._pid, _IMMEDIATE_STOP_S):
            raise EnvironmentProblem(
                f"PostgreSQL (process {self._pid}, data in {self._data}) does not stop. End it "
                f"by hand: kill -QUIT {self._pid}"
            )

    # -- observation ---------------------------------------------------------------------------

    def _running_pid(self) -> int:
        """The server's process id, 0 where none runs. A server that begins has only our file."""
        for path in (self._pid_file, self._home.pids / "postgres"):
            pid = recorded_pid(path)
            if mentions(pid, path=self._data):
                return pid
        return 0

    def _own_pid_file(self) -> Path:
        return self._home.leaf(self._home.pids, self._account) / "postgres"

    def _probe(self) -> _State:
        """Say hello as a client would, and look at the first words of the answer."""
        words = b"user\0postgres\0database\0postgres\0\0"
        hello = (len(words) + 8).to_bytes(4, "big") + (196_608).to_bytes(4, "big") + words
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1.0)
            try:
                client.connect(str(self._socket))
                client.sendall(hello)
                answer = client.recv(512)
            except (FileNotFoundError, ConnectionRefusedError):
                return _State.ABSENT
            except OSError:
                return _State.BUSY
        if not answer or (answer[:1] == b"E" and _NOT_YET in answer):
            return _State.BUSY
        return _State.READY

    def _said(self) -> str:
        logs = self._log_folder.glob("*.log") if self._log_folder.exists() else ()
        return tail(*logs, self._start_log)


def _write_private(path: Path, text: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with open(os.open(path, flags, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _ends_within(pid: int, seconds: float) -> bool:
    give_up_at = time.monotonic() + seconds
    while is_running(pid):
        if time.monotonic() > give_up_at:
            return False
        time.sleep(_STEP_S / 2)
    return True
