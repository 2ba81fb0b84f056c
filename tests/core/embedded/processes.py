"""How does a test run a second process that uses the servers?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from payengine.embedded.home import Home
from payengine.embedded.process import is_running, mentions, recorded_pid

__all__ = ["Member", "member", "postgres_pid", "running_pids", "valkey_pid"]

_PROGRAM = """
import asyncio, json, sys, time
from payengine.embedded import running_servers
from payengine.errors import PayengineError
from payengine.settings import Settings

async def main():
    settings = Settings.from_environment({}, home=sys.argv[1])
    began = time.perf_counter()
    async with running_servers(settings) as servers:
        took = time.perf_counter() - began
        print(json.dumps({"servers": servers, "took_s": took}), flush=True)
        await asyncio.to_thread(sys.stdin.readline)

try:
    asyncio.run(main())
except PayengineError as error:
    print(json.dumps({"error": error.code, "message": error.message}), flush=True)
"""


class Member:
    """Another process of ours that is inside `running_servers`, or tries to be."""

    def __init__(self, home: Path, *, python_path: Path | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(python_path or "")},
        )

    def said(self) -> dict[str, Any]:
        """Its one line: where its servers are and how long it took, or its error."""
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def leave(self) -> None:
        """Let it end by itself, and wait until it has."""
        self._process.communicate("\n", timeout=240)
        assert self._process.returncode == 0

    def kill(self) -> None:
        """kill -9."""
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate(timeout=240)

    def close(self) -> None:
        """End it however it is, if it has not ended."""
        if self._process.poll() is None:
            self.kill()


@contextmanager
def member(home: Path, *, python_path: Path | None = None) -> Iterator[Member]:
    """A member that is surely gone afterwards. `python_path` comes first in its imports."""
    process = Member(home, python_path=python_path)
    try:
        yield process
    finally:
        process.close()


def postgres_pid(home: Path) -> int:
    """The recorded process id of the home's PostgreSQL, 0 where there is none."""
    return recorded_pid(Home(home).postgres / "data" / "postmaster.pid")


def valkey_pid(home: Path) -> int:
    """The recorded process id of the home's Valkey, 0 where there is none."""
    return recorded_pid(Home(home).pids / "valkey")


def running_pids(home: Path) -> list[int]:
    """The process ids of the home's servers that run."""
    places = Home(home)
    begun = mentions(pid := recorded_pid(places.pids / "postgres"), path=places.postgres / "data")
    candidates = {postgres_pid(home), pid if begun else 0, valkey_pid(home)}
    return sorted(pid for pid in candidates if pid and is_running(pid))
