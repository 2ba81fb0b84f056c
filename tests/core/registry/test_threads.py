"""Does a plain function that hangs leave the loop, and the other plugins, alone?"""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from payengine.registry.threads import Threads


async def test_what_it_returns_comes_back() -> None:
    threads = Threads()
    here = threading.current_thread()
    assert await threads.run("one", threading.current_thread, timeout_s=60) is not here


async def test_a_function_that_hangs_is_left_behind_and_the_loop_goes_on() -> None:
    threads, released = Threads(), threading.Event()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.005)

    ticking = asyncio.create_task(tick())
    hanging = asyncio.create_task(threads.run("one", released.wait, timeout_s=0.2))
    try:
        with pytest.raises(TimeoutError):
            await hanging
        hanging = asyncio.create_task(threads.run("one", released.wait, timeout_s=60))
        before = ticks
        async with asyncio.timeout(30):
            while ticks < before + 5:  # noqa: ASYNC110 - a number has no event
                await asyncio.sleep(0.005)
        assert not hanging.done()
    finally:
        ticking.cancel()
        released.set()
    assert await hanging


async def test_hanging_threads_keep_their_places_and_nobody_elses() -> None:
    threads, released = Threads(), threading.Event()
    hanging = [threads.run("bad", released.wait, timeout_s=0.1) for _ in range(8)]
    outcomes = await asyncio.gather(*hanging, return_exceptions=True)
    assert all(isinstance(each, TimeoutError) for each in outcomes)
    named = [each for each in threading.enumerate() if each.name == "plugin bad"]
    assert len(named) == 4
    assert all(each.daemon for each in named)
    with pytest.raises(TimeoutError):
        await threads.run("bad", lambda: 1, timeout_s=0.05)
    assert await threads.run("good", lambda: 1, timeout_s=60) == 1
    released.set()
    for each in named:
        await asyncio.to_thread(each.join, 60)
    assert await threads.run("bad", lambda: 1, timeout_s=60) == 1


async def test_many_wait_for_their_turn() -> None:
    threads = Threads()

    def work() -> int:
        time.sleep(0.002)
        return 1

    assert sum(await asyncio.gather(*(threads.run("one", work, timeout_s=60) for _ in range(50))))


async def test_who_is_cancelled_gives_the_place_back_when_the_thread_ends() -> None:
    threads, released = Threads(), threading.Event()
    running = [
        asyncio.create_task(threads.run("one", released.wait, timeout_s=60)) for _ in range(4)
    ]
    await asyncio.sleep(0.05)
    for each in running:
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    released.set()
    assert await threads.run("one", lambda: 1, timeout_s=60) == 1
