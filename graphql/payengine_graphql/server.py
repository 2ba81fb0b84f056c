"""How does the server come up, and how does it go down?

The port is taken first, because that is what fails most often; then the database and Valkey are
started or joined, the tables brought to the newest shape, and the API answers. SIGINT and SIGTERM
drain: what is under way is finished, then everything is let go. A second signal does not wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

import uvicorn
import uvloop
from payengine.engine import Engine, running_engine
from payengine.errors import EnvironmentProblem
from payengine.settings import Settings

from payengine_graphql.app import UVICORN_LIMITS, create_app
from payengine_graphql.demo.buyer import replay
from payengine_graphql.demo.tenants import DemoTenant, ensure_demo_tenants

__all__ = ["run"]

_BACKLOG = 1_024
_DRAIN_S = 12  # a gateway's deadline of 8 s, and the writing behind it
_DEMO_RATE = 5.0
_MOST_FILES = 65_536
_COLLECT_AFTER = 10_000


class _Server(uvicorn.Server):
    """uvicorn, with the signals in our hands; `answering` is set when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answering = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.answering.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # What is cut off from now on is cut off on purpose; uvicorn would print it as a failure.
        logging.getLogger("uvicorn.error").disabled = True
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Signals:
    """What SIGINT and SIGTERM mean: give up before serving, drain while serving, then hurry."""

    def __init__(self) -> None:
        self.server: _Server | None = None
        self._task = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._heard)

    def _heard(self) -> None:
        if self.server is None:
            assert self._task is not None
            self._task.cancel()
        elif self.server.should_exit:
            self.server.force_exit = True
        else:
            self.server.should_exit = True
            _say("draining …")


def _raise_file_limit() -> None:
    """Each live reader is an open file; many systems allow 1,024 unless asked for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _settle_memory() -> None:
    """What is there before the first request stays: no collection looks through it.

    Each looked for 0.1 s, and every request waited; not even the first is worth it, as loading
    leaves next to nothing behind. Requests make few cycles, so that looking less often costs
    little memory.
    """
    gc.freeze()
    gc.enable()
    gc.set_threshold(_COLLECT_AFTER, 20, 50)


def run(settings: Settings, *, demo: bool) -> int:
    """Serve until a signal; 0 after a drain, 130 where it came before anything was served."""
    _raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(settings, demo=demo))
        except asyncio.CancelledError:
            return 130
    return 0


def _listen(settings: Settings) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as refused:
        listener.close()
        raise EnvironmentProblem(
            f"Cannot listen on {settings.host}:{settings.port} ({refused.strerror}). Stop what "
            "uses the port, or choose another one: PAYENGINE_PORT=8001 or --port 8001."
        ) from None
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


async def _serve(settings: Settings, *, demo: bool) -> None:
    signals = _Signals()
    with contextlib.closing(_listen(settings)) as listener:
        port = listener.getsockname()[1]
        url = f"http://{settings.host}:{port}"
        # Where plugins tell buyers to go: the address that is served, unless a proxy stands before.
        os.environ.setdefault("PAYENGINE_PUBLIC_URL", url)
        _say("starting PostgreSQL and Valkey …")
        async with running_engine(settings, background=settings.background) as engine:
            for plugin in engine.registry.plugins():
                if plugin.status != "ready":
                    _say(f"plugin {plugin.name} was refused: {plugin.reason}")
            tenants = await ensure_demo_tenants(engine.database, settings) if demo else []
            server = signals.server = _Server(_configuration(engine, settings))
            _settle_memory()
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            await asyncio.wait(
                [serving, asyncio.create_task(server.answering.wait())],
                return_when=asyncio.FIRST_COMPLETED,
            )
            buyer = None
            if server.answering.is_set():
                with contextlib.suppress(OSError):
                    print(f"ready {url}", flush=True)
                if demo:
                    _introduce(url, tenants)
                    buyer = asyncio.create_task(replay(url, tenants, rate=_DEMO_RATE))
            await serving
            if buyer is not None:
                buyer.cancel()
                await asyncio.gather(buyer, return_exceptions=True)
    if not server.answering.is_set():
        raise EnvironmentProblem("The API could not be started.")
    _say("stopped; the data is kept")


def _configuration(engine: Engine, settings: Settings) -> uvicorn.Config:
    limits: dict[str, Any] = {**UVICORN_LIMITS, "timeout_graceful_shutdown": _DRAIN_S}
    return uvicorn.Config(
        create_app(engine, settings, expects_relay=settings.background),
        log_level="warning",
        lifespan="on",
        **limits,
    )


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # whoever read it may be gone; the server goes on
        print(text, file=sys.stderr, flush=True)


def _introduce(url: str, tenants: list[DemoTenant]) -> None:
    for tenant in tenants:
        _say(f"  {tenant.name:<16} {tenant.currency}  API key {tenant.api_key}")
    _say("")
    _say("Take a payment:")
    _say(f"  curl -s {url}/graphql -H 'Content-Type: application/json' \\")
    _say(f"    -H 'Authorization: Bearer {tenants[0].api_key}' \\")
    _say(
        '    -d \'{"query":"mutation { createPayment(input: {idempotencyKey: \\"first\\", '
        f'amount: {{amountMinor: 1999, currency: \\"{tenants[0].currency}\\"}}, '
        'paymentMethod: {token: \\"tok_visa\\"}}) '
        "{ payment { id status } errors { code message } } }\"}'"
    )
    _say("")
    _say("A demo buyer pays five times a second. Watch it in another terminal:")
    _say("  .venv/bin/payengine watch        (Ctrl-C stops the server)")
