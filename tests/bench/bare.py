"""What do Starlette and uvicorn cost alone?

The same server program, limits and loop, with nothing behind it: an echo over HTTP, and one text
sent at a rate to every WebSocket that is open.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Any

import uvicorn
import uvloop
from payengine_graphql.app import UVICORN_LIMITS
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

__all__ = ["application"]


def application(*, rate: float, size: int) -> Starlette:
    """`rate` texts a second of `size` bytes to every socket at /ws; POST /echo answers itself."""
    sockets: set[WebSocket] = set()
    sending: set[asyncio.Task[None]] = set()

    async def send() -> None:
        loop, text = asyncio.get_running_loop(), "x" * size
        due = loop.time()
        while sockets:
            due += 1 / rate
            await asyncio.sleep(max(due - loop.time(), 0))
            for socket in list(sockets):
                with suppress(WebSocketDisconnect, RuntimeError):
                    await socket.send_text(text)

    async def echo(request: Request) -> JSONResponse:
        return JSONResponse(await request.json())

    async def watch(socket: WebSocket) -> None:
        await socket.accept()
        sockets.add(socket)
        if len(sockets) == 1:
            task = asyncio.create_task(send())
            sending.add(task)
            task.add_done_callback(sending.discard)
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            pass
        finally:
            sockets.discard(socket)

    return Starlette(routes=[Route("/echo", echo, methods=["POST"]), WebSocketRoute("/ws", watch)])


def main() -> None:
    """Serve on the port, at the rate and size that the arguments name."""
    port, rate, size = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    limits: dict[str, Any] = dict(UVICORN_LIMITS)
    config = uvicorn.Config(
        application(rate=rate, size=size), port=port, log_level="warning", **limits
    )
    uvloop.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
