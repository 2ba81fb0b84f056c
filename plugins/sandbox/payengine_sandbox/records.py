"""What do the sandbox's two transports say to its engine, and what does it answer?

`Command` is one request, `Operation` the provider's own record of it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = [
    "Command",
    "Garbled",
    "Kind",
    "Operation",
    "ProviderError",
    "Status",
]

Kind = Literal["authorize", "increment", "capture", "void", "refund"]
Status = Literal["succeeded", "declined", "requires_action", "pending"]


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One request; `parent` is the reference that a later step builds on."""

    kind: Kind
    key: str
    amount_minor: int
    currency: str
    capture: bool = False
    token: str = ""
    off_session: bool = False
    return_url: str | None = None
    payment_id: str = ""
    parent: str = ""
    final: bool = True
    reason: str | None = None
    challenge: bool = False


class Operation(msgspec.Struct, frozen=True):
    """The provider's record of one request; times are microseconds since 1970, in UTC.

    The fields stand in the order of the table's columns. `amount_minor` is what moved or will
    move; `held`, `taken`, `released` and `returned` are the sums of an authorization, zero
    elsewhere; `moved_us` is when money moved, `due_us` when `due_status` comes true.
    """

    reference: str
    account: str
    key: str
    kind: Kind
    parent: str
    token: str
    status: Status
    amount_minor: int
    currency: str
    capture: bool
    fee_minor: int
    raw_code: str | None
    expires_us: int | None
    held: int = 0
    taken: int = 0
    released: int = 0
    returned: int = 0
    return_url: str | None = None
    moved_us: int | None = None
    due_us: int | None = None
    due_status: str | None = None


class ProviderError(Exception):
    """The sandbox answers with an error in place of a record."""

    def __init__(self, code: str, message: str, *, status: int = 500) -> None:
        """`status` is the one that the HTTP transport answers with."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class Garbled(Exception):
    """The answer is nonsense: each transport spells `nonsense` in its own way."""

    def __init__(self, nonsense: Any) -> None:
        super().__init__("the provider answered nonsense")
        self.nonsense = nonsense
