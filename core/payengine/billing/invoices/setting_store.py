"""Which billing settings hold, and which held before?"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from payengine.billing.invoices.advancing import retry_failed
from payengine.billing.settings import BillingSettings, parse_billing_settings
from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import Conflict, InputInvalid
from payengine.idempotency import check_key, claim, fingerprint
from payengine.storage import Database, Session
from payengine.storage.columns import Columns

__all__ = ["SavedBillingSettings", "SettingStore", "UpdateBillingSettings", "load_settings"]


class SavedBillingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One version, as one row; `version` counts from 1, and 0 is the default."""

    version: int
    document: dict[str, Any]
    actor: str
    created_at: datetime


class UpdateBillingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of `document` take the place of those that hold; the others stay.

    So do those of `dunning`.
    """

    idempotency_key: str
    document: dict[str, Any]


_SETTING = Columns(SavedBillingSettings)
_NEWEST = f"""
    SELECT {_SETTING.listed} FROM billing_setting
    WHERE tenant_id = $1 ORDER BY version DESC LIMIT 1
"""
_INSERT = f"""
    INSERT INTO billing_setting (tenant_id, {_SETTING.listed})
    VALUES ($1, {_SETTING.parameters(2)})
"""


async def load_settings(session: Session, tenant_id: uuid.UUID) -> BillingSettings:
    """The settings that hold now; raises `InputInvalid` for stored ones that nobody can read."""
    row = await session.fetchrow(_NEWEST, tenant_id)
    return BillingSettings() if row is None else parse_billing_settings(row["document"])


class SettingStore:
    """The billing settings of all tenants, version by version."""

    def __init__(self, *, database: Database, clock: Clock, calculators: Collection[str]) -> None:
        """`calculators` are the names of those that are installed."""
        self._database = database
        self._calculators = calculators
        self._clock = clock

    async def get(self, context: TenantContext) -> BillingSettings:
        """The settings that hold now."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await load_settings(session, context.tenant_id)

    async def update(
        self, context: TenantContext, request: UpdateBillingSettings
    ) -> BillingSettings:
        """Change some; raises `InputInvalid`, and `Conflict` where somebody else did just now.

        What could not be renewed before is tried again: this may have been what it lacked.
        """
        context.require("billing:write")
        check_key(request.idempotency_key)
        calculator = request.document.get("tax_calculator")
        if isinstance(calculator, str) and calculator not in self._calculators:
            raise InputInvalid(
                "No such tax calculator is installed.", path=("document", "tax_calculator")
            )
        at = self._clock.now(context.tenant_id)
        try:
            async with self._database.tenant(context.tenant_id) as session:
                row = await session.fetchrow(_NEWEST, context.tenant_id)
                present = {} if row is None else row["document"]
                found = parse_billing_settings(_changed(present, request.document))
                saved = SavedBillingSettings(
                    version=1 if row is None else row["version"] + 1,
                    document=msgspec.to_builtins(found),
                    actor=context.actor,
                    created_at=at,
                )
                earlier = await claim(
                    session,
                    context.tenant_id,
                    key=request.idempotency_key,
                    mutation="updateBillingSettings",
                    fingerprint=fingerprint("updateBillingSettings", request),
                    resource_id=str(saved.version),
                    at=at,
                )
                if earlier is None:
                    await session.execute(_INSERT, context.tenant_id, *_SETTING.values(saved))
                    await retry_failed(session, context.tenant_id, at)
                return await load_settings(session, context.tenant_id)
        except asyncpg.UniqueViolationError:
            raise Conflict("The settings were changed at the same moment; try again.") from None


def _changed(present: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    found = {**present, **given}
    policy = given.get("dunning")
    if isinstance(policy, dict):
        found["dunning"] = {**present.get("dunning", {}), **policy}
    return found
