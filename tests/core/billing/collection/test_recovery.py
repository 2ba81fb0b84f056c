"""Can the holder of a link pay, once, and nothing but pay?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from payengine.billing.collection.recovery import MOST_A_DAY, RecoveryView
from payengine.errors import (
    Conflict,
    InputInvalid,
    PaymentMethodInvalid,
    RateLimited,
    SensitiveDataRefused,
)

from tests.debtors import T0, Counter, Debtor

_RETURN = "https://pay.example/recover/x"
_NONCE = "nonce-nonce-nonce-nonce"


async def _link(debtor: Debtor) -> str:
    async with debtor.session() as session:
        return await debtor.engine.collection.links.make(
            session, debtor.context.tenant_id, debtor.invoice_id, wall=datetime.now(UTC)
        )


async def _pay(debtor: Debtor, token: str, **given: str) -> RecoveryView:
    words = {"nonce": _NONCE, "return_url": _RETURN} | given
    return await debtor.engine.collection.recovery.pay(token, **words)


async def test_the_page_shows_what_is_owed(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_expired_card")
    await debtor.collect()
    view = await debtor.engine.collection.recovery.look(await _link(debtor))
    assert (view.owed_minor, view.currency, view.is_open, view.is_paid) == (
        5_000,
        "EUR",
        True,
        False,
    )
    assert [each.id for each in view.methods] == debtor.methods


async def test_a_customer_pays_with_another_card_which_is_kept(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_expired_card")
    await debtor.collect()
    view = await _pay(debtor, await _link(debtor), method_token="tok_visa")
    assert (view.is_paid, view.is_open) == (True, False)
    assert await debtor.standing() == ("active", "granted", "paid")
    async with debtor.session() as session:
        kept = await session.fetchval(
            "SELECT payment_method_id FROM subscription WHERE tenant_id = $1",
            debtor.context.tenant_id,
        )
    assert kept is not None
    assert kept not in debtor.methods
    assert (await debtor.charges())[-1].payment_method_id == kept


async def test_a_form_that_is_sent_many_times_pays_once(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_expired_card")
    await debtor.collect()
    token = await _link(debtor)
    pays = (_pay(debtor, token, method_token="tok_visa") for _ in range(5))
    answers = await asyncio.gather(*pays, return_exceptions=True)
    assert [each for each in answers if not isinstance(each, RecoveryView | Conflict)] == []
    assert (await debtor.standing())[2] == "paid"
    assert len(await debtor.movements()) == 1


async def test_a_form_that_failed_charges_nothing_when_it_is_sent_again(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_insufficient_funds")
    await debtor.collect()
    token = await _link(debtor)
    for _ in range(3):
        view = await _pay(debtor, token, method_id=debtor.methods[0])
    assert view.is_open
    assert len(await debtor.charges()) == 2


async def test_nobody_tries_cards_here(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_insufficient_funds")
    await debtor.collect()
    token = await _link(debtor)
    for number in range(MOST_A_DAY):
        await _pay(debtor, token, nonce=f"{_NONCE}{number}", method_id=debtor.methods[0])
    with pytest.raises(RateLimited):
        await _pay(debtor, token, nonce=f"{_NONCE}x", method_id=debtor.methods[0])
    assert len(await debtor.charges()) == MOST_A_DAY + 1


async def test_a_card_number_and_a_strangers_method_are_refused(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_expired_card")
    other = await counter.debtor("tok_visa")
    await debtor.collect()
    token = await _link(debtor)
    with pytest.raises(InputInvalid):
        await _pay(debtor, token, method_id=other.methods[0])
    with pytest.raises((SensitiveDataRefused, PaymentMethodInvalid)):
        await _pay(debtor, token, method_token="4111111111111111")
    with pytest.raises(InputInvalid):
        await _pay(debtor, token, nonce="short", method_id=debtor.methods[0])
    assert len(await debtor.charges()) == 1


async def test_a_bank_that_asks_is_where_the_customer_goes(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_expired_card")
    await debtor.collect()
    token = await _link(debtor)
    view = await _pay(debtor, token, method_token="tok_challenge")
    assert view.next_action_url is not None
    assert not view.is_paid
    payments = await debtor.engine.payments.get_many(
        debtor.context, [(await debtor.charges())[-1].payment_id or ""]
    )
    assert [each.return_url for each in payments.values()] == [_RETURN]


async def test_nothing_can_be_paid_after_the_end(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_stolen_card")
    await debtor.collect()
    token = await _link(debtor)
    await debtor.wait(T0 + timedelta(days=22))
    view = await debtor.engine.collection.recovery.look(token)
    assert (view.is_open, view.is_under_way, view.is_paid) == (False, False, False)
    with pytest.raises(Conflict):
        await _pay(debtor, token, method_token="tok_visa")
    assert list(await debtor.movements()) == []
