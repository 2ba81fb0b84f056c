"""How does a test use the fake? A server process of its own, and short spellings of calls."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import msgspec
from fake_stripe import MAGIC_FAULT
from payengine.plugin import Amount, Authorize, Call, PaymentMethod
from payengine_stripe.settings import StripeSettings

__all__ = ["FakeStripe", "api_key", "call_of", "losing_the_answer", "payment"]

_START_S = 120.0
_STOP_S = 60.0
_PROGRAM = Path(__file__).with_name("fake_stripe.py")


def api_key(*, flexible: bool = False, live: bool = False) -> str:
    """A key that was never used: an account of its own."""
    mode = "live" if live else "test"
    return f"sk_{mode}_{'flexible' if flexible else 'plain'}{uuid.uuid4().hex}"


class FakeStripe:
    """The fake as a process; a context manager."""

    def __init__(self, *options: str) -> None:
        """Raises `RuntimeError` where it cannot start."""
        command = [sys.executable, str(_PROGRAM), "--port", "0", *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.url = self._ready()
        self._client = httpx.Client(base_url=self.url, trust_env=False, timeout=120)

    def __enter__(self) -> FakeStripe:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it."""
        self._client.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=_STOP_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def faults(self, key: str, **rates: Any) -> None:
        """Let requests with this API key meet faults from now on; none without `rates`."""
        self._control("faults", key, rates)

    def endpoint(self, key: str, url: str, *secrets: str, **more: Any) -> None:
        """Send this account's events to `url`."""
        self._control("endpoint", key, {"url": url, "secrets": secrets, **more})

    def forget_keys(self) -> None:
        """Let a day pass for every idempotency key."""
        self._control("forget_keys", "sk_test_", {})

    def books(self, key: str) -> dict[str, list[dict[str, Any]]]:
        """Every object of the account, by its kind, oldest first."""
        found: dict[str, list[dict[str, Any]]] = self._control("books", key, {})
        return found

    def state(self, key: str) -> dict[str, Any]:
        """How many requests were struck, and how many webhooks are under way."""
        found: dict[str, Any] = self._control("state", key, {})
        return found

    def post(self, path: str, key: str, params: dict[str, str]) -> httpx.Response:
        """A request to the API itself, without the plugin."""
        headers = {"Authorization": f"Bearer {key}"}
        return self._client.post(f"/v1/{path}", data=params, headers=headers)

    def answer_challenge(self, url: str, choice: str) -> httpx.Response:
        """Be the buyer at the bank's page: `approve` or `fail`."""
        assert self._client.get(url).status_code == 200
        return self._client.post(f"{url}/{choice}")

    def _control(self, what: str, key: str, given: Any) -> Any:
        headers = {"Authorization": f"Bearer {key}"}
        answer = self._client.post(f"/fake/{what}", json=given, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _ready(self) -> str:
        stdout = self._process.stdout
        assert stdout is not None
        until = time.monotonic() + _START_S
        line = b""
        while time.monotonic() < until and not line.endswith(b"\n"):
            if select.select([stdout], [], [], 0.2)[0]:
                part = os.read(stdout.fileno(), 4096)
                if not part:
                    break
                line += part
        if not line.startswith(b"ready http://"):
            self._process.kill()
            self._process.wait(timeout=_STOP_S)
            stdout.close()
            raise RuntimeError("the fake did not start")
        return line.split()[1].decode()


def call_of(key: str, *, deadline_ms: int = 30_000, **settings: Any) -> Call:
    """The frame of a call with this API key."""
    made = StripeSettings(**{"api_key": key, "webhook_secret": "whsec_test"} | settings)
    return Call(account=f"tenant-{key}", settings=made, deadline_ms=deadline_ms)


def payment(
    key: str | None = None,
    minor: int = 1_000,
    *,
    token: str = "pm_card_visa",
    currency: str = "EUR",
    capture: bool = True,
    kind: str = "card",
    saved: bool = False,
    **more: Any,
) -> Authorize:
    """An authorization of `minor` units, captured at once unless `capture` is false."""
    fields = {"return_url": "https://shop.example/back"} | more
    return Authorize(
        key=key or f"op_{uuid.uuid4().hex}",
        amount=Amount(minor, currency),
        capture=capture,
        payment_method=PaymentMethod(token=token, kind=kind, saved=saved),
        payment_id="pay_1",
        **fields,
    )


def losing_the_answer(request: Authorize, fault: str = "hang_after") -> Authorize:
    """The same request, which meets this fault each time."""
    return msgspec.structs.replace(request, metadata={**request.metadata, MAGIC_FAULT: fault})
