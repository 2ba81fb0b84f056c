"""What if a customer changes a subscription in the very moment in which it is renewed?

All subscriptions of a race fall due at one instant. Around it, within some hundredths of a second,
each is changed by a task of its own, while renewals look all the time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from payengine.billing.subscriptions.models import (
    CancelSubscription,
    ChangeSubscription,
    ItemEdit,
)

from tests.acceptance.renewals.stage import AMOUNT, Stage
from tests.engines import Till, key

__all__ = ["cancel_race", "change_race"]

_AHEAD = timedelta(seconds=1.5)
_AROUND_S = 0.1
_NEW_AMOUNT = 2_957

_SUBSCRIPTIONS = """
    SELECT id, status, cancel_at_period_end, period_start FROM subscription WHERE tenant_id = $1
"""
_ITEMS = "SELECT id, subscription_id FROM subscription_item WHERE tenant_id = $1"
_WAITING = """
    SELECT subscription_id, line FROM pending_line WHERE tenant_id = $1 AND invoice_id IS NULL
"""


async def cancel_race(till: Till, repeat: int) -> tuple[set[str], tuple[str, ...]]:
    """Set `cancel_at_period_end` as the period ends; which outcomes there were."""
    stage, end = await _stage(till, repeat)

    async def cancel(name: str) -> None:
        await stage.engine.subscribing.subscriptions.cancel(
            stage.context, CancelSubscription(idempotency_key=key(), subscription_id=name)
        )

    await _race(stage, end, cancel)
    invoiced = {row["subscription_id"] for row in await stage.invoices()}
    outcomes = set()
    for row in await stage.rows(_SUBSCRIPTIONS):
        if row["status"] == "canceled":
            has_invoice = row["id"] in invoiced
            outcomes.add("canceled_with_invoice" if has_invoice else "canceled_without_invoice")
        else:
            is_whole = row["cancel_at_period_end"] and row["id"] in invoiced
            outcomes.add("renewed_then_cancel_next" if is_whole else "neither")
    return outcomes, (await stage.standing()).broken


async def change_race(till: Till, repeat: int) -> tuple[list[tuple[int, int]], tuple[str, ...]]:
    """Change the price as the period ends; for each what the new period costs, and its lines.

    With the lines that wait for the next invoice, each of which is rounded once.
    """
    stage, end = await _stage(till, repeat)
    price_id = await stage.price(_NEW_AMOUNT)
    items = {row["subscription_id"]: row["id"] for row in await stage.rows(_ITEMS)}

    async def change(name: str) -> None:
        edit = ItemEdit(item_id=items[name], price_id=price_id)
        await stage.engine.subscribing.subscriptions.change(
            stage.context,
            ChangeSubscription(idempotency_key=key(), subscription_id=name, items=(edit,)),
        )

    await _race(stage, end, change)
    costs: dict[str, list[int]] = {name: [] for name in items}
    for row in await stage.invoices():
        document: dict[str, Any] = msgspec.json.decode(row["document"])
        costs[row["subscription_id"]] += [line["total"] for line in document["lines"]]
    for row in await stage.rows(_WAITING):
        costs[row["subscription_id"]].append(row["line"]["amount"])
    found = [(sum(lines) - _NEW_AMOUNT, len(lines)) for lines in costs.values()]
    assert AMOUNT != _NEW_AMOUNT
    return found, (await stage.standing()).broken


async def _stage(till: Till, repeat: int) -> tuple[Stage, datetime]:
    end = datetime.now(UTC) + _AHEAD + timedelta(milliseconds=5 * repeat)
    return await Stage.open(till, repeat, end=end), end


async def _race(stage: Stage, end: datetime, act: Callable[[str], Awaitable[None]]) -> None:
    chance = random.Random(1)
    names = [row["id"] for row in await stage.rows(_SUBSCRIPTIONS)]

    async def one(name: str) -> None:
        wait = (end - datetime.now(UTC)).total_seconds() + chance.uniform(-_AROUND_S, _AROUND_S)
        await asyncio.sleep(max(wait, 0))
        await act(name)

    acting = asyncio.gather(*map(one, names))
    renewals = stage.engine.invoicing.renewals
    while not acting.done() or datetime.now(UTC) < end:
        await renewals.run_tenant(stage.context.tenant_id, at=datetime.now(UTC))
        await asyncio.sleep(0.002)
    await acting
    await stage.settle()
