"""How does a plugin host come to life, and how is it ended?

It inherits two sockets and a pipe, and of the environment only what leads to providers. What it
prints is read slowly and forgotten but for its end, so that a flood floods nobody.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from hashlib import blake2b

import msgspec

from payengine.host.limits import HostLimits
from payengine.host.wire import HEAD, Ask, Told, decode, frame

__all__ = ["Desk", "DeskFailed", "Process", "start"]

#: What crosses from our environment: how texts, times and providers are reached.
_ENVIRONMENT = (
    "LANG",
    "LC_ALL",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_PROGRAM = (
    "import sys; sys.path[:0] = [{here!r}]; from payengine.host.child import main;"
    " del sys.path[0]; main()"
)
_GULP = 64 * 1024
_GULP_S = 0.1
_TAIL = 2_000
_LEAVE_S = 1.0
#: Users that no account has (systemd's own range for such): one for each distribution.
_FIRST_USER, _USERS = 61_184, 4_000


class DeskFailed(Exception):
    """The host gave no proper answer to a question; `late` says that it still thinks."""

    def __init__(self, words: str, *, late: bool = False) -> None:
        super().__init__(words)
        self.late = late


class Desk:
    """Questions that wait for their answer, from any thread, one at a time."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def ask(self, ask: Ask, *, largest: int, timeout_s: float) -> Told:
        """What the host told; raises `DeskFailed`, after which the host is of no use."""
        ends_at = time.monotonic() + timeout_s
        if not self._lock.acquire(timeout=timeout_s):
            raise DeskFailed("others were asking for too long")
        try:
            number = next(self._numbers)
            self._end.settimeout(max(0.001, ends_at - time.monotonic()))
            self._end.sendall(frame(number, ask))
            length, said = HEAD.unpack(self._read(HEAD.size, ends_at))
            if said != number or length > largest:
                raise DeskFailed("it answered out of turn, or with too much")
            told: Told = decode(self._read(length, ends_at), Told)
        except TimeoutError:
            raise DeskFailed("it did not answer in time", late=True) from None
        except (OSError, EOFError):
            raise DeskFailed("its process ended") from None
        except msgspec.MsgspecError as problem:
            raise DeskFailed(f"its answer cannot be read: {problem}") from None
        finally:
            self._lock.release()
        return told

    def _read(self, size: int, ends_at: float) -> bytes:
        held = bytearray()
        while len(held) < size:
            self._end.settimeout(max(0.001, ends_at - time.monotonic()))
            got = self._end.recv(min(size - len(held), _GULP))
            if not got:
                raise EOFError
            held += got
        return bytes(held)

    def close(self) -> None:
        """Close our end, at which an idle host ends."""
        self._end.close()


class Process:
    """One running host, and our ends of its sockets. `calls` belongs to whoever reads it."""

    def __init__(
        self, popen: subprocess.Popen[bytes], *, calls: socket.socket, desk: Desk, output: int
    ) -> None:
        self.popen = popen
        self.calls = calls
        self.desk = desk
        self._tail = b""
        self._is_over = False
        #: Set where its socket was closed: it is to be used no more.
        self.is_lost = False
        #: Set where an event loop's transport owns `calls` and closes it.
        self.is_adopted = False
        self._drain = threading.Thread(target=self._drained, args=(output,), daemon=True)
        self._drain.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    def is_alive(self) -> bool:
        """Whether it has not ended, nor closed its socket."""
        return not self.is_lost and self.popen.poll() is None

    def wait_a_moment(self) -> None:
        """Give a process that closed its sockets the time to end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(0.2)

    def said(self) -> str:
        """The last line that it printed, from "; " on; "" for none."""
        lines = [line for line in self._tail.decode(errors="replace").splitlines() if line.strip()]
        return f"; it said last: {lines[-1]}" if lines else ""

    def ending(self) -> str:
        """How it ended, for people; without what it said, which may be about any tenant."""
        code = self.popen.poll()
        if code is None:
            return "its process does not answer"
        how = f"by signal {-code}" if code < 0 else f"with status {code}"
        return f"its process ended {how}"

    def seconds_of_cpu(self) -> float:
        """The processor time that it has used; 0 where the system does not say."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """End it and whatever it started; does not wait for it."""
        if self._is_over:
            return
        self._is_over = True
        self._kill_group()
        self._close_sockets()
        # Its memory may be large: somebody else waits until the system has taken it back.
        threading.Thread(target=self.popen.wait, daemon=True).start()

    def leave(self) -> None:
        """Ask it to end, and end it where it does not; waits for it."""
        self._close_sockets()
        try:
            self.popen.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            self._kill_group()
            self.popen.wait()
        self._drain.join(_LEAVE_S)

    def _close_sockets(self) -> None:
        self.desk.close()
        if not self.is_adopted:
            self.calls.close()

    def _kill_group(self) -> None:
        # Not once it was waited for: its number may be another's then.
        if self.popen.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)

    def _drained(self, output: int) -> None:
        while True:
            try:
                got = os.read(output, _GULP)
            except OSError:
                got = b""
            if not got:
                os.close(output)
                return
            self._tail = (self._tail + got)[-_TAIL:]
            if len(got) > _TAIL:
                time.sleep(_GULP_S)


def start(
    *,
    distribution: str,
    plugins: Mapping[str, str],
    limits: HostLimits,
    environment: Mapping[str, str],
) -> Process:
    """Start the host of a distribution; raises `OSError` where the machine cannot.

    Returns at once: the first question to its desk waits until it has loaded the plugin.
    """
    paths = tuple(os.path.abspath(path) for path in sys.path if path and os.path.isdir(path))
    kept = {name: environment[name] for name in _ENVIRONMENT if environment.get(name)}
    extra = tuple(kept[name] for name in _CERTIFICATES if name in kept)
    user = _user_of(distribution) if os.geteuid() == 0 else None
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    ours, theirs = zip(socket.socketpair(), socket.socketpair(), strict=True)
    output, printed = os.pipe()
    try:
        birth = {
            "calls": theirs[0].fileno(),
            "desk": theirs[1].fileno(),
            "jail": limits.jail(user=user, paths=(*paths, here, *extra)),
            "distribution": distribution,
            "plugins": dict(plugins),
            "paths": paths,
        }
        popen = subprocess.Popen(
            [
                sys.executable,
                *("-I", "-B", "-c", _PROGRAM.format(here=here)),
                msgspec.json.encode(birth).decode(),
            ],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            env=kept,
            cwd="/",
            umask=0o022,
            start_new_session=True,
            pass_fds=[end.fileno() for end in theirs],
        )
    except BaseException:
        for end in ours:
            end.close()
        os.close(output)
        raise
    finally:
        os.close(printed)
        for end in theirs:
            end.close()
    return Process(popen, calls=ours[0], desk=Desk(ours[1]), output=output)


def _user_of(distribution: str) -> int:
    number = int.from_bytes(blake2b(distribution.encode(), digest_size=4).digest())
    return _FIRST_USER + number % _USERS
