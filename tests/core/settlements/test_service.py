"""Does what a provider settled find ours, once, and does the rest become work?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from payengine.errors import (
    IdempotencyConflict,
    InputInvalid,
    PluginNotFound,
    ReviewSettled,
    TransitionRefused,
)
from payengine.fx.models import PushedRate, PushRates, SetFxSettings
from payengine.settlements import (
    AssignSettlementItem,
    ImportSettlementFile,
    SettlementFile,
    SettlementFilter,
    SettleSettlementItem,
)

from tests.engines import Shop, key

HEAD = (
    "key,kind,reference,amount_minor,currency,fee_minor,at,presentment_minor,"
    "presentment_currency,payout"
)


class Row(NamedTuple):
    """A line of a sandbox's file."""

    key: str
    kind: str
    reference: str
    amount: int
    currency: str = "EUR"
    fee: int = 0
    seen: str = ""
    seen_currency: str = ""
    payout: str = ""

    def text(self) -> str:
        """As it stands in the file; all of one instant."""
        at = datetime.now(UTC).isoformat()
        cells = (self.key, self.kind, self.reference, self.amount, self.currency, self.fee, at)
        return ",".join(map(str, (*cells, self.seen, self.seen_currency, self.payout)))


def file_of(*rows: Row) -> bytes:
    """The file."""
    return "\n".join((HEAD, *(row.text() for row in rows))).encode()


async def take(shop: Shop, *rows: Row, content: bytes | None = None) -> SettlementFile:
    """Import the rows."""
    request = ImportSettlementFile(
        idempotency_key=key(),
        format="sandbox.settlement",
        content=content if content is not None else file_of(*rows),
        name="a file",
    )
    return await shop.engine.settlements.import_file(shop.context, request)


async def open_items(shop: Shop, **wanted: Any) -> list[tuple[str, int | None, int | None]]:
    """(finding, difference of the amount, of the fee) of all that waits."""
    items = await shop.engine.settlements.items(shop.context, SettlementFilter(**wanted), first=100)
    return [(each.finding, each.amount_difference, each.fee_difference) for each in items]


async def reference(shop: Shop, payment_id: str, kind: str = "authorize") -> str:
    """The provider's name of a payment's operation."""
    operations = await shop.operations(payment_id)
    found = next(each for each in operations if each.kind == kind)
    assert found.provider_reference is not None
    return found.provider_reference


async def fee_of(shop: Shop, payment_id: str) -> int:
    """What our books say that the provider kept."""
    return next(each.fee_minor for each in await shop.operations(payment_id))


async def stands(shop: Shop) -> dict[str, int]:
    """The balances that are not zero."""
    found = await shop.engine.ledger.balances(shop.context)
    return {f"{each.account}/{each.currency}": each.balance for each in found if each.balance}


async def test_lines_that_agree_leave_no_work(shop: Shop) -> None:
    payment = await shop.charge(10_000)
    await shop.refund(payment.id, 2_500)
    fee = await fee_of(shop, payment.id)
    rows = (
        Row("t1", "capture", await reference(shop, payment.id), 10_000, fee=fee),
        Row("t2", "refund", await reference(shop, payment.id, "refund"), -2_500),
    )
    before = await stands(shop)
    done = await take(shop, *rows)
    assert (done.line_count, done.new_count, done.work_count) == (2, 2, 0)
    assert await open_items(shop) == []
    assert await stands(shop) == before
    told = await shop.engine.settlements.lines_of_payments(shop.context, [payment.id])
    assert [(each.kind, each.finding) for each in told[payment.id]] == [
        ("capture", "matched"),
        ("refund", "matched"),
    ]
    await shop.assert_sound()


async def test_what_does_not_agree_becomes_work_of_its_kind(shop: Shop) -> None:
    short, dear, lost = [await shop.charge(10_000) for _ in range(3)]
    fee = await fee_of(shop, short.id)
    assert fee > 0
    done = await take(
        shop,
        Row("t1", "capture", await reference(shop, short.id), 9_900, fee=fee),
        Row("t2", "capture", await reference(shop, dear.id), 10_000, fee=fee + 5),
        Row("t3", "capture", "nobody_here", 777),
    )
    assert done.work_count == 4
    assert sorted(await open_items(shop)) == [
        ("amount_differs", -100, 0),
        ("fee_differs", 0, 5),
        ("missing_here", None, None),
        ("missing_there", None, None),
    ]
    items = await shop.engine.settlements.items(
        shop.context, SettlementFilter(finding="missing_there"), first=5
    )
    assert [each.payment_id for each in items] == [lost.id]


