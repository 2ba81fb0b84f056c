"""Pays once at `alpha`, which refuses connections, and so at `beta`; dies where it is told to.

It takes the data folder, the login's URL, a tenant's id and an idempotency key.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from pathlib import Path

from payengine.context import SCOPES, TenantContext
from payengine.engine import open_engine
from payengine.payments import CreatePayment, MethodInput
from payengine.plugin import NotSent
from payengine.settings import Settings

from tests.gateways import NamedSandbox, Several

__all__ = ["two"]


def two(home: Path) -> tuple[NamedSandbox, NamedSandbox]:
    """The gateways, with books in the data folder."""
    alpha = NamedSandbox("alpha", path=home / "alpha.sqlite3")
    return alpha, NamedSandbox("beta", path=home / "beta.sqlite3")


async def _pay(home: Path, url: str, tenant_id: uuid.UUID, key: str) -> None:
    alpha, beta = two(home)
    alpha.answers = [NotSent("connection refused")]
    async with open_engine(
        Settings.from_environment({}, home=home),
        login_url=url,
        background=False,
        plugins={"several": Several(alpha, beta)},
    ) as engine:
        paid = await engine.payments.create(
            TenantContext(tenant_id, "test", "a test", frozenset(SCOPES)),
            CreatePayment(
                idempotency_key=key,
                amount_minor=1_000,
                currency="EUR",
                payment_method=MethodInput(token="tok_visa"),
            ),
        )
    assert paid.payment.status == "CAPTURED", paid


if __name__ == "__main__":
    asyncio.run(_pay(Path(sys.argv[1]), sys.argv[2], uuid.UUID(sys.argv[3]), sys.argv[4]))
