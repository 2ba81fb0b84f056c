"""Does a batch of payouts become one file for ever, and is its fate read in the bank's files?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fake_bank import DEBTOR_IBAN, ELSEWHERE_IBAN, OUR_IBAN, Bank, frame, open_bank
from payengine.plugin import (
    Amount,
    Call,
    LookUpPayouts,
    NotSent,
    PayoutDestination,
    PayoutOrder,
    PayoutResult,
    SendPayouts,
)
from payengine.testing import RailCase, RailContract
from payengine_bank_transfer.desk import Desk
from payengine_bank_transfer.gateway import BankTransferGateway
from payengine_bank_transfer.payouts import BankRail
from payengine_bank_transfer.rails import folder_of
from payengine_bank_transfer.references import end_to_end_id
from payengine_bank_transfer.samples import rail_case
from payengine_bank_transfer.simulated import Written, write_notification


class TestBankRail(RailContract):
    def case(self) -> RailCase:
        return rail_case()


@pytest.fixture
async def rail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BankRail]:
    monkeypatch.setenv("PAYENGINE_BANK_FOLDER", str(tmp_path / "bank"))
    made = BankRail(Desk(path=tmp_path / "books.sqlite3"))
    yield made
    await made.aclose()


@pytest.fixture
def bank() -> Iterator[Bank]:
    with open_bank() as opened:
        yield opened


def _sending(*minors: int, key: str = "pob_1", iban: str = ELSEWHERE_IBAN) -> SendPayouts:
    orders = tuple(
        PayoutOrder(
            key=f"po_{n}",
            amount=Amount(minor, "EUR"),
            destination=PayoutDestination(kind="iban", number=iban, holder="Vera Vendor"),
            statement=f"Payout {n}",
        )
        for n, minor in enumerate(minors)
    )
    return SendPayouts(key=key, orders=orders)


async def _look(rail: BankRail, call: Call, request: SendPayouts) -> list[PayoutResult]:
    rail.desk.forget_pauses()
    asked = LookUpPayouts(key=request.key, orders=request.orders)
    return list((await rail.look_up(call, asked)).results)


def _notify(account: str, file: str, **more: Any) -> None:
    inbox = folder_of(account) / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    (inbox / f"{file}.xml").write_bytes(write_notification(OUR_IBAN, Written(**more)))


async def test_a_batch_is_one_file_and_sent_again_it_is_the_same(rail: BankRail) -> None:
    call = frame()
    request = _sending(1_000, 2_000)
    for _ in range(3):
        told = (await rail.send(call, request)).results
        assert [one.status for one in told] == ["accepted", "accepted"]
    (path,) = (folder_of(call.account) / "outbox").glob("*.xml")
    content = path.read_text()
    assert ("<NbOfTxs>2</NbOfTxs>" in content, "<CtrlSum>30.00</CtrlSum>" in content) == (
        True,
        True,
    )
    assert f"<MsgId>{path.stem}</MsgId>" in content
    with pytest.raises(ValueError, match="sent before"):
        await rail.send(call, _sending(1_001, 2_000))
    with pytest.raises(ValueError, match="sent before"):
        await rail.send(call, _sending(1_000, key="pob_2"))
    assert len(list((folder_of(call.account) / "outbox").glob("*.xml"))) == 1


async def test_a_statement_says_that_it_was_paid_and_a_return_that_it_came_back(
    rail: BankRail,
) -> None:
    call = frame()
    request = _sending(1_000)
    await rail.send(call, request)
    name = end_to_end_id(account=call.account, key="po_0")
    entry = {"minor": 1_000, "end_to_end_id": name, "iban": ELSEWHERE_IBAN, "name": "Vera Vendor"}
    _notify(call.account, "1", direction="debit", bank_ref="B-1", **entry)
    (paid,) = await _look(rail, call, request)
    assert (paid.status, paid.provider_reference) == ("paid", name)
    _notify(call.account, "2", direction="credit", bank_ref="B-2", return_reason="AC04", **entry)
    (back,) = await _look(rail, call, request)
    assert (back.status, back.failure, back.raw_code) == ("returned", "account_closed", "AC04")
    gateway = BankTransferGateway(rail.desk)
    assert rail.desk.books().store.untold(call.account, limit=10) == []
    moved = await gateway.movements(
        call, since=datetime(2000, 1, 1, tzinfo=UTC), until=datetime(2100, 1, 1, tzinfo=UTC)
    )
    assert list(moved) == []


async def test_what_no_bank_would_take_fails_alone(rail: BankRail) -> None:
    call = frame()
    good = _sending(1_000).orders[0]
    bad = PayoutOrder(
        key="po_bad",
        amount=Amount(5, "EUR"),
        destination=PayoutDestination(kind="iban", number="DE00370400440532013000", holder="V"),
    )
    told = (await rail.send(call, SendPayouts(key="pob_1", orders=(good, bad)))).results
    assert {one.key: (one.status, one.failure) for one in told} == {
        "po_0": ("accepted", None),
        "po_bad": ("failed", "account_invalid"),
    }


async def test_without_an_account_of_our_own_nothing_is_sent(rail: BankRail) -> None:
    with pytest.raises(NotSent):
        await rail.send(frame(holder=""), _sending(1_000))


async def test_a_real_loop_through_a_banks_api(rail: BankRail, bank: Bank) -> None:
    call = frame(bank)
    bank.credit(100_000)
    request = _sending(1_000, 2_500, iban=DEBTOR_IBAN)
    await rail.send(call, request)
    bank.advance(1)
    assert [one.status for one in await _look(rail, call, request)] == ["paid", "paid"]
    await rail.send(call, request)
    assert sorted(one["amount"] for one in bank.payments()) == [1_000, 2_500]


async def test_a_file_of_unknown_fate_is_handed_in_again_by_its_name(
    rail: BankRail, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = frame(bank)
    bank.credit(100_000)
    request = _sending(1_000, iban=DEBTOR_IBAN)
    http = rail.desk.rail(call)
    plain = http.submit

    async def lost(*given: Any) -> Any:
        await plain(*given)
        raise ConnectionError("the answer was lost")

    monkeypatch.setattr(http, "submit", lost)
    with pytest.raises(ConnectionError):
        await rail.send(call, request)
    monkeypatch.setattr(http, "submit", plain)
    bank.advance(1)
    assert [one.status for one in await _look(rail, call, request)] == ["paid"]
    assert [one["amount"] for one in bank.payments()] == [1_000]
