"""Which models does a tenant have, and which of them judges?

A model is kept with its fingerprint sealed by the tenant's own key, so that one that was slipped
into the database is never promoted. What was promoted and rolled back is a list that only grows;
its newest line holds, at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import Conflict, InputInvalid, NotFound, VaultSealed
from payengine.fraud.model.gate import Judged
from payengine.plugin.trees import ModelInvalid, TreeModel, encoded, read
from payengine.storage import Database, Session
from payengine.storage.columns import Columns
from payengine.vault import Vault

__all__ = ["KeptModel", "ModelShelf", "Promotion", "promoted_document"]

_MOST_REASON = 500


class KeptModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model of a tenant, without its trees; models are numbered from 1."""

    number: int
    name: str
    sha256: str
    metrics: dict[str, Any]
    actor: str
    created_at: datetime


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """Which model was to judge from then on; None: the one that the plugin brings."""

    number: int
    model_number: int | None
    kind: Literal["promoted", "rolled_back"]
    verdict: dict[str, Any]
    reason: str
    actor: str
    created_at: datetime


_KEPT = Columns(KeptModel)
_PROMOTION = Columns(Promotion)
_NEXT = "SELECT coalesce(max(number), 0) + 1 FROM fraud_model WHERE tenant_id = $1"
_KEEP = f"""
    INSERT INTO fraud_model (tenant_id, document, seal, {_KEPT.listed})
    VALUES ($1, $2, $3, {_KEPT.parameters(4)})
    ON CONFLICT (tenant_id, number) DO NOTHING RETURNING number
"""
_LIST = f"""
    SELECT {_KEPT.listed} FROM fraud_model WHERE tenant_id = $1 ORDER BY number DESC LIMIT $2
"""
_DOCUMENT = "SELECT document, seal FROM fraud_model WHERE tenant_id = $1 AND number = $2"
_PROMOTIONS = f"""
    SELECT {_PROMOTION.listed} FROM fraud_promotion
    WHERE tenant_id = $1 ORDER BY number DESC LIMIT $2
"""
_PROMOTE = f"""
    INSERT INTO fraud_promotion (tenant_id, {_PROMOTION.listed})
    VALUES ($1, {_PROMOTION.parameters(2)})
    ON CONFLICT (tenant_id, number) DO NOTHING RETURNING number
"""
#: What holds; the document only where its reader does not have it yet.
_HOLDS = """
    SELECT m.sha256, CASE WHEN m.sha256 = $2 THEN NULL ELSE m.document END AS document
    FROM (SELECT model_number FROM fraud_promotion WHERE tenant_id = $1
          ORDER BY number DESC LIMIT 1) p
    JOIN fraud_model m ON m.tenant_id = $1 AND m.number = p.model_number
"""
_MOST_STEPS_BACK = 1_000


async def promoted_document(
    session: Session, tenant_id: uuid.UUID, *, known: str = ""
) -> tuple[str, str | None] | None:
    """The fingerprint and the document of the model that judges; None where it is the plugin's.

    The document is left out where its fingerprint is `known`.
    """
    row = await session.fetchrow(_HOLDS, tenant_id, known)
    return None if row is None else (row["sha256"], row["document"])


