"""Is PayPal's settlement report read exactly, and is nothing read that is not certain?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from payengine.plugin import Amount, SettlementUnreadable
from payengine_paypal.settlements import PayPalSettlement

_REPORT = b"""\xef\xbb\xbf"RH",2025/06/02 04:00:00 -0700,A,"ACCOUNT",009
"FH",01
"SH",2025/06/01 00:00:00 -0700,2025/06/01 23:59:59 -0700,"ACCOUNT",""
"CH","Transaction ID","Invoice ID","PayPal Reference ID","PayPal Reference ID Type",\
"Transaction Event Code","Transaction Initiation Date","Transaction Completion Date",\
"Transaction Debit or Credit","Gross Transaction Amount","Gross Transaction Currency",\
"Fee Debit or Credit","Fee Amount","Fee Currency","Custom Field","Consumer ID"
"SB","5TY05013RG002845M","pay_1","","","T0006",2025/06/01 01:00:00 -0700,\
2025/06/01 01:00:00 -0700,"CR",10000,"EUR","DR",320,"EUR","op_1","X"
"SB","1JU08902781691411","pay_1","5TY05013RG002845M","TXN","T1107",2025/06/01 02:00:00 -0700,\
2025/06/01 02:00:00 -0700,"DR",2500,"EUR","CR",20,"EUR","op_2","X"
"SB","8XX","","","","T0400",2025/06/01 03:00:00 -0700,2025/06/01 03:00:00 -0700,"DR",1004,"JPY",\
"",0,"JPY","",""
"SB","9YY","","","","T9999",2025/06/01 03:00:00 -0700,2025/06/01 03:00:00 -0700,"DR",7,"USD",\
"",,"","",""
"SF","EUR",1,1
"RF",4
"""


def test_every_line_is_read_with_its_side() -> None:
    found = PayPalSettlement().parse(_REPORT)
    assert (found.problems, found.complete) == ((), True)
    taken, given, withdrawn, other = found.lines
    assert (taken.kind, taken.amount, taken.fee_minor) == ("capture", Amount(10_000, "EUR"), 320)
    assert taken.references == ("5TY05013RG002845M", "op_1", "pay_1")
    assert taken.at == datetime(2025, 6, 1, 8, tzinfo=UTC)
    assert (given.kind, given.amount.minor, given.fee_minor) == ("refund", -2_500, -20)
    assert (withdrawn.kind, withdrawn.amount) == ("payout", Amount(-1_004, "JPY"))
    assert (other.kind, other.category) == ("other", "T9999")
    assert len({line.key for line in found.lines}) == 4


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b'"CR",10000,"EUR"', b'"CR",100.00,"EUR"'),
        (b'"CR",10000,"EUR"', b'"XX",10000,"EUR"'),
        (b'"CR",10000,"EUR"', b'"CR",10000,"HUF"'),
        (b'"DR",320,"EUR"', b'"DR",320,"USD"'),
        (b"2025/06/01 01:00:00 -0700,", b"1 June,"),
    ],
)
def test_a_line_that_is_not_certain_is_left_out_and_told(was: bytes, becomes: bytes) -> None:
    found = PayPalSettlement().parse(_REPORT.replace(was, becomes, 1))
    assert (len(found.lines), len(found.problems), found.complete) == (3, 1, False)


@pytest.mark.parametrize("content", [b"", b"\xff\xff", b'"CH","Transaction ID"\n', b'"SB","x"\n'])
def test_what_is_no_report_is_refused(content: bytes) -> None:
    with pytest.raises(SettlementUnreadable):
        PayPalSettlement().parse(content)
