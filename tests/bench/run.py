"""How near the database's own limit do we stand, and how live are we?

`make bench`: one command, one run, one machine. Prints a table, writes docs/performance.md and ends
with one line of JSON. Every figure that decides is a ratio taken in turns with what it is compared
with, so that a noisy neighbour spoils both.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.bench.documents import CUSTOMER
from tests.bench.figures import resident_mib
from tests.bench.floor import Floor
from tests.bench.house import Api, House, bare_server, load, open_house
from tests.bench.live import Audience, bare_sending, listen, resume
from tests.bench.load import Shop
from tests.bench.messages import own_scripts
from tests.bench.report import (
    Figures,
    Paired,
    show,
    show_screening,
    summary_of_screening,
    write_page,
)
from tests.bench.screening import Screened, measure_screening
from tests.bench.wire import body_of, say

__all__ = ["Plan", "measure", "measure_fraud"]

_TENANTS = 20
_CUSTOMERS = 5
_LEVELS = (1, 8, 32, 64)
_EVENTS_PER_S = 50.0
_CUTS = 1_000
_PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How long to look, in seconds."""

    window: float = 6.0
    rounds: int = 3
    short: float = 4.0
    live: float = 10.0
    cuts: int = _CUTS


_QUICK = Plan(window=2.0, rounds=2, short=1.5, live=3.0, cuts=200)


def _tell(text: str) -> None:
    """Tell a waiting person what is being done."""
    sys.stderr.write(f"… {text} (load {os.getloadavg()[0]:.1f})\n")
    sys.stderr.flush()


async def measure(plan: Plan) -> Figures:
    """Everything but the growth of the tables, which has its own target."""
    began = time.monotonic()
    async with open_house(tenants=_TENANTS) as house:
        floor = Floor(house)
        await floor.prepare()
        figures = Figures(load_before=os.getloadavg()[0])
        await _bare(figures, plan)
        async with house.api() as api:
            await _payments(figures, plan, house, floor, api)
            _tell("payments with fraud rules and without")
            figures.screened = await measure_screening(
                house, api, seconds=plan.short, rounds=plan.rounds
            )
            await _mix(figures, plan, house, api)
            await _live(figures, plan, house, api)
        await _own_statements(figures, plan, house, floor)
    figures.load_after = os.getloadavg()[0]
    figures.took_s = time.monotonic() - began
    return figures


async def measure_fraud(plan: Plan) -> list[Screened]:
    """What the fraud rules cost, and nothing else."""
    async with open_house(tenants=_TENANTS) as house, house.api() as api:
        _tell("payments with fraud rules and without")
        return await measure_screening(house, api, seconds=plan.short, rounds=2 * plan.rounds)


async def _bare(figures: Figures, plan: Plan) -> None:
    _tell("a bare Starlette echo")
    async with bare_server(rate=1, size=1) as api:
        for level in _LEVELS:
            figures.echo[level] = await load(
                api, concurrency=level, seconds=plan.short / 2, kinds=["echo"], warm_up=0.5
            )


async def _payments(figures: Figures, plan: Plan, house: House, floor: Floor, api: Api) -> None:
    await load(api, concurrency=8, seconds=1, shops=house.shops)  # every cache is warm
    for level in _LEVELS:
        rounds = plan.rounds if level == 32 else 1
        seconds = plan.window if level in (1, 32) else plan.short
        before, sent = api.counters(), 0
        for turn in range(rounds):
            _tell(f"floor and payments, {level} at once, {turn + 1} of {rounds}")
            at = house.database_seconds()
            tps = await floor.rps(clients=level, seconds=seconds)
            between = house.database_seconds()
            result = await load(api, concurrency=level, seconds=seconds, shops=house.shops)
            sent += result.sent
            pair = Paired(
                floor_rps=tps,
                floor_cpu_ms=(between - at) / (tps * seconds) * 1e3,
                payments=result,
                database_cpu_ms=(house.database_seconds() - between) / result.sent * 1e3,
                load=os.getloadavg()[0],
            )
            figures.pairs.setdefault(level, []).append(pair)
        if level == 32:
            after = api.counters()
            figures.process_statements = (after[0] - before[0]) / sent
            figures.process_commits = (after[1] - before[1]) / sent
            figures.rss_mib = resident_mib(api.pid)
    for level in _LEVELS:
        _tell(f"payments of one tenant, {level} at once")
        figures.one_tenant[level] = await load(
            api, concurrency=level, seconds=plan.short, shops=house.shops[:1]
        )


