"""Do payments by bank transfer come out right in a real engine's books?"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_bank import (
    ELSEWHERE_IBAN,
    OUR_IBAN,
    SECRET,
    Bank,
    mandate,
    open_bank,
    settings_at,
)
from msgspec.structs import replace
from payengine.payments import MethodInput, PaymentResult
from payengine_bank_transfer.cli import app
from payengine_bank_transfer.desk import Desk
from payengine_bank_transfer.notices import headers_of
from payengine_bank_transfer.samples import mandate_token, simulated_settings

from tests.engines import Shop, Till, open_till
from tests.notices import Doorbell, Notice, drain
from tests.servers import migrated_home


@pytest.fixture(scope="module")
async def till() -> AsyncIterator[Till]:
    """An engine on a database of its own; its loops stand still."""
    async with migrated_home() as home, open_till(home) as opened:
        yield opened


@pytest.fixture
def bank() -> Iterator[Bank]:
    with open_bank() as opened:
        opened.behave("GLOBEX", behaviour="accept", balance=1_000_000)
        yield opened


@dataclass(frozen=True)
class Stand:
    """A tenant that is paid into its bank account."""

    shop: Shop
    folder: Path

    @property
    def account(self) -> str:
        return str(self.shop.context.tenant_id)

    @property
    def desk(self) -> Desk:
        """The desk of the gateway that the engine has loaded."""
        gateway: Any = self.shop.engine.registry.installed.gateways["bank_transfer"].gateway
        desk: Desk = gateway.desk
        return desk

    async def pay(self, amount: int = 1_200, token: str | None = None) -> PaymentResult:
        """A transfer that is asked for, or a debit where `token` is a mandate."""
        kind = "bank_transfer" if token is None else "sepa_debit"
        method = MethodInput(token=token or "bank_transfer", kind=kind)
        return await self.shop.pay(amount, None, payment_method=method)

    async def command(self, *words: str) -> None:
        """A person types `payengine bank …`."""
        given = [*words, "--account", self.account]
        await asyncio.to_thread(app, given, result_action="return_value")

    async def take_in(self, bank: Bank) -> None:
        """A person imports what the bank has written."""
        paths = await asyncio.to_thread(bank.save_messages, self.folder)
        await self.command("import", *map(str, paths))

    async def look(self, *, hours: int = 1) -> None:
        """The reconciler looks at everything that is open."""
        self.desk.forget_pauses()
        await self.shop.look(after=timedelta(hours=hours))

    async def ring(self, bell: Doorbell, *, secret: str = SECRET) -> int:
        """Tell the engine, through its door, what the import found."""
        store = self.desk.books().store
        waiting = store.untold(self.account, limit=100)
        for one in waiting:
            headers = headers_of(
                event_id=one.event_id, body=one.body, secret=secret, timestamp=int(time.time())
            )
            await bell.ring(Notice(headers, one.body))
        await drain(self.shop.engine)
        return len(waiting)


async def _stand(till: Till, folder: Path, settings: dict[str, Any]) -> Stand:
    shop = await till.shop()
    registry = till.engine.registry
    await registry.save_settings(shop.context, "sandbox", enabled=False)
    await registry.save_settings(shop.context, "bank_transfer", enabled=True, settings=settings)
    return Stand(shop, folder)


def _plain(bank: Bank | None = None, **more: Any) -> dict[str, Any]:
    settings = settings_at(bank, **more)
    return {name: getattr(settings, name) for name in settings.__struct_fields__}


@pytest.fixture
async def stand(till: Till, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """By files."""
    monkeypatch.setenv("PAYENGINE_BANK_FOLDER", str(tmp_path / "bank"))
    return await _stand(till, tmp_path / "saved", _plain())


async def test_a_transfer_is_captured_when_the_statement_is_imported(
    stand: Stand, bank: Bank
) -> None:
    asked = (await stand.pay()).payment
    assert asked.status == "REQUIRES_ACTION"
    assert asked.next_action_url is not None
    reference = asked.next_action_url.rpartition("/")[2]
    (operation,) = await stand.shop.operations(asked.id)
    assert operation.bank_details == {
        "holder": "ACME Corporation",
        "iban": OUR_IBAN,
        "bic": "MOCKNL2A",
        "reference": reference,
        "amount": {"minor": 1_200, "currency": "EUR"},
    }
    bank.credit(1_200, reference=reference)
    bank.advance(1)
    await stand.take_in(bank)
    await stand.look()
    paid = await stand.shop.check(asked.id)
    assert (paid.status, paid.captured_minor) == ("CAPTURED", 1_200)
    (operation,) = await stand.shop.operations(asked.id)
    assert operation.bank_details is None
    await stand.shop.assert_sound()


async def test_a_transfer_is_captured_by_the_notice_alone(stand: Stand, bank: Bank) -> None:
    bell = await Doorbell.of(stand.shop.engine, stand.shop.context, "bank_transfer")
    asked = (await stand.pay()).payment
    bank.credit(1_200, str(asked.next_action_url).rpartition("/")[2])
    await stand.take_in(bank)
    assert await stand.ring(bell) == 1
    assert (await stand.shop.check(asked.id)).status == "CAPTURED"
    await stand.shop.assert_sound()


async def test_an_unmatched_line_is_assigned_by_hand(
    stand: Stand, bank: Bank, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (await stand.pay(4_711)).payment
    bank.credit(4_711, "invoice of last week")
    await stand.take_in(bank)
    await stand.look()
    assert (await stand.shop.payment(asked.id)).status == "REQUIRES_ACTION"
    capsys.readouterr()
    await stand.command("unmatched")
    shown = capsys.readouterr().out
    line = shown.split()[0]
    reference = str(asked.next_action_url).rpartition("/")[2]
    assert f"maybe {reference}" in shown
    await stand.command("assign", line, reference, "--by", "grace")
    await stand.look(hours=2)
    assert (await stand.shop.check(asked.id)).status == "CAPTURED"
    await stand.shop.assert_sound()


async def test_a_debit_that_comes_back_takes_the_money_out_of_the_ledger(
    stand: Stand, bank: Bank
) -> None:
    bell = await Doorbell.of(stand.shop.engine, stand.shop.context, "bank_transfer")
    asked = (await stand.pay(2_500, mandate(iban=ELSEWHERE_IBAN))).payment
    assert asked.status == "PROCESSING"
    settings = settings_at()
    (path,) = stand.desk.export(stand.account, settings, at_us=time.time_ns() // 1_000)
    answer = await asyncio.to_thread(_post, bank, path)
    assert answer == 202
    bank.advance(4)
    await stand.take_in(bank)
    await stand.look()
    assert (await stand.shop.check(asked.id)).captured_minor == 2_500
    (collection,) = bank.collections()
    bank.refuse(collection["end_to_end_id"], "AM04")
    bank.advance(3)
    await stand.take_in(bank)
    await stand.ring(bell)
    payment = await stand.shop.payment(asked.id)
    assert payment.charged_back_minor == 2_500
    assert await stand.shop.booked(asked.id) == (0, 0)
    assert await stand.ring(bell) == 2  # at least once: nothing changes
    assert (await stand.shop.payment(asked.id)).charged_back_minor == 2_500
    disputes = [one for one in await stand.shop.operations(asked.id) if one.kind == "dispute"]
    assert [one.status for one in disputes] == ["succeeded"]
    await stand.shop.assert_sound()


async def test_over_the_api_a_refund_leaves_when_the_bank_has_booked_it(
    till: Till, bank: Bank, tmp_path: Path
) -> None:
    stand = await _stand(till, tmp_path, _plain(bank))
    asked = (await stand.pay(3_000, mandate(iban=ELSEWHERE_IBAN))).payment
    bank.advance(4)
    await stand.look()
    assert (await stand.shop.check(asked.id)).status == "CAPTURED"
    refunded = await stand.shop.refund(asked.id, 1_000)
    assert refunded.operation is not None
    assert refunded.operation.status == "pending"
    bank.advance(2)
    await stand.look()
    payment = await stand.shop.check(asked.id)
    assert (payment.refunded_minor, payment.refund_reserved_minor) == (1_000, 0)
    await stand.shop.assert_sound()


async def test_a_refused_debit_is_declined_in_our_words(
    till: Till, bank: Bank, tmp_path: Path
) -> None:
    stand = await _stand(till, tmp_path, _plain(bank))
    asked = (await stand.pay(3_000, mandate(iban=ELSEWHERE_IBAN))).payment
    (collection,) = bank.collections()
    bank.refuse(collection["end_to_end_id"], "MD01")
    await stand.look()
    payment = await stand.shop.check(asked.id)
    assert (payment.status, payment.decline_code) == ("DECLINED", "revocation_of_authorization")
    await stand.shop.assert_sound()


async def test_money_that_came_too_late_and_was_assigned_settles_the_payment(
    stand: Stand, bank: Bank
) -> None:
    bell = await Doorbell.of(stand.shop.engine, stand.shop.context, "bank_transfer")
    asked = (await stand.pay()).payment
    reference = str(asked.next_action_url).rpartition("/")[2]
    store = stand.desk.books().store
    waiting = store.by_reference(stand.account, reference)
    assert waiting is not None
    store.rewrite(replace(waiting, expires_us=0))
    await stand.look()
    assert (await stand.shop.payment(asked.id)).status == "DECLINED"
    bank.credit(1_200, reference)
    await stand.take_in(bank)
    (line,) = store.unexplained(stand.account, limit=9)
    await stand.command("assign", line.line_id, reference, "--by", "grace")
    await stand.ring(bell)
    payment = await stand.shop.check(asked.id)
    assert (payment.status, payment.captured_minor) == ("CAPTURED", 1_200)
    assert payment.anomalies
    await stand.shop.assert_sound()


async def test_forty_debits_on_a_bad_day_are_each_collected_once(
    till: Till, tmp_path: Path
) -> None:
    settings = simulated_settings()
    stand = await _stand(till, tmp_path, msgspec.to_builtins(settings))
    bell = await Doorbell.of(stand.shop.engine, stand.shop.context, "bank_transfer")
    names = ("Ada Lovelace", "Ada Loses", "Ada Declines AM04", "Ada Returns MD06")
    places = asyncio.Semaphore(8)

    async def buy(number: int) -> str:
        token = mandate_token(names[number % 4], mandate=f"M-{number}")
        async with places:
            return (await stand.pay(1_000 + number, token)).payment.id

    ids = await asyncio.gather(*map(buy, range(40)))
    for hours in (1, 2, 3):
        await stand.look(hours=hours)
    await stand.ring(bell, secret=settings.webhook_secret)
    payments = [await stand.shop.payment(one) for one in ids]
    found = Counter((one.status, one.charged_back_minor > 0) for one in payments)
    assert sum(found[status, True] for status in {one.status for one in payments}) == 10
    assert [one.status for one in payments[2::4]] == ["DECLINED"] * 10
    captured = [one.captured_minor for n, one in enumerate(payments) if n % 4 != 2]
    assert captured == [1_000 + n for n in range(40) if n % 4 != 2]
    booked = stand.desk.books().store.booked(stand.account, since_us=0, until_us=2**62)
    assert sorted(one.amount_minor for one in booked) == sorted(captured)
    await stand.shop.assert_sound()


async def test_a_transfer_is_never_held_and_never_in_dollars(stand: Stand) -> None:
    held = await stand.shop.pay(
        100,
        None,
        payment_method=MethodInput(token="bank_transfer", kind="bank_transfer"),
        capture_method="MANUAL",
    )
    assert held.payment.authorized_minor == 0
    assert held.operation is None or held.operation.status == "not_sent"
    assert stand.desk.books().store.in_status(stand.account, "awaited", limit=9) == []


def _post(bank: Bank, path: Path) -> int:
    import httpx

    content = path.read_bytes()
    return httpx.post(f"{bank.url}/payments", content=content, trust_env=False).status_code


def test_the_books_lie_in_the_platforms_folder() -> None:
    assert Path(os.environ["PAYENGINE_HOME"], "bank_transfer.sqlite3").is_file()
