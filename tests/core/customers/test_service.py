"""Are customers and their payment methods kept sealed, once for each key, and usable?"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from payengine.customers import (
    CreateCustomer,
    Customer,
    DetachPaymentMethod,
    SavedMethod,
    SavePaymentMethod,
    UpdateCustomer,
)
from payengine.errors import (
    Conflict,
    IdempotencyConflict,
    IdempotencyKeyMalformed,
    InputInvalid,
    NotFound,
    PayengineError,
    PaymentMethodInvalid,
    SensitiveDataRefused,
)
from payengine.ids import new_id

from tests.engines import Shop, key


async def _customer(shop: Shop, **given: Any) -> Customer:
    request = CreateCustomer(**({"idempotency_key": key()} | given))
    return await shop.engine.customers.create(shop.context, request)


async def _method(shop: Shop, customer_id: str, token: str = "tok_visa") -> SavedMethod:
    request = SavePaymentMethod(idempotency_key=key(), customer_id=customer_id, token=token)
    return await shop.engine.customers.save_method(shop.context, request)


async def _detach(shop: Shop, method_id: str) -> SavedMethod:
    request = DetachPaymentMethod(idempotency_key=key(), payment_method_id=method_id)
    return await shop.engine.customers.detach_method(shop.context, request)


async def _everything_at_rest(shop: Shop) -> str:
    """Every row of the tenant, as text."""
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        rows = []
        for table in (
            "attempt",
            "customer",
            "event",
            "evidence",
            "idempotency_key",
            "operation",
            "payment",
            "payment_method",
        ):
            for row in await session.fetch(f"SELECT t::text AS row FROM {table} t"):
                rows.append(row["row"])
                rows += [bytes.fromhex(part).decode("latin-1") for part in _hex_of(row["row"])]
        return "\n".join(rows)


def _hex_of(row: str) -> list[str]:
    import re

    return [part for part in re.findall(r"\\\\x([0-9a-f]+)", row) if len(part) % 2 == 0]


async def test_a_customer_is_made_read_and_changed(shop: Shop) -> None:
    made = await _customer(
        shop, reference="c-1", email="ada@example.org", name="Ada", metadata={"tier": "gold"}
    )
    found = await shop.engine.customers.get_many(shop.context, [made.id, new_id("cus")])
    assert found == {made.id: made}
    changed = await shop.engine.customers.update(
        shop.context,
        UpdateCustomer(idempotency_key=key(), customer_id=made.id, email="countess@example.org"),
    )
    assert (changed.email, changed.name, changed.metadata) == (
        "countess@example.org",
        "Ada",
        {"tier": "gold"},
    )
    cleared = await shop.engine.customers.update(
        shop.context, UpdateCustomer(idempotency_key=key(), customer_id=made.id, metadata={})
    )
    assert cleared.metadata == {}


async def test_pages_are_newest_first(shop: Shop) -> None:
    made = []
    for _ in range(4):
        made.append((await _customer(shop)).id)
        await asyncio.sleep(0.002)  # ids are ordered by the millisecond
    page = await shop.engine.customers.page(shop.context, first=2)
    assert [each.id for each in page] == made[:0:-1]
    page = await shop.engine.customers.page(shop.context, first=2, after=page[1].id)
    assert [each.id for each in page] == made[1::-1]


async def test_a_reference_names_one_customer(shop: Shop, other_shop: Shop) -> None:
    await _customer(shop, reference="c-1")
    before = await shop.rows()
    with pytest.raises(Conflict):
        await _customer(shop, reference="c-1")
    assert await shop.rows() == before
    await _customer(other_shop, reference="c-1")


async def test_the_same_key_makes_one_customer(shop: Shop) -> None:
    one = key()
    made = await asyncio.gather(
        *(_customer(shop, idempotency_key=one, email="a@example.org") for _ in range(10))
    )
    assert len({each.id for each in made}) == 1
    with pytest.raises(IdempotencyConflict):
        await _customer(shop, idempotency_key=one, email="b@example.org")
    with pytest.raises(IdempotencyConflict):
        await shop.pay(idempotency_key=one)


async def test_persons_and_tokens_rest_sealed(shop: Shop) -> None:
    customer = await _customer(shop, email="ada@example.org", name="Ada Lovelace")
    method = await _method(shop, customer.id, "tok_mastercard")
    paid = await shop.pay(
        token=None,
        saved_payment_method_id=method.id,
        customer_id=customer.id,
        off_session=True,
    )
    assert paid.payment.status == "CAPTURED"
    at_rest = await _everything_at_rest(shop)
    assert customer.id in at_rest
    for secret in ("ada@example.org", "Lovelace", "tok_mastercard"):
        assert secret not in at_rest
    await shop.pay(token="tok_amex")
    assert "tok_amex" in await _everything_at_rest(shop)  # one that nobody saved is not sealed


async def test_a_saved_method_pays(shop: Shop) -> None:
    customer = await _customer(shop)
    method = await _method(shop, customer.id)
    paid = await shop.pay(token=None, saved_payment_method_id=method.id, customer_id=customer.id)
    assert paid.payment.status == "CAPTURED"
    row = await shop.payment(paid.payment.id)
    assert (row.saved_payment_method_id, row.method_kind) == (method.id, "card")
    declined = (await shop.pay(token="tok_decline_lost_card", customer_id=customer.id)).payment
    again = await shop.confirm(declined.id, saved_payment_method_id=method.id)
    assert again.payment.status == "CAPTURED"
    assert (await shop.payment(declined.id)).saved_payment_method_id == method.id
    await shop.assert_sound()


async def test_a_detached_method_pays_no_more(shop: Shop) -> None:
    customer = await _customer(shop)
    method = await _method(shop, customer.id)
    one = key()
    given: dict[str, Any] = {"token": None, "saved_payment_method_id": method.id}
    paid = await shop.pay(idempotency_key=one, **given)
    detached = await _detach(shop, method.id)
    assert detached.detached_at is not None
    assert (await _detach(shop, method.id)).detached_at == detached.detached_at
    before = await shop.rows()
    with pytest.raises(PaymentMethodInvalid):
        await shop.pay(**given)
    assert await shop.rows() == before
    again = await shop.pay(idempotency_key=one, **given)
    assert again.payment == paid.payment
    assert await shop.engine.customers.methods_of(shop.context, [customer.id]) == {}
    assert list(await shop.engine.customers.methods_by_id(shop.context, [method.id]))


async def test_a_method_pays_for_its_own_customer_only(shop: Shop) -> None:
    mine, theirs = await _customer(shop), await _customer(shop)
    method = await _method(shop, mine.id)
    before = await shop.rows()
    with pytest.raises(PaymentMethodInvalid):
        await shop.pay(token=None, saved_payment_method_id=method.id, customer_id=theirs.id)
    assert await shop.rows() == before


async def test_what_belongs_to_another_tenant_is_not_found(shop: Shop, other_shop: Shop) -> None:
    theirs = await _customer(other_shop, email="b@example.org")
    method = await _method(other_shop, theirs.id)
    before = await shop.rows()
    customers, context = shop.engine.customers, shop.context
    for attempt in (
        customers.update(context, UpdateCustomer(idempotency_key=key(), customer_id=theirs.id)),
        _method(shop, theirs.id),
        _detach(shop, method.id),
        shop.pay(customer_id=theirs.id),
        shop.pay(token=None, saved_payment_method_id=method.id),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await customers.get_many(context, [theirs.id]) == {}
    assert await customers.methods_by_id(context, [method.id]) == {}
    assert await shop.rows() == before


_CARD = "4111 1111 1111 1111"
_BAD: list[tuple[dict[str, Any], type[PayengineError]]] = [
    ({"idempotency_key": ""}, IdempotencyKeyMalformed),
    ({"email": "nobody"}, InputInvalid),
    ({"email": "a b@example.org"}, InputInvalid),
    ({"email": "a" * 250 + "@example.org"}, InputInvalid),
    ({"name": "n" * 201}, InputInvalid),
    ({"name": f"Ada {_CARD}"}, SensitiveDataRefused),
    ({"reference": _CARD}, SensitiveDataRefused),
    ({"reference": "r" * 201}, InputInvalid),
    ({"metadata": {"card": _CARD}}, SensitiveDataRefused),
    ({"metadata": {f"k{n}": "" for n in range(51)}}, InputInvalid),
]


@pytest.mark.parametrize(("change", "error"), _BAD)
async def test_bad_input_changes_nothing(
    shop: Shop, change: dict[str, Any], error: type[PayengineError]
) -> None:
    before = await shop.rows()
    with pytest.raises(error):
        await _customer(shop, **change)
    assert await shop.rows() == before


async def test_a_bad_method_changes_nothing(shop: Shop) -> None:
    customer = await _customer(shop)
    before = await shop.rows()
    for token, error in (("", PaymentMethodInvalid), (_CARD, SensitiveDataRefused)):
        with pytest.raises(error):
            await _method(shop, customer.id, token)
    with pytest.raises(NotFound):
        await _method(shop, new_id("cus"))
    with pytest.raises(InputInvalid):
        await _method(shop, "cus_1")
    with pytest.raises(NotFound):
        await _detach(shop, new_id("pm"))
    assert await shop.rows() == before
