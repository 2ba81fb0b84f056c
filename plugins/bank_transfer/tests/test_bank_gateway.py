"""Does the gateway keep its word, whoever asks, how often, and from how many processes?"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_bank import ELSEWHERE_IBAN, frame, mandate, payment
from msgspec.structs import replace
from payengine.plugin import (
    Amount,
    Call,
    Capture,
    ForgetMethod,
    Lookup,
    LookupMethod,
    NotSent,
    PaymentMethod,
    Refund,
    SaveMethod,
    Void,
)
from payengine.testing import Chaos, ChaosGateway
from payengine_bank_transfer.desk import Desk
from payengine_bank_transfer.gateway import MANIFEST, BankTransferGateway
from payengine_bank_transfer.pages import routes
from payengine_bank_transfer.records import Operation
from payengine_bank_transfer.samples import mandate_token, simulated_settings
from payengine_bank_transfer.store import Store
from starlette.applications import Starlette

_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[BankTransferGateway]:
    made = BankTransferGateway(Desk(path=tmp_path / "books.sqlite3"))
    yield made
    await made.aclose()


def _simulated(**more: Any) -> Call:
    settings = replace(simulated_settings(), **more)
    return Call(account="acct_1", settings=settings, deadline_ms=2_000)


async def _kept(gateway: BankTransferGateway, call: Call, token: str) -> str:
    method = PaymentMethod(token=token, kind="sepa_debit")
    saved = await gateway.save_method(
        call, SaveMethod(key="s", payment_method=method, customer_reference="cus_1")
    )
    assert saved.status == "saved"
    assert saved.token is not None
    return saved.token


def _sequence(gateway: BankTransferGateway, key: str) -> str:
    found: Operation | None = gateway.desk.books().store.by_key("acct_1", key)
    assert found is not None
    return found.sequence


async def test_the_manifest_says_what_is_true() -> None:
    assert MANIFEST.currencies == ("EUR",)
    assert "capture" not in MANIFEST.operations
    assert MANIFEST.lookup


async def test_debits_under_one_mandate_are_first_then_recurring_then_final(
    gateway: BankTransferGateway,
) -> None:
    call = frame()
    token = await _kept(gateway, call, mandate())
    for key, asked in (("k1", token), ("k2", token), ("k3", f"{token};final")):
        assert (await gateway.authorize(call, payment(key, 100, asked))).status == "pending"
    assert [_sequence(gateway, key) for key in ("k1", "k2", "k3")] == ["FRST", "RCUR", "FNAL"]
    over = await gateway.authorize(call, payment("k4", 100, token))
    assert (over.status, over.raw_status) == ("not_processed", "mandate_used_up")


async def test_a_first_debit_that_was_refused_leaves_the_next_one_first(
    gateway: BankTransferGateway,
) -> None:
    call = _simulated()
    token = await _kept(gateway, call, mandate_token("Ada Declines AM04", mandate="M-1"))
    for key in ("k1", "k2"):
        assert (await gateway.authorize(call, payment(key, 100, token))).status == "declined"
        assert _sequence(gateway, key) == "FRST"


async def test_a_mandate_for_one_debit_allows_one(gateway: BankTransferGateway) -> None:
    call = frame()
    token = mandate(kind="OOFF")
    assert (await gateway.authorize(call, payment("k1", 100, token))).status == "pending"
    again = await gateway.authorize(call, payment("k2", 100, token))
    assert (again.status, again.raw_status) == ("not_processed", "mandate_used_up")
    assert _sequence(gateway, "k1") == "OOFF"


async def test_a_revoked_mandate_allows_none(gateway: BankTransferGateway) -> None:
    call = frame()
    token = await _kept(gateway, call, mandate())
    forgotten = await gateway.forget_method(call, ForgetMethod(key="f", token=token))
    assert forgotten.status == "forgotten"
    asked = LookupMethod(key="s", provider_reference="M-1")
    assert (await gateway.lookup_method(call, asked)).status == "forgotten"
    refused = await gateway.authorize(call, payment("k1", 100, token))
    assert refused.decline is not None
    assert refused.decline.code == "revocation_of_authorization"


async def test_a_mandate_is_kept_once_and_not_replaced(gateway: BankTransferGateway) -> None:
    call = frame()
    first = await _kept(gateway, call, mandate())
    assert await _kept(gateway, call, mandate()) == first
    method = PaymentMethod(token=mandate(iban=ELSEWHERE_IBAN), kind="sepa_debit")
    other = SaveMethod(key="s2", payment_method=method, customer_reference="cus_2")
    assert (await gateway.save_method(call, other)).status == "declined"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"capture": False}, "manual_capture"),
        ({"currency": "USD"}, "currency"),
        ({"minor": 100_000_000_000}, "amount_out_of_range"),
        ({"token": "mandate:unknown"}, "mandate_unknown"),
        ({"token": "iban=DE00;name=x;mandate=M;signed=2026-01-01"}, "mandate_unreadable"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_kept(
    gateway: BankTransferGateway, changes: dict[str, Any], code: str
) -> None:
    request = payment("k1", **changes)
    refused = await gateway.authorize(frame(), request)
    assert (refused.status, refused.raw_status) == ("not_processed", code)
    found = await gateway.lookup(frame(), Lookup(key="k1", kind="authorize"))
    assert found.status == "not_found"


async def test_nothing_is_ever_captured(gateway: BankTransferGateway) -> None:
    request = Capture(key="c", provider_reference="RF", amount=Amount(1, "EUR"))
    assert (await gateway.capture(frame(), request)).status == "not_processed"


async def test_without_an_account_nothing_is_sent(gateway: BankTransferGateway) -> None:
    wrongs: list[dict[str, Any]] = [{"iban": ""}, {"holder": ""}, {"iban": "DE00"}]
    for wrong in wrongs:
        with pytest.raises(NotSent):
            await gateway.authorize(frame(**wrong), payment("k1"))


async def test_the_simulated_bank_is_not_there_in_a_live_world(
    gateway: BankTransferGateway,
) -> None:
    with pytest.raises(NotSent):
        await gateway.authorize(replace(_simulated(), mode="live"), payment("k1"))


async def test_a_transfer_is_called_off_until_money_has_come(gateway: BankTransferGateway) -> None:
    call = _simulated()
    asked = await gateway.authorize(call, payment("k1"))
    amount = Amount(1_200, "EUR")
    void = Void(key="v1", provider_reference=str(asked.provider_reference), amount=amount)
    for _ in range(2):
        assert (await gateway.void(call, void)).status == "succeeded"
    method = PaymentMethod(token="simulated:short", kind="bank_transfer")
    partly = await gateway.authorize(call, replace(payment("k2"), payment_method=method))
    assert (partly.status, partly.raw_status) == ("requires_action", "partly_paid")
    late = Void(key="v2", provider_reference=str(partly.provider_reference), amount=amount)
    assert (await gateway.void(call, late)).raw_status == "already_ordered"


async def test_a_debit_that_the_simulated_bank_returns_is_told(
    gateway: BankTransferGateway,
) -> None:
    call = _simulated()
    token = mandate_token("Ada Returns AC04", mandate="M-1")
    assert (await gateway.authorize(call, payment("k1", 500, token))).status == "succeeded"
    told = gateway.desk.books().store.untold("acct_1", limit=9)
    assert sorted(one.event_id.partition("_")[0] for one in told) == ["booked", "returned"]


async def test_accounts_know_nothing_of_each_other(gateway: BankTransferGateway) -> None:
    mine, theirs = _simulated(), replace(_simulated(), account="acct_2")
    method = PaymentMethod(token="simulated:paid", kind="bank_transfer")
    paid = await gateway.authorize(mine, replace(payment("k1"), payment_method=method))
    assert paid.status == "succeeded"
    assert (await gateway.lookup(theirs, Lookup(key="k1", kind="authorize"))).status == "not_found"
    refund = Refund(
        key="r", provider_reference=str(paid.provider_reference), amount=Amount(1, "EUR")
    )
    assert (await gateway.refund(theirs, refund)).raw_status == "not_booked"
    until = datetime.now(UTC) + timedelta(minutes=1)
    assert list(await gateway.movements(theirs, since=_ALWAYS, until=until)) == []


async def test_in_a_storm_each_key_moves_money_once(gateway: BankTransferGateway) -> None:
    call = _simulated()
    chaos = Chaos(seed=3, not_sent=60, error_before=80, error_after=120, garbage=60, lookups=True)
    stormy = ChaosGateway(gateway, chaos)
    chance = random.Random(3)

    async def buy(number: int) -> None:
        token = chance.choice(
            [
                mandate_token("Ada Lovelace", mandate=f"M-{number}"),
                mandate_token("Ada Loses", mandate=f"M-{number}"),
            ]
        )
        request = payment(f"k{number}", 1_000 + number, token)
        for _ in range(20):
            try:
                outcome = await stormy.authorize(call, request)
            except Exception:
                continue
            if getattr(outcome, "status", "") == "succeeded":
                return
            with_lookup = Lookup(key=request.key, kind="authorize")
            await gateway.lookup(call, with_lookup)

    await asyncio.gather(*map(buy, range(60)))
    until = datetime.now(UTC) + timedelta(minutes=1)
    lines = await gateway.movements(call, since=_ALWAYS, until=until)
    assert Counter(line.key for line in lines) == {f"k{n}": 1 for n in range(60)}
    assert sum(line.amount.minor for line in lines) == sum(1_000 + n for n in range(60))


_ONE_PROCESS = """
import asyncio, sys
from pathlib import Path
from payengine.plugin import Call, PaymentMethod
from payengine_bank_transfer.desk import Desk
from payengine_bank_transfer.gateway import BankTransferGateway
from payengine_bank_transfer.samples import mandate_token, simulated_settings
from payengine.plugin import Amount, Authorize

