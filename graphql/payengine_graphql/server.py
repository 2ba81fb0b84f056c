"""How does the server come up, and how does it go down?

The port is taken first, because that is what fails most often; then the database and Valkey are
started or joined, the tables brought to the newest shape, and the API answers. SIGINT and SIGTERM
drain: what is under way is finished, then everything is let go. A second signal does not wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn
import uvloop
from payengine.engine import running_engine
from payengine.errors import EnvironmentProblem
from payengine.settings import Settings

from payengine_graphql.app import create_app
from payengine_graphql.demo.buyer import replay
from payengine_graphql.demo.tenants import DemoTenant, ensure_demo_tenants

__all__ = ["run"]

_BACKLOG = 1_024
_DRAIN_S = 10
_MOST_FRAME_BYTES = 64 * 1024
_DEMO_RATE = 5.0


class _Server(uvicorn.Server):
    """uvicorn, with the signals in our hands: a drained server is a success."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answering = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answering.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked_to_stop)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _asked_to_stop(self) -> None:
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True


def run(settings: Settings, *, demo: bool) -> int:
    """Serve until a signal; 0 after a drain."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, demo=demo))
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
    with contextlib.closing(_listen(settings)) as listener:
        port = listener.getsockname()[1]
        url = f"http://{settings.host}:{port}"
        # Where plugins tell buyers to go: the address that is served, unless a proxy stands before.
        os.environ.setdefault("PAYENGINE_PUBLIC_URL", url)
        _say("starting PostgreSQL and Valkey …")
        async with running_engine(settings) as engine:
            for plugin in engine.registry.plugins():
                if plugin.status != "ready":
                    _say(f"plugin {plugin.name} was refused: {plugin.reason}")
            server = _Server(
                uvicorn.Config(
                    create_app(engine, settings),
                    log_level="warning",
                    access_log=False,
                    server_header=False,
                    timeout_graceful_shutdown=_DRAIN_S,
                    ws_max_size=_MOST_FRAME_BYTES,
                    ws_per_message_deflate=False,
                    lifespan="on",
                )
            )
            tenants = await ensure_demo_tenants(engine.database, settings) if demo else []
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            await asyncio.wait(
                [serving, asyncio.create_task(server.answering.wait())],
                return_when=asyncio.FIRST_COMPLETED,
            )
            print(f"ready {url}", flush=True)
            buyer = None
            if demo:
                _introduce(url, tenants)
                buyer = asyncio.create_task(replay(url, tenants, rate=_DEMO_RATE))
            await serving
            if buyer is not None:
                buyer.cancel()
                await asyncio.gather(buyer, return_exceptions=True)
            _say("draining …")
    _say("stopped; the data is kept")


def _say(text: str) -> None:
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
