"""Is bad input refused with its own error, and does a fingerprint tell inputs apart?"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from payengine.errors import (
    AmountNotPositive,
    AmountTooLarge,
    IdempotencyKeyMalformed,
    InputInvalid,
    PayengineError,
    PaymentMethodInvalid,
    SensitiveDataRefused,
    UnknownCurrency,
)
from payengine.idempotency import fingerprint
from payengine.ids import new_id
from payengine.marketplace.meant import SplitInput
from payengine.payments import CapturePayment, ConfirmPayment, CreatePayment, MethodInput
from payengine.payments.checks import check_confirm, check_create
from payengine.payments.inputs import FraudInput

from tests.engines import Shop, key

_CARD = "4111111111111111"
_GOOD: dict[str, Any] = {
    "idempotency_key": "order-1",
    "amount_minor": 1_000,
    "currency": "EUR",
    "payment_method": MethodInput(token="tok_visa"),
}
_BAD: list[tuple[dict[str, Any], type[PayengineError]]] = [
    ({"amount_minor": 0}, AmountNotPositive),
    ({"amount_minor": -1}, AmountNotPositive),
    ({"amount_minor": 1_000_000_000_000}, AmountTooLarge),
    ({"amount_minor": 2**63}, AmountTooLarge),
    ({"currency": "EURO"}, UnknownCurrency),
    ({"currency": "eur"}, UnknownCurrency),
    ({"currency": ""}, UnknownCurrency),
    ({"currency": "ZZZ"}, UnknownCurrency),
    ({"idempotency_key": ""}, IdempotencyKeyMalformed),
    ({"idempotency_key": " a"}, IdempotencyKeyMalformed),
    ({"idempotency_key": "a "}, IdempotencyKeyMalformed),
    ({"idempotency_key": "a\n"}, IdempotencyKeyMalformed),
    ({"idempotency_key": "ä"}, IdempotencyKeyMalformed),
    ({"idempotency_key": "a" * 256}, IdempotencyKeyMalformed),
    ({"idempotency_key": _CARD}, SensitiveDataRefused),
    ({"payment_method": None}, PaymentMethodInvalid),
    ({"saved_payment_method_id": new_id("pm")}, PaymentMethodInvalid),
    ({"payment_method": MethodInput(token="")}, PaymentMethodInvalid),
    ({"payment_method": MethodInput(token=" tok")}, PaymentMethodInvalid),
    ({"payment_method": MethodInput(token=_CARD)}, SensitiveDataRefused),
    ({"payment_method": MethodInput(token="t" * 256)}, InputInvalid),
    ({"payment_method": MethodInput(token="t", kind="k" * 41)}, InputInvalid),
    ({"payment_method": None, "saved_payment_method_id": "pm_1"}, InputInvalid),
    ({"payment_method": None, "saved_payment_method_id": new_id("pay")}, InputInvalid),
    ({"capture_method": "LATER"}, InputInvalid),
    ({"customer_id": "cus_1"}, InputInvalid),
    ({"customer_id": new_id("pay")}, InputInvalid),
    ({"description": "d" * 501}, InputInvalid),
    ({"description": "a\x00b"}, InputInvalid),
    ({"description": "\ud800"}, InputInvalid),
    ({"description": f"card {_CARD}"}, SensitiveDataRefused),
    ({"return_url": "javascript:alert(1)"}, InputInvalid),
    ({"return_url": "//shop.example"}, InputInvalid),
    ({"return_url": "https://"}, InputInvalid),
    ({"return_url": "http://["}, InputInvalid),
    ({"return_url": "https://shop.example/" + "a" * 2_000}, InputInvalid),
    ({"metadata": {f"k{n}": "v" for n in range(51)}}, InputInvalid),
    ({"metadata": {"k" * 41: "v"}}, InputInvalid),
    ({"metadata": {"k": "v" * 501}}, InputInvalid),
    ({"metadata": {"k": 1}}, InputInvalid),
    ({"metadata": {"k": "4111 1111 1111 1111"}}, SensitiveDataRefused),
    ({"metadata": {_CARD: "v"}}, SensitiveDataRefused),
]


@pytest.mark.parametrize(("change", "error"), _BAD)
def test_bad_input_has_its_own_error(change: dict[str, Any], error: type[PayengineError]) -> None:
    with pytest.raises(error) as refused:
        check_create(CreatePayment(**(_GOOD | change)))
    assert type(refused.value) is error
    assert _CARD not in refused.value.message


@pytest.mark.parametrize("amount", [1.0, 10.5, "10", True, None])
def test_an_amount_that_is_no_integer_is_refused(amount: Any) -> None:
    with pytest.raises(PayengineError):
        check_create(CreatePayment(**(_GOOD | {"amount_minor": amount})))


def test_good_input_is_accepted() -> None:
    check_create(CreatePayment(**_GOOD))
    check_create(
        CreatePayment(
            **(_GOOD | {"payment_method": None, "saved_payment_method_id": new_id("pm")}),
            customer_id=new_id("cus"),
            description="Zwei Bücher – für Ägypten 📚",
            return_url="https://shop.example/back?x=1",
            metadata={f"k{n}": "v" * 500 for n in range(50)},
        )
    )
    for one in ("a", "a b", "~" * 255):
        check_create(CreatePayment(**(_GOOD | {"idempotency_key": one})))


def test_a_confirmation_names_a_payment_and_at_most_one_method() -> None:
    check_confirm(ConfirmPayment(idempotency_key="k", payment_id=new_id("pay")))
    with pytest.raises(InputInvalid):
        check_confirm(ConfirmPayment(idempotency_key="k", payment_id="pay_1"))
    with pytest.raises(PaymentMethodInvalid):
        check_confirm(
            ConfirmPayment(
                idempotency_key="k",
                payment_id=new_id("pay"),
                payment_method=MethodInput(token="t"),
                saved_payment_method_id=new_id("pm"),
            )
        )


_OTHER: dict[str, Any] = {
    "amount_minor": 1_001,
    "currency": "USD",
    "capture_method": "MANUAL",
    "payment_method": MethodInput(token="tok_amex"),
    "saved_payment_method_id": "pm_1",
    "customer_id": "cus_1",
    "off_session": True,
    "return_url": "https://shop.example",
    "description": "d",
    "metadata": {"k": "v"},
    "fraud": FraudInput(device="d"),
    "avoid_gateways": ("stripe",),
    "split": SplitInput(vendor_id="acc_1"),
}


def test_every_field_but_the_key_counts() -> None:
    good = CreatePayment(**_GOOD)
    assert set(_OTHER) == set(good.__struct_fields__) - {"idempotency_key"}
    seen = {fingerprint("createPayment", good)}
    for name, value in _OTHER.items():
        seen.add(fingerprint("createPayment", msgspec.structs.replace(good, **{name: value})))
    assert len(seen) == 1 + len(_OTHER)
    same = msgspec.structs.replace(good, idempotency_key="another")
    assert fingerprint("createPayment", same) == fingerprint("createPayment", good)


def test_the_mutation_counts() -> None:
    request = CapturePayment(idempotency_key="k", payment_id="pay_1")
    assert fingerprint("capturePayment", request) != fingerprint("voidPayment", request)


def test_the_order_of_metadata_does_not_count() -> None:
    one, other = (
        CreatePayment(**_GOOD, metadata=dict(pairs))
        for pairs in ((("a", "1"), ("b", "2")), (("b", "2"), ("a", "1")))
    )
    assert fingerprint("createPayment", one) == fingerprint("createPayment", other)


# --- what is refused changes nothing --------------------------------------------------------------


async def test_no_refused_payment_leaves_a_row(shop: Shop) -> None:
    before = await shop.rows()
    for change, error in _BAD:
        given = _GOOD | {"idempotency_key": key()} | change
        with pytest.raises(error):
            await shop.engine.payments.create(shop.context, CreatePayment(**given))
    unknown: list[dict[str, Any]] = [
        {"customer_id": new_id("cus")},
        {"payment_method": None, "saved_payment_method_id": new_id("pm")},
        {"payment_method": MethodInput(token="t", kind="cheque")},
    ]
    for change in unknown:
        given = _GOOD | {"idempotency_key": key()} | change
        with pytest.raises(PayengineError):
            await shop.engine.payments.create(shop.context, CreatePayment(**given))
    assert await shop.rows() == before


async def test_no_refused_step_leaves_a_row(shop: Shop) -> None:
    held, paid = await shop.hold(100), await shop.charge(100)
    declined = (await shop.pay(token="tok_decline_lost_card")).payment
    before = await shop.rows()
    refused: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("capture", (held.id, 0), {}),
        ("capture", (held.id, -1), {}),
        ("capture", (held.id, 101), {}),
        ("capture", (held.id, 10**12), {}),
        ("capture", (paid.id,), {}),
        ("capture", (declined.id,), {}),
        ("capture", ("pay_1",), {}),
        ("capture", (new_id("pay"),), {}),
        ("capture", (held.id,), {"idempotency_key": ""}),
        ("void", (paid.id,), {}),
        ("void", (new_id("pay"),), {}),
        ("refund", (held.id, 1), {}),
        ("refund", (paid.id, 101), {}),
        ("refund", (paid.id, 0), {}),
        ("refund", (paid.id, 1), {"reason": f"card {_CARD}"}),
        ("refund", (new_id("pay"), 1), {}),
        ("increment", (paid.id, 1), {}),
        ("increment", (held.id, 0), {}),
        ("increment", (held.id, 999_999_999_999), {}),
        ("confirm", (paid.id, "tok_visa"), {}),
        ("confirm", (declined.id, _CARD), {}),
        ("confirm", (new_id("pay"),), {}),
        ("confirm", (declined.id,), {"saved_payment_method_id": new_id("pm")}),
    ]
    for step, arguments, given in refused:
        with pytest.raises(PayengineError) as error:
            await getattr(shop, step)(*arguments, **given)
        assert type(error.value) is not PayengineError, (step, arguments)
    assert await shop.rows() == before
    for payment in (held, paid, declined):
        assert (await shop.payment(payment.id)) == payment
    assert await shop.rows() == before
