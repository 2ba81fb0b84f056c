"""Is money given back once, from whichever captures have room?"""

from __future__ import annotations

import pytest
from payengine.plugin import (
    Amount,
)
from paypal_account import Account

pytest_plugins = ("paypal_account",)


async def test_refund_is_divided_where_no_capture_has_room(account: Account) -> None:
    reference = await account.hold()
    await account.capture(reference, 500, final=False)
    await account.capture(reference, 300)
    given = await account.refund(reference, 600, key="ref-1")
    assert (given.status, given.amount) == ("succeeded", Amount(600, "EUR"))
    assert given == await account.refund(reference, 600, key="ref-1")
    assert account.order(reference)["refunds"] == [["ref-1", 500], ["ref-1", 100]]
    assert (await account.refund(reference, 200)).status == "succeeded"
    assert (await account.refund(reference, 1)).status == "declined"


@pytest.mark.parametrize("fault", ["error_after", "reset_after", "error_before", "reset_before"])
async def test_divided_refund_that_was_cut_short_is_carried_on(
    account: Account, fault: str
) -> None:
    reference = await account.hold()
    await account.capture(reference, 500, final=False)
    await account.capture(reference, 300)
    account.paypal.ask("set", faults={"seed": 3, "rates": {fault: 500}})
    for _ in range(200):
        try:
            given = await account.refund(reference, 700, key="ref-2")
        except Exception:
            continue
        break
    assert given.amount == Amount(700, "EUR")
    assert sorted(account.order(reference)["refunds"]) == [["ref-2", 200], ["ref-2", 500]]


async def test_refund_whose_answer_is_lost_is_found(account: Account) -> None:
    paid = await account.pay()
    reference = str(paid.provider_reference)
    account.paypal.ask("set", faults={"rates": {"reset_after": 1_000}})
    with pytest.raises(Exception, match="no answer"):
        await account.refund(reference, 300, key="ref-lost")
    account.paypal.ask("set", faults={})
    found = await account.look_up("ref-lost", reference, "refund")
    assert (found.status, found.amount) == ("succeeded", Amount(300, "EUR"))
    assert found == await account.look_up("ref-lost", found.provider_reference, "refund")
    assert found == await account.refund(reference, 300, key="ref-lost")
    assert (await account.look_up("ref-never", reference, "refund")).status == "not_found"


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        ("vault_broke", "declined", "insufficient_funds"),
        ("vault_slow_refund", "pending", None),
        ("vault_pending", "declined", "try_again_later"),
    ],
)
async def test_refund_ends_as_paypal_says(
    account: Account, token: str, status: str, code: str | None
) -> None:
    account.paypal.ask("set", pending_s=60)
    paid = await account.pay(token)
    given = await account.refund(str(paid.provider_reference), 300)
    assert given.status == status
    assert (given.decline.code if given.decline else None) == code
