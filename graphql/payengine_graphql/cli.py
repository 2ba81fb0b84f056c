"""How is the platform started and watched?

The commands that `payengine` gains with this distribution. Imports are lazy: `--help` is quick.
"""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["demo", "serve", "watch"]

_Home = Annotated[Path | None, Parameter(help="The data folder; by default PAYENGINE_HOME.")]


def serve(
    *,
    port: int | None = None,
    host: str | None = None,
    home: _Home = None,
    demo: Annotated[bool, Parameter(negative="")] = False,
    no_worker: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Serve the GraphQL API; prints `ready http://HOST:PORT` when it answers.

    Parameters
    ----------
    port
        The port; by default PAYENGINE_PORT, else 8000; 0 takes a free one.
    host
        The address to listen on; by default 127.0.0.1.
    demo
        Make three demo tenants and let a buyer replay card purchases through the API.
    no_worker
        Leave what goes on in the background to `payengine worker`, which must run then.
    """
    gc.disable()  # until it serves: what is loaded stays, and looking through it takes a sixth
    from payengine.settings import Settings

    from payengine_graphql.server import run

    settings = Settings.from_environment(
        home=home, port=port, host=host, background=False if no_worker else None
    )
    return run(settings, demo=demo)


def demo(
    *,
    count: int = 1_000,
    rate: str = "max",
    concurrency: int = 32,
    url: str | None = None,
    home: _Home = None,
) -> int:
    """Replay card purchases through the public API of a running server; ends when done.

    Parameters
    ----------
    count
        How many purchases; the data has 20,000 and begins anew after them.
    rate
        Purchases a second, or `max`.
    concurrency
        How many are under way at once.
    url
        The server; by default the one on PAYENGINE_PORT.
    """
    import uvloop
    from payengine.settings import Settings

    from payengine_graphql.demo.command import run

    settings = Settings.from_environment(home=home)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(settings, count=count, rate=rate, concurrency=concurrency, url=url))


def watch(
    *,
    key: Annotated[str | None, Parameter(env_var="PAYENGINE_API_KEY")] = None,
    url: str | None = None,
    home: _Home = None,
    plain: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Watch payments as they happen; a client of the live subscription like any other.

    Parameters
    ----------
    key
        An API key; by default the demo tenants' keys.
    url
        The server; by default the one on PAYENGINE_PORT.
    plain
        One line for each event, as where the output is no terminal.
    """
    from payengine.settings import Settings

    from payengine_graphql.watch import run

    settings = Settings.from_environment(home=home)
    return asyncio.run(run(settings, key=key, url=url, plain=plain))
