"""Where is a PayPal that tests may torment?

A process of its own: `python fake_paypal.py --port 8020`. `running_fake()` starts one and gives a
handle on it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from payengine_paypal.settings import HOSTS_VARIABLE, PayPalSettings

__all__ = ["FakePayPal", "running_fake"]


class FakePayPal:
    """A running fake, seen from behind the counter."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=120)

    def ask(self, what: str, **asked: Any) -> Any:
        """Below `/_fake/`."""
        answer = self._client.post(f"/_fake/{what}", json=asked)
        answer.raise_for_status()
        return answer.json()

    def settings(self, client_id: str, **more: Any) -> PayPalSettings:
        """Settings of a merchant at this fake, whose webhooks it signs."""
        about = self.ask("set")
        return PayPalSettings(
            **{
                "client_id": client_id,
                "client_secret": "a-secret",
                "webhook_id": about["webhook_id"],
                "webhook_roots": about["root"],
                "api_base": self.url,
            }
            | more
        )

    def sums(self, client_id: str) -> list[dict[str, Any]]:
        """The merchant's orders with what moved."""
        found: list[dict[str, Any]] = self.ask("sums", client_id=client_id)
        return found

    def approve(self, client_id: str, order_id: str, **how: str) -> None:
        """The buyer approves."""
        self.ask("approve", client_id=client_id, id=order_id, **how)

    def events(self, client_id: str, **how: str) -> list[dict[str, Any]]:
        """The webhooks so far, signed."""
        found: list[dict[str, Any]] = self.ask("events", client_id=client_id, **how)
        return found

    def click(self, url: str, verb: str) -> str:
        """Open the buyer's page and press a button; where the buyer is led back to."""
        page = self._client.get(url)
        page.raise_for_status()
        address = httpx.URL(url)
        answer = self._client.post(
            address.copy_with(path=f"{address.path}/{verb}"), follow_redirects=False
        )
        return answer.headers["location"]

    def close(self) -> None:
        """Close the connection of this handle."""
        self._client.close()


@contextmanager
def running_fake() -> Iterator[FakePayPal]:
    """A fake in a process of its own; an operator allows its address."""
    before = os.environ.get(HOSTS_VARIABLE)
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        os.environ[HOSTS_VARIABLE] = url.removeprefix("http://")
        fake = FakePayPal(url)
        yield fake
        fake.close()
    finally:
        if before is None:
            os.environ.pop(HOSTS_VARIABLE, None)
        else:
            os.environ[HOSTS_VARIABLE] = before
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def main() -> None:
    """Serve until the process is stopped."""
    from fake_paypal_http import serve

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8_020)
    listening = serve(parser.parse_args().port)
    sys.stdout.write(f"http://127.0.0.1:{listening.server_address[1]}\n")
    sys.stdout.flush()
    listening.serve_forever()


if __name__ == "__main__":
    main()
