"""Does a bank's statement settle what it tells, and no more?"""

from __future__ import annotations

import pytest
from payengine.plugin import Amount, SettlementUnreadable
from payengine_bank_transfer.references import end_to_end_id, virtual_reference
from payengine_bank_transfer.settlements import BankStatement

_REFERENCE = virtual_reference(account="a", key="op_1")
_ORDER = end_to_end_id(account="a", key="op_2")


def _entry(amount: str, side: str, *, name: str, more: str = "", currency: str = "EUR") -> str:
    return (
        f'<Ntry><Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd>'
        "<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2025-06-02</Dt></BookgDt>"
        f"<AcctSvcrRef>{name}</AcctSvcrRef><NtryDtls><TxDtls>{more}</TxDtls></NtryDtls></Ntry>"
    )


def _statement(*entries: str) -> bytes:
    return (
        "<Document><BkToCstmrStmt><GrpHdr><MsgId>m</MsgId></GrpHdr><Stmt><Acct><Id>"
        "<IBAN>DE89370400440532013000</IBAN></Id></Acct>"
        f"{''.join(entries)}</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def test_credits_debits_and_returns_are_told_apart() -> None:
    found = BankStatement().parse(
        _statement(
            _entry(
                "12.30", "CRDT", name="b1", more=f"<RmtInf><Ustrd>{_REFERENCE}</Ustrd></RmtInf>"
            ),
            _entry(
                "5.00", "DBIT", name="b2", more=f"<Refs><EndToEndId>{_ORDER}</EndToEndId></Refs>"
            ),
            _entry("7.00", "DBIT", name="b3", more="<RtrInf><Rsn><Cd>MD06</Cd></Rsn></RtrInf>"),
        )
    )
    assert (found.problems, found.complete) == ((), True)
    paid, ordered, returned = found.lines
    assert (paid.kind, paid.amount, paid.references[0]) == (
        "capture",
        Amount(1_230, "EUR"),
        _REFERENCE,
    )
    assert (ordered.kind, ordered.amount.minor) == ("transfer", -500)
    assert _ORDER in ordered.references
    assert (returned.kind, returned.category) == ("dispute", "MD06")
    assert paid.key == "DE89370400440532013000:b1"


def test_another_currency_is_left_out_and_told() -> None:
    found = BankStatement().parse(_statement(_entry("12.30", "CRDT", name="b1", currency="USD")))
    assert (found.lines, len(found.problems), found.complete) == ((), 1, False)


@pytest.mark.parametrize("content", [b"", b"<a>", b"<Document><CstmrPmtStsRpt/></Document>"])
def test_what_is_no_statement_is_refused(content: bytes) -> None:
    with pytest.raises(SettlementUnreadable):
        BankStatement().parse(content)
