"""How is a bank's file read without trusting who made it?

By expat, with a cap on its size, its depth and its elements. A document type, an entity or a
processing instruction is refused at its first character, so nothing is expanded or fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn
from xml.parsers import expat

__all__ = ["LARGEST_DOCUMENT", "DocumentRefused", "Node", "read_tree"]

LARGEST_DOCUMENT = 16 * 1024 * 1024
_MOST_ELEMENTS = 600_000
_DEEPEST = 40
_LONGEST_TEXT = 4_000
_CHUNK = 64 * 1024
_SPACE = re.compile(r"\s+")


class DocumentRefused(ValueError):
    """The document is too large, not well-formed, or has what no bank's file has."""


class Node:
    """An element: its local name, its text, its attributes and what it holds."""

    __slots__ = ("attributes", "children", "name", "parts", "size")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Node] = []
        self.parts: list[str] = []
        self.size = 0

    @property
    def text(self) -> str:
        """What stands in the element itself, with single spaces."""
        return _SPACE.sub(" ", "".join(self.parts)).strip()

    def each(self, name: str) -> Iterator[Node]:
        """The children of this name."""
        return (child for child in self.children if child.name == name)

    def find(self, path: str) -> Node | None:
        """The first element at the path `A/B/C`, or None."""
        found: Node | None = self
        for name in path.split("/"):
            if found is None:
                return None
            found = next(found.each(name), None)
        return found

    def say(self, *paths: str) -> str:
        """The text at the first of the paths that has one, else an empty text."""
        for path in paths:
            found = self.find(path)
            if found is not None and found.text:
                return found.text
        return ""


class _Builder:
    def __init__(self) -> None:
        self.root: Node | None = None
        self.open: list[Node] = []
        self.count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.count += 1
        if self.count > _MOST_ELEMENTS or len(self.open) >= _DEEPEST:
            raise DocumentRefused("the document has too many elements, or too deep ones")
        plain = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        node = Node(name.rpartition(" ")[2], plain)
        if self.open:
            self.open[-1].children.append(node)
        else:
            self.root = node
        self.open.append(node)

    def end(self, _name: str) -> None:
        self.open.pop()

    def text(self, text: str) -> None:
        node = self.open[-1]
        node.size += len(text)
        if node.size > _LONGEST_TEXT and text.strip():
            raise DocumentRefused("a text is too long")
        if node.size <= _LONGEST_TEXT:
            node.parts.append(text)


def _refuse(*_: object) -> NoReturn:
    raise DocumentRefused("document types, entities and instructions are not taken")


def read_tree(content: bytes) -> Node:
    """The document's root; raises `DocumentRefused` and nothing else."""
    if not content or len(content) > LARGEST_DOCUMENT:
        raise DocumentRefused(f"a document has 1 to {LARGEST_DOCUMENT} bytes")
    parser = expat.ParserCreate(namespace_separator=" ")
    builder = _Builder()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.UnparsedEntityDeclHandler = _refuse
    parser.ExternalEntityRefHandler = _refuse
    parser.ProcessingInstructionHandler = _refuse
    try:
        for start in range(0, len(content), _CHUNK):
            parser.Parse(content[start : start + _CHUNK], False)
        parser.Parse(b"", True)
    except DocumentRefused:
        raise
    except (expat.ExpatError, ValueError, LookupError, UnicodeError):
        raise DocumentRefused("the document is not well-formed XML") from None
    if builder.root is None:
        raise DocumentRefused("the document is empty")
    return builder.root
