"""Can a tenant see its collections, charge once more and name another method?"""

from __future__ import annotations

from datetime import timedelta

import pytest
from payengine.billing.collection.desk import RetryCollection, UpdateSubscriptionMethod
from payengine.errors import Conflict, IdempotencyConflict, NotFound, PaymentMethodInvalid

from tests.debtors import T0, Counter, Debtor
from tests.engines import key


def _retry(debtor: Debtor, name: str | None = None) -> RetryCollection:
    return RetryCollection(idempotency_key=name or key(), invoice_id=debtor.invoice_id)


def _update(debtor: Debtor, method_id: str, name: str | None = None) -> UpdateSubscriptionMethod:
    return UpdateSubscriptionMethod(
        idempotency_key=name or key(),
        subscription_id=debtor.subscription_id,
        payment_method_id=method_id,
    )


async def test_a_collection_tells_where_it_stands(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_insufficient_funds")
    await debtor.collect()
    desk = debtor.engine.collection.desk
    view = (await desk.of_invoices(debtor.context, debtor.invoices))[debtor.invoice_id]
    assert (view.phase, view.attempts, view.stopped_by) == ("scheduled", 1, None)
    assert view.next_attempt_at == T0 + timedelta(days=2)
    assert view.deadline_at == T0 + timedelta(days=21)
    assert view.access_ends_at == T0 + timedelta(days=7)


async def test_a_charge_that_is_asked_for_is_made_once_for_each_key(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_insufficient_funds")
    await debtor.collect()
    desk = debtor.engine.collection.desk
    name = key()
    for _ in range(3):
        view = await desk.retry(debtor.context, _retry(debtor, name))
    assert len(view.charges) == 2
    await debtor.becomes("tok_visa")
    paid = await desk.retry(debtor.context, _retry(debtor))
    assert paid.phase == "settled"
    with pytest.raises(Conflict):
        await desk.retry(debtor.context, _retry(debtor))


async def test_a_card_that_is_refused_for_good_is_not_presented_again(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_stolen_card")
    await debtor.collect()
    with pytest.raises(Conflict, match="another one"):
        await debtor.engine.collection.desk.retry(debtor.context, _retry(debtor))
    assert len(await debtor.charges()) == 1


async def test_another_method_pays_what_is_owed_at_once(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_stolen_card")
    await debtor.collect()
    card = await debtor.save("tok_visa")
    desk = debtor.engine.collection.desk
    (view,) = await desk.update_method(debtor.context, _update(debtor, card))
    assert view.phase == "settled"
    assert view.charges[-1].trigger == "payment_method_updated"
    await debtor.owe()
    await debtor.collect()
    assert (await debtor.charges(1))[0].payment_method_id == card


async def test_methods_that_cannot_be_charged_are_refused(counter: Counter) -> None:
    debtor = await counter.debtor("tok_visa")
    other = await counter.customer_of(debtor.context, "tok_visa")
    stranger = await counter.debtor("tok_visa")
    desk = debtor.engine.collection.desk
    with pytest.raises(PaymentMethodInvalid):
        await desk.update_method(debtor.context, _update(debtor, other.methods[0]))
    with pytest.raises(NotFound):
        await desk.update_method(debtor.context, _update(debtor, stranger.methods[0]))
    with pytest.raises(NotFound):
        await desk.update_method(debtor.context, _update(stranger, debtor.methods[0]))
    name = key()
    await desk.update_method(debtor.context, _update(debtor, debtor.methods[0], name))
    await debtor.detach(debtor.methods[0])
    with pytest.raises(PaymentMethodInvalid):
        await desk.update_method(debtor.context, _update(debtor, debtor.methods[0]))
    card = await debtor.save("tok_visa")
    with pytest.raises(IdempotencyConflict):
        await desk.update_method(debtor.context, _update(debtor, card, name))
