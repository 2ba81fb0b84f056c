"""The crash harness reckons invoices, shares and payouts right, and finds what is wrong in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine_sandbox.payout_book import Kept

from tests.acceptance.crash.billed import BilledBooks, reckon_bills
from tests.acceptance.crash.divided import DividedBooks, reckon_shares
from tests.acceptance.crash.memory import Memory, Shop

_SHOP = Shop(tenant_id="t", api_key="k", currency="EUR")
_T0 = datetime(2026, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


def _invoice(number: int, status: str = "paid", **given: Any) -> dict[str, Any]:
    return {
        "id": f"inv_{number}",
        "number": number,
        "subscription_id": "sub_a",
        "period_start": _T0 + number * _DAY,
        "period_end": _T0 + (number + 1) * _DAY,
        "reason": "subscription_cycle",
        "status": status,
        "amount_due": 1_900,
        "amount_paid": 1_900 if status == "paid" else 0,
    } | given


def _charge(operation: str, amount: int = 1_900) -> dict[str, Any]:
    return {"key": operation, "kind": "authorize", "amount_minor": amount}


_PRESENT = {
    "id": "sub_a",
    "status": "active",
    "period_start": _T0 + 2 * _DAY,
    "period_end": _T0 + 3 * _DAY,
}
_BILLS = BilledBooks(
    shop=_SHOP,
    invoices=[_invoice(1), _invoice(2, "open")],
    subscriptions=[_PRESENT],
    operations=[{"id": "op_a", "status": "succeeded", "payment_id": "p", "invoice_id": "inv_1"}],
    movements=[_charge("op_a")],
    told=Counter(
        {
            ("subscription.created", "sub_a"): 1,
            ("invoice.finalized", "inv_1"): 1,
            ("invoice.finalized", "inv_2"): 1,
            ("invoice.paid", "inv_1"): 1,
            ("subscription.renewed", "sub_a"): 7,
        }
    ),
)


def test_bills_that_agree_are_right() -> None:
    found = reckon_bills(_BILLS, ["sub_a"])
    assert (found.invoices, found.paid, found.words) == (2, 1, [])


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        (
            {"invoices": [_invoice(1), _invoice(2, "open", period_start=_T0 + _DAY)]},
            ["doubled", "lost"],
        ),
        ({"invoices": [_invoice(1), _invoice(2, "open") | {"number": 3}]}, ["lost"]),
        ({"subscriptions": []}, ["lost", "events_doubled"]),
        ({"subscriptions": [_PRESENT | {"period_end": _T0 + 9 * _DAY}]}, ["lost"]),
        ({"movements": [_charge("op_a"), _charge("op_a")]}, ["doubled"]),
        ({"movements": [_charge("op_a"), _charge("op_b")]}, ["doubled"]),
        ({"movements": []}, ["lost"]),
        ({"movements": [_charge("op_a", 1_000)]}, ["lost"]),
        ({"told": _BILLS.told - Counter([("invoice.paid", "inv_1")])}, ["events_missing"]),
        ({"told": _BILLS.told + Counter([("invoice.paid", "inv_2")])}, ["events_doubled"]),
    ],
)
def test_what_is_wrong_in_the_bills_is_found(changes: dict[str, Any], wrong: list[str]) -> None:
    found = reckon_bills(replace(_BILLS, **changes), ["sub_a"])
    figures = ("doubled", "lost", "events_missing", "events_doubled")
    assert [name for name in figures if getattr(found, name)] == wrong
    assert found.words


def _order(key: str = "po_a", status: str = "paid", sending: str = "pob_a") -> Kept:
    return Kept(
        sending=sending,
        key=key,
        token="acct_ok",
        amount_minor=500,
        currency="EUR",
        status=status,
        looks=1,
    )


_STEP = {
    "operation_id": "op_a",
    "phase": "captured",
    "amount_minor": 2_000,
    "refundable": [[0, 1_200], [0, 800]],
    "moved": [[0, "vendor_payable:acc_a", "merchant_payable", 1_200]],
}
_PAYOUT = {
    "id": "po_a",
    "account_id": "acc_a",
    "amount_minor": 500,
    "currency": "EUR",
    "status": "paid",
}
_SHARES = DividedBooks(
    shop=_SHOP,
    operations=[{"id": "op_a"}],
    steps=[_STEP],
    payouts=[_PAYOUT],
    orders=[_order()],
    owed={"vendor_payable:acc_a": 700},
    movements=[_charge("op_a", 2_000), _charge("op_of_no_split", 9)],
    told=Counter([("payout.created", "po_a"), ("payout.paid", "po_a")]),
)


def test_shares_and_payouts_that_agree_are_right() -> None:
    found = reckon_shares(_SHARES, ["po_a"])
    assert (found.shares, found.payouts, found.words) == (1, 1, [])


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"steps": []}, ["shares_lost", "drift_minor"]),
        ({"steps": [_STEP, _STEP]}, ["shares_doubled", "drift_minor"]),
        ({"steps": [_STEP | {"refundable": [[0, 1_200]]}]}, ["drift_minor"]),
        ({"orders": [_order(), _order(sending="pob_b")]}, ["payouts_doubled"]),
        ({"orders": [_order(), _order("po_b")]}, ["payouts_doubled"]),
        ({"orders": []}, ["payouts_lost"]),
        ({"payouts": []}, ["payouts_doubled", "payouts_lost", "drift_minor", "events_doubled"]),
        (
            {"payouts": [_PAYOUT | {"status": "failed"}], "owed": {"vendor_payable:acc_a": 1_200}},
            ["payouts_doubled", "events_missing", "events_doubled"],
        ),
        ({"owed": {}}, ["drift_minor"]),
        ({"told": Counter([("payout.paid", "po_a")])}, ["events_missing"]),
    ],
)
def test_what_is_wrong_in_the_shares_is_found(changes: dict[str, Any], wrong: list[str]) -> None:
    found = reckon_shares(replace(_SHARES, **changes), ["po_a"])
    figures = (
        "shares_doubled",
        "shares_lost",
        "payouts_doubled",
        "payouts_lost",
        "drift_minor",
        "events_missing",
        "events_doubled",
    )
    assert [name for name in figures if getattr(found, name)] == wrong
    assert found.words


def test_what_a_shop_was_told_of_is_its_own() -> None:
    memory = Memory()
    memory.made = {"sub_a": _SHOP, "sub_b": replace(_SHOP, tenant_id="u")}
    assert memory.made_for(_SHOP) == ["sub_a"]
