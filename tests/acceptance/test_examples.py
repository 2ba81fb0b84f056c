"""Do the worked examples come out as they say?

The folder is `PAYENGINE_EXAMPLES`, by default the copy in tests/data/examples. Every file is read
by its suite; a missing file is skipped aloud, and a suite or an example of an unknown shape fails.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from payengine.context import TenantContext
from payengine.storage import Database

from tests.acceptance.examples import (
    currencies,
    decline_codes,
    dunning,
    fx,
    invoices,
    ledger,
    marketplace,
    periods,
    pricing,
    proration,
    renewals,
    reports,
    splits,
    usage,
)
from tests.acceptance.examples.shapes import Case, World, not_built, unknown_shape
from tests.conftest import Servers
from tests.engines import Till, open_till
from tests.servers import migrated_home

_FOLDER = Path(
    os.environ.get("PAYENGINE_EXAMPLES") or Path(__file__).parents[1] / "data" / "examples"
)

_BUILT: dict[str, Callable[[dict[str, Any]], list[Case]]] = {
    "currencies": currencies.cases,
    "decline_codes": decline_codes.cases,
    "dunning": dunning.cases,
    "fx": fx.cases,
    "invoices": invoices.cases,
    "ledger": ledger.cases,
    "marketplace": marketplace.cases,
    "periods": periods.cases,
    "pricing": pricing.cases,
    "proration": proration.cases,
    "renewals": renewals.cases,
    "reports": reports.cases,
    "splits": splits.cases,
    "usage": usage.cases,
}


@pytest.fixture(scope="module")
async def till_apart(servers: Servers) -> AsyncIterator[Callable[[], Awaitable[Till]]]:
    """Opens an engine on a PostgreSQL of its own, once, where an example needs one at work."""
    async with AsyncExitStack() as stack:
        opened: list[Till] = []

        async def open_apart() -> Till:
            if not opened:
                home = await stack.enter_async_context(migrated_home())
                opened.append(await stack.enter_async_context(open_till(home)))
            return opened[0]

        yield open_apart


async def _say(tell: Callable[[str], None], what: str, world: World) -> None:
    tell(what)


def _cases() -> Iterator[tuple[str, Case]]:
    found = {path.stem.removeprefix("examples_"): path for path in _FOLDER.glob("examples_*.json")}
    for name in sorted(set(_BUILT) | set(found)):
        if name not in found:
            missing = f"examples_{name}.json is not in the folder of examples"
            yield name, Case("missing", partial(_say, not_built, missing))
        else:
            for case in _cases_of(found[name]):
                yield name, case


def _cases_of(path: Path) -> list[Case]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        suite = document["suite"]
        if suite in _BUILT:
            return _BUILT[suite](document)
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        what = f"{path.name} cannot be read: {type(fault).__name__} {fault}"
        return [Case("unreadable", partial(_say, unknown_shape, what))]
    return [Case("unknown", partial(_say, unknown_shape, f"{path.name} has the suite {suite}"))]


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{suite}-{case.id}") for suite, case in _cases()]
)
async def test_the_example_comes_out_as_it_says(
    case: Case,
    database: Database,
    tenant: TenantContext,
    till_apart: Callable[[], Awaitable[Till]],
) -> None:
    await case.run(World(database, tenant, till_apart))