class ModelShelf:
    """The models of all tenants, each tenant's by itself."""

    def __init__(self, database: Database, *, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    async def keep(self, context: TenantContext, model: TreeModel) -> KeptModel:
        """Keep a sealed model under the next number; it judges nothing yet.

        Raises `PermissionDenied`, `InputInvalid` where it is no whole model, and `Conflict` where
        another was kept at the same moment.
        """
        context.require("fraud:write")
        document = encoded(model).decode()
        try:
            read(document)
        except ModelInvalid as problem:
            raise InputInvalid(str(problem), path=("model",)) from None
        tenant_id = context.tenant_id
        async with self._database.tenant(tenant_id) as session:
            number = await session.fetchval(_NEXT, tenant_id)
            seal = await self._vault.seal(session, tenant_id, model.sha256, **_place(number))
            kept = KeptModel(
                number=number,
                name=model.name,
                sha256=model.sha256,
                metrics=dict(model.metrics),
                actor=context.actor,
                created_at=self._clock.now(tenant_id),
            )
            saved = await session.fetchval(_KEEP, tenant_id, document, seal, *_KEPT.values(kept))
            if saved is None:
                raise Conflict("Another model was kept at the same moment.")
        return kept

    async def models(self, context: TenantContext, *, first: int = 50) -> list[KeptModel]:
        """The tenant's newest `first` models, the newest first."""
        context.require("fraud:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_LIST, context.tenant_id, first)
        return [_KEPT.read(row) for row in rows]

    async def promotions(self, context: TenantContext, *, first: int = 50) -> list[Promotion]:
        """Which models judged since when, the newest first."""
        context.require("fraud:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await _promotions(session, context.tenant_id, first)

    async def open(self, context: TenantContext, number: int) -> TreeModel:
        """The model itself; raises `NotFound`, and `VaultSealed` where it is not what was kept."""
        context.require("fraud:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await self._open(session, context.tenant_id, number)

    async def promoted(self, context: TenantContext) -> TreeModel | None:
        """The model that judges; None where it is the one that the plugin brings."""
        newest = await self.promotions(context, first=1)
        if not newest or newest[0].model_number is None:
            return None
        return await self.open(context, newest[0].model_number)

    async def promote(
        self, context: TenantContext, number: int, *, judged: Judged, reason: str
    ) -> Promotion:
        """Let this model judge from now on.

        Raises `Conflict` where the gate did not open, or somebody else was promoting; `NotFound`,
        `InputInvalid`, `PermissionDenied`, `VaultSealed`.
        """
        context.require("fraud:write")
        if not judged.passed:
            raise Conflict("The gate stays shut: " + " ".join(judged.objections))
        async with self._database.tenant(context.tenant_id) as session:
            await self._open(session, context.tenant_id, number)
            return await self._hold(
                session, context, number, kind="promoted", judged=judged, reason=reason
            )

    async def rollback(self, context: TenantContext, *, reason: str) -> Promotion:
        """Let what judged before judge again; at last the plugin's own model.

        Raises `Conflict` where nothing was ever promoted; `InputInvalid`, `PermissionDenied`.
        """
        context.require("fraud:write")
        async with self._database.tenant(context.tenant_id) as session:
            past = await _promotions(session, context.tenant_id, _MOST_STEPS_BACK)
            stack = _stack(past)
            if not stack:
                raise Conflict("The model that the plugin brings judges already.")
            number = stack[-2] if len(stack) > 1 else None
            if number is not None:
                await self._open(session, context.tenant_id, number)
            return await self._hold(
                session, context, number, kind="rolled_back", judged=None, reason=reason
            )

    async def _open(self, session: Session, tenant_id: uuid.UUID, number: int) -> TreeModel:
        row = await session.fetchrow(_DOCUMENT, tenant_id, number)
        if row is None:
            raise NotFound(f"There is no model number {number}.", path=("number",))
        sha256 = await self._vault.open(session, tenant_id, row["seal"], **_place(number))
        try:
            model = read(row["document"])
        except ModelInvalid as problem:
            raise VaultSealed(f"The model was changed: {problem}") from None
        if model.sha256 != sha256:
            raise VaultSealed("The model is not the one that was kept.")
        return model

    async def _hold(
        self,
        session: Session,
        context: TenantContext,
        number: int | None,
        *,
        kind: Literal["promoted", "rolled_back"],
        judged: Judged | None,
        reason: str,
    ) -> Promotion:
        if not 1 <= len(reason.strip()) <= _MOST_REASON or not reason.isprintable():
            raise InputInvalid("A reason has 1 to 500 printable characters.", path=("reason",))
        past = await _promotions(session, context.tenant_id, 1)
        made = Promotion(
            number=past[0].number + 1 if past else 1,
            model_number=number,
            kind=kind,
            verdict={} if judged is None else msgspec.to_builtins(judged),
            reason=reason,
            actor=context.actor,
            created_at=self._clock.now(context.tenant_id),
        )
        saved = await session.fetchval(_PROMOTE, context.tenant_id, *_PROMOTION.values(made))
        if saved is None:
            raise Conflict("Another model was promoted at the same moment.")
        return made


async def _promotions(session: Session, tenant_id: uuid.UUID, first: int) -> list[Promotion]:
    rows = await session.fetch(_PROMOTIONS, tenant_id, first)
    return [_PROMOTION.read(row) for row in rows]


def _stack(past: Sequence[Promotion]) -> list[int]:
    """What is on top of what: each promotion lays a model on it, each rollback takes one off."""
    stack: list[int] = []
    for each in reversed(past):
        if each.kind == "rolled_back":
            stack[-1:] = []
        elif each.model_number is not None:
            stack.append(each.model_number)
    return stack


def _place(number: int) -> dict[str, str]:
    return {"table": "fraud_model", "row": str(number), "column": "seal"}
