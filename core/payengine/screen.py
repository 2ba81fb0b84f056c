"""Is there a card number in this text?

A card number (ISO/IEC 7812) has 13 to 19 digits, single or grouped by spaces and dashes, begins
with an issuer's range, has a length that this issuer uses, and ends in Luhn's check digit. Digits
inside a longer word of letters and digits belong to that word: ids, hashes and keys pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from payengine.errors import SensitiveDataRefused
from payengine.plugin import NetworkToken

__all__ = ["contains_card_number", "redact", "screen_mapping"]

_SHORTEST = 13
_LONGEST = 19
_INSTEAD = "[card number]"

_SPACE_OR_DASH = r"[ \u00a0\u2007\u2009\u202f\-\u2010-\u2015]"
#: Cheap and true for every text with a card number in it; written out, as a counted group is slow.
_CANDIDATE = re.compile(r"\d(?<!\d\d)" + rf"{_SPACE_OR_DASH}?\d" * (_SHORTEST - 1))
#: Groups of digits that touch no letter. Digits behind a decimal point are a fraction's.
_GROUPS = re.compile(rf"(?<![^\W_])(?<!\d\.)\d++(?![^\W_])(?:{_SPACE_OR_DASH}\d++(?![^\W_]))*+")
_GROUP = re.compile(r"\d+")

#: Issuer ranges with the lengths that each uses. Maestro's older 13 to 15 digits are left out:
#: its ranges are wide, and barcodes and telephone numbers would be taken for cards.
_ISSUED = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|5[1-5]\d{14}"  # Mastercard
    r"|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12,15}"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|3(?:0[0-5]\d|[68]\d\d)\d{10,15}"  # Diners Club
    r"|62\d{14,17}"  # UnionPay
    r"|(?:50\d\d|5[6-8]\d\d|6304|639\d|67\d\d)\d{12,15}"  # Maestro
)
#: Luhn's value of a digit in an even place counted from the right.
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def contains_card_number(text: str) -> bool:
    """Whether a card number stands somewhere in `text`."""
    if len(text) < _SHORTEST or _CANDIDATE.search(text) is None:
        return False
    return next(_find(text), None) is not None


def redact(text: str) -> str:
    """`text` with each card number replaced by `[card number]`: for logs and providers' words."""
    if len(text) < _SHORTEST or _CANDIDATE.search(text) is None:
        return text
    parts, kept_until = [], 0
    for start, end in _find(text):
        parts += [text[kept_until:start], _INSTEAD]
        kept_until = end
    return "".join([*parts, text[kept_until:]])


def screen_mapping(plain: Any, *, path: tuple[str, ...] = ()) -> None:
    """Look into every text, whole number, key and record of nested data.

    Raises `SensitiveDataRefused` with the path of the first find, which begins with `path`; the
    error never repeats the number. A `NetworkToken` alone passes with what it holds: it cannot be
    spelled by accident.
    """
    # A place is a linked list, spelled out only for the error: deep data stay cheap.
    waiting: list[tuple[_Place | None, Any]] = [(None, plain)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, str):
            found = contains_card_number(value)
        elif isinstance(value, int):
            found = 10**12 <= value < 10**19 and contains_card_number(str(value))
        elif isinstance(value, Mapping):
            found = any(contains_card_number(str(key)) for key in value)
            waiting += [(_Place(place, str(key)), value[key]) for key in reversed([*value])]
        elif isinstance(value, list | tuple):
            found = False
            waiting += [(_Place(place, str(at)), value[at]) for at in reversed(range(len(value)))]
        elif isinstance(value, set | frozenset):
            found = False
            waiting += [(place, member) for member in value]
        elif isinstance(value, bytes | bytearray):
            found = contains_card_number(value.decode("latin-1"))
        elif isinstance(value, NetworkToken):
            found = False
        elif isinstance(value, msgspec.Struct):
            found = False
            names = reversed(value.__struct_fields__)
            waiting += [(_Place(place, name), getattr(value, name)) for name in names]
        else:
            found = False
        if found:
            raise SensitiveDataRefused(path=(*path, *_spell(place)))


class _Place(NamedTuple):
    parent: _Place | None
    name: str


def _spell(place: _Place | None) -> list[str]:
    names: list[str] = []
    while place is not None:
        names.append(place.name)
        place = place.parent
    return names[::-1]


def _find(text: str) -> Iterator[tuple[int, int]]:
    """The spans of card numbers, from left to right and apart from one another."""
    for run in _GROUPS.finditer(text):
        groups = [(found.start(), found.end()) for found in _GROUP.finditer(text, *run.span())]
        at = 0
        while at < len(groups):
            last = _longest_number(text, groups, at)
            if last is None:
                at += 1
            else:
                yield groups[at][0], groups[last][1]
                at = last + 1


def _longest_number(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """The last of the groups which, beginning with `first`, make up the longest card number."""
    digits, found = "", None
    for at in range(first, len(groups)):
        start, end = groups[at]
        if len(digits) + end - start > _LONGEST:
            break
        digits += text[start:end]
        if len(digits) >= _SHORTEST and _is_card_number(digits):
            found = at
    return found


def _is_card_number(digits: str) -> bool:
    if not digits.isascii():
        digits = "".join(str(int(digit)) for digit in digits)
    if _ISSUED.fullmatch(digits) is None:
        return False
    values = [int(digit) for digit in reversed(digits)]
    return (sum(values[0::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0
