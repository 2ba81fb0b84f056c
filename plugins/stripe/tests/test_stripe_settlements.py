"""Are Stripe's reports read exactly, and is nothing read that is not certain?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from payengine.plugin import Amount, SettlementUnreadable
from payengine_stripe.settlements import PARSERS

_BALANCE, _PAYOUT = PARSERS

_REPORT = b"""\xef\xbb\xbf"balance_transaction_id","created_utc","available_on_utc","currency",\
"gross","fee","net","reporting_category","source_id","customer_facing_amount","customer_facing_currency",\
"automatic_payout_id","payment_intent_id","charge_id","refund_id"
txn_1,2025-06-01 09:00:00,2025-06-03 00:00:00,usd,109.80,3.20,106.60,charge,ch_1,\
100.00,eur,po_1,pi_1,ch_1,
txn_2,2025-06-02 12:00:00,2025-06-02 00:00:00,usd,-25.00,0.00,-25.00,refund,re_1,\
-25.00,usd,po_1,pi_1,ch_1,re_1
txn_3,2025-06-03 12:00:00,2025-06-03 00:00:00,jpy,1004,0,1004,charge,ch_2,\
1004,jpy,,pi_2,ch_2,
txn_4,2025-06-04 12:00:00,2025-06-04 00:00:00,usd,-50.00,15.00,-65.00,dispute,dp_1,\
-50.00,usd,,pi_1,ch_1,
txn_5,2025-06-05 06:00:00,2025-06-05 00:00:00,usd,-120.05,0.00,-120.05,payout,po_1,,,,,,
txn_6,2025-06-05 07:00:00,2025-06-05 00:00:00,kwd,-12.345,0.000,-12.345,fee,,,,,,,
"""


def test_every_line_is_read_to_the_last_digit() -> None:
    found = _BALANCE.parse(_REPORT)
    assert (found.problems, found.complete) == ((), True)
    first, second, third, fourth, fifth, sixth = found.lines
    assert (first.key, first.kind, first.category) == ("txn_1", "capture", "charge")
    assert first.references[0] == "pi_1"
    assert (first.amount, first.fee_minor) == (Amount(10_980, "USD"), 320)
    assert first.presentment == Amount(10_000, "EUR")
    assert first.at == datetime(2025, 6, 1, 9, tzinfo=UTC)
    assert (first.payout, fifth.kind) == ("po_1", "payout")
    assert (second.kind, second.amount.minor, second.presentment) == ("refund", -2_500, None)
    assert "re_1" in second.references
    assert third.amount == Amount(1_004, "JPY")
    assert (fourth.kind, fourth.fee_minor, fourth.references[0]) == ("dispute", 1_500, "pi_1")
    assert "dp_1" in fourth.references
    assert (sixth.kind, sixth.amount) == ("fee", Amount(-12_345, "KWD"))


def test_one_payouts_report_does_not_tell_everything() -> None:
    assert not _PAYOUT.parse(_REPORT).complete


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b"109.80,3.20,106.60", b"109.805,3.20,106.605"),
        (b"109.80,3.20,106.60", b"109.80,3.20,106.61"),
        (b"109.80,3.20,106.60", b"1e2,3.20,106.60"),
        (b"jpy,1004,0,1004", b"jpy,1004.5,0,1004.5"),
        (b"2025-06-01 09:00:00", b"yesterday"),
        (b"txn_1,", b","),
    ],
)
def test_a_line_that_is_not_certain_is_left_out_and_told(was: bytes, becomes: bytes) -> None:
    found = _BALANCE.parse(_REPORT.replace(was, becomes, 1))
    assert (len(found.lines), len(found.problems), found.complete) == (5, 1, False)


@pytest.mark.parametrize("content", [b"", b"\xff\xff", b"a,b\n1,2\n", b"id\0"])
def test_what_is_no_report_is_refused(content: bytes) -> None:
    with pytest.raises(SettlementUnreadable):
        _BALANCE.parse(content)


def test_the_dashboards_export_is_read_too() -> None:
    found = _BALANCE.parse(
        b"id,Type,Source,Amount,Fee,Net,Currency,Created (UTC),Available On (UTC)\n"
        b"txn_1,charge,ch_1,10.00,0.59,9.41,eur,2025-06-01 09:00,2025-06-03 00:00\n"
    )
    (line,) = found.lines
    assert (line.kind, line.amount, line.fee_minor) == ("capture", Amount(1_000, "EUR"), 59)
    assert line.references == ("ch_1",)