async def _mix(figures: Figures, plan: Plan, house: House, api: Api) -> None:
    _tell("80 % reads, 20 % writes")
    shops = [await _with_customers(api, shop) for shop in house.shops]
    await load(api, concurrency=8, seconds=2, shops=shops, kinds=["pay_customer"])
    kinds = ["pay_customer", "payment", "page", "payment", "page"]
    figures.mix = await load(api, concurrency=32, seconds=plan.window, shops=shops, kinds=kinds)
    _tell("the page of 20 payments")
    figures.page = await load(api, concurrency=1, seconds=plan.short, shops=shops, kinds=["page"])
    figures.one = await load(
        api, concurrency=1, seconds=plan.short / 2, shops=shops, kinds=["payment"]
    )


async def _with_customers(api: Api, shop: Shop) -> Shop:
    def make(number: int) -> str:
        given = {
            "idempotencyKey": f"customer-{number}",
            "reference": f"buyer-{number}",
            "email": f"buyer{number}@example.com",
            "name": f"Buyer {number}",
        }
        request = urllib.request.Request(
            f"http://127.0.0.1:{api.port}/graphql",
            body_of(CUSTOMER, {"input": given}),
            {"Content-Type": "application/json", "Authorization": f"Bearer {shop.key}"},
        )
        with urllib.request.urlopen(request) as answer:
            made = msgspec.json.decode(answer.read())
        found: str = made["data"]["createCustomer"]["customer"]["id"]
        return found

    made = [await asyncio.to_thread(make, number) for number in range(_CUSTOMERS)]
    return Shop(shop.key, made)


async def _own_statements(figures: Figures, plan: Plan, house: House, floor: Floor) -> None:
    _tell("pgbench with our own statements")
    try:
        scripts = await own_scripts(house)
        figures.own_statements = [
            await floor.own_rps(scripts, clients=32, seconds=plan.short) for _ in range(2)
        ]
    except Exception as problem:  # a figure beside the others: its absence is told
        figures.own_problem = f"{type(problem).__name__}: {problem}"[:300]


async def _live(figures: Figures, plan: Plan, house: House, api: Api) -> None:
    for subscribers in (1, 100, 1_000):
        _tell(f"{subscribers} subscribers of {_TENANTS} tenants")
        figures.live.append(await _listen(api, house.shops, subscribers, plan))
    for subscribers in (1, 100, 1_000):
        _tell(f"{subscribers} subscribers of one tenant")
        figures.live_one.append(await _listen(api, house.shops[:1], subscribers, plan))
    size = round(figures.live_one[-1].heard.bytes_each)
    for audience in figures.live_one:
        sockets = audience.heard.subscribers
        _tell(f"a bare WebSocket send to {sockets}")
        sending = await bare_sending(
            sockets=max(sockets, 1), rate=_EVENTS_PER_S, size=size, seconds=plan.live / 2
        )
        figures.bare_live.append(sending)
    _tell(f"{plan.cuts} lines cut, and resumed by cursor")
    figures.resume = await resume(
        api, house.shops, subscribers=100, cuts=plan.cuts, events_per_s=100.0
    )


async def _listen(api: Api, shops: Sequence[Shop], subscribers: int, plan: Plan) -> Audience:
    return await listen(
        api, shops, subscribers=subscribers, events_per_s=_EVENTS_PER_S, seconds=plan.live
    )


def main() -> None:
    """Measure, show, write the page; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about 1.5 minutes; writes no page")
    parser.add_argument("--only", choices=["fraud"], help="one part; writes no page")
    options = parser.parse_args()
    plan = _QUICK if options.quick else Plan()
    if options.only == "fraud":
        screened = asyncio.run(measure_fraud(plan))
        show_screening(screened)
        say(msgspec.json.encode(summary_of_screening(screened)).decode())
        return
    figures = asyncio.run(measure(plan))
    show(figures)
    if not options.quick:
        write_page(figures, _PAGE)
    say(msgspec.json.encode(figures.summary()).decode())


if __name__ == "__main__":
    main()
