"""Is the fake as Stripe is, as far as its published objects and its documentation tell?"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import fake_stripe_objects as objects
import httpx
import pytest
from fake_stripe_faults import FAULTS, Faults
from fake_stripe_http import form
from fake_stripe_process import FakeStripe

_ROOT = Path(__file__).parents[3]
_SPECS = Path(os.environ.get("PAYENGINE_SPECS") or _ROOT.parent / "shared" / "specs")
_FIXTURES = _SPECS / "stripe" / "fixtures3.json"

_PAY = {"amount": "1000", "currency": "eur", "confirm": "true", "payment_method": "pm_card_visa"}


class Account:
    """Requests with one API key, as any client would make them."""

    def __init__(self, fake: FakeStripe, key: str) -> None:
        self.fake = fake
        self.key = key

    def post(
        self, path: str, params: dict[str, str], *, idempotency_key: str | None = None
    ) -> httpx.Response:
        """A request that writes."""
        headers = {"Authorization": f"Bearer {self.key}"}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        return httpx.post(
            f"{self.fake.url}/v1/{path}", data=params, headers=headers, trust_env=False
        )

    def get(self, path: str, **params: Any) -> httpx.Response:
        """A request that reads."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.get(
            f"{self.fake.url}/v1/{path}", params=params, headers=headers, trust_env=False
        )


@pytest.fixture
def account(fake: FakeStripe, key: str) -> Account:
    """A fresh account."""
    return Account(fake, key)


def _differences(ours: Any, theirs: Any, at: str) -> list[str]:
    """Where an object of ours has other fields or types than the published example."""
    if ours is None or theirs is None:
        return []
    if isinstance(theirs, dict) and isinstance(ours, dict):
        if at.endswith((".metadata", ".payment_method_options", ".next_action", "_error")):
            return []  # filled by whoever made it
        lacking = [f"{at}.{name} is missing" for name in theirs.keys() - ours.keys()]
        more = [
            f"{at}.{name} is not published"
            for name in ours.keys() - theirs.keys()
            if theirs and f"{at}.{name}".partition(".")[2] not in objects.EXTRA_FIELDS
        ]
        inner = [
            problem
            for name in theirs.keys() & ours.keys()
            for problem in _differences(ours[name], theirs[name], f"{at}.{name}")
        ]
        return lacking + more + inner
    if isinstance(theirs, list) and isinstance(ours, list):
        return [p for one in ours[:1] for p in _differences(one, (theirs or [None])[0], f"{at}[]")]
    return [] if type(ours) is type(theirs) else [f"{at} is a {type(ours).__name__}"]


def _every_object(account: Account) -> dict[str, list[dict[str, Any]]]:
    """Objects of every kind in every state that the fake knows."""
    account.post("payment_intents", _PAY)
    customer = account.post("customers", {"name": "A Buyer"}).json()["id"]
    for token in (
        "pm_card_chargeDeclined",
        "pm_card_createDispute",
        "pm_card_createDisputeInquiry",
        "pm_card_pendingRefund",
        "pm_card_threeDSecure2Required",
        "pm_fake_processing",
    ):
        asked = {**_PAY, "payment_method": token, "return_url": "https://shop.example"}
        made = account.post("payment_intents", asked).json()
        if token == "pm_card_pendingRefund":
            account.post("refunds", {"payment_intent": made["id"], "amount": "100"})
    flexible = "payment_method_options[card]"
    held = account.post(
        "payment_intents",
        {
            **_PAY,
            "capture_method": "manual",
            f"{flexible}[request_multicapture]": "if_available",
        },
    ).json()["id"]
    account.post(f"payment_intents/{held}/increment_authorization", {"amount": "1500"})
    account.post(f"payment_intents/{held}/capture", {"amount_to_capture": "200"})
    kept = {"payment_method": "pm_card_visa", "customer": customer, "confirm": "true"}
    account.post("setup_intents", kept)
    account.post("setup_intents", {**kept, "payment_method": "pm_card_chargeDeclined"})
    return account.fake.books(account.key)


