"""Which texts may come in?

Ids, free texts and metadata of any mutation. What has a card number in it is refused everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from payengine.errors import InputInvalid, SensitiveDataRefused
from payengine.ids import is_id
from payengine.screen import contains_card_number

__all__ = ["check_id", "check_metadata", "check_text", "screen_text"]

_MAX_METADATA_ENTRIES = 50
_MAX_METADATA_KEY = 40
_MAX_METADATA_VALUE = 500
_MAX_TEXT = 500


def check_id(text: str, prefix: str, *, field: str) -> None:
    """Raise `InputInvalid` unless `text` has the form of such an id."""
    if not is_id(text, prefix):
        raise InputInvalid(f"This is not an id of the form {prefix}_….", path=(field,))


def check_text(text: str | None, *, field: str, most: int = _MAX_TEXT) -> None:
    """Raise where a free text is too long, has control characters or holds a card number."""
    if text is None:
        return
    if len(text) > most:
        raise InputInvalid(f"At most {most} characters are allowed.", path=(field,))
    if any(character < " " or character == "\x7f" for character in text):
        raise InputInvalid("Control characters are not allowed.", path=(field,))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputInvalid("The text is not valid Unicode.", path=(field,)) from None
    screen_text(text, field=field)


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Raise where metadata has over 50 entries, keys over 40 or values over 500 characters."""
    if len(metadata) > _MAX_METADATA_ENTRIES:
        raise InputInvalid(
            f"At most {_MAX_METADATA_ENTRIES} metadata entries are allowed.", path=("metadata",)
        )
    for key, value in metadata.items():
        if not isinstance(value, str):
            raise InputInvalid("Metadata values are texts.", path=("metadata", key[:40]))
        check_text(key, field="metadata", most=_MAX_METADATA_KEY)
        check_text(value, field="metadata", most=_MAX_METADATA_VALUE)


def screen_text(text: str, *, field: str) -> None:
    """Raise `SensitiveDataRefused` where a text holds a card number."""
    if contains_card_number(text):
        raise SensitiveDataRefused(path=(field,))
