"""Does every ledger agree with its own transfers?

Tenant by tenant, each in one snapshot: what `payengine.ledger.broken` finds, and the two sides of
every currency.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import msgspec

from payengine.errors import NotFound
from payengine.ledger import broken, trial_balance
from payengine.storage import Database

__all__ = ["LedgerReport", "TrialLine", "verify_ledger"]

_MOST_SENTENCES = 1_000
_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_COUNT = "SELECT count(*) FROM ledger_transfer WHERE tenant_id = $1"


class TrialLine(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's gross posted sums in one currency."""

    tenant_id: str
    currency: str
    debits: int
    credits: int


class LedgerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what is broken, a sentence each."""

    ok: bool
    tenants: int
    transfers: int
    trial: tuple[TrialLine, ...]
    broken: tuple[str, ...]


async def verify_ledger(
    database: Database,
    *,
    tenant_id: uuid.UUID | None = None,
    told: Callable[[int, int], None] | None = None,
) -> LedgerReport:
    """Check every tenant's ledger, or one; `told(done, of)` hears of the progress.

    Raises `NotFound` for a tenant that does not exist.
    """
    known = await database.tenant_ids()
    if tenant_id is not None and tenant_id not in known:
        raise NotFound(f"There is no tenant {tenant_id}.")
    chosen = list(known) if tenant_id is None else [tenant_id]
    trial: list[TrialLine] = []
    sentences: list[str] = []
    transfers = 0
    for done, each in enumerate(chosen, start=1):
        if told is not None:
            told(done, len(chosen))
        async with database.tenant(each) as session:
            await session.execute(_SNAPSHOT)
            transfers += await session.fetchval(_COUNT, each)
            sentences += [f"{each}: {sentence}" for sentence in await broken(session, each)]
            trial += [
                TrialLine(
                    tenant_id=str(each),
                    currency=line.currency,
                    debits=line.debits,
                    credits=line.credits,
                )
                for line in await trial_balance(session, each)
            ]
    return LedgerReport(
        ok=not sentences,
        tenants=len(chosen),
        transfers=transfers,
        trial=tuple(trial),
        broken=tuple(sentences[:_MOST_SENTENCES]),
    )