async def test_a_file_and_a_line_come_in_once(shop: Shop) -> None:
    payment = await shop.charge(10_000)
    rows = (Row("t1", "payout", "po_1", -9_000), Row("t2", "fee", "", -30))
    first = await take(shop, *rows)
    before = await stands(shop)
    assert before["bank:main/EUR"] == 9_000
    content = file_of(*rows)
    second = await take(shop, content=content)
    third = await take(shop, content=content)
    assert second.id == third.id != first.id
    assert (second.line_count, second.new_count) == (2, 0)
    assert await stands(shop) == before
    assert payment.id
    await shop.assert_sound()


async def test_the_same_key_with_another_file_is_a_conflict(shop: Shop) -> None:
    request = ImportSettlementFile(
        idempotency_key=key(), format="sandbox.settlement", content=file_of()
    )
    first = await shop.engine.settlements.import_file(shop.context, request)
    assert await shop.engine.settlements.import_file(shop.context, request) == first
    other = ImportSettlementFile(
        idempotency_key=request.idempotency_key,
        format="sandbox.settlement",
        content=file_of(Row("t1", "fee", "", -1)),
    )
    with pytest.raises(IdempotencyConflict):
        await shop.engine.settlements.import_file(shop.context, other)


async def test_what_is_no_file_of_the_format_changes_nothing(shop: Shop) -> None:
    before = await shop.rows()
    with pytest.raises(InputInvalid):
        await take(shop, content=b"\xff\xfe")
    with pytest.raises(InputInvalid):
        await take(shop, content=b"a,b,c\n1,2,3\n")
    with pytest.raises(InputInvalid):
        await take(shop, Row("t1", "fee", "", -1), Row("t1", "fee", "", -2))
    with pytest.raises(PluginNotFound):
        await shop.engine.settlements.import_file(
            shop.context,
            ImportSettlementFile(idempotency_key=key(), format="nobody.reads", content=b"x"),
        )
    assert await shop.rows() == before


async def test_a_fee_is_taken_over_by_a_person_with_a_reason(shop: Shop) -> None:
    payment = await shop.charge(10_000)
    fee = await fee_of(shop, payment.id)
    await take(shop, Row("t1", "capture", await reference(shop, payment.id), 10_000, fee=fee + 7))
    (item,) = await shop.engine.settlements.items(shop.context, SettlementFilter(), first=5)
    assigned = await shop.engine.settlements.assign(
        shop.context,
        AssignSettlementItem(
            idempotency_key=key(), item_id=item.id, person="Ada", assigned_to="Ben"
        ),
    )
    assert assigned.assigned_to == "Ben"
    request = SettleSettlementItem(
        idempotency_key=key(),
        item_id=item.id,
        person="Ben",
        reason="The scheme's fee rose in June.",
        resolution="fee_booked",
    )
    settled = await shop.engine.settlements.settle(shop.context, request)
    assert (settled.resolution, settled.settled_by) == ("fee_booked", "Ben")
    assert await shop.engine.settlements.settle(shop.context, request) == settled
    assert (await stands(shop))["processor_fees:sandbox/EUR"] == fee + 7
    actions = (await shop.engine.settlements.actions_of(shop.context, [item.id]))[item.id]
    assert [(each.kind, each.person) for each in actions] == [
        ("opened", "engine"),
        ("assigned", "Ada"),
        ("settled", "Ben"),
    ]
    with pytest.raises(ReviewSettled):
        await shop.engine.settlements.settle(
            shop.context,
            SettleSettlementItem(
                idempotency_key=key(), item_id=item.id, person="Eve", reason="Once more."
            ),
        )


async def test_only_fees_that_differ_are_booked(shop: Shop) -> None:
    await take(shop, Row("t1", "capture", "nobody_here", 777))
    (item,) = await shop.engine.settlements.items(shop.context, SettlementFilter(), first=5)
    with pytest.raises(TransitionRefused):
        await shop.engine.settlements.settle(
            shop.context,
            SettleSettlementItem(
                idempotency_key=key(),
                item_id=item.id,
                person="Ada",
                reason="Because.",
                resolution="fee_booked",
            ),
        )
    assert await open_items(shop) == [("missing_here", None, None)]


