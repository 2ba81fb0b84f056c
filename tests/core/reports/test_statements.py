"""Do statements say exactly what the ledger says, in both spellings?"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from payengine.errors import InputInvalid
from payengine.ledger import AccountStatement, StatementEntry
from payengine.reports.statements import statement_text
from payengine_bank_transfer.statements import read_document

_SINCE = datetime(2026, 3, 1, tzinfo=UTC)


def _statement(currency: str, *amounts: int, kind: str = "payment.captured") -> AccountStatement:
    stands = 1_000
    entries = []
    for number, amount in enumerate(amounts, start=1):
        stands += amount
        entries.append(
            StatementEntry(
                at=_SINCE + timedelta(hours=number),
                transaction_id=f"op_{number:026}:captured",
                line=1,
                kind=kind,
                other_account="psp_receivable:sandbox",
                amount_minor=amount,
                balance_minor=stands,
                payment_id=None,
            )
        )
    return AccountStatement(
        account="merchant_payable:main",
        currency=currency,
        since=_SINCE,
        until=_SINCE + timedelta(days=1),
        opening_minor=1_000,
        closing_minor=stands,
        entries=tuple(entries),
    )


def test_a_bank_reads_the_statement_and_its_sums_agree() -> None:
    text = statement_text(_statement("EUR", 500, -1_750), "camt053", made_at=_SINCE)
    document = read_document(text.encode())
    assert document.problems == ()
    assert [(line.direction, line.minor) for line in document.lines] == [
        ("credit", 500),
        ("debit", 1_750),
    ]
    assert '<Amt Ccy="EUR">2.50</Amt><CdtDbtInd>DBIT</CdtDbtInd>' in text


@pytest.mark.parametrize(
    ("currency", "told"), [("JPY", "1000"), ("KWD", "1.000"), ("USD", "10.00")]
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, told: str) -> None:
    assert f'<Amt Ccy="{currency}">{told}</Amt>' in statement_text(
        _statement(currency), "camt053", made_at=_SINCE
    )


def test_a_spreadsheet_takes_no_text_for_a_formula() -> None:
    text = statement_text(_statement("EUR", 500, kind="=1+1"), "csv", made_at=_SINCE)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["kind"] for row in rows] == ["opening", "'=1+1", "closing"]
    assert [row["balance"] for row in rows] == ["10.00", "15.00", "15.00"]
    assert rows[1]["amount"] == "5.00"


def test_another_format_is_refused() -> None:
    with pytest.raises(InputInvalid):
        statement_text(_statement("EUR"), "pdf", made_at=_SINCE)  # type: ignore[arg-type]
