"""Is every ledger added up again, and does an import tell how far it is?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from payengine.errors import NotFound
from payengine.finance.verifying import verify_ledger
from payengine.ledger import fold_all
from payengine.settlements import ImportSettlementFile

from tests.engines import Shop, key


async def test_a_whole_ledger_agrees_and_a_broken_one_is_named(shop: Shop) -> None:
    await shop.charge(1_000)
    database = shop.engine.database
    await fold_all(database)
    heard: list[tuple[int, int]] = []
    report = await verify_ledger(
        database, tenant_id=shop.context.tenant_id, told=lambda *at: heard.append(at)
    )
    assert (report.ok, report.tenants, heard) == (True, 1, [(1, 1)])
    assert report.transfers > 0
    assert [(line.currency, line.debits == line.credits) for line in report.trial] == [
        ("EUR", True)
    ]
    async with shop.till.as_owner(shop.context.tenant_id) as owner:
        await owner.execute(
            "UPDATE ledger_rollup SET credits_posted = credits_posted + 1"
            " WHERE account = 'merchant_payable:main'"
        )
    found = await verify_ledger(database, tenant_id=shop.context.tenant_id)
    assert not found.ok
    assert all("merchant_payable:main" in each or "debits of" in each for each in found.broken)
    async with shop.till.as_owner(shop.context.tenant_id) as owner:
        await owner.execute(
            "UPDATE ledger_rollup SET credits_posted = credits_posted - 1"
            " WHERE account = 'merchant_payable:main'"
        )


async def test_a_tenant_that_does_not_exist_is_told(shop: Shop) -> None:
    nobody = type(shop.context.tenant_id)(int=1)
    with pytest.raises(NotFound):
        await verify_ledger(shop.engine.database, tenant_id=nobody)


async def test_progress_is_told_line_by_line(shop: Shop) -> None:
    head = "key,kind,reference,amount_minor,currency,fee_minor,at"
    at = datetime.now(UTC).isoformat()
    rows = [f"t{number},fee,,-1,EUR,0,{at}" for number in range(450)]
    heard: list[tuple[int, int]] = []
    request = ImportSettlementFile(
        idempotency_key=key(),
        format="sandbox.settlement",
        content="\n".join((head, *rows)).encode(),
    )
    done = await shop.engine.settlements.import_file(
        shop.context, request, told=lambda *each: heard.append(each)
    )
    assert (done.new_count, heard) == (450, [(0, 450), (200, 450), (400, 450), (450, 450)])
    balance = await shop.engine.ledger.balance(shop.context, "processor_fees:sandbox", "EUR")
    assert balance.balance == 450
