"""Do the templates book what the worked ledgers say, entry for entry?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from payengine.fx import postings as fx
from payengine.fx.conversion import parse_rate
from payengine.fx.quotes import worth
from payengine.ledger import Posting, templates
from payengine.ledger.transfers import entries_of
from payengine.marketplace import postings
from payengine.marketplace.disputes import dispute_shares
from payengine.marketplace.postings import PLATFORM, Share
from payengine.marketplace.splits import SplitPart, divide, pull_back

_BOOKS = Path(__file__).parents[2] / "data" / "examples" / "examples_ledger.json"
_CASES = {case["id"]: case for case in json.loads(_BOOKS.read_text())["cases"]}
_OWNERS = ("vendor_payable:a", "vendor_payable:b", PLATFORM)
_PARTS = divide(
    10_000,
    [
        SplitPart(to="a", percent_bps=7_000),
        SplitPart(to="b", percent_bps=2_000),
        SplitPart(to="platform", remainder=True),
    ],
)
_COMMON = {"payment_id": "pay_1", "gateway": "stripe", "currency": "USD"}
_PAYOUT = {"payout_id": "po_1", "vendor": "a", "currency": "USD"}


def shares(amounts: Sequence[int]) -> list[Share]:
    """What the vendors a and b and the platform get or give."""
    return [
        Share(account=account, amount_minor=minor)
        for account, minor in zip(_OWNERS, amounts, strict=True)
    ]


def _sale() -> list[Posting]:
    return [
        postings.captured_to_escrow(
            operation_id="op_1", escrow="o1", amount_minor=10_000, **_COMMON
        ),
        templates.processor_fee(operation_id="op_1", amount_minor=320, **_COMMON),
        postings.escrow_released(
            release_id="esc_1",
            payment_id="pay_1",
            escrow="o1",
            currency="USD",
            shares=shares(_PARTS),
        ),
    ]


def _refund(owners: Sequence[Share], amount: int) -> list[Posting]:
    return [
        postings.refund_in_shares(operation_id="op_2", shares=owners, **_COMMON),
        templates.refund_succeeded(operation_id="op_2", amount_minor=amount, **_COMMON),
    ]


def _negative_balance() -> list[Posting]:
    found = dispute_shares(7_000, 1_500, liability="vendor", remaining=[7_000, 0, 1_000])
    disputed, fee = shares(found.disputed), shares(found.fee)
    later = divide(
        9_000, [SplitPart(to="a", percent_bps=9_000), SplitPart(to="platform", remainder=True)]
    )
    return [
        *_sale(),
        postings.payout_created(amount_minor=7_000, **_PAYOUT),
        postings.payout_paid(payout_id="po_1", vendor="a", currency="USD", amount_minor=7_000),
        postings.dispute_opened_in_shares(dispute_id="dp_1", shares=disputed, **_COMMON),
        postings.dispute_fee_in_shares(dispute_id="dp_1", shares=fee, **_COMMON),
        postings.dispute_lost_in_shares(dispute_id="dp_1", shares=disputed, **_COMMON),
        postings.captured_in_shares(
            operation_id="op_2", shares=shares([later[0], 0, later[1]]), **_COMMON
        ),
    ]


def _settled_with_gain() -> list[Posting]:
    money = {"source_currency": "EUR", "source_minor": 10_000, "target_currency": "USD"}
    found = worth(10_000, source="EUR", target="USD", mid=parse_rate("1.0956"), markup_bps=100)
    gain = fx.realised(
        settlement_id="set_1", currency="USD", owed_minor=found.mid_minor, received_minor=10_980
    )
    assert gain is not None
    return [
        templates.captured(
            operation_id="op_1",
            payment_id="pay_1",
            gateway="stripe",
            amount_minor=10_000,
            currency="EUR",
            merchant="m1",
        ),
        fx.converted(
            conversion_id="fx_1",
            account="merchant_payable:m1",
            mid_minor=found.mid_minor,
            target_minor=found.customer_minor,
            **money,  # type: ignore[arg-type]
        ),
        fx.settled(
            settlement_id="set_1",
            gateway="stripe",
            received_minor=10_980,
            **money,  # type: ignore[arg-type]
        ),
        gain,
    ]


_BOOKED = {
    "marketplace": _sale(),
    "marketplace-refund": [*_sale(), *_refund(shares(pull_back(_PARTS, 3_333)), 3_333)],
    "marketplace-refund-held": [
        _sale()[0],
        *_refund([Share(account="escrow:o1", amount_minor=4_000)], 4_000),
    ],
    "negative-balance": _negative_balance(),
    "payout-failed": [
        *_sale(),
        postings.payout_created(amount_minor=7_000, **_PAYOUT),
        postings.payout_failed(payout_id="po_1", vendor="a", currency="USD", amount_minor=7_000),
    ],
    "fx-settle-gain": _settled_with_gain(),
}


def sides(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str, str], int]:
    """(account, direction, currency) → minor units."""
    sums: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = (row["account"], row["direction"], row["currency"])
        sums[key] = sums.get(key, 0) + row["amount"]
    return sums


@pytest.mark.parametrize("name", _BOOKED)
def test_templates_book_what_the_worked_ledger_says(name: str) -> None:
    expected = [sides(each["entries"]) for each in _CASES[name]["expected"]["transactions"]]
    booked = [
        {
            (entry.account, entry.direction, entry.currency): entry.amount_minor
            for entry in entries_of(posting.transfers)
        }
        for posting in _BOOKED[name]
    ]
    assert booked == expected
