"""Those who know the same buyer go one after the other."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from payengine.payments.turns import Name, Turns

_TENANT, _OTHER = uuid.uuid4(), uuid.uuid4()
_CARD: Name = (_TENANT, "card", "one")


async def _most_at_once(*each: set[Name]) -> int:
    """How many were let through at the same time, at most."""
    turns, now, most = Turns(), 0, 0

    async def one(names: set[Name]) -> None:
        nonlocal now, most
        async with turns.of(names):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.wait_for(asyncio.gather(*map(one, each)), 30)
    return most


async def test_one_name_in_common_is_enough_to_wait() -> None:
    known = [{_CARD, (_TENANT, "ip", str(number))} for number in range(20)]
    assert await _most_at_once(*known) == 1


@pytest.mark.parametrize(
    "other",
    [set(), {(_TENANT, "card", "two")}, {(_TENANT, "ip", "one")}, {(_OTHER, "card", "one")}],
)
async def test_others_do_not_wait(other: set[Name]) -> None:
    assert await _most_at_once({_CARD}, other) == 2


async def test_who_fails_or_goes_away_lets_the_next_one_through() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="no"):
        async with turns.of({_CARD}):
            raise ValueError("no")
    first = asyncio.Event()

    async def waits() -> None:
        async with turns.of({_CARD}):
            first.set()
            await asyncio.sleep(30)

    holder, waiter = asyncio.create_task(waits()), asyncio.create_task(waits())
    await first.wait()
    waiter.cancel()
    holder.cancel()
    await asyncio.gather(holder, waiter, return_exceptions=True)
    async with asyncio.timeout(30), turns.of({_CARD}):
        pass
