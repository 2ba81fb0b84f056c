"""Does the fake answer as PayPal's own descriptions say?

Every answer is held against the OpenAPI description of its operation, refusals against the issue
codes listed there. The descriptions are not ours to copy: `PAYENGINE_SPECS` names the folder that
holds `paypal/`, else a folder `shared/specs` beside this checkout is looked for.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_paypal import FakePayPal
from jsonschema import Draft202012Validator
from payengine_paypal.declines import IN_PROGRESS, ISSUES, NOT_PROCESSED, PROCESSOR_CODES
from referencing import Registry
from referencing.jsonschema import DRAFT202012

_BESIDE = Path(__file__).resolve().parents[4] / "shared" / "specs"
SPECS = Path(os.environ.get("PAYENGINE_SPECS") or _BESIDE) / "paypal"
_FILES = ("checkout_orders_v2", "payments_payment_v2", "vault_payment_tokens_v3")
_DISPUTES = "customer_disputes_v1"

pytest_plugins = ("paypal_account",)

pytestmark = pytest.mark.skipif(
    not SPECS.is_dir(), reason="PayPal's OpenAPI descriptions are not here (PAYENGINE_SPECS)"
)


@cache
def description(name: str) -> dict[str, Any]:
    """One of the OpenAPI descriptions."""
    found: dict[str, Any] = json.loads((SPECS / f"{name}.json").read_text())
    return found


@cache
def registry() -> Registry[Any]:
    """The descriptions, for references into them."""
    made: Registry[Any] = Registry()
    for name in (*_FILES, _DISPUTES):
        made = made.with_resource(f"urn:{name}", DRAFT202012.create_resource(description(name)))
    return made


def operation(method: str, path: str) -> tuple[str, list[str], dict[str, Any]]:
    """The description, the place in it and the text of the operation that serves `path`."""
    for name in (*_FILES, _DISPUTES):
        for template, methods in description(name)["paths"].items():
            form = re.sub(r"\\{\w+\\}", r"[^/]+", re.escape(template))
            if re.fullmatch(form, path) and method.lower() in methods:
                place = ["paths", template, method.lower()]
                return name, place, methods[method.lower()]
    raise LookupError(f"{method} {path}")


def faults_of(answer: httpx.Response) -> list[str]:
    """In which way the answer differs from the description."""
    name, place, described = operation(answer.request.method, answer.request.url.path)
    status = str(answer.status_code)
    if status not in described["responses"]:
        return [f"{status} is not described"]
    content = described["responses"][status].get("content")
    if content is None:
        return ["a body where none is described"] if answer.content else []
    pointer = "/".join(
        part.replace("~", "~0").replace("/", "~1")
        for part in (*place, "responses", status, "content", "application/json", "schema")
    )
    validator = Draft202012Validator({"$ref": f"urn:{name}#/{pointer}"}, registry=registry())
    return [
        f"{error.json_path}: {error.message[:200]}"
        for error in validator.iter_errors(answer.json())
    ]


class Shopper:
    """Talks to the fake as a merchant's server does, and holds every answer to its description."""

    def __init__(self, fake: FakePayPal, name: str = "schemas") -> None:
        self.fake, self.name = fake, name
        self.client = httpx.Client(base_url=fake.url, trust_env=False)
        token = self.client.post(
            "/v1/oauth2/token", auth=(name, "a-secret"), data={"grant_type": "client_credentials"}
        ).json()["access_token"]
        self.client.headers["authorization"] = f"Bearer {token}"
        self.client.headers["prefer"] = "return=representation"

    def ask(self, method: str, path: str, *, status: int, **more: Any) -> Any:
        """The answer's body, which has the status and keeps the description."""
        answer = self.client.request(method, path, **more)
        assert answer.status_code == status, (path, answer.text)
        assert faults_of(answer) == [], (method, path, answer.text)
        return answer.json() if answer.content else None

    def order(self, *, intent: str = "CAPTURE", status: int = 201, **source: Any) -> Any:
        """Create an order."""
        body = {
            "intent": intent,
            "purchase_units": [
                {"custom_id": "op_1", "amount": {"currency_code": "EUR", "value": "12.00"}}
            ],
            "payment_source": source or {"paypal": {"experience_context": {}}},
        }
        headers = {"paypal-request-id": os.urandom(8).hex()}
        return self.ask("POST", "/v2/checkout/orders", status=status, json=body, headers=headers)


@pytest.fixture
def shopper(paypal: FakePayPal) -> Iterator[Shopper]:
    made = Shopper(paypal)
    yield made
    made.client.close()


