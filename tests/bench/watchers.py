"""How soon, and how completely, do subscribers hear? A process of its own, like the load.

It reads a job from standard input, prints `ready` when all subscribe, and a result at the end. With
`cuts` each connection is dropped after a few events and comes back with its last cursor.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
import time
from collections import Counter
from datetime import datetime

import msgspec
import uvloop

from tests.bench.documents import FEED
from tests.bench.figures import Cut, cpu_seconds, cut_of, resume_faults
from tests.bench.frames import Listening
from tests.bench.wire import say, until

__all__ = ["Heard", "WatchJob"]

_OCCURRED = re.compile(rb'"occurredAt":"([^"]+)"')
_POSITION = re.compile(rb'"position":"?(\d+)')
_CURSOR = re.compile(rb'"cursor":"([^"]+)"')
_OPEN_AT_ONCE = 20
_SETTLE_S = 1.5
_OPEN_S = 30.0
_LONGEST_S = 120.0


class WatchJob(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to be: a subscriber for each key, or on the bare server for each empty one."""

    port: int
    pid: int
    keys: list[str]
    seconds: float
    path: str = "/graphql"
    cuts: int = 0


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What came. `latency` counts from the instant that the event itself names, which lies before
    its commit: what it says is an upper bound of commit to client."""

    subscribers: int
    refused: int
    reasons: dict[str, int]
    delivered: int
    seconds: float
    latency: Cut
    cpu_s: float
    bytes_each: float
    cuts: int = 0
    resyncs: int = 0
    gaps: int = 0
    duplicates: int = 0


class _Subscriber:
    """One who watches, and comes back when it was cut off."""

    def __init__(self, watchers: _Watchers, key: str) -> None:
        self._watchers = watchers
        self.key = key
        self.positions: list[int] = []
        self._cursor: str | None = None
        self._line: Listening | None = None
        self._is_cut = False
        self._until_cut = random.randint(3, 12)

    async def connect(self) -> None:
        """Open a connection; the rest follows by itself."""
        subprotocol = "graphql-transport-ws" if self.key else ""
        job = self._watchers.job
        await asyncio.get_running_loop().create_connection(
            lambda: Listening(job.path, subprotocol, self._opened, self._heard, self._ended),
            "127.0.0.1",
            job.port,
        )

    def _opened(self, line: Listening) -> None:
        self._line = line
        if not self.key:
            self._watchers.begun(self)
            return
        payload = {"authorization": f"Bearer {self.key}"}
        line.say(msgspec.json.encode({"type": "connection_init", "payload": payload}))

    def _heard(self, text: bytes) -> None:
        if b'"payload":{"data"' in text or not self.key:
            self._watchers.note(text)
            if self._watchers.job.cuts:
                self._remember(text)
            return
        kind = msgspec.json.decode(text)["type"]
        if kind == "connection_ack":
            self._subscribe()
        elif kind == "ping" and self._line is not None:
            self._line.say(b'{"type":"pong"}')
        elif kind in ("error", "complete"):
            self._watchers.refuse(text[:200].decode(errors="replace"), self)

    def _subscribe(self) -> None:
        assert self._line is not None
        payload = {"query": FEED, "variables": {"after": self._cursor}}
        self._line.say(msgspec.json.encode({"id": "1", "type": "subscribe", "payload": payload}))
        self._watchers.begun(self)

    def _remember(self, text: bytes) -> None:
        cursor, position = _CURSOR.search(text), _POSITION.search(text)
        if cursor is None or position is None or b'"resync":true' in text:
            self._watchers.resyncs += 1
            return
        self._cursor = cursor[1].decode()
        self.positions.append(int(position[1]))
        self._until_cut -= 1
        if self._until_cut <= 0 and self._watchers.may_cut():
            self._until_cut = random.randint(3, 12)
            self._is_cut = True
            assert self._line is not None
            self._line.cut()

    def _ended(self, reason: str) -> None:
        if self._is_cut:
            self._is_cut = False
            self._watchers.again(self)
        elif not self._watchers.is_over:
            self._watchers.refuse(reason or "dropped", self)
            if self._watchers.job.cuts and self.positions:
                self._watchers.again(self)


class _Watchers:
    """All of them."""

    def __init__(self, job: WatchJob) -> None:
        self.job = job
        self.is_over = False
        self.resyncs = 0
        self._cuts = 0
        self._all = [_Subscriber(self, key) for key in job.keys]
        self._begun: set[_Subscriber] = set()
        self._gone: set[_Subscriber] = set()
        self._reasons: Counter[str] = Counter()
        self._latencies: list[float] = []
        self._delivered = self._bytes = 0
        self._instants: dict[bytes, float] = {}
        self._coming_back: set[asyncio.Task[None]] = set()

    async def run(self) -> Heard:
        """Subscribe, say so, listen."""
        for at in range(0, len(self._all), _OPEN_AT_ONCE):
            await asyncio.gather(*(each.connect() for each in self._all[at : at + _OPEN_AT_ONCE]))
        await until(lambda: len(self._begun | self._gone) == len(self._all), seconds=_OPEN_S)
        await asyncio.sleep(_SETTLE_S)
        subscribers = len(self._begun - self._gone)
        say("ready")
        self._latencies.clear()
        self._delivered = self._bytes = 0
        before, began = cpu_seconds(self.job.pid), time.perf_counter()
        await asyncio.sleep(self.job.seconds)
        after, took = cpu_seconds(self.job.pid), time.perf_counter() - began
        delivered, size = self._delivered, self._bytes
        if self.job.cuts:
            await self._until_cut_enough()
        self.is_over = True
        gaps, duplicates = self._faults()
        return Heard(
            subscribers=subscribers,
            refused=len(self._all) - subscribers,
            reasons=dict(self._reasons.most_common(3)),
            delivered=delivered,
            seconds=took,
            latency=cut_of(self._latencies),
            cpu_s=after.total - before.total,
            bytes_each=size / max(delivered, 1),
            cuts=self._cuts,
            resyncs=self.resyncs,
            gaps=gaps,
            duplicates=duplicates,
        )

    async def _until_cut_enough(self) -> None:
        """Go on until all cuts were made, then until nothing has come for a while."""
        await until(lambda: self._cuts >= self.job.cuts, seconds=_LONGEST_S)
        say("enough")
        heard = -1
        while heard != self._delivered:
            heard = self._delivered
            await asyncio.sleep(2 * _SETTLE_S)

    def _faults(self) -> tuple[int, int]:
        """Everybody of a tenant must have heard its events to the same last one."""
        last: dict[str, int] = {}
        for each in self._all:
            if each.positions:
                last[each.key] = max(last.get(each.key, 0), max(each.positions))
        found = [resume_faults(each.positions, last=last.get(each.key, 0)) for each in self._all]
        silent = sum(not each.positions for each in self._all) if self.job.cuts else 0
        return sum(gaps for gaps, _ in found) + silent, sum(again for _, again in found)

    def begun(self, subscriber: _Subscriber) -> None:
        """It has subscribed, for the first time or once more."""
        self._begun.add(subscriber)
        self._gone.discard(subscriber)

    def refuse(self, reason: str, subscriber: _Subscriber) -> None:
        """The server would not, or would no longer."""
        self._reasons[reason] += 1
        self._gone.add(subscriber)

    def may_cut(self) -> bool:
        """Whether one more cut is wanted; if so it is counted."""
        if self._cuts >= self.job.cuts:
            return False
        self._cuts += 1
        return True

    def again(self, subscriber: _Subscriber) -> None:
        """Let it come back."""
        task = asyncio.create_task(subscriber.connect())
        self._coming_back.add(task)
        task.add_done_callback(self._coming_back.discard)

    def note(self, text: bytes) -> None:
        """An event was delivered to one subscriber."""
        now = time.time()
        self._delivered += 1
        self._bytes += len(text)
        found = _OCCURRED.search(text)
        if found is None or b'"payment.captured"' not in text:
            return
        instant = self._instants.get(found[1])
        if instant is None:
            instant = datetime.fromisoformat(found[1].decode()).timestamp()
            self._instants[found[1]] = instant
        self._latencies.append(now - instant)


def main() -> None:
    """Read a job as JSON from standard input and print its result as JSON."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=WatchJob)

    async def work() -> Heard:
        return await _Watchers(job).run()

    say(msgspec.json.encode(uvloop.run(work())).decode())


if __name__ == "__main__":
    main()
