"""How does the server hold under load? A process of its own: it reads a job, prints a result.

A closed loop: each connection asks again when it is answered. What is answered between the end of
the warm-up and the end of the window counts.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import re
import sys
import time
from collections import defaultdict
from typing import Any

import msgspec
import uvloop

from tests.bench.documents import ONE, PAGE, PAY
from tests.bench.figures import Cut, cpu_seconds, cut_of, median, waits_of
from tests.bench.wire import Asking, body_of, request, say

__all__ = ["Job", "Result", "Shop"]

_PAYMENT = re.compile(rb'"id":"(pay_\w+)"')
_PATIENCE_S = 30.0
#: So many named buyers has a shop: each pays once or twice in a window, and no rule minds that.
_BUYERS = 400


class Shop(msgspec.Struct, frozen=True):
    """A tenant's key, and customers to pay as."""

    key: str
    customers: list[str] = []


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask of whom. `kinds` is a cycle of what `_Load` knows how to make.

    They are: pay, pay_customer, pay_known, payment, page, echo. `pay_known` names a buyer by card
    and device, one of few.
    """

    port: int
    pid: int
    concurrency: int
    seconds: float
    warm_up: float
    shops: list[Shop] = []
    kinds: list[str]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. Times in milliseconds; CPU is the server process's, for one request."""

    rps: float
    latency: Cut
    by_kind: dict[str, Cut]
    cpu_ms: float
    cpu_s: float
    cpu_system_share: float
    own: Cut
    gateway_ms: float
    commit_ms: float
    statements: float
    most_statements: int
    commits: float
    #: Of the median request; the means above also have what is read anew every few seconds.
    usual_statements: int
    usual_commits: int
    answered: int
    sent: int
    bad: int
    sample: str


class _Load:
    """One run of a job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._count = itertools.count()
        self._run = f"{time.time_ns():x}"
        self._first = random.randrange(_BUYERS)
        self._bodies = {"page": body_of(PAGE), "echo": b'{"echo":"%s"}' % (b"x" * 200)}
        self._known: dict[str, str] = {}
        self._latencies: dict[str, list[float]] = defaultdict(list)
        self._own: list[float] = []
        self._sums = [0.0, 0.0, 0.0, 0.0]
        self._counts: dict[str, list[float]] = {"statements": [], "commits": []}
        self._timed = 0
        self._left = job.concurrency
        self._over = asyncio.Event()
        self._counting = self._stopping = False
        self.sent = self.bad = 0
        self.sample = ""

    async def run(self) -> Result:
        """Warm up, measure, end."""
        job, loop = self._job, asyncio.get_running_loop()
        for _ in range(job.concurrency):
            await loop.create_connection(self._connection, "127.0.0.1", job.port)
        await asyncio.sleep(job.warm_up)
        self._counting = True
        before, began = cpu_seconds(job.pid), time.perf_counter()
        await asyncio.sleep(job.seconds)
        self._counting = False
        after, took = cpu_seconds(job.pid), time.perf_counter() - began
        self._stopping = True
        await asyncio.wait_for(self._over.wait(), _PATIENCE_S)
        everything = [each for kind in self._latencies.values() for each in kind]
        answered, timed = max(len(everything), 1), max(self._timed, 1)
        cpu = after.total - before.total
        return Result(
            rps=len(everything) / took,
            latency=cut_of(everything),
            by_kind={kind: cut_of(each) for kind, each in self._latencies.items()},
            cpu_ms=cpu / answered * 1e3,
            cpu_s=cpu,
            cpu_system_share=(after.system - before.system) / cpu if cpu else 0.0,
            own=cut_of(self._own),
            gateway_ms=self._sums[0] / timed * 1e3,
            commit_ms=self._sums[1] / timed * 1e3,
            statements=self._sums[2] / timed,
            most_statements=int(max(self._counts["statements"], default=0)),
            usual_statements=int(median(self._counts["statements"])),
            usual_commits=int(median(self._counts["commits"])),
            commits=self._sums[3] / timed,
            answered=len(everything),
            sent=self.sent,
            bad=self.bad,
            sample=self.sample,
        )

    def _connection(self) -> Asking:
        kind, shop, began = "", Shop(""), 0.0

        def next_request() -> bytes | None:
            nonlocal kind, shop, began
            if self._stopping:
                return None
            number = next(self._count)
            turn, place = divmod(number, len(self._job.kinds))
            kind = self._job.kinds[place]
            shops = self._job.shops
            # Each shop gets each kind, and neighbours go to different shops.
            shop = shops[(turn + place) % len(shops)] if shops else shop
            made = self._made(kind, shop, number)
            self.sent += 1
            began = time.perf_counter()
            return made

        def answered(head: bytes, body: bytes) -> None:
            self._note(kind, shop, time.perf_counter() - began, head, body)

        return Asking(next_request, answered, self._lost)

    def _made(self, kind: str, shop: Shop, number: int) -> bytes:
        if kind == "echo":
            return request("/echo", self._bodies["echo"])
        if kind == "page":
            return request("/graphql", self._bodies["page"], key=shop.key)
        if kind == "payment" and shop.key in self._known:
            return request("/graphql", body_of(ONE, {"id": self._known[shop.key]}), key=shop.key)
        given: dict[str, Any] = {
            "idempotencyKey": f"{self._run}-{number}",
            "amount": {"amountMinor": 1_000 + number % 5_000, "currency": "EUR"},
            "paymentMethod": {"token": "tok_visa"},
        }
        if kind == "pay_customer" and shop.customers:
            given["customerId"] = shop.customers[number % len(shop.customers)]
        if kind == "pay_known":
            buyer = (self._first + number // len(self._job.shops)) % _BUYERS
            given["fraud"] = {"cardFingerprint": f"card-{buyer}", "device": f"device-{buyer}"}
        return request("/graphql", body_of(PAY, {"input": given}), key=shop.key)

    def _note(self, kind: str, shop: Shop, took: float, head: bytes, body: bytes) -> None:
        is_good = head.startswith(b"HTTP/1.1 200")
        if kind.startswith("pay") and is_good:
            is_good = b'"CAPTURED"' in body
            found = _PAYMENT.search(body)
            if found is not None:
                self._known[shop.key] = found[1].decode()
        if not is_good or b'"errors":[{' in body:
            self.bad += 1
            self.sample = body[:500].decode(errors="replace")
        if not self._counting:
            return
        self._latencies[kind].append(took)
        waits = waits_of(head)
        if waits is not None:
            self._timed += 1
            self._own.append(took - waits.gateway_s - waits.commit_s)
            self._counts["statements"].append(waits.statements)
            self._counts["commits"].append(waits.commits)
            for at, value in enumerate(waits):
                self._sums[at] += value

    def _lost(self, is_owed: bool) -> None:
        self.bad += is_owed
        self._left -= 1
        if not self._left:
            self._over.set()


def main() -> None:
    """Read a job as JSON from standard input and print its result as JSON."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)

    async def work() -> Result:
        return await _Load(job).run()

    say(msgspec.json.encode(uvloop.run(work())).decode())


if __name__ == "__main__":
    main()
