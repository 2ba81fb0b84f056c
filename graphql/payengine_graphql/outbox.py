"""What waits for one reader, and for how long?

Each connection has one outbox, bounded in number and in bytes. A reader that keeps up costs one
write: nothing is queued and no task is woken for it.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import cached_property

from payengine_graphql.transport import SocketLine

__all__ = ["Outbox", "Parcel"]

_MOST_MESSAGES = 256
_MOST_BYTES = 32 * 1024
_TEXT_FRAME = 0x81  # RFC 6455, 5.2: the last frame of a text message; a server's is not masked


class Parcel:
    """Messages that go to many readers: what can be made once is made once."""

    def __init__(self, messages: list[bytes]) -> None:
        self.messages = messages

    @cached_property
    def size(self) -> int:
        """Bytes of all messages."""
        return sum(map(len, self.messages))

    @cached_property
    def frames(self) -> bytes:
        """The messages as WebSocket frames, one behind the other."""
        return b"".join(part for each in self.messages for part in (_head(len(each)), each))


def _head(length: int) -> bytes:
    if length < 126:
        return struct.pack("!BB", _TEXT_FRAME, length)
    if length < 65_536:
        return struct.pack("!BBH", _TEXT_FRAME, 126, length)
    return struct.pack("!BBQ", _TEXT_FRAME, 127, length)


class Outbox:
    """What waits for one reader; `send` takes one message and waits while the reader is behind."""

    def __init__(
        self, send: Callable[[bytes], Awaitable[None]], *, line: SocketLine | None = None
    ) -> None:
        self._send = send
        self._line = line
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._sending_since: float | None = None

    @property
    def waiting_bytes(self) -> int:
        """How much waits here; what the transport holds comes on top."""
        return self._bytes

    def stalled_s(self) -> float:
        """For how many seconds the reader has not taken one message."""
        return time.monotonic() - self._sending_since if self._sending_since else 0.0

    def offer(self, parcel: Parcel) -> bool:
        """Send or queue; False, and nothing done, where no more may wait."""
        if self._sending_since is None and not self._waiting:
            if self._line is not None and self._line.write(parcel.frames):
                return True
        elif not self._has_room.is_set():
            return False
        self._queue(parcel.messages)
        return True

    @property
    def is_full(self) -> bool:
        """Whether nothing more may wait."""
        return not self._has_room.is_set()

    async def room(self) -> None:
        """Wait until there is room."""
        await self._has_room.wait()

    async def put(self, message: bytes) -> None:
        """Queue one message as soon as there is room."""
        await self._has_room.wait()
        self._queue([message])

    def _queue(self, messages: list[bytes]) -> None:
        self._waiting.extend(messages)
        self._bytes += sum(map(len, messages))
        if len(self._waiting) >= _MOST_MESSAGES or self._bytes >= _MOST_BYTES:
            self._has_room.clear()
        self._is_idle.clear()
        self._filled.set()

    async def run(self, *, idle: bytes, every_s: float) -> None:
        """Send what waits, for ever; `idle` goes out where nothing has waited for so long."""
        while True:
            if not self._waiting:
                self._filled.clear()
                try:
                    async with asyncio.timeout(every_s):
                        await self._filled.wait()
                except TimeoutError:
                    self._queue([idle])
            await self._send_waiting()

    async def _send_waiting(self) -> None:
        while self._waiting:
            message = self._waiting.popleft()
            self._bytes -= len(message)
            if len(self._waiting) < _MOST_MESSAGES and self._bytes < _MOST_BYTES:
                self._has_room.set()
            self._sending_since = time.monotonic()
            if self._line is None:
                await self._send(message)
            else:
                frames = Parcel([message]).frames
                while not self._line.write(frames):
                    await self._line.drain()
            self._sending_since = None
        self._is_idle.set()

    async def empty(self) -> None:
        """Wait until everything has been handed to the transport."""
        await self._is_idle.wait()
