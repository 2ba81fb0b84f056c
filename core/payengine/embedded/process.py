"""Is this process alive, is it ours, and what did it say last?

A server outlives the process that started it, so it is started as nobody's child: a shell puts it
into the background and ends, and no zombie waits for a parent that is busy with payments.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from payengine.embedded.account import Account
from payengine.errors import EnvironmentProblem

__all__ = ["ENVIRONMENT", "is_running", "mentions", "recorded_pid", "run", "start_detached", "tail"]

#: All that a server inherits. Variables such as PGPORT or PGDATA would lead it astray.
ENVIRONMENT: Mapping[str, str] = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

_STEP_S = 0.001
_HAS_PROC = Path("/proc/self/stat").exists()
#: The process writes its own number before it becomes the server, so that at no moment there is a
#: server whose number is written nowhere.
_BACKGROUND = """sh -c 'echo $$ >"$0" && exec "$@"' "$@" >&2 & echo $!"""


def start_detached(
    command: Sequence[str],
    *,
    account: Account,
    log: Path,
    pid_file: Path,
    environment: Mapping[str, str],
) -> int:
    """Start a server in a session of its own. Returns its process id, also kept in `pid_file`.

    `log` takes its output and is ours; `pid_file` lies in a folder of the servers' user.
    """
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
        started = subprocess.run(
            ["/bin/sh", "-c", _BACKGROUND, "sh", str(pid_file), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            env=environment,
            check=True,
            **account.popen_arguments(),
        )
    pid = int(started.stdout)
    while recorded_pid(pid_file) != pid and is_running(pid):
        time.sleep(_STEP_S)
    return pid


def recorded_pid(path: Path) -> int:
    """The number in the first line of a process id file, 0 where there is none or nonsense."""
    try:
        return max(0, int(path.read_text(errors="replace").splitlines()[0]))
    except (FileNotFoundError, IndexError, ValueError):
        return 0


def run(
    command: Sequence[str], *, account: Account, environment: Mapping[str, str], text: str = ""
) -> None:
    """Run a program to its end with `text` as its input.

    Raises EnvironmentProblem with what it said where it fails.
    """
    ended = subprocess.run(
        command,
        input=text.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        check=False,
        **account.popen_arguments(),
    )
    if ended.returncode != 0:
        said = _last_lines(ended.stdout.decode(errors="replace"))
        raise EnvironmentProblem(f"{Path(command[0]).name} failed and said:\n{said}")


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    if _HAS_PROC:
        try:
            text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            return False
        return text.rpartition(")")[2].split()[0] not in "ZX"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def mentions(pid: int, *, path: Path) -> bool:
    """Whether the running process's command line names `path`: process ids are used again."""
    if pid <= 0 or not is_running(pid):
        return False
    if _HAS_PROC:
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
    else:
        asked = subprocess.run(
            ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False
        )
        line = asked.stdout
    # As an argument of its own, or behind the "unixsocket:" of a server's own title.
    return (
        re.search(rb"(?:^|[\0 :])" + re.escape(os.fsencode(path)) + rb"(?:[\0 \n]|$)", line)
        is not None
    )


def tail(*logs: Path) -> str:
    """The last lines of those logs that exist, the longest unchanged first."""
    texts = []
    for log in sorted((log for log in logs if log.is_file()), key=lambda log: log.stat().st_mtime):
        with open(os.open(log, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            texts.append(file.read().decode(errors="replace"))
    return _last_lines("\n".join(texts)) or "(nothing)"


def _last_lines(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in lines[-15:])
