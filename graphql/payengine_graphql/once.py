"""How do settings and keys keep the law of idempotency keys?

Payments and customers claim their keys in their own transaction. What the registry and the keys
write has a transaction of its own, so the claim is held open around it: a second request with the
same key waits for the first, refused input leaves no row, and a crash in between leaves work that
the same request may do again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar

import msgspec
from payengine.context import TenantContext
from payengine.errors import IdempotencyConflict, InputInvalid
from payengine.idempotency import check_key, claim
from payengine.storage import Database

__all__ = ["Once"]

T = TypeVar("T")

#: Each holds a connection while the work takes a second one: few at a time, so that none starve.
_AT_A_TIME = 2

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_EARLIER = "SELECT fingerprint, resource_id FROM idempotency_key WHERE tenant_id = $1 AND key = $2"


class Once:
    """Does a thing once for each (tenant, key)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._slots = asyncio.Semaphore(_AT_A_TIME)

    async def run(
        self,
        context: TenantContext,
        mutation: str,
        given: Any,
        *,
        at: datetime,
        do: Callable[[], Awaitable[tuple[str, T]]],
        again: Callable[[str], Awaitable[T]],
    ) -> T:
        """`do` the first time; `again` with the id that `do` gave where it was done before.

        `given` is the mutation's input, a dataclass with `idempotency_key`. Raises
        `IdempotencyConflict` where the key was used with another input.
        """
        key: str = given.idempotency_key
        check_key(key)
        fingerprint = _fingerprint(mutation, given)
        async with self._slots, self._database.tenant(context.tenant_id) as session:
            await session.execute(_LOCK, f"{context.tenant_id} {key}")
            row = await session.fetchrow(_EARLIER, context.tenant_id, key)
            if row is not None:
                if row["fingerprint"] != fingerprint:
                    raise IdempotencyConflict(path=("idempotencyKey",))
                return await again(row["resource_id"])
            resource_id, made = await do()
            await claim(
                session,
                context.tenant_id,
                key=key,
                mutation=mutation,
                fingerprint=fingerprint,
                resource_id=resource_id,
                at=at,
            )
        return made


def _fingerprint(mutation: str, given: Any) -> bytes:
    plain = {field.name: _plain(getattr(given, field.name)) for field in dataclasses.fields(given)}
    plain.pop("idempotency_key")
    try:
        body = msgspec.json.encode((mutation, plain), order="deterministic")
    except (TypeError, ValueError, RecursionError):
        raise InputInvalid("The input is not plain JSON.") from None
    return hashlib.sha256(body).digest()


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
