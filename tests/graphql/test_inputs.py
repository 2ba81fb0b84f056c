"""Bad input: each kind has its own typed error and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from payengine.engine import Engine
from payengine.ids import new_id

from tests.graphql.worlds import CREATE, World, codes, new_key, row_counts

_CARD = "4242424242424242"


def _eur(minor: Any) -> dict[str, Any]:
    return {"amount": {"amountMinor": minor, "currency": "EUR"}}


def _in(currency: Any) -> dict[str, Any]:
    return {"amount": {"amountMinor": 100, "currency": currency}}


_BAD_PAYMENTS: list[tuple[str, dict[str, Any], str]] = [
    ("zero", _eur(0), "AMOUNT_NOT_POSITIVE"),
    ("negative", _eur(-1), "AMOUNT_NOT_POSITIVE"),
    ("over-large", _eur(1_000_000_000_000), "AMOUNT_TOO_LARGE"),
    ("the largest 64-bit integer", _eur(2**63 - 1), "AMOUNT_TOO_LARGE"),
    ("beyond 64 bits", _eur(2**63), "AMOUNT_TOO_LARGE"),
    ("beyond 64 bits, as a text", _eur(str(2**70)), "AMOUNT_TOO_LARGE"),
    ("far beyond 64 bits", _eur(10**30), "AMOUNT_TOO_LARGE"),
    ("a float", _eur(1.5), "INPUT_INVALID"),
    ("a whole float", _eur(1.0), "INPUT_INVALID"),
    ("a boolean", _eur(True), "INPUT_INVALID"),
    ("a text", _eur("12.34"), "INPUT_INVALID"),
    ("no amount", _eur(None), "INPUT_INVALID"),
    ("an object", _eur({"a": 1}), "INPUT_INVALID"),
    ("no such currency", _in("XYZ"), "CURRENCY_UNKNOWN"),
    ("lower case", _in("eur"), "CURRENCY_UNKNOWN"),
    ("a currency with a NUL", _in("EU\0"), "CURRENCY_UNKNOWN"),
    ("a currency of no length", _in(""), "CURRENCY_UNKNOWN"),
    ("a number as currency", _in(978), "INPUT_INVALID"),
    ("an empty key", {"idempotencyKey": ""}, "IDEMPOTENCY_KEY_MALFORMED"),
    ("a long key", {"idempotencyKey": "k" * 256}, "IDEMPOTENCY_KEY_MALFORMED"),
    ("a key with a space", {"idempotencyKey": " k"}, "IDEMPOTENCY_KEY_MALFORMED"),
    ("a key with a NUL", {"idempotencyKey": "k\0"}, "IDEMPOTENCY_KEY_MALFORMED"),
    ("a key in another script", {"idempotencyKey": "ключ"}, "IDEMPOTENCY_KEY_MALFORMED"),
    ("a card number as key", {"idempotencyKey": _CARD}, "SENSITIVE_DATA_REFUSED"),
    ("no method", {"paymentMethod": None}, "PAYMENT_METHOD_INVALID"),
    ("no token", {"paymentMethod": {"token": ""}}, "PAYMENT_METHOD_INVALID"),
    ("a card as token", {"paymentMethod": {"token": _CARD}}, "SENSITIVE_DATA_REFUSED"),
    ("a card in words", {"description": "pay 4242-4242 4242 4242"}, "SENSITIVE_DATA_REFUSED"),
    ("a card in metadata", {"metadata": {"note": _CARD}}, "SENSITIVE_DATA_REFUSED"),
    ("a card deep in metadata", {"metadata": {"a": [{"b": _CARD}]}}, "SENSITIVE_DATA_REFUSED"),
    ("a card as a metadata key", {"metadata": {_CARD: "x"}}, "SENSITIVE_DATA_REFUSED"),
    (
        "a card in an address",
        {"returnUrl": f"https://a.example/?n={_CARD}"},
        "SENSITIVE_DATA_REFUSED",
    ),
    ("two methods", {"savedPaymentMethodId": new_id("pm")}, "PAYMENT_METHOD_INVALID"),
    ("a malformed customer", {"customerId": "cus_1"}, "INPUT_INVALID"),
    ("an unknown customer", {"customerId": new_id("cus")}, "NOT_FOUND"),
    ("another kind's id", {"customerId": new_id("pay")}, "INPUT_INVALID"),
    (
        "a malformed saved method",
        {"paymentMethod": None, "savedPaymentMethodId": "pm_'; --"},
        "INPUT_INVALID",
    ),
    ("long words", {"description": "x" * 501}, "INPUT_INVALID"),
    ("words with a NUL", {"description": "a\0b"}, "INPUT_INVALID"),
    ("many metadata", {"metadata": {f"k{n}": "v" for n in range(51)}}, "INPUT_INVALID"),
    ("long metadata", {"metadata": {"k": "v" * 501}}, "INPUT_INVALID"),
    ("long metadata keys", {"metadata": {"k" * 41: "v"}}, "INPUT_INVALID"),
    ("numbers in metadata", {"metadata": {"k": 1}}, "INPUT_INVALID"),
    ("a list as metadata", {"metadata": ["v"]}, "INPUT_INVALID"),
    ("a strange address", {"returnUrl": "javascript:alert(1)"}, "INPUT_INVALID"),
    ("a strange method of capture", {"captureMethod": "LATER"}, "INPUT_INVALID"),
    ("an unknown field", {"amountMinor": 1}, "INPUT_INVALID"),
    ("a text as flag", {"offSession": "no"}, "INPUT_INVALID"),
]


@pytest.mark.parametrize(
    ("given", "code"), [row[1:] for row in _BAD_PAYMENTS], ids=[row[0] for row in _BAD_PAYMENTS]
)
async def test_a_bad_payment_is_refused_and_changes_nothing(
    world: World, engine: Engine, given: dict[str, Any], code: str
) -> None:
    fields = {
        "idempotencyKey": new_key(),
        "amount": {"amountMinor": 100, "currency": "EUR"},
        "paymentMethod": {"token": "tok_visa"},
    } | given
    before = await row_counts(engine, world.context)
    answer = await world.ask(CREATE, input=fields)
    assert codes(answer)[:1] == [code]
    assert set(codes(answer)) == {code}
    assert _CARD not in str(answer)
    assert await row_counts(engine, world.context) == before


_MUTATIONS = (
    "capturePayment",
    "voidPayment",
    "refundPayment",
    "incrementAuthorization",
    "confirmPayment",
)


@pytest.mark.parametrize("mutation", _MUTATIONS)
@pytest.mark.parametrize(
    ("payment_id", "code"),
    [
        (new_id("pay"), "NOT_FOUND"),
        ("", "INPUT_INVALID"),
        ("pay_", "INPUT_INVALID"),
        ("pay_" + "x" * 26, "INPUT_INVALID"),
        (new_id("cus"), "INPUT_INVALID"),
        ("pay_" + "0" * 10_000, "INPUT_INVALID"),
        ("pay_\0" + "0" * 25, "INPUT_INVALID"),
    ],
    ids=["unknown", "empty", "a prefix", "no id", "of a customer", "long", "a zero byte"],
)
async def test_a_step_on_no_payment_is_refused_and_changes_nothing(
    world: World, engine: Engine, mutation: str, payment_id: str, code: str
) -> None:
    fields: dict[str, Any] = {"idempotencyKey": new_key(), "paymentId": payment_id}
    if mutation == "incrementAuthorization":
        fields["amountMinor"] = 1
    before = await row_counts(engine, world.context)
    assert codes(await world.ask(_step(mutation), input=fields)) == [code]
    assert await row_counts(engine, world.context) == before


@pytest.mark.parametrize("mutation", ["capturePayment", "refundPayment", "incrementAuthorization"])
@pytest.mark.parametrize(
    ("minor", "code"),
    [
        (0, "AMOUNT_NOT_POSITIVE"),
        (-5, "AMOUNT_NOT_POSITIVE"),
        (10**12, "AMOUNT_TOO_LARGE"),
        (2**64, "AMOUNT_TOO_LARGE"),
        (0.5, "INPUT_INVALID"),
        (True, "INPUT_INVALID"),
    ],
)
async def test_a_step_with_a_bad_amount_is_refused_and_changes_nothing(
    world: World, engine: Engine, mutation: str, minor: Any, code: str
) -> None:
    held = await world.pay(captureMethod="AUTOMATIC" if "refund" in mutation else "MANUAL")
    before = await row_counts(engine, world.context)
    fields = {
        "idempotencyKey": new_key(),
        "paymentId": held["payment"]["id"],
        "amountMinor": minor,
    }
    assert codes(await world.ask(_step(mutation), input=fields)) == [code]
    assert await row_counts(engine, world.context) == before


def _step(mutation: str) -> str:
    title = mutation[0].upper() + mutation[1:]
    return (
        f"mutation($input: {title}Input!) {{ {mutation}(input: $input)"
        " { errors { code path } payment { status } } }"
    )


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ payments(first: 0) { nodes { id } } }", "INPUT_INVALID"),
        ("{ payments(first: -1) { nodes { id } } }", "INPUT_INVALID"),
        ("{ payments(first: 101) { nodes { id } } }", "INPUT_INVALID"),
        ("{ payments(first: 99999999999) { nodes { id } } }", "QUERY_INVALID"),
        ('{ payments(after: "nonsense") { nodes { id } } }', "CURSOR_INVALID"),
        ('{ customers(after: "pay_") { nodes { id } } }', "CURSOR_INVALID"),
        ('{ events(after: "nonsense") { nodes { id } } }', "CURSOR_INVALID"),
        ('{ apiKeys(after: "1") { nodes { id } } }', "CURSOR_INVALID"),
        ('{ payments(filter: {customerId: "1"}) { nodes { id } } }', "INPUT_INVALID"),
        ('{ payments(filter: {createdFrom: "then"}) { nodes { id } } }', "INPUT_INVALID"),
        ("{ payments(filter: {statuses: [PAID]}) { nodes { id } } }", "QUERY_INVALID"),
        ('{ payment(id: "1") { id } }', "INPUT_INVALID"),
        ('{ customer(id: "cus") { id } }', "INPUT_INVALID"),
        ('{ node(id: "evt_1") { id } }', "INPUT_INVALID"),
        ('{ nodes(ids: ["x"]) { id } }', "INPUT_INVALID"),
        ('{ ledgerBalances(prefix: "%") { account } }', "INPUT_INVALID"),
        ('{ ledgerBalances(prefix: "a\'b") { account } }', "INPUT_INVALID"),
    ],
)
async def test_a_bad_question_is_refused(world: World, query: str, code: str) -> None:
    assert codes(await world.ask(query)) == [code]
