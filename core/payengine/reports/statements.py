"""How is an account's statement written for people and for their books?

CSV for a spreadsheet, where no text becomes a formula, and camt.053.001.08 (ISO 20022) for whatever
reads a bank's statements. From the account owner's side: what raises the account's normal balance
is a credit there, as a bank's statement has it.
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from payengine.errors import InputInvalid
from payengine.ledger import AccountStatement, StatementEntry
from payengine.money import decimal_text
from payengine.reports.export import safe_cell, statement_amount

__all__ = ["MEDIA_TYPES", "StatementFormat", "statement_text"]

StatementFormat = Literal["csv", "camt053"]

MEDIA_TYPES: dict[StatementFormat, str] = {
    "csv": "text/csv; charset=utf-8",
    "camt053": "application/xml",
}

_SPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
_HEADER = (
    "at",
    "transaction_id",
    "line",
    "kind",
    "other_account",
    "payment_id",
    "amount",
    "balance",
    "currency",
)
#: ISO 20022's Max35Text, Max34Text and Max70Text.
_REFERENCE, _ACCOUNT, _NAME = 35, 34, 70


def statement_text(
    statement: AccountStatement, format: StatementFormat, *, made_at: datetime
) -> str:
    """The whole file; raises `InputInvalid` for another format."""
    if format == "csv":
        return _csv(statement)
    if format == "camt053":
        return _camt(statement, made_at)
    raise InputInvalid("A statement is written as csv or camt053.", path=("format",))


def _csv(statement: AccountStatement) -> str:
    out = io.StringIO(newline="")
    rows = csv.writer(out, lineterminator="\r\n")
    currency = statement.currency
    rows.writerow(_HEADER)
    rows.writerow(_standing("opening", statement.since, statement.opening_minor, currency))
    for entry in statement.entries:
        rows.writerow(
            (
                _instant(entry.at),
                safe_cell(entry.transaction_id),
                entry.line,
                safe_cell(entry.kind),
                safe_cell(entry.other_account),
                safe_cell(entry.payment_id or ""),
                decimal_text(entry.amount_minor, currency),
                decimal_text(entry.balance_minor, currency),
                currency,
            )
        )
    rows.writerow(_standing("closing", statement.until, statement.closing_minor, currency))
    return out.getvalue()


def _standing(word: str, at: datetime, minor: int, currency: str) -> tuple[str, ...]:
    balance = decimal_text(minor, currency)
    return (_instant(at), "", "", word, "", "", "", balance, currency)


def _camt(statement: AccountStatement, made_at: datetime) -> str:
    named = f"{statement.account}/{statement.currency}/{_instant(statement.since)}"
    name = _short(f"{named}/{_instant(statement.until)}", most=_REFERENCE)
    made = _instant(made_at)
    account = _short(statement.account, most=_ACCOUNT)
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<Document xmlns={quoteattr(_SPACE)}><BkToCstmrStmt>",
        f"<GrpHdr><MsgId>{escape(name)}</MsgId><CreDtTm>{made}</CreDtTm></GrpHdr>",
        f"<Stmt><Id>{escape(name)}</Id><CreDtTm>{made}</CreDtTm>",
        f"<FrToDt><FrDtTm>{_instant(statement.since)}</FrDtTm>"
        f"<ToDtTm>{_instant(statement.until)}</ToDtTm></FrToDt>",
        f"<Acct><Id><Othr><Id>{escape(account)}</Id></Othr></Id><Ccy>{statement.currency}</Ccy>"
        f"<Nm>{escape(statement.account[:_NAME])}</Nm></Acct>",
        _balance("OPBD", statement.opening_minor, statement.currency, statement.since),
        _balance("CLBD", statement.closing_minor, statement.currency, statement.until),
        *(
            _entry(entry, statement.currency, number=number)
            for number, entry in enumerate(statement.entries, start=1)
        ),
        "</Stmt></BkToCstmrStmt></Document>",
    ]
    return "\n".join(parts) + "\n"


def _balance(code: str, minor: int, currency: str, at: datetime) -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{_amount(minor, currency)}"
        f"<Dt><DtTm>{_instant(at)}</DtTm></Dt></Bal>"
    )


def _entry(entry: StatementEntry, currency: str, *, number: int) -> str:
    reference = _short(f"{entry.transaction_id}/{entry.line}", most=_REFERENCE)
    end_to_end = _short(entry.payment_id or "NOTPROVIDED", most=_REFERENCE)
    amount = _amount(entry.amount_minor, currency)
    at = _instant(entry.at)
    return (
        f"<Ntry><NtryRef>{number}</NtryRef>{amount}<Sts><Cd>BOOK</Cd></Sts>"
        f"<BookgDt><DtTm>{at}</DtTm></BookgDt><ValDt><DtTm>{at}</DtTm></ValDt>"
        f"<AcctSvcrRef>{escape(reference)}</AcctSvcrRef>"
        f"<BkTxCd><Prtry><Cd>{escape(entry.kind[:_REFERENCE])}</Cd></Prtry></BkTxCd>"
        f"<NtryDtls><TxDtls><Refs><EndToEndId>{escape(end_to_end)}</EndToEndId></Refs>"
        f"{amount}</TxDtls></NtryDtls>"
        f"<AddtlNtryInf>{escape(f'{entry.transaction_id} {entry.other_account}'[:500])}"
        "</AddtlNtryInf></Ntry>"
    )


def _amount(minor: int, currency: str) -> str:
    told = statement_amount(minor, currency)
    return f'<Amt Ccy="{currency}">{told.text}</Amt><CdtDbtInd>{told.indicator}</CdtDbtInd>'


def _short(text: str, *, most: int) -> str:
    """The text, or where it is longer than the standard allows, a name of its own made of it."""
    return text if len(text) <= most else sha256(text.encode()).hexdigest()[:32]


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
