"""Does what billing refuses name the field at fault?"""

from __future__ import annotations

from typing import Any

from tests.graphql.worlds import World, new_key

_FLAT = {"model": "flat", "flat_amount": "1000"}
_MANY = 2**63 - 1
_NOBODY = "0" * 26

#: The mutation, what is wrong in its input, and where.
_REFUSED: list[tuple[str, dict[str, Any], list[str]]] = [
    ("createPrice", {"options": {"XXX": _FLAT}}, ["options", "XXX"]),
    ("createPrice", {"options": {}}, ["options"]),
    ("createPrice", {"options": {"EUR": {"model": "flat"}}}, ["options", "EUR"]),
    ("createPrice", {"intervalCount": 0}, ["intervalCount"]),
    ("createProduct", {"features": {"seats": {"limit": -1}}}, ["features", "seats", "limit"]),
    ("createCoupon", {"percentBps": 20_000}, ["percentBps"]),
    ("createCoupon", {"amountOff": 5, "currency": "XXX"}, ["currency"]),
    ("createCoupon", {"percentBps": 5, "productIds": ["x"]}, ["productIds"]),
    ("createSubscription", {"currency": "XXX"}, ["currency"]),
    ("createSubscription", {"couponIds": [f"cpn_{_NOBODY}"]}, ["couponIds"]),
    ("createSubscription", {"trialDays": 100_000}, ["trialDays"]),
    ("createSubscription", {"anchorDay": 32}, ["anchorDay"]),
    ("createInvoice", {"currency": "XXX"}, ["currency"]),
    (
        "createInvoice",
        {"lines": [{"amountMinor": _MANY, "description": "x"}] * 2},
        ["lines", "amountMinor"],
    ),
    (
        "createInvoice",
        {"lines": [{"amountMinor": 1, "description": "x", "quantity": "z"}]},
        ["quantity"],
    ),
    ("adjustCustomerBalance", {"currency": "XXX"}, ["currency"]),
    ("adjustCustomerBalance", {"amountMinor": 0}, ["amountMinor"]),
    ("updateBillingSettings", {"document": {"time_zone": "Mars"}}, ["document", "time_zone"]),
    (
        "updateBillingSettings",
        {"document": {"minimum_charge": {"XXX": 5}}},
        ["document", "minimum_charge", "XXX"],
    ),
    (
        "updateBillingSettings",
        {"document": {"dunning": {"retry_intervals_days": [0]}}},
        ["document", "dunning", "retry_intervals_days"],
    ),
]


async def _payload(world: World, name: str, shown: str = "", /, **given: Any) -> dict[str, Any]:
    kind = f"{name[0].upper()}{name[1:]}Input"
    data = await world.run(
        f"mutation($input: {kind}!) {{ {name}(input: $input) {{ errors {{ path }} {shown} }} }}",
        input={"idempotencyKey": new_key()} | given,
    )
    payload: dict[str, Any] = data[name]
    return payload


async def test_what_is_refused_names_its_field(world: World) -> None:
    product = await _payload(
        world, "createProduct", "product { id }", reference="thing", name="A thing"
    )
    customer = await _payload(world, "createCustomer", "customer { id }", name="Ada")
    product_id, customer_id = product["product"]["id"], customer["customer"]["id"]
    price = {"productId": product_id, "options": {"EUR": _FLAT}, "intervalUnit": "MONTH"}
    made = await _payload(world, "createPrice", "price { id }", **price)
    whole: dict[str, dict[str, Any]] = {
        "createPrice": price,
        "createProduct": {"reference": "other", "name": "Other"},
        "createCoupon": {"code": "TEN"},
        "createSubscription": {
            "customerId": customer_id,
            "currency": "EUR",
            "items": [{"priceId": made["price"]["id"]}],
        },
        "createInvoice": {
            "customerId": customer_id,
            "currency": "EUR",
            "lines": [{"amountMinor": 100, "description": "work"}],
        },
        "adjustCustomerBalance": {
            "customerId": customer_id,
            "currency": "EUR",
            "amountMinor": 5,
            "reason": "a gift",
        },
        "updateBillingSettings": {},
    }
    for name, wrong, path in _REFUSED:
        answer = await _payload(world, name, **(whole[name] | wrong))
        assert [each["path"] for each in answer["errors"]] == [path], (name, wrong)