def test_approved_order_is_captured_and_refunded(paypal: FakePayPal, shopper: Shopper) -> None:
    order = shopper.order()
    path = f"/v2/checkout/orders/{order['id']}"
    assert order["status"] == "PAYER_ACTION_REQUIRED"
    shopper.ask("POST", f"{path}/capture", status=422)
    paypal.approve(shopper.name, order["id"])
    assert shopper.ask("GET", path, status=200)["status"] == "APPROVED"
    shopper.ask("POST", f"{path}/authorize", status=422)
    done = shopper.ask("POST", f"{path}/capture", status=201, headers={"paypal-request-id": "c1"})
    again = shopper.ask("POST", f"{path}/capture", status=200, headers={"paypal-request-id": "c1"})
    assert done == again
    shopper.ask("POST", f"{path}/capture", status=422, headers={"paypal-request-id": "c2"})
    (capture,) = done["purchase_units"][0]["payments"]["captures"]
    own = f"/v2/payments/captures/{capture['id']}"
    shopper.ask("GET", own, status=200)
    part = {"amount": {"currency_code": "EUR", "value": "5.00"}, "custom_id": "ref_1"}
    refund = shopper.ask("POST", f"{own}/refund", status=201, json=part)
    shopper.ask("GET", f"/v2/payments/refunds/{refund['id']}", status=200)
    more = {"amount": {"currency_code": "EUR", "value": "9.00"}}
    shopper.ask("POST", f"{own}/refund", status=422, json=more)
    shopper.ask("GET", path, status=200)


def test_hold_is_renewed_captured_in_parts_and_voided(paypal: FakePayPal, shopper: Shopper) -> None:
    order = shopper.order(intent="AUTHORIZE", paypal={"vault_id": "vault_ok"})
    (hold,) = order["purchase_units"][0]["payments"]["authorizations"]
    own = f"/v2/payments/authorizations/{hold['id']}"
    shopper.ask("GET", own, status=200)
    shopper.ask("POST", f"{own}/reauthorize", status=422, json={})
    paypal.ask("set", client_id=shopper.name, age=4)
    child = shopper.ask("POST", f"{own}/reauthorize", status=201, json={})
    renewed = f"/v2/payments/authorizations/{child['id']}"
    shopper.ask("POST", f"{renewed}/reauthorize", status=422, json={})
    shopper.ask("POST", f"{renewed}/void", status=422)
    much = {"amount": {"currency_code": "EUR", "value": "99.00"}}
    shopper.ask("POST", f"{renewed}/capture", status=422, json=much)
    part = {"amount": {"currency_code": "EUR", "value": "2.00"}, "final_capture": False}
    shopper.ask("POST", f"{renewed}/capture", status=201, json=part)
    shopper.ask("POST", f"{own}/void", status=200)
    shopper.ask("POST", f"{own}/void", status=422)
    shopper.ask("POST", f"{renewed}/capture", status=422, json=part)
    shopper.ask("GET", f"/v2/checkout/orders/{order['id']}", status=200)


@pytest.mark.parametrize("intent", ["CAPTURE", "AUTHORIZE"])
@pytest.mark.parametrize(
    "source",
    [
        {"paypal": {"vault_id": "vault_ok"}},
        {"paypal": {"vault_id": "vault_pending"}},
        {"card": {"vault_id": "vault_card_5120"}},
    ],
)
def test_saved_method_completes_an_order_at_once(
    shopper: Shopper, source: dict[str, Any], intent: str
) -> None:
    assert shopper.order(intent=intent, **source)["status"] == "COMPLETED"


@pytest.mark.parametrize(
    "issue",
    ["INSTRUMENT_DECLINED", "PAYER_CANNOT_PAY", "TRANSACTION_REFUSED", "CARD_EXPIRED",
     "COMPLIANCE_VIOLATION", "DUPLICATE_INVOICE_ID", "PAYEE_ACCOUNT_RESTRICTED"],
)  # fmt: skip
def test_refusals_carry_the_issues_that_are_described(shopper: Shopper, issue: str) -> None:
    refusal = shopper.order(status=422, paypal={"vault_id": f"issue_{issue}"})
    assert refusal["details"][0]["issue"] == issue


def test_malformed_and_unknown_are_refused_as_described(shopper: Shopper) -> None:
    shopper.ask("POST", "/v2/checkout/orders", status=400, json={"intent": "GIFT"})
    amount = {"currency_code": "JPY", "value": "12.50"}
    body = {"intent": "CAPTURE", "purchase_units": [{"amount": amount}]}
    shopper.ask("POST", "/v2/checkout/orders", status=422, json=body)
    shopper.ask("GET", "/v2/checkout/orders/0AB12345CD678901E", status=404)
    shopper.ask("GET", "/v2/payments/captures/0AB12345CD678901E", status=404)
    shopper.client.headers["authorization"] = "Bearer stale"
    shopper.ask("GET", "/v2/checkout/orders/0AB12345CD678901E", status=401)


