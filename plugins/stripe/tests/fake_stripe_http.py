"""How does the fake speak HTTP, and break it on command?

A small HTTP/1.1 server of its own, because it must be able to do what a framework prevents: close a
connection in the middle, or never answer.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["Answer", "Hang", "Request", "Reset", "form", "serve"]

_LARGEST = 10 * 1024 * 1024
_PART = re.compile(r"\[([^\]]*)\]")
_REASONS = {200: "OK", 303: "See Other", 400: "Bad Request", 402: "Payment Required"}


class Reset(Exception):
    """Close the connection without an answer."""


class Hang(Exception):
    """Never answer."""


@dataclass(frozen=True)
class Request:
    """A request as it came; header names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """An answer: JSON, or a text of the type `kind`."""

    status: int = 200
    content: Any = None
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def spell(self) -> bytes:
        """The bytes that go out."""
        text = json.dumps(self.content) if self.kind == "application/json" else str(self.content)
        body = text.encode()
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Answer')}"]
        named = {"Content-Type": self.kind, "Content-Length": str(len(body)), **self.headers}
        lines += [f"{name}: {value}" for name, value in named.items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def form(text: str) -> dict[str, Any]:
    """Parameters in Stripe's spelling: `a[b]=1`, `a[0]=1` and `a[]=1` nest."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head = name.partition("[")[0]
        path = [head, *_PART.findall(name[len(head) :])]
        at = found
        for part in path[:-1]:
            at = at.setdefault(part, {})
        at[path[-1] or str(len(at))] = value
    return {name: _listed(value) for name, value in found.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(name.isdigit() for name in value):
        return [_listed(each) for each in value.values()]
    return {name: _listed(each) for name, each in value.items()}


async def serve(
    handle: Callable[[Request], Awaitable[Answer]], *, host: str, port: int
) -> asyncio.Server:
    """Listen; each connection answers one request after the other."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await _read(reader)
                if request is None:
                    break
                try:
                    answer = await handle(request)
                except Hang:
                    await reader.read()  # until the caller gives up
                    break
                writer.write(answer.spell())
                await writer.drain()
        except (Reset, ConnectionError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            writer.close()

    return await asyncio.start_server(connected, host, port)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *rest = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in rest if ":" in line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = int(headers.get("content-length", "0"))
    if length > _LARGEST:
        raise Reset
    body = await reader.readexactly(length) if length else b""
    parts = urlsplit(target)
    return Request(method, unquote(parts.path), parts.query, headers, body)
