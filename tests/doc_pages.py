"""What stands on the pages of the documentation?"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["ROOT", "Block", "anchors", "blocks", "commands", "documents_of", "links", "pages"]

ROOT = Path(__file__).parents[1]

_BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*?) -->\n\n?)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"(?<!\\)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block; `note` is the comment above it, `line` where it begins."""

    page: str
    line: int
    language: str
    text: str
    note: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page that a reader may open."""
    found = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    return sorted([*found, *ROOT.glob("plugin*/README.md"), *ROOT.glob("plugins/*/README.md")])


def blocks(*languages: str, page: Path | None = None) -> list[Block]:
    """Fenced blocks in their order, of these languages or of all."""
    return [
        Block(
            str(path.relative_to(ROOT)),
            text.count("\n", 0, found.start("text")),
            found["language"],
            found["text"],
            found["note"] or "",
        )
        for path in ([page] if page else pages())
        for text in [path.read_text(encoding="utf-8")]
        for found in _BLOCK.finditer(text)
        if not languages or found["language"] in languages
    ]


def links(page: Path) -> list[str]:
    """Where the page leads, blocks apart."""
    return _LINK.findall(_BLOCK.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """The names of the page's headings, as GitHub makes them."""
    found = _HEADING.findall(_BLOCK.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in found}


def commands(block: Block) -> Iterator[list[str]]:
    """The simple commands of a shell block, as words; variables set before them are left out."""
    for line in block.text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if word and set(word) <= set("|;&"):
                yield words
                words = []
            elif words or not re.fullmatch(r"[A-Z_]+=.*", word, re.DOTALL):
                words.append(word)
        if words:
            yield words


def documents_of(block: Block) -> list[str]:
    """The GraphQL documents that a block shows or sends."""
    if block.language == "graphql":
        return [block.text]
    found: list[str] = []
    for words in commands(block):
        if words[:1] == ["curl"] and "-d" in words:
            body: Any = json.loads(words[words.index("-d") + 1])
            found += [body["query"]] if "query" in body else []
    return found