def test_patch_ends_with_the_order(paypal: FakePayPal, shopper: Shopper) -> None:
    order = shopper.order()
    path = f"/v2/checkout/orders/{order['id']}"
    patch = [{"op": "replace", "path": "/intent", "value": "AUTHORIZE"}]
    shopper.ask("PATCH", path, status=204, json=patch)
    paypal.approve(shopper.name, order["id"])
    # The description names it for the other direction only.
    refusal = shopper.client.post(f"{path}/capture", json={})
    assert refusal.json()["details"] == [{"issue": "ACTION_DOES_NOT_MATCH_INTENT"}]
    shopper.ask("POST", f"{path}/authorize", status=201)
    shopper.ask("PATCH", path, status=422, json=patch)
    other = [{"op": "replace", "path": "/purchase_units", "value": []}]
    shopper.ask("PATCH", f"/v2/checkout/orders/{shopper.order()['id']}", status=422, json=other)


def test_vault_keeps_what_the_buyer_agreed_to(paypal: FakePayPal, shopper: Shopper) -> None:
    context = {"return_url": "https://shop.example/r", "cancel_url": "https://shop.example/c"}
    body = {"payment_source": {"paypal": {"usage_type": "MERCHANT", "experience_context": context}}}
    setup = shopper.ask("POST", "/v3/vault/setup-tokens", status=201, json=body)
    exchange = {"payment_source": {"token": {"id": setup["id"], "type": "SETUP_TOKEN"}}}
    shopper.ask("POST", "/v3/vault/payment-tokens", status=422, json=exchange)
    page = next(link["href"] for link in setup["links"] if link["rel"] == "approve")
    assert paypal.click(page, "agree").startswith("https://shop.example/r?")
    shopper.ask("GET", f"/v3/vault/setup-tokens/{setup['id']}", status=200)
    kept = shopper.ask("POST", "/v3/vault/payment-tokens", status=201, json=exchange)
    shopper.ask("GET", f"/v3/vault/payment-tokens/{kept['id']}", status=200)
    assert shopper.order(paypal={"vault_id": kept["id"]})["status"] == "COMPLETED"
    shopper.ask("DELETE", f"/v3/vault/payment-tokens/{kept['id']}", status=204)
    shopper.ask("GET", f"/v3/vault/payment-tokens/{kept['id']}", status=404)
    shopper.order(status=422, paypal={"vault_id": kept["id"]})


def test_dispute_is_shown_as_described(paypal: FakePayPal, shopper: Shopper) -> None:
    order = shopper.order(paypal={"vault_id": "vault_ok"})
    (capture,) = order["purchase_units"][0]["payments"]["captures"]
    dispute = paypal.ask("dispute", client_id=shopper.name, id=capture["id"])
    path = f"/v1/customer/disputes/{dispute['dispute_id']}"
    shopper.ask("GET", path, status=200)
    parts = {"input": (None, '{"evidences": [{"evidence_type": "OTHER"}]}', "application/json")}
    shopper.ask("POST", f"{path}/provide-evidence", status=200, files=parts)
    shopper.ask("POST", f"{path}/accept-claim", status=200, files=parts)
    assert shopper.ask("GET", path, status=200)["status"] == "RESOLVED"


def test_a_wrong_answer_would_be_noticed(shopper: Shopper) -> None:
    order = shopper.order()
    request = httpx.Request("GET", f"{shopper.fake.url}/v2/checkout/orders/{order['id']}")
    for change in ({"status": "HAPPY"}, {"links": [{"rel": "self"}]}, {"id": 7}):
        assert faults_of(httpx.Response(200, json=order | change, request=request)) != []
    assert faults_of(httpx.Response(418, json=order, request=request)) != []


def test_mapped_codes_are_the_ones_that_paypal_names() -> None:
    """No code in our tables was made up: each stands in a description."""
    texts = "".join((SPECS / f"{name}.json").read_text() for name in _FILES)
    ours = {"REFUND_LATER", "DECLINED_BY_RISK_FRAUD_FILTERS", "RATE_LIMIT_REACHED"}
    issues = {*ISSUES, *IN_PROGRESS} - ours
    assert {issue for issue in issues if f'"{issue}"' not in texts} == set()
    codes = set(description("checkout_orders_v2")["components"]["schemas"]["processor_response"][
        "properties"]["response_code"]["enum"])  # fmt: skip
    assert set(PROCESSOR_CODES) <= codes
    assert not set(ISSUES) & set(NOT_PROCESSED)
