"""What waits for a reader is bounded, goes out in order, and is framed as clients read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from payengine_graphql import outbox
from payengine_graphql.outbox import Outbox, Parcel
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 70_000])
def test_a_parcel_is_framed_as_a_client_reads_it(length: int) -> None:
    messages = [b"x" * length, b"last"]
    client = ClientProtocol(parse_uri("ws://test"), state=OPEN)
    client.receive_data(Parcel(messages).frames)
    frames = [each for each in client.events_received() if isinstance(each, Frame)]
    assert [(each.opcode, bytes(each.data), each.fin) for each in frames] == [
        (Opcode.TEXT, message, True) for message in messages
    ]


class _Reader:
    """Takes messages while it may."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.may = asyncio.Event()

    async def take(self, message: bytes) -> None:
        await self.may.wait()
        self.taken.append(message)


@pytest.fixture
async def reader() -> AsyncIterator[tuple[_Reader, Outbox]]:
    """A reader that takes nothing yet, and its outbox."""
    made = _Reader()
    box = Outbox(made.take)
    task = asyncio.create_task(box.run(idle=b"idle", every_s=3_600))
    yield made, box
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_number_and_bytes_are_bounded_and_there_is_room_again(
    reader: tuple[_Reader, Outbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    taker, box = reader
    assert box.offer(Parcel([b"x" * 40_000]))
    await asyncio.sleep(0.01)  # the first is under way and does not wait any more
    assert box.offer(Parcel([b"y" * 40_000]))
    assert box.is_full
    assert not box.offer(Parcel([b"z"]))
    assert box.waiting_bytes == 40_000
    assert box.stalled_s() > 0
    taker.may.set()
    await box.room()
    monkeypatch.setattr(outbox, "_MOST_MESSAGES", 3)
    await box.empty()
    taker.may.clear()
    taken = [box.offer(Parcel([b"%d" % number])) for number in range(5)]
    assert taken == [True, True, True, False, False]
    taker.may.set()
    await box.empty()
    assert taker.taken == [b"x" * 40_000, b"y" * 40_000, b"0", b"1", b"2"]
    assert box.waiting_bytes == 0
    assert box.stalled_s() == 0


async def test_who_hears_nothing_for_long_hears_that_there_is_nothing() -> None:
    taker = _Reader()
    taker.may.set()
    task = asyncio.create_task(Outbox(taker.take).run(idle=b"idle", every_s=0.05))
    async with asyncio.timeout(60):
        while len(taker.taken) < 3:  # noqa: ASYNC110 - a list has no event
            await asyncio.sleep(0.01)
    assert set(taker.taken) == {b"idle"}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_message_waits_for_room(reader: tuple[_Reader, Outbox]) -> None:
    taker, box = reader
    box.offer(Parcel([b"x" * 40_000]))
    await asyncio.sleep(0.01)
    box.offer(Parcel([b"y" * 40_000]))
    putting = asyncio.create_task(box.put(b"z"))
    await asyncio.sleep(0.02)
    assert not putting.done()
    taker.may.set()
    await asyncio.wait_for(putting, 60)
    await box.empty()
    assert taker.taken[-1] == b"z"
