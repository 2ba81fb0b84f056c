"""How does a test use the sandbox? A server process of its own, and short spellings of calls."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from payengine.plugin import Amount, Authorize, Call, PaymentMethod

from payengine_sandbox.settings import SandboxSettings

__all__ = ["SandboxProcess", "frame", "payment"]

_START_S = 120.0
_STOP_S = 60.0


class SandboxProcess:
    """A sandbox server as a process, with its books in the folder `data`; a context manager."""

    def __init__(self, data: Path, *options: str) -> None:
        """`options` are those of `payengine sandbox`; raises `RuntimeError` if it cannot start."""
        command = [sys.executable, "-m", "payengine_sandbox", "--data", str(data)]
        port = () if "--port" in options else ("--port", "0")
        self._process = subprocess.Popen([*command, *port, *options], stdout=subprocess.PIPE)
        self.url = self._ready()

    def __enter__(self) -> SandboxProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.send_signal(signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        """End it in good order."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(timeout=_STOP_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _ready(self) -> str:
        stdout = self._process.stdout
        if stdout is None:
            raise RuntimeError("the sandbox has no output")
        until = time.monotonic() + _START_S
        line = b""
        while time.monotonic() < until and not line.endswith(b"\n"):
            if select.select([stdout], [], [], 0.2)[0]:
                part = os.read(stdout.fileno(), 4096)
                if not part:
                    break
                line += part
        if not line.startswith(b"ready http://"):
            self.kill()
            raise RuntimeError("the sandbox did not start")
        return line.split()[1].decode()


def frame(account: str = "acct_1", *, deadline_ms: int = 5_000, **settings: Any) -> Call:
    """The frame of a call with these settings."""
    return Call(account=account, settings=SandboxSettings(**settings), deadline_ms=deadline_ms)


def payment(
    key: str,
    minor: int = 1_000,
    *,
    token: str = "tok_visa",  # noqa: S107 - test tokens are names, no secrets
    currency: str = "EUR",
    capture: bool = True,
    **more: Any,
) -> Authorize:
    """An authorization of `minor` units, captured at once unless `capture` is false."""
    return Authorize(
        key=key,
        amount=Amount(minor, currency),
        capture=capture,
        payment_method=PaymentMethod(token=token),
        payment_id="pay_1",
        **more,
    )
