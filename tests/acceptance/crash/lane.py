"""How is one lane killed again and again?

Serve, let the program mend what the last death left, let buyers come, kill; and at the end let
everybody finish. Each death is noted with what it left open.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random

import httpx

from tests.acceptance.crash.buyers import Buyer
from tests.acceptance.crash.client import Client
from tests.acceptance.crash.clubs import Club
from tests.acceptance.crash.errands import ask_for_a_job, prepare
from tests.acceptance.crash.memory import Memory
from tests.acceptance.crash.options import DEADLINE_MS, GRACE_S, Options
from tests.acceptance.crash.reading import books_of, replayed, verified
from tests.acceptance.crash.reckoning import Figures, reckon, recoveries
from tests.acceptance.crash.schedule import ANY_MOMENT, Death, Kill
from tests.acceptance.crash.vendors import Market
from tests.acceptance.crash.world import CLOCKED, World

__all__ = ["Lane"]

#: How long recovery is waited for before buyers come: the lease, and what it may take beyond.
_RECOVERY_S = DEADLINE_MS / 1000 + GRACE_S + 2 * GRACE_S
#: A point that was not passed in so long a time under load counts as one that never fired.
_FIRES_WITHIN_S = 60.0
_MORE_BUYERS_AFTER_S = 2.0
_BUYERS_AT_ONCE = 16
#: Which shops divide what they are paid.
_MARKETS = slice(3, 5)
_LOOK_S = 0.1
#: Where nothing has come to its end for so long at the end, nothing will.
_STANDSTILL_S = 180.0
_MOST_WORDS = 20
_VIEWER = "{ viewer { __typename } }"


@dataclass
class Lane:
    """One world under its kills."""

    world: World
    kills: Sequence[Kill]
    number: int
    told: Callable[[], None]
    memory: Memory = field(default_factory=Memory)
    deaths: list[Death] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    serving_again_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._clubs: list[Club] = []
        self._markets: dict[str, Market] = {}
        self.client = Client(self.world.url, self.memory)
        self._buyers: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(_BUYERS_AT_ONCE)
        self._seats = asyncio.Semaphore(_BUYERS_AT_ONCE)
        self._died_at: float | None = None

    async def run(self) -> Figures:
        """Every kill, then peace until all buyers are done and nothing is open; then reckon."""
        try:
            await self.begin()
            for kill in self.kills:
                await self._once(kill)
                self.told()
            await self.finish()
            return await self.reckoned()
        finally:
            await self.aclose()

    async def begin(self) -> None:
        """Serve for the first time, and set up what the shops need."""
        assert await self._up("serve"), self.world.complaints[-5:]
        await prepare(self.world, self.client)
        self.client.gate.set()
        for number, shop in enumerate(self.world.clubs):
            chance = self._chance(f"club{number}")
            self._clubs.append(
                Club(self.client, self.memory, shop, chance, clocked=number == CLOCKED)
            )
        for number, shop in enumerate(self.world.shops[_MARKETS]):
            chance = self._chance(f"market{number}")
            self._markets[shop.tenant_id] = Market(self.client, self.memory, shop, chance)
        self.world.markets.update(self._markets)
        await asyncio.gather(*(each.open() for each in self._guests()))

    def _guests(self) -> list[Club | Market]:
        return [*self._clubs, *self._markets.values()]

    def _chance(self, what: str) -> Random:
        return Random(f"{self._options.seed}/{self.number}/{what}")

    async def aclose(self) -> None:
        """Send the buyers home."""
        for buyer in self._buyers:
            buyer.cancel()
        await asyncio.gather(*self._buyers, return_exceptions=True)
        await self.client.aclose()

    async def _once(self, kill: Kill) -> None:
        self.client.gate.clear()
        if await self._up(kill.target, kill.faults):
            dying = asyncio.ensure_future(self.world.died(kill.target))
            if kill.is_patient and self.deaths:
                await self._recovered(self.deaths[-1].left_open, dying)
            if not await self._under_load(kill, dying):
                self.silent.append(kill.point)
                kill = replace(kill, point=ANY_MOMENT)
            code = await dying
            if code != -signal.SIGKILL:
                said = self.world.complaints[-5:]
                self.memory.surprises.append(f"{kill.target} ended by itself, {code}: {said}")
        else:
            self.more_buyers(self._options.payments_per_kill)
        at = datetime.now(UTC)
        if kill.target == "serve":
            self._died_at = time.monotonic()
            self._tell(is_up=False)
        left_open = frozenset(await self.world.open_operations(timed=True))
        self.deaths.append(Death(point=kill.name, at=at, left_open=left_open))

    async def _up(self, victim: str, faults: str = "") -> bool:
        """Have every process running, and `victim` with its faults; False where it died at once.

        A victim that runs without them is stopped in good order first, as when it is replaced.
        """
        if faults and victim in self.world.programs:
            self.world.send(victim, signal.SIGTERM)
            if victim == "serve":
                self._tell(is_up=False)
            await self.world.died(victim)
        lives = True
        for name in ("serve", "worker") if self.world.has_worker else ("serve",):
            if name in self.world.programs:
                continue
            begun = await self.world.begin(name, faults if name == victim else "")
            lives = lives and begun
            if name == "serve" and begun:
                await self._answering()
        return lives

    async def _answering(self) -> None:
        with contextlib.suppress(httpx.HTTPError):  # else it died again; who awaits that will see
            await self.client.once(self.world.shops[0].api_key, _VIEWER)
            self._tell(is_up=True)
            if self._died_at is not None:
                self.serving_again_s.append(time.monotonic() - self._died_at)
        self._died_at = None

    def _tell(self, *, is_up: bool) -> None:
        for event in (self.client.up, self.world.post.up):
            if is_up:
                event.set()
            else:
                event.clear()
        if not is_up:
            self.client.gate.clear()

    async def _recovered(self, awaited: frozenset[str], dying: asyncio.Future[int]) -> None:
        """Leave the program alone until what the last death left open is settled."""
        give_up_at = time.monotonic() + _RECOVERY_S
        while not dying.done() and time.monotonic() < give_up_at:
            if len(await self.world.settled(set(awaited))) == len(awaited):
                return
            await asyncio.sleep(_LOOK_S)

    async def _under_load(self, kill: Kill, dying: asyncio.Future[int]) -> bool:
        """Let buyers come until the process dies; False where its point was never passed."""
        self.client.gate.set()
        self.more_buyers(self._options.payments_per_kill)
        if kill.point == ANY_MOMENT:
            await asyncio.wait([dying], timeout=kill.after_s)
            self.world.send(kill.target, signal.SIGKILL)
            return True
        give_up_at = time.monotonic() + _FIRES_WITHIN_S
        while not dying.done():
            if time.monotonic() > give_up_at:
                self.world.send(kill.target, signal.SIGKILL)
                return False
            if kill.point.startswith("job_"):
                await ask_for_a_job(self.world)
            await asyncio.wait([dying], timeout=_MORE_BUYERS_AFTER_S)
            if not dying.done():
                self.more_buyers(self._options.payments_per_kill)
        return True

    @property
    def _options(self) -> Options:
        return self.world.options

    def more_buyers(self, count: int) -> None:
        """Let `count` more buyers come, and a while pass in the clubs and markets."""
        for each in self._guests():
            self._come(each.come, self._seats)
        for _ in range(count):
            number = len(self.memory.bought)
            chance = self._chance(str(number))
            shop = self.world.shops[number % len(self.world.shops)]
            market = self._markets.get(shop.tenant_id)
            buyer = Buyer(
                self.client,
                self.memory,
                shop,
                number=number,
                chance=chance,
                split=None if market is None else market.split(chance),
            )
            self._come(buyer.run, self._places)

    def _come(self, run: Callable[[], Awaitable[None]], places: asyncio.Semaphore) -> None:
        async def in_turn() -> None:
            async with places:
                await run()

        task = asyncio.create_task(in_turn())
        self._buyers.add(task)
        task.add_done_callback(self._buyers.discard)

    async def finish(self) -> None:
        """Serve in peace until all is done, or all stands still."""
        assert await self._up("serve"), self.world.complaints[-5:]
        if self.deaths:
            await self._recovered(self.deaths[-1].left_open, _never())
        elif not self.memory.bought:
            self.more_buyers(self._options.payments_per_kill)
        self.client.gate.set()
        before, give_up_at = -1, 0.0
        while left := len(self._buyers) or await self._under_way():
            if left != before:
                before, give_up_at = left, time.monotonic() + _STANDSTILL_S
            if time.monotonic() > give_up_at:
                return
            await asyncio.sleep(_LOOK_S)

    async def _under_way(self) -> int:
        return self.world.post.carried + await self.world.unfinished()

    async def reckoned(self) -> Figures:
        """What the books say, compared with what was told; the program must be serving."""
        await replayed(self.client, self.memory)
        shelves = [await books_of(self.world, self.client, shop) for shop in self.world.tenants]
        figures = reckon(self.memory, shelves)
        broken = [*await verified(self.world), *self.world.post.refused]
        left_open = {name for death in self.deaths for name in death.left_open}
        settled = await self.world.settled(left_open)
        figures.broken = len(broken)
        figures.words += broken[:_MOST_WORDS]
        figures.unfinished += await self._under_way()
        figures.words += await self.world.stuck()
        figures.blind = self.world.tap.blind
        figures.exceeded = self.world.tap.exceeded
        figures.doubled += figures.exceeded
        figures.silent = len(self.silent)
        figures.words += [f"{point} never fired" for point in self.silent]
        figures.kills.update(death.point for death in self.deaths)
        figures.left_open = len(left_open)
        figures.recovery_s, figures.recovery_from_first_s = recoveries(self.deaths, settled)
        figures.serving_again_s = self.serving_again_s
        return figures


def _never() -> asyncio.Future[int]:
    return asyncio.get_running_loop().create_future()
