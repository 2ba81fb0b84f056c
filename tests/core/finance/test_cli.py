"""Do the operator's commands for the ledger and providers' files say what is, and exit by it?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.programs import Done, payengine
from tests.core.settlements.test_service import Row, file_of
from tests.engines import Shop

pytestmark = pytest.mark.usefixtures("shop")


async def _run(shop: Shop, *arguments: str) -> Done:
    done = await payengine(
        *arguments, "--tenant", str(shop.context.tenant_id), home=shop.till.home.home
    )
    assert "Traceback" not in done.complaints
    return done


async def test_a_ledger_is_verified_and_a_difference_is_named(shop: Shop) -> None:
    await shop.pay(1_234)
    done = await _run(shop, "ledger", "verify", "--json")
    report = json.loads(done.output)
    assert (done.code, report["ok"], report["tenants"]) == (0, True, 1)
    (line,) = report["trial"]
    assert (line["currency"], line["debits"]) == ("EUR", line["credits"])
    async with shop.till.as_owner(shop.context.tenant_id) as owner:
        await owner.execute(
            "INSERT INTO ledger_rollup (tenant_id, account, currency, debits_posted,"
            " credits_posted, debits_pending, credits_pending)"
            " VALUES ($1, 'cash:main', 'EUR', 1, 0, 0, 0)",
            shop.context.tenant_id,
        )
    done = await _run(shop, "ledger", "verify")
    assert done.code == 1
    assert "cash:main" in done.output


async def test_a_statement_is_printed_or_written(shop: Shop, tmp_path: Path) -> None:
    await shop.pay(1_234)
    asked = ("ledger", "statement", "merchant_payable:main", "--currency", "EUR", "--since")
    done = await _run(shop, *asked, "2026-01-01")
    assert done.code == 0
    assert "payment.captured" in done.output
    assert ",12.34,12.34,EUR" in done.output
    out = tmp_path / "statement.xml"
    done = await _run(shop, *asked, "2026-01-01", "--format", "camt053", "--out", str(out))
    assert done.code == 0, done.complaints
    assert '<Amt Ccy="EUR">12.34</Amt>' in out.read_text()


async def test_a_file_is_taken_in_and_its_work_is_counted(shop: Shop, tmp_path: Path) -> None:
    paid = await shop.pay(1_000)
    assert paid.operation is not None
    file = tmp_path / "settled.csv"
    fee = paid.operation.fee_minor
    file.write_bytes(file_of(Row("l1", "capture", paid.operation.id, 1_000, fee=fee)))
    asked = ("settlements", "import", str(file), "--format", "sandbox.settlement")
    done = await _run(shop, *asked)
    assert (done.code, done.output.splitlines()[-1]) == (0, "All agrees.")
    file.write_bytes(file_of(Row("l2", "capture", "op_nobodys", 5)))
    done = await _run(shop, *asked)
    assert (done.code, done.output.splitlines()[-1]) == (1, "1 items wait for a person.")
    file.write_bytes(b"no,such\nfile,1\n")
    done = await _run(shop, *asked)
    assert done.code == 2
    assert "it has no column 'key'" in done.complaints
