"""Do the worked cases of splits come out of the stored services too, exactly?

Those that a payment can be made of: amounts are what a gateway may charge.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from payengine.errors import PayengineError, RefundExceedsCaptured
from payengine.marketplace.commission import CommissionRule, Tier
from payengine.marketplace.meant import ShareInput

from tests.bazaar import Bazaar
from tests.engines import Shop

_CASES = json.loads(
    (Path(__file__).parents[2] / "data" / "examples" / "examples_splits.json").read_text()
)["cases"]


def _cases(*wanted: str, without: tuple[str, ...] = ()) -> list[Any]:
    return [
        pytest.param(case, id=case["id"])
        for case in _CASES
        if set(wanted) <= case["inputs"].keys() and not set(without) & case["inputs"].keys()
    ]


async def _share(bazaar: Bazaar, part: dict[str, Any], *, own: bool) -> ShareInput:
    """The first part is the platform's, the others are vendors'."""
    account_id = None if own else (await bazaar.vendor()).id
    return ShareInput(
        account_id=account_id,
        amount_minor=part.get("fixed"),
        percent_bps=part.get("percent_bps"),
        remainder=part.get("remainder", False),
    )


@pytest.mark.parametrize("case", _cases("parts", "amount"))
async def test_a_sale_is_divided_as_worked_out(shop: Shop, case: dict[str, Any]) -> None:
    bazaar, given = Bazaar(shop), case["inputs"]
    shares = [
        await _share(bazaar, part, own=number == 0) for number, part in enumerate(given["parts"])
    ]
    expected = case["expected"]
    if "error" in expected:
        with pytest.raises(PayengineError) as refused:
            await bazaar.sell(given["amount"], *shares, currency=given["currency"])
        assert refused.value.code == expected["error"]
        return
    paid = await bazaar.sell(given["amount"], *shares, currency=given["currency"])
    assert await bazaar.parts(paid) == expected["parts"]


@pytest.mark.parametrize("case", _cases("parts", "refunds"))
async def test_refunds_take_back_as_worked_out(shop: Shop, case: dict[str, Any]) -> None:
    bazaar, given, expected = Bazaar(shop), case["inputs"], case["expected"]
    # The platform's part is the last one.
    vendors = [await bazaar.vendor() for _ in given["parts"][1:]]
    owners = [*(each.id for each in vendors), None]
    shares = [
        ShareInput(account_id=owner, amount_minor=minor)
        for owner, minor in zip(owners, given["parts"], strict=True)
    ]
    policy = given.get("fee_policy", "proportional")
    paid = await bazaar.sell(
        sum(given["parts"]), *shares, fee_policy=policy, currency=given["currency"]
    )
    reversals = []
    for amount in given["refunds"]:
        before = await bazaar.parts(paid)
        if "error" in expected and amount > sum(before):
            with pytest.raises(RefundExceedsCaptured):
                await bazaar.refund(paid, amount)
            return
        await bazaar.refund(paid, amount)
        after = await bazaar.parts(paid)
        reversals.append([one - two for one, two in zip(before, after, strict=True)])
    assert reversals == expected["reversals"]
    assert await bazaar.parts(paid) == expected["remaining"]


@pytest.mark.parametrize("case", _cases("rule", "amount", without=("base",)))
async def test_a_commission_is_taken_as_worked_out(shop: Shop, case: dict[str, Any]) -> None:
    bazaar, given, expected = Bazaar(shop), case["inputs"], case["expected"]
    one, told = await bazaar.vendor(), dict(given["rule"])
    tiers = tuple(Tier(**tier) for tier in told.pop("tiers", ()))
    rule = CommissionRule(**told, tiers=tiers)
    sale = {"vendor_id": one.id, "commission": rule, "currency": given["currency"]}
    if before := given["volume_before"]:
        await bazaar.sell(before, **sale)
    paid = await bazaar.sell(given["amount"], **sale)
    assert await bazaar.parts(paid) == [expected["vendor_net"], expected["commission"]]
