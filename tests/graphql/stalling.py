"""Clients in these tests that do the least: they open a socket, subscribe, and read or do not."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import Sequence
from urllib.parse import urlsplit

__all__ = ["RawSocket", "open_sockets", "resident_bytes"]

_HANDSHAKE = (
    "GET /graphql HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Protocol: graphql-transport-ws\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class RawSocket:
    """A connected socket that has subscribed; the kernel keeps little for it."""

    def __init__(self, connected: socket.socket) -> None:
        self.connected = connected

    async def say(self, **message: object) -> None:
        """Send a message in a masked frame (RFC 6455, 5.3); the mask is zero."""
        body = json.dumps(message).encode()
        assert 126 <= len(body) < 65_536 or len(body) < 126
        head = (
            struct.pack("!BB", 0x81, 0x80 | len(body))
            if len(body) < 126
            else struct.pack("!BBH", 0x81, 0xFE, len(body))
        )
        await asyncio.get_running_loop().sock_sendall(self.connected, head + b"\0" * 4 + body)

    async def hear(self, most: int = 65_536) -> bytes:
        """What has arrived; empty where the connection is closed, also where it is cut off."""
        try:
            return await asyncio.get_running_loop().sock_recv(self.connected, most)
        except ConnectionError:
            return b""


async def open_sockets(
    url: str, secret: str, queries: Sequence[str], *, receives: int
) -> list[RawSocket]:
    """One socket for each query; each is given `receives` bytes of room by the kernel."""
    loop = asyncio.get_running_loop()
    place = urlsplit(url)
    opened = []
    for number, query in enumerate(queries):
        connected = socket.socket()
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        connected.setblocking(False)
        await loop.sock_connect(connected, (place.hostname, place.port))
        await loop.sock_sendall(connected, _HANDSHAKE.encode())
        raw = RawSocket(connected)
        assert b" 101 " in await raw.hear()
        await raw.say(type="connection_init", payload={"authorization": f"Bearer {secret}"})
        assert b"connection_ack" in await raw.hear()
        name = f"subscription-{number:04}"
        await raw.say(id=name, type="subscribe", payload={"query": query})
        opened.append(raw)
    return opened


def resident_bytes() -> int:
    """This process's memory."""
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
