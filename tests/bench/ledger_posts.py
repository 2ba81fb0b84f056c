"""How does the bench post transfers, and how many a second?"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from payengine.ledger import Posting, fold_all, post, templates
from payengine.storage import Database, Session

__all__ = ["WORKERS", "Pace", "captures", "fold", "pace", "post_into", "post_one_by_one"]

#: How many post at once.
WORKERS = 32

_serial = itertools.count()


class Pace(NamedTuple):
    """How many transfers, in how many seconds."""

    transfers: int
    seconds: float

    @property
    def tps(self) -> float:
        """Transfers a second."""
        return self.transfers / self.seconds


def captures(merchants: Sequence[str], *, count: int = 1) -> list[Posting]:
    """As many captures that nobody posted before, into the merchants' accounts in turn."""
    names = [f"bench-{os.getpid()}-{next(_serial):09}" for _ in range(count)]
    return [
        templates.captured(
            operation_id=name,
            payment_id=name,
            gateway="bench",
            amount_minor=1_000,
            currency="EUR",
            merchant=merchants[number % len(merchants)],
        )
        for number, name in enumerate(names)
    ]


async def post_into(
    database: Database, tenant_id: uuid.UUID, merchants: Sequence[str], *, count: int = 1
) -> int:
    """Capture into the merchants' accounts, in one commit; how many transfers."""
    async with database.tenant(tenant_id) as session:
        await _post(session, tenant_id, merchants, count=count)
    return count


async def _post(
    session: Session, tenant_id: uuid.UUID, merchants: Sequence[str], *, count: int
) -> None:
    await post(session, tenant_id, captures(merchants, count=count), at=datetime.now(UTC))


async def pace(work: Callable[[int], Awaitable[int]], *, seconds: float) -> Pace:
    """What `WORKERS` workers reach that go on until the window ends."""
    begun = time.perf_counter()
    ends = begun + seconds

    async def run(number: int) -> int:
        done = 0
        while time.perf_counter() < ends:
            done += await work(number)
        return done

    total = sum(await asyncio.gather(*map(run, range(WORKERS))))
    return Pace(total, time.perf_counter() - begun)


async def post_one_by_one(database: Database, tenant_id: uuid.UUID, seconds: float) -> int:
    """One transfer to a commit by all workers, each into a merchant's account of its own."""

    async def work(number: int) -> int:
        return await post_into(database, tenant_id, [f"m{number}"])

    return (await pace(work, seconds=seconds)).transfers


async def fold(database: Database) -> None:
    """Fold all that is left: a call alone leaves the rest of a long tail to the next."""
    while await fold_all(database):
        pass
