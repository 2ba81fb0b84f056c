"""A process that pays with one card, over and over and several at once, until it is killed."""

from __future__ import annotations

import asyncio
import sys
import uuid
from pathlib import Path

from payengine.context import SCOPES, TenantContext
from payengine.engine import open_engine
from payengine.payments import CreatePayment, FraudInput, MethodInput
from payengine.settings import Settings

_AT_ONCE = 8


async def _pay(home: str, login_url: str, tenant: str) -> None:
    settings = Settings.from_environment({}, home=Path(home))
    context = TenantContext(uuid.UUID(tenant), "test", "a test", frozenset(SCOPES))
    async with open_engine(settings, login_url=login_url, background=False) as engine:

        async def buyer() -> None:
            while True:
                request = CreatePayment(
                    idempotency_key="k" + uuid.uuid4().hex.translate(_LETTERS),
                    amount_minor=1_000,
                    currency="EUR",
                    payment_method=MethodInput(token="tok_visa"),
                    fraud=FraudInput(card_fingerprint="one"),
                )
                made = await engine.payments.create(context, request)
                sys.stdout.write(f"{made.payment.id}\n")
                sys.stdout.flush()

        await asyncio.gather(*(buyer() for _ in range(_AT_ONCE)))


_LETTERS = str.maketrans("0123456789", "ghijklmnop")

if __name__ == "__main__":
    asyncio.run(_pay(*sys.argv[1:4]))
