"""What do the fraud rules cost `createPayment`?

Payments of the same kind by shops with the default rules and by shops with all rules off, over the
whole stack and in turns, so that a noisy neighbour spoils both. Each buyer is named by a card and a
device that have paid before; once more, nobody is named.
"""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncpg
import msgspec
from payengine.storage import Database

from tests.bench.documents import RULES, SAVE_RULE
from tests.bench.figures import median
from tests.bench.house import Api, House, load
from tests.bench.load import Result, Shop
from tests.bench.wire import body_of

__all__ = ["Screened", "Spent", "measure_screening"]

_AT_ONCE = 32
_DAY_US = 86_400_000_000

_SCOPE = "SELECT set_config('app.tenant_id', $1, true)"
_AGE = "UPDATE fraud_event SET at = at - $1::bigint"


class Spent(NamedTuple):
    """One window: what came back, and PostgreSQL's CPU for one payment."""

    payments: Result
    database_cpu_ms: float

    @property
    def cpu_ms(self) -> float:
        """CPU of the API and of PostgreSQL for one payment."""
        return self.payments.cpu_ms + self.database_cpu_ms


class Screened(NamedTuple):
    """The windows with the rules and those without them, in the order of their rounds."""

    name: str
    on: list[Spent]
    off: list[Spent]

    @property
    def cost(self) -> float:
        """The share of the throughput that is gone; the median of the rounds."""
        pairs = zip(self.on, self.off, strict=True)
        return 1 - median([on.payments.rps / off.payments.rps for on, off in pairs])

    @property
    def cpu_cost(self) -> float:
        """CPU of both processes beyond that without rules, as a share of that."""
        pairs = zip(self.on, self.off, strict=True)
        return median([on.cpu_ms / off.cpu_ms for on, off in pairs]) - 1

    @property
    def bad(self) -> int:
        """Answers that were not what was asked for."""
        return sum(each.payments.bad for each in (*self.on, *self.off))


async def measure_screening(
    house: House, api: Api, *, seconds: float, rounds: int
) -> list[Screened]:
    """Named buyers first, then nobody."""
    off = await house.open_shops(len(house.shops))
    await asyncio.to_thread(_switch_off, api, off)
    for shops in (house.shops, off):  # each buyer pays once, some time ago
        await load(api, concurrency=_AT_ONCE, seconds=seconds, shops=shops, kinds=["pay_known"])
    found = []
    for name, kind in (("known", "pay_known"), ("not named", "pay")):
        screened = Screened(name, [], [])
        for turn in range(rounds):
            await _age_the_past(house)
            lanes = [(screened.on, house.shops), (screened.off, off)]
            for windows, shops in lanes if turn % 2 else reversed(lanes):
                windows.append(await _window(house, api, shops, kind=kind, seconds=seconds))
        found.append(screened)
    return found


async def _window(
    house: House, api: Api, shops: Sequence[Shop], *, kind: str, seconds: float
) -> Spent:
    before = house.database_seconds()
    result = await load(api, concurrency=_AT_ONCE, seconds=seconds, shops=shops, kinds=[kind])
    spent = house.database_seconds() - before
    return Spent(result, spent / max(result.sent, 1) * 1e3)


async def _age_the_past(house: House) -> None:
    """Let a day pass for what the rules know, so that nobody pays too often within an hour."""
    database = await Database.open(house.servers.login_url, pool_size=1)
    try:
        tenants = await database.tenant_ids()
    finally:
        await database.close()
    owner = await asyncpg.connect(house.servers.owner_url)
    try:
        for tenant_id in tenants:
            async with owner.transaction():
                await owner.execute(_SCOPE, str(tenant_id))
                await owner.execute(_AGE, _DAY_US)
        await owner.execute("VACUUM fraud_event")  # else it happens in somebody's window
    finally:
        await owner.close()


def _switch_off(api: Api, shops: Sequence[Shop]) -> None:
    names = [each["name"] for each in _ask(api, shops[0], RULES)["fraudRules"]]
    for shop in shops:
        for name in names:
            given = {
                "idempotencyKey": f"off-{name}",
                "rule": name,
                "mode": "OFF",
                "reason": "measured without",
            }
            saved = _ask(api, shop, SAVE_RULE, {"input": given})["saveFraudRule"]
            if saved["errors"]:
                raise RuntimeError(f"{name} could not be switched off: {saved['errors']}")


def _ask(api: Api, shop: Shop, document: str, variables: Any = None) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{api.port}/graphql",
        body_of(document, variables),
        {"Content-Type": "application/json", "Authorization": f"Bearer {shop.key}"},
    )
    with urllib.request.urlopen(request) as answer:
        found: dict[str, Any] = msgspec.json.decode(answer.read())["data"]
    return found