def test_every_object_has_the_published_fields_and_types(account: Account) -> None:
    if not _FIXTURES.exists():
        pytest.skip(
            f"Stripe's example objects are not at {_SPECS}: set PAYENGINE_SPECS to the folder"
            " that holds stripe/fixtures3.json"
        )
    published = json.loads(_FIXTURES.read_text())["resources"]
    books = _every_object(account)
    books["file"] = [objects.uploaded_file(purpose="p", name="a.pdf", size=1, kind="pdf")]
    assert books.keys() >= {
        "balance_transaction",
        "charge",
        "customer",
        "dispute",
        "event",
        "payment_intent",
        "payment_method",
        "refund",
        "setup_intent",
    }
    problems = set()
    for kind, every in books.items():
        for one in every:
            theirs = dict(published[kind])
            if kind == "event":
                theirs["data"] = {"object": {}}  # the example tells of another kind of object
            problems |= set(_differences(one, theirs, kind))
    assert problems == set()


def test_a_field_too_many_too_few_or_of_another_type_would_be_noticed() -> None:
    theirs = {"id": "x", "amount": 5, "card": {"brand": "visa"}}
    assert _differences({"id": "y", "amount": 7, "card": {"brand": "amex"}}, theirs, "a") == []
    assert _differences({"id": "y", "amount": 7}, theirs, "a") == ["a.card is missing"]
    wrong = {"id": "y", "amount": "7", "card": {"brand": "amex", "more": 1}}
    assert sorted(_differences(wrong, theirs, "a")) == [
        "a.amount is a str",
        "a.card.more is not published",
    ]


def test_a_key_answers_the_same_again_and_refuses_other_parameters(account: Account) -> None:
    first = account.post("payment_intents", _PAY, idempotency_key="k")
    again = account.post("payment_intents", _PAY, idempotency_key="k")
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    other = account.post("payment_intents", {**_PAY, "amount": "999"}, idempotency_key="k")
    assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")
    assert len(account.fake.books(account.key)["payment_intent"]) == 1


def test_a_decline_is_kept_for_its_key_and_refused_parameters_are_not(account: Account) -> None:
    declined = {**_PAY, "payment_method": "pm_card_chargeDeclined"}
    first = account.post("payment_intents", declined, idempotency_key="k")
    assert first.status_code == 402
    error = first.json()["error"]
    assert (error["type"], error["code"], error["decline_code"]) == (
        "card_error",
        "card_declined",
        "generic_decline",
    )
    assert error["payment_intent"]["status"] == "requires_payment_method"
    assert account.post("payment_intents", declined, idempotency_key="k").json() == first.json()
    wrong = {**_PAY, "amount": "0"}
    assert account.post("payment_intents", wrong, idempotency_key="l").status_code == 400
    assert account.post("payment_intents", _PAY, idempotency_key="l").status_code == 200


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": ""}, "parameter_missing"),
        ({"amount": "10"}, "amount_too_small"),
        ({"amount": "1e3"}, "parameter_invalid_integer"),
        ({"amount": "999999999"}, "amount_too_large"),
        ({"currency": "EUR"}, None),
        ({"currency": "kwd", "amount": "1001"}, None),
        ({"currency": "isk", "amount": "150"}, None),
        ({"payment_method": "pm_nobody"}, "resource_missing"),
        ({"customer": "cus_nobody"}, "resource_missing"),
        ({"capture_method": "sometimes"}, None),
    ],
)
def test_parameters_are_refused_as_stripe_refuses_them(
    account: Account, change: dict[str, str], code: str | None
) -> None:
    refused = account.post("payment_intents", {**_PAY, **change})
    assert refused.status_code in (400, 404)
    error = refused.json()["error"]
    assert (error["type"], error.get("code")) == ("invalid_request_error", code)


def test_a_payment_moves_only_along_its_states(account: Account) -> None:
    held = account.post("payment_intents", {**_PAY, "capture_method": "manual"}).json()
    assert (held["status"], held["amount_capturable"]) == ("requires_capture", 1_000)
    path = f"payment_intents/{held['id']}"
    too_much = account.post(f"{path}/capture", {"amount_to_capture": "1001"})
    assert too_much.json()["error"]["code"] == "amount_too_large"
    done = account.post(f"{path}/capture", {"amount_to_capture": "400"}).json()
    assert (done["status"], done["amount_received"]) == ("succeeded", 400)
    for act in ("capture", "cancel"):
        refused = account.post(f"{path}/{act}", {}).json()["error"]
        assert refused["code"] == "payment_intent_unexpected_state"
    assert account.post("refunds", {"payment_intent": held["id"], "amount": "401"}).is_error
    assert account.post("refunds", {"payment_intent": held["id"]}).json()["amount"] == 400
    again = account.post("refunds", {"payment_intent": held["id"]}).json()["error"]
    assert again["code"] == "charge_already_refunded"


