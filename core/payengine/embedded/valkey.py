"""How is the embedded Valkey started, found again and stopped?

Nothing in it is the truth of anything: where its files are beyond repair it starts with none.
Every method runs under the data folder's `lock`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from payengine.embedded.account import Account
from payengine.embedded.home import Home
from payengine.embedded.process import (
    ENVIRONMENT,
    is_running,
    mentions,
    recorded_pid,
    start_detached,
    tail,
)
from payengine.errors import EnvironmentProblem

__all__ = ["Valkey"]

_STEP_S = 0.01
_START_S = 30.0
_STOP_S = 10.0
_MEMORY = "256mb"


class Valkey:
    """One server on a Unix socket in a folder that only its user may enter."""

    def __init__(self, home: Home, *, program: Path, account: Account) -> None:
        self._program = program
        self._account = account
        self._home = home
        self._socket = home.sockets(account) / "valkey.sock"
        self._pid_file = home.pids / "valkey"
        self._log = home.logs / "valkey.log"
        self._pid = 0
        self._was_given_new_files = False

    @property
    def url(self) -> str:
        """The URL that `redis.asyncio.from_url` takes."""
        return f"unix://{quote(str(self._socket), safe='/')}?db=0"

    def begin(self) -> None:
        """Adopt the running server or start it; `wait` says when it answers."""
        self._pid = self._running_pid()
        if not self._pid:
            self._start()

    def wait(self, pause: Callable[[float], None]) -> None:
        """Return when the server answers.

        Raises EnvironmentProblem with the log's tail after 30 s or when it cannot start.
        """
        give_up_at = time.monotonic() + _START_S
        while not self._answers():
            if not is_running(self._pid):
                if self._was_given_new_files:
                    raise EnvironmentProblem(f"Valkey could not start and said:\n{self._said()}")
                self._start_afresh()
            if time.monotonic() > give_up_at:
                raise EnvironmentProblem(
                    f"Valkey (process {self._pid}) does not answer after {_START_S:.0f} s. Its "
                    f"log ends with:\n{self._said()}"
                )
            pause(_STEP_S)

    def ask_to_stop(self) -> None:
        """Ask the running server to end, if there is one; `wait_until_stopped` waits."""
        self._pid = self._running_pid()
        if self._pid:
            os.kill(self._pid, signal.SIGTERM)

    def wait_until_stopped(self) -> None:
        """Return when the server has ended; past 10 s it is killed."""
        give_up_at = time.monotonic() + _STOP_S
        while self._pid and is_running(self._pid):
            if time.monotonic() > give_up_at:
                os.kill(self._pid, signal.SIGKILL)
                give_up_at = float("inf")
            time.sleep(_STEP_S)

    def _start(self) -> None:
        self._home.branch(self._home.logs)
        folder = self._home.leaf(self._home.valkey, self._account)
        self._socket.unlink(missing_ok=True)
        self._home.leaf(self._home.pids, self._account)
        self._pid = start_detached(
            [
                str(self._program),
                *("--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700"),
                *("--appendonly", "yes", "--save", "", "--dir", str(folder)),
                *("--loglevel", "warning"),
                # A bound; what is thrown out is read again from the database.
                *("--maxmemory", _MEMORY, "--maxmemory-policy", "allkeys-lru"),
            ],
            account=self._account,
            log=self._log,
            pid_file=self._pid_file,
            environment=ENVIRONMENT,
        )

    def _start_afresh(self) -> None:
        """It ended before it answered: its files may be damaged, and they can be spared."""
        broken = self._home.valkey.with_name("valkey.broken")
        if broken.exists():
            shutil.rmtree(broken)
        if self._home.valkey.exists():
            self._home.valkey.rename(broken)
        self._was_given_new_files = True
        self._start()

    def _running_pid(self) -> int:
        pid = recorded_pid(self._pid_file)
        return pid if mentions(pid, path=self._socket) else 0

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1.0)
            try:
                client.connect(str(self._socket))
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith(b"+PONG")
            except OSError:
                return False

    def _said(self) -> str:
        return tail(self._log)