async def main() -> None:
    gateway = BankTransferGateway(Desk(path=Path(sys.argv[1])))
    call = Call(account="acct_1", settings=simulated_settings(), deadline_ms=30_000)
    for number in range(15):
        token = mandate_token("Ada Lovelace", mandate=f"M-{number}")
        method = PaymentMethod(token=token, kind="sepa_debit")
        outcome = await gateway.authorize(call, Authorize(
            key=f"k{number}", amount=Amount(100, "EUR"), capture=True, payment_method=method,
            payment_id="pay_1"))
        assert outcome.status in ("succeeded", "pending"), outcome
    await gateway.aclose()

asyncio.run(main())
"""


def test_several_processes_on_one_book_order_each_key_once(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite3"
    command = [sys.executable, "-c", _ONE_PROCESS, str(path)]
    started = [subprocess.Popen(command) for _ in range(3)]
    assert [one.wait(timeout=300) for one in started] == [0, 0, 0]
    store = Store(path)
    found = store.booked("acct_1", since_us=0, until_us=2**62)
    assert sorted(one.key for one in found) == sorted(f"k{n}" for n in range(15))
    assert len(store.untold("acct_1", limit=100)) == 15
    store.close()
    assert path.stat().st_mode & 0o077 == 0


async def test_the_page_tells_the_buyer_what_to_transfer(gateway: BankTransferGateway) -> None:
    call = frame(holder="Müller <& Co>")
    asked = await gateway.authorize(call, payment("k1", 123_456))
    reference = str(asked.provider_reference)
    transport = httpx.ASGITransport(app=Starlette(routes=routes(gateway.desk)))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        page = await client.get(f"/pay/{reference}")
        assert page.status_code == 200
        assert "1234.56 EUR" in page.text
        assert reference in page.text
        assert "NL41 MOCK 0000 0000 01" in page.text
        assert "<& Co>" not in page.text
        assert page.headers["cache-control"] == "no-store"
        told = await client.get(f"/pay/{reference}", headers={"accept": "application/json"})
        assert told.json()["missing_minor"] == 123_456
        assert told.json()["epc"].splitlines()[6:8] == ["NL41MOCK0000000001", "EUR1234.56"]
        for unknown in ("RF18539007547034", "nonsense", "%00", "x" * 3_000):
            assert (await client.get(f"/pay/{unknown}")).status_code == 404
        void = Void(key="v", provider_reference=reference, amount=Amount(123_456, "EUR"))
        await gateway.void(call, void)
        assert "Called off" in (await client.get(f"/pay/{reference}")).text