def test_only_a_flexible_account_gets_the_flexible_features(fake: FakeStripe) -> None:
    plain = Account(fake, "sk_test_ordinary")
    wanted = {"payment_method_options[card][request_multicapture]": "if_available"}
    refused = plain.post("payment_intents", {**_PAY, "capture_method": "manual", **wanted})
    assert "not eligible" in refused.json()["error"]["message"]


def test_lists_are_newest_first_filtered_and_paged(account: Account) -> None:
    ids = [account.post("payment_intents", _PAY).json()["id"] for _ in range(5)]
    first = account.get("payment_intents", limit=3).json()
    assert [one["id"] for one in first["data"]] == ids[:1:-1]
    assert first["has_more"] is True
    rest = account.get("payment_intents", limit=3, starting_after=ids[2]).json()
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == (ids[1::-1], False)
    later = int(time.time()) + 60
    assert account.get("payment_intents", **{"created[gte]": later}).json()["data"] == []
    refund = account.post("refunds", {"payment_intent": ids[0]}).json()["id"]
    found = account.get("refunds", payment_intent=ids[0]).json()["data"]
    assert [one["id"] for one in found] == [refund]
    assert account.get("refunds", payment_intent=ids[1]).json()["data"] == []


def test_fields_are_shown_in_full_when_asked(account: Account) -> None:
    made = account.post(
        "payment_intents", {**_PAY, "expand[0]": "latest_charge.balance_transaction"}
    ).json()
    assert made["latest_charge"]["balance_transaction"]["fee"] == 59
    read = account.get(f"payment_intents/{made['id']}").json()
    assert read["latest_charge"] == made["latest_charge"]["id"]


@pytest.mark.parametrize("choice", ["approve", "fail"])
def test_the_banks_page_sends_the_buyer_back(account: Account, choice: str) -> None:
    asked = account.post(
        "payment_intents",
        {
            **_PAY,
            "payment_method": "pm_card_threeDSecure2Required",
            "return_url": "https://shop.example/done?order=7",
        },
    ).json()
    url = asked["next_action"]["redirect_to_url"]["url"]
    page = httpx.get(url, trust_env=False)
    assert page.headers["content-type"].startswith("text/html")
    assert page.text.count("<form") == 2
    back = account.fake.answer_challenge(url, choice).headers["location"]
    assert back.startswith(f"https://shop.example/done?order=7&payment_intent={asked['id']}")
    now = account.get(f"payment_intents/{asked['id']}").json()["status"]
    assert now == {"approve": "succeeded", "fail": "requires_payment_method"}[choice]
    assert httpx.get(f"{account.fake.url}/3ds/pi_nobody", trust_env=False).status_code == 404


def test_a_request_needs_a_key(fake: FakeStripe) -> None:
    assert Account(fake, "nonsense").get("payment_intents").status_code == 401
    assert httpx.get(f"{fake.url}/v1/payment_intents", trust_env=False).status_code == 401


def test_faults_are_a_pure_function_of_the_seed() -> None:
    rates: dict[str, Any] = dict.fromkeys(FAULTS, 50)
    faults = Faults(seed=7, **rates)
    drawn = [faults.strike(name=f"k{i}", attempt=1, writes=True) for i in range(2_000)]
    assert drawn == [faults.strike(name=f"k{i}", attempt=1, writes=True) for i in range(2_000)]
    assert 700 < sum(fault is not None for fault in drawn) < 900
    assert set(drawn) == {None, *FAULTS}
    other = Faults(seed=8, **rates)
    assert drawn != [other.strike(name=f"k{i}", attempt=1, writes=True) for i in range(2_000)]
    assert faults.strike(name="k", attempt=1, writes=False) is None


def test_parameters_nest_as_stripe_spells_them() -> None:
    text = "a=1&b[c]=2&b[d][e]=3&f[0]=x&f[1]=y&g[]=z"
    assert form(text) == {"a": "1", "b": {"c": "2", "d": {"e": "3"}}, "f": ["x", "y"], "g": ["z"]}
