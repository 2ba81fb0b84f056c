"""Do wake-ups come where something became due, and is all done by them alone?"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from payengine.billing.wakeups import COLLECT, RENEW, wake
from payengine.jobs import JobFilter

from tests.acceptance.renewals.stage import Stage
from tests.engines import Till


async def _waiting(stage: Stage) -> Counter[str]:
    found = await stage.engine.job_desk.find(JobFilter(stage.tenant_id))
    return Counter(job.kind for job in found)


async def test_an_issued_invoice_asks_once_to_be_charged(till: Till) -> None:
    stage = await Stage.open(till, 120)
    at = datetime.now(UTC)
    assert await stage.engine.invoicing.renewals.run_tenant(stage.tenant_id, at=at) == 120
    assert await _waiting(stage) == {COLLECT: 1}


async def test_what_is_rolled_back_wakes_nobody(till: Till) -> None:
    stage = await Stage.open(till, 1)

    async def change_its_mind() -> None:
        async with stage.engine.database.tenant(stage.tenant_id) as session:
            await wake(session, stage.tenant_id, COLLECT)
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await change_its_mind()
    assert await _waiting(stage) == {}


async def test_a_turn_that_was_not_enough_asks_for_another(till: Till) -> None:
    stage = await Stage.open(till, 3)
    assert await stage.engine.invoicing.renewals.take_turn(stage.tenant_id, limit=2) == 2
    assert (await _waiting(stage))[RENEW] == 1
    assert await stage.engine.invoicing.renewals.take_turn(stage.tenant_id, limit=2) == 1
    assert (await _waiting(stage))[RENEW] == 1


async def test_one_wake_up_renews_and_charges_all_without_a_poller(till: Till) -> None:
    for kind in (RENEW, COLLECT):  # what earlier tests left to be done is none of this one's
        while await till.engine.job_desk.drop(JobFilter(kind=kind, state="waiting")):
            pass
    stage = await Stage.open(till, 12)
    async with stage.engine.database.tenant(stage.tenant_id) as session:
        await wake(session, stage.tenant_id, RENEW)
        await wake(session, stage.tenant_id, RENEW)
    await stage.engine.jobs.run_until_idle()
    standing = await stage.standing()
    assert (standing.invoices, standing.paid, standing.provider_charges) == (12, 12, 12)
    assert standing.broken == ()
    assert await _waiting(stage) == {}
