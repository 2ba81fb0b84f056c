"""What may be asked of a dispute, and which evidence is taken?

A file is what its first bytes say, not what it claims to be. Everything is refused before any row
is written.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from payengine.errors import EvidenceRefused, InputInvalid, SensitiveDataRefused
from payengine.idempotency import check_key
from payengine.payments.disputes.models import CATEGORIES
from payengine.screen import contains_card_number
from payengine.texts import check_id, check_text

__all__ = [
    "LARGEST_FILE",
    "LARGEST_SUM",
    "MEDIA_TYPES",
    "MOST_PIECES",
    "AcceptDispute",
    "AddDisputeEvidence",
    "FileInput",
    "SubmitDisputeEvidence",
    "check_evidence",
]

#: Bytes of one file, bytes of a dispute's evidence in all, and how many pieces it may have.
LARGEST_FILE = 4 * 1024 * 1024
LARGEST_SUM = 8 * 1024 * 1024
MOST_PIECES = 20
_LONGEST_TEXT = 20_000
_LONGEST_NAME = 120


class FileInput(msgspec.Struct, frozen=True, kw_only=True):
    """A document: PDF, PNG, JPEG or plain text."""

    name: str
    media_type: str
    content: bytes


class AddDisputeEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Keep a piece of evidence: exactly one of `text` and `file`."""

    idempotency_key: str
    dispute_id: str
    category: str
    text: str | None = None
    file: FileInput | None = None


class SubmitDisputeEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Hand all evidence that was added in to the provider."""

    idempotency_key: str
    dispute_id: str


class AcceptDispute(msgspec.Struct, frozen=True, kw_only=True):
    """Give the dispute up: the buyer keeps the money."""

    idempotency_key: str
    dispute_id: str


def check_evidence(request: AddDisputeEvidence) -> None:
    """Raise the typed error of the first field that cannot be accepted."""
    check_key(request.idempotency_key)
    check_id(request.dispute_id, "dsp", field="disputeId")
    if request.category not in CATEGORIES:
        raise InputInvalid(f"category is one of {', '.join(CATEGORIES)}.", path=("category",))
    if (request.text is None) == (request.file is None):
        raise InputInvalid("Give exactly one of text and file.", path=("text",))
    if request.text is not None:
        _check_words(request.text, field="text")
    if request.file is not None:
        _check_file(request.file)


def _check_words(text: str, *, field: str) -> None:
    if not text.strip() or len(text) > _LONGEST_TEXT:
        raise EvidenceRefused(f"A text has 1 to {_LONGEST_TEXT} characters.", path=(field,))
    if any(character < " " and character not in "\n\r\t" for character in text):
        raise EvidenceRefused("Control characters are not allowed.", path=(field,))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise EvidenceRefused("The text is not valid Unicode.", path=(field,)) from None
    if contains_card_number(text):
        raise SensitiveDataRefused(path=(field,))


def _check_file(file: FileInput) -> None:
    check_text(file.name, field="file", most=_LONGEST_NAME)
    if not file.name.strip() or "/" in file.name or "\\" in file.name:
        raise EvidenceRefused("A file's name is a name and no path.", path=("file", "name"))
    is_such = MEDIA_TYPES.get(file.media_type)
    if is_such is None:
        kinds = ", ".join(sorted(MEDIA_TYPES))
        raise EvidenceRefused(f"mediaType is one of {kinds}.", path=("file", "mediaType"))
    if not 0 < len(file.content) <= LARGEST_FILE:
        raise EvidenceRefused(
            f"A file has 1 to {LARGEST_FILE} bytes; this one has {len(file.content)}.",
            path=("file", "content"),
        )
    if not is_such(file.content):
        raise EvidenceRefused(f"The content is no {file.media_type}.", path=("file", "content"))


def _is_pdf(content: bytes) -> bool:
    return content.startswith(b"%PDF-") and b"%%EOF" in content[-2_048:]


def _is_png(content: bytes) -> bool:
    return content.startswith(b"\x89PNG\r\n\x1a\n") and content[12:16] == b"IHDR"


def _is_jpeg(content: bytes) -> bool:
    return content.startswith(b"\xff\xd8\xff") and content.rstrip(b"\0").endswith(b"\xff\xd9")


def _is_text(content: bytes) -> bool:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return False
    if contains_card_number(text):
        raise SensitiveDataRefused(path=("file", "content"))
    return not any(character < " " and character not in "\n\r\t\f" for character in text)


#: Media type → whether these bytes are such a document.
MEDIA_TYPES: dict[str, Callable[[bytes], bool]] = {
    "application/pdf": _is_pdf,
    "image/jpeg": _is_jpeg,
    "image/png": _is_png,
    "text/plain": _is_text,
}
