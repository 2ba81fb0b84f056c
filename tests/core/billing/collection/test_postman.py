"""Is each notice brought, in the right words, and does a notifier that fails hold nothing up?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from payengine.billing.collection.notices import Notice
from payengine.billing.collection.postman import MOST_TRIES, retry_after
from payengine.plugin import (
    Call,
    CustomerNotice,
    NoticeTaken,
    Notifier,
    NotifierManifest,
    hookimpl,
)

from tests.debtors import Counter, Debtor, open_counter
from tests.servers import HomeOfTest


@dataclass
class _Carrier:
    """A notifier that keeps what it gets, and fails as often as it is told to."""

    got: list[CustomerNotice] = field(default_factory=list)
    failures: int = 0

    def describe(self) -> NotifierManifest:
        return NotifierManifest(name="carrier", title="Carrier", version="1", needs_email=True)

    async def notify(self, call: Call, request: CustomerNotice) -> NoticeTaken:
        self.got.append(request)
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the carrier is away")
        return NoticeTaken()


@dataclass
class _Plugin:
    carrier: _Carrier

    @hookimpl
    def notifiers(self) -> list[Notifier]:
        return [self.carrier]


@pytest.fixture(scope="module")
def carrier() -> _Carrier:
    return _Carrier()


@pytest.fixture(scope="module")
async def office(payment_home: HomeOfTest, carrier: _Carrier) -> AsyncIterator[Counter]:
    """A counter whose notices are carried."""
    async with open_counter(payment_home, plugins={"carrier": _Plugin(carrier)}) as opened:
        yield opened


async def _debtor(office: Counter, carrier: _Carrier, *tokens: str) -> Debtor:
    carrier.got.clear()
    carrier.failures = 0
    debtor = await office.debtor(*tokens)
    await office.engine.registry.save_settings(debtor.context, "carrier", enabled=True)
    return debtor


async def _bring(debtor: Debtor, *, after: timedelta = timedelta()) -> None:
    await debtor.engine.collection.postman.run_once(at=datetime.now(UTC) + after)


async def _notice(debtor: Debtor) -> Notice:
    found = await debtor.engine.collection.desk.notices_of(debtor.context, debtor.invoices)
    return found[debtor.invoice_id][0]


async def test_a_customer_is_told_of_a_failure_in_the_shops_language(
    office: Counter, carrier: _Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYENGINE_PUBLIC_URL", "https://pay.example")
    debtor = await _debtor(office, carrier, "tok_decline_expired_card")
    await debtor.set_billing(language="de", invoice_prefix="R-")
    await debtor.collect()
    await _bring(debtor)
    (told,) = carrier.got
    assert (told.email, told.name, told.language) == ("buyer@example.com", "Ada Buyer", "de")
    assert told.subject == "Ihre Zahlung an a test ist nicht gelungen"
    assert "50,00 EUR für die Rechnung R-1" in told.text
    assert "anderes Zahlungsmittel" in told.text
    assert told.link.startswith("https://pay.example/recover/")
    assert told.link in told.text
    notice = await _notice(debtor)
    assert (notice.status, notice.told, notice.id) == ("sent", ("carrier",), told.id)
    await _bring(debtor, after=timedelta(days=1))
    assert len(carrier.got) == 1


async def test_one_that_fails_is_sent_again_under_its_id(
    office: Counter, carrier: _Carrier
) -> None:
    debtor = await _debtor(office, carrier, "tok_decline_insufficient_funds")
    carrier.failures = 2
    await debtor.collect()
    await _bring(debtor)
    notice = await _notice(debtor)
    assert (notice.status, notice.tries) == ("waiting", 1)
    assert "the carrier is away" in (notice.problem or "")
    await _bring(debtor)  # not before its time
    assert len(carrier.got) == 1
    for minutes in (2, 10):
        await _bring(debtor, after=timedelta(minutes=minutes))
    assert (await _notice(debtor)).status == "sent"
    assert len({each.id for each in carrier.got}) == 1
    assert len(carrier.got) == 3


async def test_a_notifier_that_always_fails_is_given_up_and_holds_no_billing_up(
    office: Counter, carrier: _Carrier
) -> None:
    debtor = await _debtor(office, carrier, "tok_decline_insufficient_funds")
    carrier.failures = 1_000
    await debtor.collect()
    for day in range(MOST_TRIES + 2):
        await _bring(debtor, after=timedelta(days=day))
    assert (await _notice(debtor)).status == "given_up"
    assert len(carrier.got) == MOST_TRIES
    await debtor.becomes("tok_visa")
    await debtor.collect(debtor.now + timedelta(days=2))
    assert (await debtor.standing())[2] == "paid"


async def test_nobody_is_told_of_what_is_paid_meanwhile(office: Counter, carrier: _Carrier) -> None:
    debtor = await _debtor(office, carrier, "tok_decline_expired_card", "tok_visa")
    await debtor.collect()
    await _bring(debtor)
    kinds = [each.kind for each in carrier.got if each.customer_id == debtor.customer_id]
    assert kinds == ["payment_recovered"]
    assert (await _notice(debtor)).status == "dropped"


async def test_without_a_notifier_a_notice_is_dropped(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_expired_card")
    await debtor.collect()
    await _bring(debtor)
    notice = await _notice(debtor)
    assert (notice.status, notice.problem) == ("dropped", "No notifier is enabled.")


async def test_a_customer_without_an_address_is_not_written_to(
    office: Counter, carrier: _Carrier
) -> None:
    debtor = await _debtor(office, carrier, "tok_decline_expired_card")
    await debtor.as_owner("UPDATE customer SET email_sealed = NULL")
    await debtor.collect()
    await _bring(debtor)
    assert carrier.got == []
    assert (await _notice(debtor)).status == "dropped"


def test_the_waits_grow_and_end() -> None:
    waits = [retry_after(tries) for tries in range(1, MOST_TRIES)]
    assert waits == sorted(waits, key=lambda wait: wait or timedelta())
    assert waits[0] == timedelta(seconds=30)
    assert retry_after(MOST_TRIES) is None
