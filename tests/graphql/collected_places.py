"""Where do the catalogue, usage and collections take an id over the wire?

Place → the document, and the variables with the id at `$`; `$my` ids are the asker's own.
"""

from __future__ import annotations

from typing import Any

__all__ = ["PLACES"]

_USAGE = (
    "query($m: ID!, $c: ID!) { usageQuantity(meterId: $m, customerId: $c,"
    ' since: "2020-01-01T00:00:00Z", until: "2030-01-01T00:00:00Z") }'
)


def _mutation(name: str, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    title = name[0].upper() + name[1:]
    document = (
        f"mutation($input: {title}Input!) {{ {name}(input: $input) {{ errors {{ code message path"
        " } } }"
    )
    return document, {"input": {"idempotencyKey": "$key()"} | given}


def _price(given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    options = {"EUR": {"model": "per_unit", "unit_amount": "1"}}
    return _mutation("createPrice", {"options": options, "intervalUnit": "MONTH"} | given)


def _read(name: str, kind: str, argument: str = "id", shown: str = "id") -> Any:
    document = f"query($id: ID!) {{ {name}({argument}: $id) {{ {shown} }} }}"
    return document, {"id": f"${kind}"}


PLACES: dict[str, tuple[str, dict[str, Any]]] = {
    "Query.product(id)": _read("product", "prd"),
    "Query.price(id)": _read("price", "prc"),
    "Query.meter(id)": _read("meter", "mtr"),
    "Query.products(after)": (
        "query($after: String) { products(after: $after) { nodes { id } } }",
        {"after": "$prd"},
    ),
    "Query.meters(after)": (
        "query($after: String) { meters(after: $after) { nodes { id } } }",
        {"after": "$mtr"},
    ),
    "Query.usageQuantity(meterId)": (_USAGE, {"m": "$mtr", "c": "$my cus"}),
    "Query.usageQuantity(customerId)": (_USAGE, {"m": "$my mtr", "c": "$cus"}),
    "Query.invoiceCollection(invoiceId)": _read("invoiceCollection", "inv", "invoiceId", "phase"),
    "Query.entitlements(customerId)": _read("entitlements", "cus", "customerId", "feature"),
    "ArchiveProductInput.productId": _mutation("archiveProduct", {"productId": "$prd"}),
    "ArchivePriceInput.priceId": _mutation("archivePrice", {"priceId": "$prc"}),
    "CreatePriceInput.productId": _price({"productId": "$prd"}),
    "CreatePriceInput.meterId": _price({"productId": "$my prd", "meterId": "$mtr"}),
    "RetryCollectionInput.invoiceId": _mutation("retryCollection", {"invoiceId": "$inv"}),
    "UpdateSubscriptionMethodInput.subscriptionId": _mutation(
        "updateSubscriptionMethod", {"subscriptionId": "$sub", "paymentMethodId": "$my pm"}
    ),
    "UpdateSubscriptionMethodInput.paymentMethodId": _mutation(
        "updateSubscriptionMethod", {"subscriptionId": "$my sub", "paymentMethodId": "$pm"}
    ),
    "UsageEventInput.customerId": (
        "mutation($input: RecordUsageInput!) { recordUsage(input: $input) {"
        " accepted receipts { code message } } }",
        {
            "input": {
                "idempotencyKey": "$key()",
                "events": [
                    {
                        "meter": "calls",
                        "customerId": "$cus",
                        "id": "one",
                        "at": "$instant()",
                        "value": "1",
                    }
                ],
            }
        },
    ),
}
