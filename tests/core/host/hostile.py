"""A plugin that does in its host whatever the token of the payment method names."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import signal
import socket
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from payengine.plugin import (
    Amount,
    Authorize,
    Call,
    Capture,
    Gateway,
    Lookup,
    Manifest,
    Movement,
    NetworkToken,
    NotSent,
    OpenedToken,
    OpenToken,
    Outcome,
    PluginSettings,
    Refund,
    Secret,
    Void,
    Wallet,
    WalletManifest,
    WalletRefused,
    WebhookEvent,
    WebhookRefused,
    WebhookRequest,
    hookimpl,
)

__all__ = ["HOSTILE", "HostileGateway", "HostileSettings", "gateways", "wallets"]


class HostileSettings(PluginSettings, frozen=True, kw_only=True):
    """A required secret, a bound that the schema shows and one that only this code knows."""

    api_key: Secret
    fee_bps: int = 290
    regions: tuple[str, ...] = ("eu",)

    def __post_init__(self) -> None:
        if self.fee_bps > 10_000:
            raise ValueError("more than all")


def _spin(_: Authorize) -> None:
    while True:
        pass


def _swallow_memory(_: Authorize) -> None:
    held = []
    while True:
        held.append(bytearray(8 * 1024 * 1024))


def _fork_bomb(_: Authorize) -> None:
    while True:
        os.fork()


def _thread_bomb(_: Authorize) -> None:
    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


def _flood(_: Authorize) -> None:
    while True:
        os.write(1, b"x" * 4096)
        os.write(2, b"y" * 4096)


def _sockets() -> list[int]:
    # Ours keeps the number that it had in the test's process, which may hold many files.
    return [number for number in range(3, 4_096) if _is_socket(number)]


def _is_socket(number: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False


def _write_to_all(spelled: bytes) -> None:
    for number in _sockets():
        os.set_blocking(number, True)
        os.write(number, spelled)


#: token → what is done before the answer. None of them lets the call end well.
HOSTILE: dict[str, Callable[[Authorize], Any]] = {
    "exits": lambda _: sys.exit(3),
    "exits_hard": lambda _: os._exit(7),
    "segfaults": lambda _: ctypes.string_at(0),
    "aborts": lambda _: os.abort(),
    "kills_itself": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "spins": _spin,
    "swallows_memory": _swallow_memory,
    "forks": _fork_bomb,
    "threads": _thread_bomb,
    "floods": _flood,
    "answers_another": lambda _: _write_to_all(struct.pack("!IQ", 3, 1 << 40) + b"\x91\xa0\xc0"),
    "answers_giant": lambda _: _write_to_all(struct.pack("!IQ", 0xFFFFFFFF, 1) + b"z" * 4096),
    "writes_garbage": lambda _: _write_to_all(b"\xde\xad\xbe\xef" * 16),
    "closes_sockets": lambda _: os.closerange(3, 4_096),
    "blocks": lambda _: time.sleep(3600),
}


class HostileGateway:
    """Takes payments well, but for the tokens of `HOSTILE` and a few more."""

    def describe(self) -> Manifest:
        """As a good one does."""
        return Manifest(
            name="hostile",
            title="Hostile",
            version="1.0",
            currencies=("EUR",),
            webhooks=True,
            movements=True,
            settings=HostileSettings,
        )

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        """What the token names."""
        token = request.payment_method.token
        if token in HOSTILE:
            HOSTILE[token](request)
        if token == "half":
            _write_to_all(struct.pack("!IQ", 400, 1)[:7])
            await asyncio.sleep(3600)
        if token == "hangs":
            await asyncio.sleep(3600)
        if token == "clings":
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    continue
        if token == "not_sent":
            raise NotSent("no route")
        if token == "raises":
            raise ValueError("no")
        if token in _STRANGE:
            return _STRANGE[token]  # type: ignore[no-any-return]
        return Outcome(
            status="succeeded",
            provider_reference=_told(token, call, request),
            amount=request.amount,
            captured=request.capture,
        )

    async def capture(self, call: Call, request: Capture) -> Outcome:
        """Takes it."""
        return Outcome(status="succeeded", provider_reference="c", amount=request.amount)

    async def void(self, call: Call, request: Void) -> Outcome:
        """Lets go."""
        return Outcome(status="succeeded", provider_reference="v", amount=request.amount)

    async def refund(self, call: Call, request: Refund) -> Outcome:
        """Gives back."""
        return Outcome(status="succeeded", provider_reference="r", amount=request.amount)

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        """Knows nothing."""
        return Outcome(status="not_found")

    def parse_webhook(self, call: Call, request: WebhookRequest) -> Sequence[WebhookEvent]:
        """One event of the body, or mischief."""
        if request.body == b"hang":
            time.sleep(3600)
        if request.body == b"exit":
            os._exit(9)
        if request.body == b"number":
            return 7  # type: ignore[return-value]
        if request.body != b"good":
            raise WebhookRefused("not genuine")
        outcome = Outcome(status="succeeded", provider_reference="w", amount=Amount(5, "EUR"))
        return [
            WebhookEvent(
                event_id="e1",
                kind="authorize",
                key="k",
                provider_reference="w",
                outcome=outcome,
                occurred_at=request.received_at,
            )
        ]

    async def movements(
        self, call: Call, *, since: datetime, until: datetime
    ) -> Sequence[Movement]:
        """One line."""
        return [
            Movement(
                key="k",
                kind="capture",
                provider_reference="m",
                amount=Amount(5, "EUR"),
                fee_minor=0,
                at=since,
            )
        ]


_STRANGE: dict[str, Any] = {
    "none": None,
    "float": Outcome(status="succeeded", amount=Amount(1.5, "EUR")),  # type: ignore[arg-type]
    "object": Outcome(status="succeeded", provider_reference=object()),  # type: ignore[arg-type]
    "long": Outcome(status="succeeded", provider_reference="x" * 200_000),
    "new_status": Outcome(status="settling", raw_status=""),  # type: ignore[arg-type]
}


def _told(token: str, call: Call, request: Authorize) -> str:
    if token == "pid":
        return str(os.getpid())
    if token == "network_token":
        held = request.payment_method.network_token
        return f"ends in {held.number[-4:]}" if held else "none"
    if token.startswith("look:"):
        return json.dumps(_looked(token.removeprefix("look:").split("|")))[:255]
    return "good"


def _looked(wanted: list[str]) -> list[str]:
    """Which of the names `what=value` can be found from inside."""
    found = []
    for name in wanted:
        what, _, value = name.partition("=")
        if _finds(what, value):
            found.append(what)
    return found


def _finds(what: str, value: str) -> bool:
    try:
        if what.startswith("file"):
            return bool(Path(value).read_bytes())
        if what.startswith("environment"):
            return any(value in each for each in os.environ.values())
        if what.startswith("process"):
            return bool(Path(f"/proc/{value}/environ").read_bytes())
        if what.startswith("signal"):
            os.kill(int(value), 0)
        elif what.startswith("program"):
            os.posix_spawn(value, [value], {})
        elif what.startswith("write"):
            Path(value).write_text("was here")
        elif what.startswith("unix"):
            socket.socket(socket.AF_UNIX).close()
        elif what.startswith("memory"):
            return _remembers(value[::-1])
        elif what.startswith("module"):
            return value in sys.modules
    except OSError:
        return False
    return True


def _remembers(secret: str) -> bool:
    """Whether any settings in memory hold the secret, in their class or as they came."""
    near = gc.get_objects()
    held = [*near, *(far := gc.get_referents(*near)), *gc.get_referents(*far)]
    keys = [one.api_key for one in held if type(one) is HostileSettings]
    for one in held:
        if type(one) is dict:
            keys += [each for each in [*one.values()] if type(each) is str]
    return secret in keys


class HostileWallet:
    """Opens what says `good`."""

    def describe(self) -> WalletManifest:
        """As a good one does."""
        return WalletManifest(name="purse", title="Purse", version="1.0", settings=HostileSettings)

    async def open_token(self, call: Call, request: OpenToken) -> OpenedToken:
        """A network token, or a refusal."""
        if request.token != "good":
            raise WalletRefused("signature", "not signed")
        token = NetworkToken(
            number="4111111111111111",
            expiry_month=12,
            expiry_year=2031,
            cryptogram="AAAAAAAA",
            wallet="purse",
        )
        return OpenedToken(network_token=token, token_id="t1")


@hookimpl
def gateways() -> Sequence[Gateway]:
    """The hostile one."""
    return [HostileGateway()]


@hookimpl
def wallets() -> Sequence[Wallet]:
    """A purse."""
    return [HostileWallet()]
