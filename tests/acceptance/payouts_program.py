"""Pays vendors out: makes one payout, lets a schedule make another and sends what waits.

It takes the data folder, the login's URL, a tenant's id, an account's id and an idempotency key,
and dies where `PAYENGINE_FAULTS` says.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from payengine.context import SCOPES, TenantContext
from payengine.engine import open_engine
from payengine.marketplace.treasury import CreatePayout
from payengine.settings import Settings

_ROUNDS = 4


async def _pay_out(home: Path, url: str, tenant_id: uuid.UUID, account: str, key: str) -> None:
    async with open_engine(
        Settings.from_environment({}, home=home), login_url=url, background=False
    ) as engine:
        context = TenantContext(tenant_id, "test", "a test", frozenset(SCOPES))
        for n in range(3):
            await engine.treasury.create(
                context,
                CreatePayout(
                    idempotency_key=f"{key}.{n}",
                    account_id=account,
                    currency="EUR",
                    amount_minor=1_000,
                ),
            )
        for minutes in range(_ROUNDS):
            at = datetime.now(UTC) + timedelta(minutes=15 * minutes)
            await engine.treasury.run_once(at=at)


if __name__ == "__main__":
    asyncio.run(
        _pay_out(Path(sys.argv[1]), sys.argv[2], uuid.UUID(sys.argv[3]), sys.argv[4], sys.argv[5])
    )