async def test_what_was_missing_there_and_arrives_is_no_work_any_more(shop: Shop) -> None:
    payment = await shop.charge(10_000)
    await take(shop, Row("t1", "fee", "", -10))
    assert await open_items(shop) == [("missing_there", None, None)]
    fee = await fee_of(shop, payment.id)
    await take(shop, Row("t2", "capture", await reference(shop, payment.id), 10_000, fee=fee))
    assert await open_items(shop) == []
    (item,) = await shop.engine.settlements.items(
        shop.context, SettlementFilter(is_open=False), first=5
    )
    assert (item.resolution, item.settled_by) == ("arrived", "engine")


async def _rate(shop: Shop, rate: str, *, markup_bps: int = 0) -> None:
    told = PushedRate(day=datetime.now(UTC).date(), currency="USD", rate=rate)
    await shop.engine.exchange.push_rates(
        shop.context, PushRates(idempotency_key=key(), base="EUR", rates=(told,))
    )
    await shop.engine.exchange.set_settings(
        shop.context, SetFxSettings(idempotency_key=key(), markup_bps=markup_bps)
    )


async def test_what_was_settled_abroad_is_converted_with_its_gain(shop: Shop) -> None:
    await _rate(shop, "1.0956", markup_bps=100)
    payment = await shop.charge(10_000)
    known = await fee_of(shop, payment.id)
    name = await reference(shop, payment.id)
    await take(
        shop,
        Row("t1", "capture", name, 10_980, "USD", 0, "10000", "EUR", "po_1"),
        Row("t2", "payout", "po_1", -10_980, "USD"),
    )
    assert await open_items(shop) == []
    assert await stands(shop) == {
        "bank:main/USD": 10_980,
        "fx_gain/USD": 24,
        "fx_markup_revenue/USD": 110,
        "merchant_payable:main/USD": 10_846,
        "processor_fees:sandbox/EUR": known,
        "psp_receivable:sandbox/EUR": -known,
    }
    (made,) = await shop.engine.exchange.conversions(shop.context, first=5, payment_id=payment.id)
    assert (made.kind, made.source_minor, made.target_minor) == ("settlement", 10_000, 10_846)
    assert (made.received_minor, made.gain_minor, made.loss_minor) == (10_980, 24, 0)
    await shop.assert_sound()


async def test_a_refund_goes_back_at_the_payments_own_rate(shop: Shop) -> None:
    await _rate(shop, "1.0956")
    payment = await shop.charge(10_000)
    known = await fee_of(shop, payment.id)
    name = await reference(shop, payment.id)
    await take(shop, Row("t1", "capture", name, 10_956, "USD", 0, "10000", "EUR"))
    await shop.refund(payment.id)
    back = await reference(shop, payment.id, "refund")
    await take(shop, Row("t2", "refund", back, -11_020, "USD", 0, "-10000", "EUR"))
    assert await open_items(shop) == []
    assert await stands(shop) == {
        "fx_loss/USD": 64,
        "processor_fees:sandbox/EUR": known,
        "psp_receivable:sandbox/EUR": -known,
        "psp_receivable:sandbox/USD": -64,
    }
    await shop.assert_sound()


async def test_without_a_rate_the_providers_own_is_taken(shop: Shop) -> None:
    payment = await shop.charge(10_000)
    name = await reference(shop, payment.id)
    await take(shop, Row("t1", "capture", name, 10_980, "USD", 0, "10000", "EUR"))
    (made,) = await shop.engine.exchange.conversions(shop.context, first=5, payment_id=payment.id)
    assert (made.mid_minor, made.mid_rate, made.rate_source) == (
        10_980,
        "1.098",
        "gateway:sandbox",
    )
    assert (made.gain_minor, made.loss_minor) == (0, 0)


async def test_another_tenant_sees_nothing_of_it(shop: Shop, other_shop: Shop) -> None:
    payment = await shop.charge(10_000)
    name = await reference(shop, payment.id)
    await take(shop, Row("t1", "capture", name, 9_000))
    assert await open_items(other_shop) == []
    done = await take(other_shop, Row("t1", "capture", name, 9_000))
    assert (done.new_count, done.work_count) == (1, 1)
    assert await open_items(other_shop) == [("missing_here", None, None)]
