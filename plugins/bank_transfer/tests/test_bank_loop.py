"""Does money find its way through a bank and back, over its API and by files?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fake_bank import (
    ELSEWHERE_IBAN,
    Bank,
    frame,
    mandate,
    open_bank,
    payment,
)
from msgspec.structs import replace
from payengine.plugin import Amount, Call, Lookup, NotSent, Outcome, Refund, Void
from payengine_bank_transfer.desk import Desk
from payengine_bank_transfer.gateway import BankTransferGateway
from payengine_bank_transfer.intake import Taken, assign
from payengine_bank_transfer.rails import FolderRail, folder_of
from payengine_bank_transfer.settings import BankTransferSettings
from payengine_bank_transfer.store import now_us

_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def bank() -> Iterator[Bank]:
    with open_bank() as opened:
        opened.behave("GLOBEX", behaviour="accept", balance=1_000_000)
        yield opened


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[BankTransferGateway]:
    made = BankTransferGateway(Desk(path=tmp_path / "books.sqlite3"))
    yield made
    await made.aclose()


async def _look(gateway: BankTransferGateway, call: Call, key: str, **more: str) -> Outcome:
    gateway.desk.forget_pauses()
    kind = more.get("kind", "authorize")
    return await gateway.lookup(call, Lookup(key=key, kind=kind))  # type: ignore[arg-type]


async def _movements(gateway: BankTransferGateway, call: Call) -> list[tuple[str, str, int]]:
    until = datetime.now(UTC) + timedelta(minutes=1)
    found = await gateway.movements(call, since=_ALWAYS, until=until)
    return [(one.key, one.kind, one.amount.minor) for one in found]


def _untold(gateway: BankTransferGateway, call: Call) -> list[str]:
    store = gateway.desk.books().store
    return [one.event_id.partition("_")[0] for one in store.untold(call.account, limit=100)]


async def test_a_transfer_is_awaited_received_and_given_back(
    bank: Bank, gateway: BankTransferGateway
) -> None:
    call = frame(bank)
    asked = await gateway.authorize(call, payment("k1"))
    assert asked.status == "requires_action"
    assert asked.next_action is not None
    assert asked.provider_reference is not None
    reference = asked.provider_reference
    assert (await _look(gateway, call, "k1")).status == "requires_action"
    bank.credit(1_200, f"order 7 {reference[:12]} {reference[12:]}")
    paid = await _look(gateway, call, "k1")
    assert (paid.status, paid.amount, paid.captured) == ("succeeded", Amount(1_200, "EUR"), True)
    request = Refund(key="r1", provider_reference=reference, amount=Amount(500, "EUR"))
    assert (await gateway.refund(call, request)).status == "pending"
    bank.advance(1)
    assert (await _look(gateway, call, "r1", kind="refund")).status == "succeeded"
    assert await _movements(gateway, call) == [("k1", "capture", 1_200), ("r1", "refund", -500)]


async def test_a_debit_is_collected_and_comes_back_once(
    bank: Bank, gateway: BankTransferGateway
) -> None:
    call = frame(bank)
    asked = await gateway.authorize(call, payment("k1", 2_500, mandate(iban=ELSEWHERE_IBAN)))
    assert asked.status == "pending"
    bank.advance(4)
    paid = await _look(gateway, call, "k1")
    assert (paid.status, paid.amount) == ("succeeded", Amount(2_500, "EUR"))
    assert _untold(gateway, call) == ["booked"]
    bank.refuse(str(asked.provider_reference), "MD06")
    bank.advance(2)
    # The pacs.004, the notification and the statement tell of it: it is one return.
    gateway.desk.forget_pauses()
    await gateway.desk.collect(call)
    assert sorted(_untold(gateway, call)) == ["booked", "returned"]
    found = gateway.desk.books().store.by_key(call.account, "k1")
    assert found is not None
    assert (found.returned_minor, found.return_reason) == (2_500, "MD06")
    back = Refund(
        key="r1", provider_reference=str(asked.provider_reference), amount=Amount(1, "EUR")
    )
    assert (await gateway.refund(call, back)).raw_status == "refund_too_large"


async def test_a_debit_that_the_debtors_bank_refuses_is_declined(
    bank: Bank, gateway: BankTransferGateway
) -> None:
    call = frame(bank)
    asked = await gateway.authorize(call, payment("k1", 2_500, mandate(iban=ELSEWHERE_IBAN)))
    bank.refuse(str(asked.provider_reference), "AC04")
    refused = await _look(gateway, call, "k1")
    assert refused.status == "declined"
    assert refused.decline is not None
    assert (refused.decline.code, refused.decline.raw_code) == ("invalid_account", "AC04")
    assert await _movements(gateway, call) == []


async def test_a_debit_without_cover_is_declined(bank: Bank, gateway: BankTransferGateway) -> None:
    bank.behave("GLOBEX", behaviour="insufficient-funds", balance=0)
    call = frame(bank)
    await gateway.authorize(call, payment("k1", 2_500, mandate()))
    refused = await _look(gateway, call, "k1")
    assert refused.decline is not None
    assert (refused.status, refused.decline.code) == ("declined", "insufficient_funds")


async def test_the_same_key_is_one_collection_at_the_bank(
    bank: Bank, gateway: BankTransferGateway
) -> None:
    call = frame(bank)
    store = gateway.desk.books().store
    first = await gateway.authorize(call, payment("k1", 2_500, mandate()))
    # As if the answer to the first sending had been lost: the file goes out again.
    found = store.by_key(call.account, "k1")
    assert found is not None
    store.rewrite(replace(found, status="ordered"))
    again = await _look(gateway, call, "k1")
    assert (again.status, again.provider_reference) == ("pending", first.provider_reference)
    assert len(bank.collections()) == 1
    bank.advance(4)
    assert (await _look(gateway, call, "k1")).status == "succeeded"


async def test_an_unreachable_bank_is_proof_that_nothing_was_sent(
    gateway: BankTransferGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYENGINE_BANK_HOSTS", "127.0.0.1:9")
    call = frame(rail="http", bank_url="http://127.0.0.1:9")
    with pytest.raises(NotSent):
        await gateway.authorize(call, payment("k1", 2_500, mandate()))
    with open_bank() as bank:
        bank.behave("GLOBEX", behaviour="accept", balance=1_000_000)
        again = await gateway.authorize(frame(bank), payment("k1", 2_500, mandate()))
        assert again.status == "pending"
        assert len(bank.collections()) == 1


async def test_a_bank_that_the_operator_did_not_allow_is_never_spoken_to(
    bank: Bank, gateway: BankTransferGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYENGINE_BANK_HOSTS", "bank.example")
    with pytest.raises(NotSent, match="operator"):
        await gateway.authorize(frame(bank), payment("k1", 2_500, mandate()))
    assert bank.collections() == []


async def test_by_files_orders_are_bundled_once_and_statements_read_once(
    tmp_path: Path, gateway: BankTransferGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYENGINE_BANK_FOLDER", str(tmp_path / "bank"))
    call = frame()
    settings = call.settings
    assert isinstance(settings, BankTransferSettings)
    for number in range(3):
        token = mandate(f"M-{number}")
        asked = await gateway.authorize(call, payment(f"k{number}", 1_000 + number, token))
        assert asked.status == "pending"
    paths = gateway.desk.export(call.account, settings, at_us=now_us())
    assert [path.parent.name for path in paths] == ["outbox"]
    assert gateway.desk.export(call.account, settings, at_us=now_us()) == []
    with open_bank(drop_dir=str(paths[0].parent), drop_settle_ms=0) as bank:
        bank.behave("GLOBEX", behaviour="accept", balance=1_000_000)
        bank.ask("POST", "/_mock/drop/scan")
        assert len(bank.collections()) == 3
        bank.advance(8)
        inbox = folder_of(call.account) / "inbox"
        bank.save_messages(inbox)
        (inbox / "zz.xml").write_text("<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>")
        assert (await _look(gateway, call, "k0")).status == "succeeded"
        assert list(inbox.iterdir()) == []
        assert [one.name for one in (inbox.parent / "refused").iterdir()] == ["zz.xml"]
        # The same files again, under other names: nothing changes.
        bank.save_messages(inbox)
        taken = gateway.desk.take_inbox(call.account, settings, FolderRail())
        assert taken == Taken(kind=taken.kind, is_new=False)
    moved = await _movements(gateway, call)
    assert sorted(moved) == [(f"k{n}", "capture", 1_000 + n) for n in range(3)]


async def test_a_file_whose_writing_was_cut_short_is_written_again_with_the_same_bytes(
    tmp_path: Path, gateway: BankTransferGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYENGINE_BANK_FOLDER", str(tmp_path / "bank"))
    call = frame()
    settings = call.settings
    await gateway.authorize(call, payment("k1", 1_000, mandate()))
    (path,) = gateway.desk.export(call.account, settings, at_us=now_us())
    before = path.read_bytes()
    path.unlink()
    gateway.desk.books().store.mark_sent(call.account, path.stem, at_us=None)
    (again,) = gateway.desk.export(call.account, settings, at_us=now_us() + 10**12)
    assert (again, again.read_bytes()) == (path, before)


async def test_a_debit_in_no_file_can_be_called_off_and_is_never_exported(
    gateway: BankTransferGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYENGINE_BANK_FOLDER", str(tmp_path / "bank"))
    call = frame()
    asked = await gateway.authorize(call, payment("k1", 1_000, mandate()))
    void = Void(
        key="v1", provider_reference=str(asked.provider_reference), amount=Amount(1_000, "EUR")
    )
    assert (await gateway.void(call, void)).status == "succeeded"
    assert gateway.desk.export(call.account, call.settings, at_us=now_us()) == []
    found = Lookup(key="v1", kind="void", provider_reference=asked.provider_reference)
    assert (await gateway.lookup(call, found)).status == "succeeded"


async def test_an_unmatched_line_is_assigned_by_hand(
    bank: Bank, gateway: BankTransferGateway
) -> None:
    call = frame(bank)
    asked = await gateway.authorize(call, payment("k1"))
    bank.credit(1_200, "for the lamp, thanks")
    assert (await _look(gateway, call, "k1")).status == "requires_action"
    store = gateway.desk.books().store
    (line,) = store.unexplained(call.account, limit=10)
    assert (line.rest_minor, line.party_name) == (1_200, "Ada Lovelace")
    assign(
        store,
        call.account,
        line_id=line.line_id,
        reference=str(asked.provider_reference),
        by_whom="grace",
        tolerance=0,
        at_us=now_us(),
    )
    assert store.unexplained(call.account, limit=10) == []
    assert (await _look(gateway, call, "k1")).status == "succeeded"
