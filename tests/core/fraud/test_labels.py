"""A label counts from when it became known, and the later one stands."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from payengine.fraud.labels import write_label
from payengine.payments import FraudInput
from payengine.plugin import Label

from tests.engines import Shop

_NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def _write(shop: Shop, payment_id: str, *, fraud: bool, after_h: int = 0) -> None:
    label = Label(
        payment_id=payment_id,
        is_fraud=fraud,
        observed_at=_NOW + timedelta(hours=after_h),
        source="tenant",
    )
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        await write_label(session, shop.context.tenant_id, label)


async def _known(shop: Shop, payment_id: str) -> list[Any]:
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        rows = await session.fetch(
            "SELECT * FROM fraud_label WHERE tenant_id = $1 AND payment_id = $2"
            " ORDER BY observed_at",
            shop.context.tenant_id,
            payment_id,
        )
    return list(rows)


def _spans(rows: list[Any]) -> list[tuple[bool, int, int | None]]:
    begin = int(_NOW.timestamp())

    def hours(micros: int | None) -> int | None:
        return None if micros is None else (micros // 1_000_000 - begin) // 3_600

    return [
        (row["is_fraud"], hours(row["observed_at"]) or 0, hours(row["superseded_at"]))
        for row in rows
    ]


async def test_a_later_label_ends_the_earlier_whichever_is_heard_first(shop: Shop) -> None:
    for order in ((1, 5), (5, 1)):
        paid = await shop.charge()
        for after_h in order:
            await _write(shop, paid.id, fraud=after_h == 1, after_h=after_h)
        assert _spans(await _known(shop, paid.id)) == [(True, 1, 5), (False, 5, None)]


async def test_one_between_two_ends_where_the_later_begins(shop: Shop) -> None:
    paid = await shop.charge()
    for after_h in (1, 9, 4):
        await _write(shop, paid.id, fraud=after_h == 4, after_h=after_h)
    assert _spans(await _known(shop, paid.id)) == [
        (False, 1, 4),
        (True, 4, 9),
        (False, 9, None),
    ]


async def test_one_of_the_same_instant_is_replaced(shop: Shop) -> None:
    paid = await shop.charge()
    for fraud in (True, False, False):
        await _write(shop, paid.id, fraud=fraud)
    assert _spans(await _known(shop, paid.id)) == [(False, 0, None)]


async def test_many_at_once_make_one_chain(shop: Shop) -> None:
    paid = await shop.charge()
    await asyncio.gather(
        *(_write(shop, paid.id, fraud=bool(hour % 2), after_h=hour) for hour in range(8))
    )
    spans = _spans(await _known(shop, paid.id))
    assert [span[2] for span in spans] == [*range(1, 8), None]


async def test_it_carries_the_names_of_whom_the_payment_concerned(shop: Shop) -> None:
    paid = await shop.charge(fraud=FraudInput(card_fingerprint="one"))
    await _write(shop, paid.id, fraud=True)
    (row,) = await _known(shop, paid.id)
    assert row["card"] is not None
    assert row["card"] != "one"


async def test_a_payment_that_never_passed_here_is_labeled_all_the_same(shop: Shop) -> None:
    await _write(shop, "pay_elsewhere", fraud=True)
    (row,) = await _known(shop, "pay_elsewhere")
    assert (row["is_fraud"], row["card"]) == (True, None)
