"""Is each invoice paid once, whatever dies while it is collected?

Real processes are killed at the points between a charge's intent, its gateway and its record;
others come after them. `PAYENGINE_COLLECTIONS` sets how many invoices eight workers share.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter as Count
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.debtors import Counter, Debtor

_ROOT = Path(__file__).parents[2]
_INVOICES = int(os.environ.get("PAYENGINE_COLLECTIONS") or 8)
_POINTS = (
    "after_gateway",
    "after_collection_charge_before_record",
    *(
        (
            "dunning_claimed",
            "collection_charge_prepared",
            "after_intent",
            "collection_charge_recorded",
        )
        if os.environ.get("PAYENGINE_NIGHTLY")
        else ()
    ),
)


async def _worker(counter: Counter, *, fault: str = "", rounds: int = 3) -> int:
    """Run a worker of its own to its end, or to its death; its exit code."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.acceptance.collection_program",
        str(counter.home.home),
        counter.home.login_url,
        str(rounds),
        cwd=_ROOT,
        env={**os.environ, "PAYENGINE_FAULTS": fault},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await asyncio.wait_for(process.wait(), 240)


def _late() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=2)


async def _assert_paid_once(debtor: Debtor) -> None:
    assert await debtor.standing() == ("active", "granted", "paid")
    assert Count(each.kind for each in await debtor.movements()) == {"capture": 1}
    assert [charge.outcome for charge in await debtor.charges()] == ["succeeded"]
    assert await debtor.events("invoice.") == ["invoice.paid"]


@pytest.mark.parametrize("point", _POINTS)
async def test_a_worker_that_is_killed_leaves_an_invoice_that_is_paid_once(
    counter: Counter, point: str
) -> None:
    debtor = await counter.debtor("tok_visa")
    assert await _worker(counter, fault=point) == -signal.SIGKILL, "it was not killed"
    await debtor.engine.reconciler.run_once(at=_late())
    for _ in range(3):
        await debtor.look()
    await _assert_paid_once(debtor)


async def test_many_workers_of_which_some_are_killed_pay_each_invoice_once(
    counter: Counter,
) -> None:
    debtors = [await counter.debtor("tok_visa") for _ in range(_INVOICES)]
    deaths = ("after_collection_charge_before_record:2", "after_gateway:3", "dunning_claimed:4")
    ends = await asyncio.gather(
        *(_worker(counter, fault=deaths[n] if n < 3 else "", rounds=4) for n in range(4))
    )
    for _ in range(3):
        await debtors[0].engine.reconciler.run_once(at=_late())
        await debtors[0].look()
    for debtor in debtors:
        await _assert_paid_once(debtor)
    assert set(ends) <= {0, -signal.SIGKILL}
