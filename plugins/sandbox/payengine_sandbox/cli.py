"""How is the sandbox started as a server of its own?"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

__all__ = ["app"]

app = App(name="sandbox", help="Serve the sandbox provider over HTTP.")

_GRACE_S = 1


@app.default
def serve(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))] = 8010,
    host: str = "127.0.0.1",
    data: Path = Path(".payengine"),
    seed: int = 0,
    error_before: int = 0,
    error_after: int = 0,
    hang_before: int = 0,
    hang_after: int = 0,
    late_success: int = 0,
    garbage: int = 0,
    webhook_url: str = "",
    webhook_secret: Annotated[str, Parameter(env_var="PAYENGINE_SANDBOX_WEBHOOK_SECRET")] = "",
) -> None:
    """Serve until interrupted; prints `ready http://HOST:PORT` when it answers.

    Parameters
    ----------
    port
        The port; 0 takes a free one.
    host
        The address to listen on.
    data
        The folder of the books, `sandbox.sqlite3`.
    seed
        The seed of the chaos.
    error_before
        Of a thousand calls, how many fail with nothing done.
    error_after
        Of a thousand calls, how many are done and then fail.
    hang_before
        Of a thousand calls, how many are never answered, with nothing done.
    hang_after
        Of a thousand calls, how many are done and never answered.
    late_success
        Of a thousand calls, how many succeed a moment later.
    garbage
        Of a thousand calls, how many are done and answered with nonsense.
    webhook_url
        Where webhooks go for accounts that set no address of their own.
    webhook_secret
        The secret that signs them.
    """
    from payengine.errors import EnvironmentProblem, PayengineError

    given: dict[str, Any] = {
        "seed": seed,
        "error_before": error_before,
        "error_after": error_after,
        "hang_before": hang_before,
        "hang_after": hang_after,
        "late_success": late_success,
        "garbage": garbage,
        "webhook_url": webhook_url,
        "webhook_secret": webhook_secret,
    }
    try:
        try:
            listener = socket.create_server((host, port), backlog=512)
        except OSError as refused:
            raise EnvironmentProblem(f"{host}:{port} cannot be listened on: {refused}") from None
        _run(listener, data, {name: value for name, value in given.items() if value})
    except PayengineError as problem:
        print(problem.message, file=sys.stderr)
        raise SystemExit(1) from None


def _run(listener: socket.socket, data: Path, defaults: dict[str, Any]) -> None:
    import uvicorn
    from payengine.plugin import parse_settings

    from payengine_sandbox.server import sandbox_app
    from payengine_sandbox.settings import SandboxSettings

    parse_settings(SandboxSettings, defaults)
    host, port = listener.getsockname()[:2]
    url = f"http://{host}:{port}"

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            print(f"ready {url}", flush=True)

    config = uvicorn.Config(
        sandbox_app(data / "sandbox.sqlite3", base_url=url, defaults=defaults),
        log_level="warning",
        timeout_graceful_shutdown=_GRACE_S,
        lifespan="on",
    )
    Server(config).run(sockets=[listener])
