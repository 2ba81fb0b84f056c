"""What is known when PayPal does not answer, refuses, or forgets the token?"""

from __future__ import annotations

import asyncio
import socket

import pytest
from payengine.plugin import (
    Amount,
    Call,
    Lookup,
    NotSent,
)
from payengine_paypal.gateway import MANIFEST, PayPalGateway
from payengine_paypal.settings import HOSTS_VARIABLE
from paypal_account import Account

pytest_plugins = ("paypal_account",)


@pytest.mark.parametrize(
    ("minor", "currency", "is_sent"),
    [(1_200, "JPY", True), (120_000, "HUF", True), (120_050, "HUF", False), (5, "TWD", False),
     (1_000, "KWD", False), (1_000, "XXX", False), (99, "USD", True)],
)  # fmt: skip
async def test_amounts_that_paypal_cannot_write_are_not_sent(
    account: Account, minor: int, currency: str, is_sent: bool
) -> None:
    outcome = await account.pay(amount=Amount(minor, currency))
    if is_sent:
        assert outcome.amount == Amount(minor, currency)
    else:
        assert (outcome.status, outcome.raw_status) == ("not_processed", "AMOUNT_NOT_EXPRESSIBLE")
        assert account.paypal.sums(account.name) == []
    assert "AMOUNT_NOT_EXPRESSIBLE" in MANIFEST.not_processed_codes


async def test_reference_that_is_no_id_reaches_nobody(account: Account) -> None:
    before = len(account.sent())
    with pytest.raises(Exception, match="no id"):
        await account.capture("../../v1/oauth2", 100)
    assert len(account.sent()) == before


async def test_refused_connection_is_not_sent(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv(
            HOSTS_VARIABLE, f"{account.paypal.url.removeprefix('http://')},{address}"
        )
        settings = account.paypal.settings(account.name, api_base=f"http://{address}")
        call = Call(account=account.name, settings=settings, deadline_ms=3_000)
        with pytest.raises(NotSent):
            await account.gateway.authorize(call, account.request())


async def test_wrong_credentials_are_not_sent(account: Account) -> None:
    settings = account.paypal.settings(account.name, client_secret="wrong")
    call = Call(account=account.name, settings=settings, deadline_ms=3_000)
    with pytest.raises(NotSent, match="no token"):
        await account.gateway.authorize(call, account.request())


@pytest.mark.parametrize("issue", ["PAYEE_ACCOUNT_RESTRICTED", "NOT_ENABLED_FOR_CARD_PROCESSING"])
async def test_refusals_of_the_account_are_no_declines(account: Account, issue: str) -> None:
    outcome = await account.pay(f"issue_{issue}")
    assert (outcome.status, outcome.raw_status) == ("not_processed", issue)


@pytest.mark.parametrize("issue", ["DUPLICATE_INVOICE_ID", "PREVIOUS_REQUEST_IN_PROGRESS"])
async def test_what_may_have_been_done_before_is_unknown(account: Account, issue: str) -> None:
    with pytest.raises(Exception, match=issue):
        await account.pay(f"issue_{issue}")


async def test_unmapped_issue_keeps_its_name(account: Account) -> None:
    outcome = await account.pay("issue_SOMETHING_NEW")
    assert outcome.decline is not None
    assert (outcome.decline.code, outcome.decline.raw_code) == ("something_new", "SOMETHING_NEW")


async def test_rate_limit_is_proof_of_nothing_done(account: Account) -> None:
    account.paypal.ask("set", faults={"rates": {"rate_limited": 1_000}})
    outcome = await account.pay()
    assert (outcome.status, outcome.raw_status) == ("not_processed", "RATE_LIMIT_REACHED")
    assert account.paypal.sums(account.name) == []


@pytest.mark.parametrize(
    "fault", ["error_before", "error_after", "unavailable", "reset_before", "reset_after"]
)
async def test_silence_and_server_errors_are_unknown(account: Account, fault: str) -> None:
    account.paypal.ask("set", faults={"rates": {fault: 1_000}})
    request = account.request()
    with pytest.raises(Exception, match=r"no answer|HTTP 50") as raised:
        await account.gateway.authorize(account.call, request)
    assert not isinstance(raised.value, NotSent)
    account.paypal.ask("set", faults={})
    found = await account.look_up(request.key, None)
    assert found.status == "succeeded"
    (row,) = account.paypal.sums(account.name)
    assert row["captures"] == [[request.payment_id, 1_200]]


async def test_hanging_answer_ends_by_the_deadline(account: Account) -> None:
    account.paypal.ask("set", faults={"rates": {"hang_after": 1_000}, "hang_s": 20})
    call = Call(account=account.name, settings=account.call.settings, deadline_ms=2_000)
    request = account.request()
    with pytest.raises(Exception, match="no answer"):
        await asyncio.wait_for(account.gateway.authorize(call, request), 18)
    account.paypal.ask("set", faults={})
    assert (await account.look_up(request.key, None)).status == "succeeded"


async def test_another_process_finds_nothing_by_the_key_and_sends_it_again(
    account: Account,
) -> None:
    """What a crash leaves: the engine's stored request goes out once more, with its key."""
    account.paypal.ask("set", faults={"rates": {"error_after": 1_000}})
    request = account.request()
    with pytest.raises(Exception, match="HTTP 500"):
        await account.gateway.authorize(account.call, request)
    account.paypal.ask("set", faults={})
    other = PayPalGateway()
    lookup = Lookup(key=request.key, kind="authorize")
    assert (await other.lookup(account.call, lookup)).status == "not_found"
    assert (await other.authorize(account.call, request)).status == "succeeded"
    (row,) = account.paypal.sums(account.name)
    assert row["captures"] == [[request.payment_id, 1_200]]
    await other.aclose()


def tokens_given(account: Account) -> int:
    """How many access tokens the fake has handed out."""
    given: int = account.paypal.ask("set")["tokens_given"]
    return given


async def test_one_token_serves_many_calls(account: Account) -> None:
    before = tokens_given(account)
    await asyncio.gather(*(account.pay() for _ in range(20)))
    assert tokens_given(account) == before + 1


async def test_refused_token_is_renewed_and_the_payment_goes_on(account: Account) -> None:
    await account.pay()
    before = tokens_given(account)
    account.paypal.ask("set", revoke=True)
    assert (await account.pay()).status == "succeeded"
    assert tokens_given(account) == before + 1


async def test_short_lived_token_is_renewed_before_it_ends(account: Account) -> None:
    account.paypal.ask("set", token_s=121)
    await account.pay()
    before = tokens_given(account)
    await asyncio.sleep(1.1)
    account.paypal.ask("set", token_s=32_400)
    assert (await account.pay()).status == "succeeded"
    assert tokens_given(account) == before + 1


async def test_accounts_do_not_share_tokens(account: Account) -> None:
    await account.pay()
    before = tokens_given(account)
    other = Call(
        account="another", settings=account.paypal.settings(f"{account.name}-b"), deadline_ms=3_000
    )
    await account.gateway.authorize(other, account.request())
    assert tokens_given(account) == before + 1
