"""What stands in these bytes, by the Basic Encoding Rules (ITU-T X.690)?

Apple's signatures are CMS in BER with indefinite lengths, which the DER readers of libraries do
not take. This reader takes what a signature needs and nothing else: one-byte tags, shortest
lengths, bounded depth and count.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Element", "object_identifier", "read"]

_DEEPEST = 16
_MOST_CHILDREN = 64
_CONSTRUCTED = 0x20
_END_OF_CONTENTS = b"\x00\x00"


class Element(NamedTuple):
    """One tag, length and value: `raw` is all of it, `body` the value without end markers."""

    tag: int
    body: bytes
    raw: bytes
    is_definite: bool

    def children(self) -> list[Element]:
        """The elements inside; raises `ValueError` where it has none by its tag."""
        if not self.tag & _CONSTRUCTED:
            raise ValueError("a primitive element has no children")
        found = list(_elements(self.body, depth=0))
        if len(found) > _MOST_CHILDREN:
            raise ValueError("too many elements")
        return found


def read(data: bytes) -> Element:
    """The one element that `data` is; raises `ValueError` where anything follows it."""
    element, end = _element(data, 0, depth=0)
    if end != len(data):
        raise ValueError("bytes follow the element")
    return element


def object_identifier(element: Element) -> str:
    """The dotted form of an OBJECT IDENTIFIER; raises `ValueError`."""
    body = element.body
    if element.tag != 0x06 or not body or body[-1] & 0x80:
        raise ValueError("no object identifier")
    arcs: list[int] = []
    value = 0
    fresh = True
    for byte in body:
        if fresh and byte == 0x80:
            raise ValueError("an arc begins with a padding byte")
        value = value << 7 | byte & 0x7F
        fresh = not byte & 0x80
        if fresh:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def _elements(data: bytes, *, depth: int) -> Iterator[Element]:
    at = 0
    while at < len(data):
        element, at = _element(data, at, depth=depth)
        yield element


def _element(data: bytes, at: int, *, depth: int) -> tuple[Element, int]:
    """The element that begins at `at`, and where the next one begins."""
    if depth > _DEEPEST:
        raise ValueError("too deep")
    if at + 2 > len(data):
        raise ValueError("cut off")
    tag = data[at]
    if tag & 0x1F == 0x1F or tag == 0:
        raise ValueError("a tag that no signature has")
    if data[at + 1] == 0x80:
        return _indefinite(data, at, depth=depth)
    length, begin = _length(data, at + 1)
    end = begin + length
    if end > len(data):
        raise ValueError("cut off")
    return Element(tag, data[begin:end], data[at:end], True), end


def _indefinite(data: bytes, at: int, *, depth: int) -> tuple[Element, int]:
    """An element that lasts until the end-of-contents octets."""
    tag = data[at]
    if not tag & _CONSTRUCTED:
        raise ValueError("a primitive element of indefinite length")
    begin = here = at + 2
    while data[here : here + 2] != _END_OF_CONTENTS:
        _, here = _element(data, here, depth=depth + 1)
    end = here + 2
    return Element(tag, data[begin:here], data[at:end], False), end


def _length(data: bytes, at: int) -> tuple[int, int]:
    """A definite length in its shortest form, and where the value begins."""
    first = data[at]
    if first < 0x80:
        return first, at + 1
    count = first & 0x7F
    spelled = data[at + 1 : at + 1 + count]
    if not 1 <= count <= 3 or len(spelled) < count:
        raise ValueError("a length that no signature has")
    length = int.from_bytes(spelled, "big")
    if length < 0x80 or spelled[0] == 0:
        raise ValueError("a length that is not in its shortest form")
    return length, at + 1 + count
