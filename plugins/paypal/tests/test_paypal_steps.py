"""Does an order end as the buyer and the merchant decide, once, whoever asks?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine.plugin import (
    Authorize,
    Lookup,
    Outcome,
)
from payengine_paypal.gateway import PayPalGateway
from paypal_account import Account

pytest_plugins = ("paypal_account",)


@pytest.mark.parametrize("capture", [True, False])
async def test_lookup_completes_what_the_buyer_approved(account: Account, capture: bool) -> None:
    request = account.request("paypal", capture=capture)
    asked = await account.gateway.authorize(account.call, request)
    assert asked.next_action is not None
    waiting = await account.look_up(request.key, asked.provider_reference)
    assert waiting.status == "requires_action"
    back = account.paypal.click(asked.next_action.url, "agree")
    assert back == f"https://shop.example/return?token={asked.provider_reference}"
    done = await account.look_up(request.key, asked.provider_reference)
    assert (done.status, done.captured) == ("succeeded", capture)
    assert done.amount == request.amount
    assert (done.expires_at is None) == capture
    assert done == await account.look_up(request.key, asked.provider_reference)


async def test_cancelled_page_leaves_it_waiting(account: Account) -> None:
    request = account.request("paypal")
    asked = await account.gateway.authorize(account.call, request)
    assert asked.next_action is not None
    account.paypal.click(asked.next_action.url, "cancel")
    found = await account.look_up(request.key, asked.provider_reference)
    assert found.status == "requires_action"
    assert account.order(asked.provider_reference)["captures"] == []


async def test_many_lookups_at_once_take_the_money_once(account: Account) -> None:
    request = account.request("paypal")
    asked = await account.gateway.authorize(account.call, request)
    account.paypal.approve(account.name, str(asked.provider_reference))
    account.paypal.ask("set", slow_s=0.02)
    others = [PayPalGateway() for _ in range(3)]
    lookup = Lookup(key=request.key, kind="authorize", provider_reference=asked.provider_reference)
    found = await asyncio.gather(
        *(each.lookup(account.call, lookup) for each in [account.gateway, *others] * 4),
        return_exceptions=True,
    )
    statuses = {each.status for each in found if isinstance(each, Outcome)}
    assert statuses == {"succeeded"}
    assert account.order(asked.provider_reference)["captures"] == [[request.payment_id, 1_200]]
    for each in others:
        await each.aclose()


async def test_completion_whose_answer_is_lost_is_found_by_the_next_lookup(
    account: Account,
) -> None:
    request = account.request("paypal")
    asked = await account.gateway.authorize(account.call, request)
    account.paypal.approve(account.name, str(asked.provider_reference))
    account.paypal.ask("set", faults={"rates": {"reset_after": 1_000}})
    with pytest.raises(Exception, match="no answer"):
        await account.look_up(request.key, asked.provider_reference)
    account.paypal.ask("set", faults={})
    done = await account.look_up(request.key, asked.provider_reference)
    assert done.status == "succeeded"
    assert account.order(asked.provider_reference)["captures"] == [[request.payment_id, 1_200]]


@pytest.mark.parametrize(
    ("issue", "status", "code"),
    [
        ("INSTRUMENT_DECLINED", "declined", "generic_decline"),
        ("TRANSACTION_REFUSED", "declined", "generic_decline"),
        ("PAYER_ACTION_REQUIRED", "requires_action", None),
        ("COMPLIANCE_VIOLATION", "declined", "transaction_not_allowed"),
    ],
)
async def test_refused_completion_says_why(
    account: Account, issue: str, status: str, code: str | None
) -> None:
    request = account.request("paypal")
    asked = await account.gateway.authorize(account.call, request)
    account.paypal.approve(
        account.name, str(asked.provider_reference), **{"with": f"issue_{issue}"}
    )
    found = await account.look_up(request.key, asked.provider_reference)
    assert found.status == status
    assert (found.decline.code if found.decline else None) == code
    assert found.provider_reference == asked.provider_reference


async def test_merchants_own_fault_leaves_an_approved_order_open(account: Account) -> None:
    """The buyer approved: that the account cannot take it now is no proof that it never will."""
    request = account.request("paypal")
    asked = await account.gateway.authorize(account.call, request)
    account.paypal.approve(
        account.name, str(asked.provider_reference), **{"with": "issue_PAYEE_ACCOUNT_RESTRICTED"}
    )
    with pytest.raises(Exception, match="PAYEE_ACCOUNT_RESTRICTED"):
        await account.look_up(request.key, asked.provider_reference)


async def test_order_of_another_operation_is_not_taken_for_ours(account: Account) -> None:
    asked = await account.pay("paypal")
    account.paypal.approve(account.name, str(asked.provider_reference))
    with pytest.raises(Exception, match="another operation"):
        await account.look_up("op-of-somebody-else", asked.provider_reference)
    assert account.order(asked.provider_reference)["captures"] == []


@pytest.mark.parametrize(
    ("age_h", "status"), [(None, "not_found"), (2, "not_found"), (80, "declined")]
)
async def test_forgotten_order_ends_when_its_time_is_over(
    account: Account, age_h: int | None, status: str
) -> None:
    request = account.request("paypal")
    asked = await account.gateway.authorize(account.call, request)
    account.paypal.ask("forget", client_id=account.name, id=asked.provider_reference)
    sent_at = None if age_h is None else datetime.now(UTC) - timedelta(hours=age_h)
    found = await account.look_up(request.key, asked.provider_reference, sent_at=sent_at)
    assert found.status == status


@pytest.mark.parametrize("capture", [True, False])
async def test_canceled_order_is_never_completed(account: Account, capture: bool) -> None:
    request = account.request("paypal", capture=capture)
    asked = await account.gateway.authorize(account.call, request)
    reference = str(asked.provider_reference)
    assert (await account.void(reference)).status == "succeeded"
    assert (await account.void(reference)).status == "succeeded"
    account.paypal.approve(account.name, reference)
    found = await account.look_up(request.key, reference)
    assert found.status == "requires_action"
    row = account.order(reference)
    assert row["captures"] == row["holds"] == []
    assert (await account.look_up("void", reference, "void")).status == "succeeded"


async def test_order_that_paypal_does_not_let_change_is_canceled_by_never_being_completed(
    account: Account,
) -> None:
    """PayPal describes changes of orders that are created or approved, and of no others."""
    account.paypal.ask("set", strict_patch=True)
    asked = await account.pay("paypal")
    reference = str(asked.provider_reference)
    assert (await account.void(reference)).status == "succeeded"
    row = account.order(reference)
    assert row["captures"] == row["holds"] == []
    asked = await account.pay("paypal")
    reference = str(asked.provider_reference)
    account.paypal.approve(account.name, reference)
    assert (await account.void(reference)).status == "succeeded"
    assert (await account.void(reference)).status == "succeeded"
    assert account.order(reference)["key"].startswith("void-")


async def test_cancel_and_completion_at_once_have_one_winner(account: Account) -> None:
    """Either the buyer's money was taken and the void says so, or it never is."""
    account.paypal.ask("set", slow_s=0.005)
    winners = set()
    for round_ in range(12):
        request = account.request("paypal")
        asked = await account.gateway.authorize(account.call, request)
        reference = str(asked.provider_reference)
        account.paypal.approve(account.name, reference)

        async def complete(request: Authorize = request, reference: str = reference) -> Any:
            try:
                return await account.look_up(request.key, reference)
            except Exception as failure:
                return failure

        async def cancel(reference: str = reference, late_s: float = round_ * 0.002) -> Any:
            await asyncio.sleep(late_s)
            return await account.void(reference)

        found, voided = await asyncio.gather(complete(), cancel())
        taken = account.order(reference)["captures"]
        winners.add(voided.status)
        if voided.status == "succeeded":
            assert taken == []
            assert not isinstance(found, Outcome) or found.status == "requires_action"
        else:
            assert voided.raw_status == "NOTHING_HELD"
            assert taken == [[request.payment_id, 1_200]]
        assert (await account.look_up(request.key, reference)).status == (
            "requires_action" if voided.status == "succeeded" else "succeeded"
        )
    assert winners <= {"succeeded", "not_processed"}
