"""Who acts, and why, in words that may be kept?"""

from __future__ import annotations

from payengine.errors import InputInvalid
from payengine.texts import check_text

__all__ = ["check_person", "check_reason"]

_LONGEST_PERSON = 120
_LONGEST_REASON = 2_000


def check_person(person: str) -> None:
    """Raise `InputInvalid` where nobody is named, or at length."""
    if not person.strip():
        raise InputInvalid("Say who you are.", path=("person",))
    check_text(person, field="person", most=_LONGEST_PERSON)


def check_reason(reason: str) -> None:
    """Raise `InputInvalid` where no reason is given, or at great length."""
    if not reason.strip():
        raise InputInvalid("Say why, in words that an auditor understands.", path=("reason",))
    check_text(reason, field="reason", most=_LONGEST_REASON)
