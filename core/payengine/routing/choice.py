"""Which gateway, and why this one?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from payengine.plugin import Manifest, supports

__all__ = ["Candidate", "Choice", "choose"]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway that the tenant has enabled."""

    name: str
    manifest: Manifest


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway and the explanation that is stored with the attempt."""

    gateway: str
    explanation: dict[str, Any]


def choose(candidates: Sequence[Candidate], *, currency: str, method: str) -> Choice | None:
    """The first candidate, by name, that takes the currency and the method; None where none does.

    The explanation lists every gateway that was passed over, and why.
    """
    passed_over: dict[str, str] = {}
    for candidate in sorted(candidates, key=lambda each: each.name):
        if supports(candidate.manifest, currency=currency, method=method):
            return Choice(
                gateway=candidate.name,
                explanation={"rule": "first_that_supports", "passed_over": passed_over},
            )
        takes_method = method in candidate.manifest.methods
        passed_over[candidate.name] = "currency" if takes_method else "method"
    return None
