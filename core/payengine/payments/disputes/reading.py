"""What may be read of disputes?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from payengine.context import TenantContext
from payengine.errors import NotFound
from payengine.payments.disputes.models import (
    Dispute,
    DisputeFilter,
    Evidence,
    OpenedEvidence,
    Report,
    Step,
)
from payengine.payments.disputes.store import DISPUTE, EVIDENCE, REPORT, STEP
from payengine.storage import Database, Session
from payengine.vault import Vault

__all__ = ["DisputeReader", "open_evidence"]

_BY_ID = f"SELECT {DISPUTE.listed} FROM dispute WHERE tenant_id = $1 AND id = ANY ($2)"

_PAGE = f"""
    SELECT {DISPUTE.listed} FROM dispute
    WHERE tenant_id = $1
      AND id < coalesce($2, '~')
      AND ($3::text[] IS NULL OR status = ANY ($3))
      AND ($4::text IS NULL OR payment_id = $4)
      AND ($5::timestamptz IS NULL OR evidence_due_at < $5)
    ORDER BY id DESC LIMIT $6
"""

_EVIDENCE = f"""
    SELECT {EVIDENCE.listed} FROM dispute_evidence
    WHERE tenant_id = $1 AND dispute_id = ANY ($2) ORDER BY id
"""

_STEPS = f"""
    SELECT {STEP.listed} FROM dispute_step
    WHERE tenant_id = $1 AND dispute_id = ANY ($2) ORDER BY id
"""

_REPORTS = f"""
    SELECT {REPORT.listed} FROM dispute_report
    WHERE tenant_id = $1 AND dispute_id = ANY ($2) ORDER BY occurred_at, event_id
"""

_SEALED = "SELECT sealed FROM dispute_evidence WHERE tenant_id = $1 AND id = $2"


async def open_evidence(
    session: Session, vault: Vault, context: TenantContext, evidence_id: str
) -> OpenedEvidence:
    """The name and the content of a piece of evidence; raises `NotFound`, `VaultSealed`."""
    sealed = await session.fetchval(_SEALED, context.tenant_id, evidence_id)
    if sealed is None:
        raise NotFound("There is no such evidence.", path=("id",))
    spelled = await vault.open(
        session,
        context.tenant_id,
        sealed,
        table="dispute_evidence",
        row=evidence_id,
        column="sealed",
    )
    return msgspec.json.decode(spelled, type=OpenedEvidence)


class DisputeReader:
    """Reads disputes in batches; each method needs the scope `disputes:read`."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def _fetch(self, context: TenantContext, sql: str, *arguments: Any) -> list[Any]:
        context.require("disputes:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await session.fetch(sql, context.tenant_id, *arguments)

    async def get_many(self, context: TenantContext, ids: Sequence[str]) -> dict[str, Dispute]:
        """The disputes that exist, by id."""
        rows = await self._fetch(context, _BY_ID, list(ids))
        return {row["id"]: DISPUTE.read(row) for row in rows}

    async def page(
        self,
        context: TenantContext,
        wanted: DisputeFilter,
        *,
        first: int,
        after: str | None = None,
    ) -> list[Dispute]:
        """Newest first, after the dispute `after`; one row more than `first` where there is."""
        rows = await self._fetch(
            context,
            _PAGE,
            after,
            list(wanted.statuses) or None,
            wanted.payment_id,
            wanted.due_before,
            first + 1,
        )
        return [DISPUTE.read(row) for row in rows]

    async def evidence_of(
        self, context: TenantContext, dispute_ids: Sequence[str]
    ) -> dict[str, list[Evidence]]:
        """Each dispute's evidence without its content, oldest first."""
        found: dict[str, list[Evidence]] = defaultdict(list)
        for row in await self._fetch(context, _EVIDENCE, list(dispute_ids)):
            found[row["dispute_id"]].append(EVIDENCE.read(row))
        return found

    async def steps_of(
        self, context: TenantContext, dispute_ids: Sequence[str]
    ) -> dict[str, list[Step]]:
        """What the provider was asked about each dispute, oldest first."""
        found: dict[str, list[Step]] = defaultdict(list)
        for row in await self._fetch(context, _STEPS, list(dispute_ids)):
            found[row["dispute_id"]].append(STEP.read(row))
        return found

    async def reports_of(
        self, context: TenantContext, dispute_ids: Sequence[str]
    ) -> dict[str, list[Report]]:
        """What the provider told of each dispute, in the order of its own instants."""
        found: dict[str, list[Report]] = defaultdict(list)
        for row in await self._fetch(context, _REPORTS, list(dispute_ids)):
            found[row["dispute_id"]].append(REPORT.read(row))
        return found

    async def open_evidence(self, context: TenantContext, evidence_id: str) -> OpenedEvidence:
        """The name and the content of a piece of evidence; raises `NotFound`, `VaultSealed`."""
        context.require("disputes:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await open_evidence(session, self._vault, context, evidence_id)
