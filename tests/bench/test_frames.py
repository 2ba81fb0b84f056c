from __future__ import annotations

import pytest

from tests.bench.frames import frame, split_frame


def served(payload: bytes, opcode: int = 1) -> bytes:
    """The frame as a server sends it: no mask."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65_536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_of_every_length_are_split(size: int) -> None:
    held = b"??" + served(b"x" * size) + b"rest"
    assert split_frame(held, 2) == (1, b"x" * size, len(held) - 4)
    assert split_frame(held[:-5], 2) is None


def test_a_frame_that_has_hardly_begun_must_wait() -> None:
    whole = served(b"x" * 300)
    assert [split_frame(whole[:end], 0) for end in range(4)] == [None] * 4


@pytest.mark.parametrize("size", [5, 300])
def test_a_client_masks_what_it_says(size: int) -> None:
    sent = frame(b"y" * size)
    assert sent[0] == 0x81
    assert sent[1] & 0x80
    assert sent.endswith(bytes(4) + b"y" * size)


def test_a_client_says_nothing_long() -> None:
    with pytest.raises(ValueError):
        frame(b"z" * 65_536)
