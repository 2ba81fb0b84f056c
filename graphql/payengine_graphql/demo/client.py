"""How does somebody outside talk to the API?

A client as any tenant would write it: HTTP, an API key, GraphQL documents. The standard library's
connections are kept open and used in threads, which costs a tenth of what an asynchronous client
does; whoever shares two cores with the server notices.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import msgspec
from payengine.errors import EnvironmentProblem

__all__ = ["Client"]

_TIMEOUT_S = 30.0


class Client:
    """One server, over a bounded number of kept connections."""

    def __init__(self, url: str, *, connections: int) -> None:
        self._url = url
        self._idle = [_connection(url) for _ in range(connections)]
        self._all = tuple(self._idle)
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="client")

    async def close(self) -> None:
        """Let go of the connections, also of those that wait for an answer."""
        for connection in self._all:
            with contextlib.suppress(OSError):
                if connection.sock is not None:
                    connection.sock.shutdown(socket.SHUT_RDWR)
        self._threads.shutdown(wait=True, cancel_futures=True)
        for connection in self._all:
            connection.close()

    async def ask(self, key: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Run a document; raises `EnvironmentProblem` where the server is away or refuses."""
        body = msgspec.json.encode({"query": query, "variables": variables})
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._threads, self._post, key, body)
        if answer.get("errors"):
            raise EnvironmentProblem(f"The server refused: {answer['errors'][0]['message']}")
        data: dict[str, Any] = answer["data"]
        return data

    def _post(self, key: str, body: bytes) -> dict[str, Any]:
        connection = self._idle.pop()  # there are as many threads as connections
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        try:
            connection.request("POST", "/graphql", body, headers)
            answer: dict[str, Any] = msgspec.json.decode(connection.getresponse().read())
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as failure:
            connection.close()
            if isinstance(failure, ConnectionRefusedError):
                raise EnvironmentProblem(
                    f"No server answers at {self._url}. Start one with `make run` or "
                    "`payengine serve`, or name it with --url."
                ) from None
            raise EnvironmentProblem(f"{self._url} gave no answer: {failure!r}") from None
        finally:
            self._idle.append(connection)
        return answer


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EnvironmentProblem(f"{url} is no address of a server: it begins with http://.")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname, parts.port, timeout=_TIMEOUT_S)
