"""Is a hold taken in parts, renewed and released, and never taken twice?"""

from __future__ import annotations

import pytest
from payengine.plugin import (
    Amount,
)
from paypal_account import Account

pytest_plugins = ("paypal_account",)


async def test_hold_is_captured_in_parts_with_fees(account: Account) -> None:
    reference = await account.hold()
    first = await account.capture(reference, 500, final=False)
    last = await account.capture(reference, 300)
    assert [first.status, last.status] == ["succeeded", "succeeded"]
    assert (first.fee_minor, last.fee_minor) == (66, 59)
    late = await account.capture(reference, 100)
    assert late.status == "declined"
    assert late.decline is not None
    assert late.decline.raw_code == "AUTHORIZATION_ALREADY_CAPTURED"


async def test_same_capture_again_takes_nothing_more(account: Account) -> None:
    reference = await account.hold()
    first = await account.capture(reference, 500, final=False, key="cap-1")
    again = await account.capture(reference, 500, final=False, key="cap-1")
    assert first == again
    account.paypal.ask("set", advance_s=46 * 86_400)  # PayPal has forgotten the request's id
    account.paypal.ask("set", revoke=True)
    assert await account.capture(reference, 500, final=False, key="cap-1") == first
    assert account.order(reference)["captures"] == [["cap-1", 500]]
    account.paypal.ask("set", advance_s=-46 * 86_400)


async def test_capture_whose_answer_is_lost_is_found(account: Account) -> None:
    reference = await account.hold()
    account.paypal.ask("set", faults={"rates": {"error_after": 1_000}})
    with pytest.raises(Exception, match="HTTP 500"):
        await account.capture(reference, 700, key="cap-lost")
    account.paypal.ask("set", faults={})
    found = await account.look_up("cap-lost", reference, "capture")
    assert (found.status, found.amount) == ("succeeded", Amount(700, "EUR"))
    by_id = await account.look_up("cap-lost", found.provider_reference, "capture")
    assert by_id == found
    assert (await account.look_up("cap-never", reference, "capture")).status == "not_found"
    assert (await account.look_up("cap-never", None, "capture")).status == "not_found"


async def test_hold_is_renewed_after_its_honour_period(account: Account) -> None:
    account.paypal.ask("set", strict_honor=True)
    reference = await account.hold()
    account.paypal.ask("set", client_id=account.name, age=4)
    taken = await account.capture(reference, 500, final=False, key="cap-a")
    assert taken.status == "succeeded"
    parent, child = account.order(reference)["holds"]
    assert child[2] == parent[0]
    assert (await account.capture(reference, 500, final=False, key="cap-a")) == taken
    assert (await account.capture(reference, 700)).status == "succeeded"
    assert len(account.order(reference)["holds"]) == 2


async def test_renewal_whose_answer_is_lost_is_not_made_twice(account: Account) -> None:
    reference = await account.hold()
    account.paypal.ask("set", client_id=account.name, age=4)
    account.paypal.ask("set", faults={"rates": {"error_after": 1_000}})
    with pytest.raises(Exception, match="HTTP 500"):
        await account.capture(reference, 500, key="cap-b")
    account.paypal.ask("set", faults={})
    assert (await account.capture(reference, 500, key="cap-b")).status == "succeeded"
    row = account.order(reference)
    assert row["captures"] == [["cap-b", 500]]
    assert len(row["holds"]) == 2


async def test_hold_that_cannot_be_renewed_is_captured_all_the_same(account: Account) -> None:
    reference = await account.hold("vault_poor")
    account.paypal.ask("set", client_id=account.name, age=10)
    assert (await account.capture(reference, 500)).status == "succeeded"
    assert len(account.order(reference)["holds"]) == 1


async def test_expired_hold_says_so(account: Account) -> None:
    reference = await account.hold()
    account.paypal.ask("set", client_id=account.name, age=30)
    late = await account.capture(reference, 500)
    assert late.decline is not None
    assert late.decline.raw_code == "AUTHORIZATION_EXPIRED"


async def test_void_releases_a_renewed_and_partly_captured_hold(account: Account) -> None:
    reference = await account.hold()
    account.paypal.ask("set", client_id=account.name, age=4)
    await account.capture(reference, 500, final=False)
    assert (await account.void(reference)).status == "succeeded"
    assert {hold[1] for hold in account.order(reference)["holds"]} == {"VOIDED"}
    assert (await account.void(reference)).status == "succeeded"
    assert (await account.capture(reference, 100)).status == "declined"
    assert (await account.look_up("void", reference, "void")).status == "succeeded"


async def test_void_of_what_was_taken_is_refused(account: Account) -> None:
    paid = await account.pay()
    refused = await account.void(str(paid.provider_reference))
    assert (refused.status, refused.raw_status) == ("not_processed", "NOTHING_HELD")
    reference = await account.hold()
    await account.capture(reference, 1_200)
    assert (await account.void(reference)).status == "declined"


async def test_capture_never_exceeds_the_hold(account: Account) -> None:
    """PayPal itself would take fifteen hundredths more."""
    reference = await account.hold()
    await account.capture(reference, 800, final=False)
    more = await account.capture(reference, 401, final=False)
    assert (more.status, more.raw_status) == ("not_processed", "EXCEEDS_WHAT_IS_HELD")
    assert (await account.capture(reference, 400)).status == "succeeded"
