"""What is a job, and who does it?

A job is a kind, a tenant and the id of a row: nothing that a queue should not know. pgqueuer calls
the kind and the tenant together an entrypoint, which is the unit that takes turns.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from payengine.errors import InputInvalid

__all__ = ["HOUSE", "Claim", "Handler", "Payload", "check_kind", "entrypoint_of", "kind_of"]

#: The tenant of jobs that belong to the installation itself; no tenant has this id.
HOUSE = uuid.UUID(int=0)

_KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_MOST_KIND = 60
_MOST_ROW_ID = 200


def check_kind(kind: str) -> str:
    """`kind`, if it has the form `noun.verb`; raises InputInvalid."""
    if len(kind) > _MOST_KIND or _KIND.fullmatch(kind) is None:
        raise InputInvalid(f"{kind!r} names no kind of job: write noun.verb in lower case.")
    return kind


def entrypoint_of(kind: str, tenant_id: uuid.UUID) -> str:
    """Whose turn it is, as pgqueuer names it."""
    return f"{kind}:{tenant_id}"


def kind_of(entrypoint: str) -> str:
    """The kind in an entrypoint."""
    return entrypoint.partition(":")[0]


class Payload(msgspec.Struct, frozen=True):
    """All that the queue knows of a job."""

    tenant_id: uuid.UUID
    kind: str
    row_id: str

    def __post_init__(self) -> None:
        """Raises InputInvalid where the kind or the row's id cannot be one."""
        check_kind(self.kind)
        is_plain = self.row_id.isascii() and self.row_id.isprintable()
        if not is_plain or not 0 < len(self.row_id) <= _MOST_ROW_ID:
            raise InputInvalid(f"A job names a row by 1 to {_MOST_ROW_ID} plain characters.")


@dataclass(frozen=True, slots=True)
class Handler:
    """Who does the jobs of one kind. It may be called more than once for the same row.

    `handle` gets the tenant and the row's id. It opens its own transactions, reads what is to be
    done from the row, and where a second doing would hurt it calls `payengine.jobs.fence` first.
    """

    kind: str
    handle: Callable[[uuid.UUID, str], Awaitable[None]]
    #: How many of this kind one process does at the same time.
    at_once: int = 8
    #: How many of this kind and one tenant all processes together do at the same time.
    per_tenant: int = 4
    #: After how many failures the job is held until a person looks.
    tries: int = 10
    #: Past it, doing the job has failed.
    deadline_s: float = 60.0

    def __post_init__(self) -> None:
        """Raises InputInvalid where the kind has not the form of one."""
        check_kind(self.kind)
        assert min(self.at_once, self.per_tenant, self.tries) > 0, "bounds are positive"


@dataclass(frozen=True, slots=True)
class Claim:
    """A job in our hands; `token` is ours only as long as the lease is."""

    id: int
    token: uuid.UUID
    tenant_id: uuid.UUID
    kind: str
    row_id: str
    #: How often it was tried before.
    tried: int
