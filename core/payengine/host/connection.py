"""Which calls are out at a plugin host, and does it keep to the protocol?

One event loop's end of the socket. A host that answers what nobody asked, answers too much, says
nothing that can be read or does not let go of a call is killed, and what is out at it is lost.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import cast

import msgspec

from payengine.host.process import Process
from payengine.host.wire import HEAD, LARGEST_ANSWER, Ask, Told, decode, frame

__all__ = ["Connection", "HostLost"]

_IDLE_CHECK_S = 1.0
#: An idle host that uses most of a processor for so many checks in a row is killed.
_MOST_BUSY_CHECKS = 5
_BUSY = 0.8
_LET_GO = Ask("", "")


class HostLost(Exception):
    """The plugin host ended, or was ended, while the call was out."""


class Connection(asyncio.Protocol):
    """A running host as one event loop sees it. `ended` is told once, with the reason."""

    def __init__(
        self, process: Process, *, grace_s: float, ended: Callable[[Process, str], None]
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.is_open = True
        self.process = process
        self._grace_s = grace_s
        self._ended = ended
        self._numbers = itertools.count(1)
        self._out: dict[int, tuple[asyncio.Future[Told], int]] = {}
        self._given_up: dict[int, asyncio.TimerHandle] = {}
        self._held = bytearray()
        self._transport: asyncio.Transport | None = None
        self._check = self.loop.call_later(_IDLE_CHECK_S, self._check_idle, 0.0, 0)

    @property
    def in_flight(self) -> int:
        """The calls that have not ended, those that were given up included."""
        return len(self._out) + len(self._given_up)

    async def ask(self, ask: Ask, *, largest: int) -> Told:
        """What the host told; raises `HostLost`. Cancelled, it makes the host let go of it."""
        if self._transport is None or not self.is_open:
            raise HostLost("its process ended")
        number = next(self._numbers)
        told: asyncio.Future[Told] = self.loop.create_future()
        self._out[number] = (told, largest)
        self._transport.write(frame(number, ask))
        try:
            return await told
        except asyncio.CancelledError:
            self._give_up(number)
            raise

    def close(self, reason: str = "") -> None:
        """Let go of the host; with a reason it is killed for it."""
        if self.is_open:
            self.is_open = False
            self._finish(reason)

    # -- as the event loop calls it --------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Calls may go out."""
        # Another event loop's transports need not be asyncio's own class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take the frames that are whole."""
        self._held += data
        while self.is_open and len(self._held) >= HEAD.size:
            length, number = HEAD.unpack_from(self._held)
            if not self._is_due(number, length):
                return
            if len(self._held) < HEAD.size + length:
                return
            body = bytes(self._held[HEAD.size : HEAD.size + length])
            del self._held[: HEAD.size + length]
            self._take(number, body)

    def connection_lost(self, problem: Exception | None) -> None:
        """Its process has ended, or is about to."""
        if self.is_open:
            self.is_open = False
            self.process.is_lost = True
            waiting = self.loop.run_in_executor(None, self.process.wait_a_moment)
            waiting.add_done_callback(lambda _: self._finish(self.process.ending()))

    # -- inside ----------------------------------------------------------------------------------

    def _finish(self, reason: str) -> None:
        self._check.cancel()
        for timer in self._given_up.values():
            timer.cancel()
        self._given_up.clear()
        if reason:
            self.process.kill()
        if self._transport is not None:
            self._transport.abort()
        lost = HostLost(reason or "it was closed")
        for told, _ in self._out.values():
            if not told.done():
                told.set_exception(lost)
        self._out.clear()
        if reason:
            self._ended(self.process, reason)

    def _is_due(self, number: int, length: int) -> bool:
        if number in self._given_up:
            largest = LARGEST_ANSWER
        elif number in self._out:
            largest = self._out[number][1]
        else:
            self.close("it answered what nobody asked")
            return False
        if length > largest:
            self.close(f"it answered with {length} bytes")
            return False
        return True

    def _take(self, number: int, body: bytes) -> None:
        timer = self._given_up.pop(number, None)
        if timer is not None:
            timer.cancel()
            return
        told, _ = self._out.pop(number)
        try:
            read: Told = decode(body, Told)
        except msgspec.MsgspecError:
            self._out[number] = (told, 0)
            self.close("its answer cannot be read")
            return
        if not told.done():
            told.set_result(read)

    def _give_up(self, number: int) -> None:
        if self._out.pop(number, None) is None or not self.is_open or self._transport is None:
            return
        self._transport.write(frame(number, _LET_GO))
        self._given_up[number] = self.loop.call_later(
            self._grace_s, self.close, "it did not let go of a call at its deadline"
        )

    def _check_idle(self, before_s: float, busy: int) -> None:
        """A host that nobody asked for anything has nothing to compute."""
        now_s = self.process.seconds_of_cpu()
        burns = not self.in_flight and now_s - before_s > _BUSY * _IDLE_CHECK_S
        busy = busy + 1 if burns else 0
        if busy > _MOST_BUSY_CHECKS:
            self.close("it keeps a processor busy while nobody asks")
            return
        self._check = self.loop.call_later(_IDLE_CHECK_S, self._check_idle, now_s, busy)
