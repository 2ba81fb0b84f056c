"""Is every file one that a bank takes, with sums that are right and bytes that do not change?"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payengine.plugin import PaymentMethod
from payengine_bank_transfer.mandates import (
    Mandate,
    MandateUnreadable,
    next_sequence,
    read_mandate,
    read_token,
)
from payengine_bank_transfer.pain import (
    Order,
    OrderRefused,
    Party,
    write_debits,
    write_transfers,
)
from payengine_bank_transfer.xmltree import read_tree

_PARTY = Party(
    holder="Müller & Söhne GmbH",
    iban="DE02120300000000202051",
    bic="BYLADEM1001",
    creditor_id="DE98ZZZ09999999999",
)
_AT = "2026-11-23T09:00:00"


def _order(number: int = 1, minor: int = 100, **more: Any) -> Order:
    fields: dict[str, Any] = {
        "end_to_end_id": f"E{number}",
        "minor": minor,
        "currency": "EUR",
        "iban": "DE89370400440532013000",
        "name": "Ada Lovelace",
        "text": "Order 7",
        "day": "2026-11-25",
        "mandate_id": "M-1",
        "signed_on": "2026-01-31",
        "sequence": "RCUR",
    }
    return Order(**(fields | more))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 99_999_999_999), min_size=1, max_size=20))
def test_the_control_sums_are_exact(amounts: list[int]) -> None:
    orders = [_order(n, minor) for n, minor in enumerate(amounts)]
    for write in (write_transfers, write_debits):
        body = read_tree(write(_PARTY, orders, message_id="PM1", created_at=_AT)).children[0]
        total = sum(amounts)
        assert body.say("GrpHdr/CtrlSum") == f"{total // 100}.{total % 100:02d}"
        assert body.say("GrpHdr/NbOfTxs") == body.say("PmtInf/NbOfTxs") == str(len(amounts))
        assert body.say("PmtInf/CtrlSum") == body.say("GrpHdr/CtrlSum")


def test_the_same_orders_make_the_same_bytes() -> None:
    orders = [_order(1), _order(2, sequence="FRST")]
    for write in (write_transfers, write_debits):
        first, second = (write(_PARTY, orders, message_id="PM1", created_at=_AT) for _ in "ab")
        assert first == second


def test_a_debit_names_mandate_signature_sequence_and_creditor() -> None:
    content = write_debits(_PARTY, [_order(sequence="FRST")], message_id="PM1", created_at=_AT)
    body = read_tree(content).children[0]
    assert body.say("GrpHdr/MsgId") == "PM1"
    assert body.say("PmtInf/PmtTpInf/SeqTp") == "FRST"
    assert body.say("PmtInf/PmtTpInf/LclInstrm/Cd") == "CORE"
    assert body.say("PmtInf/ReqdColltnDt") == "2026-11-25"
    assert body.say("PmtInf/CdtrSchmeId/Id/PrvtId/Othr/Id") == "DE98ZZZ09999999999"
    told = body.find("PmtInf/DrctDbtTxInf")
    assert told is not None
    assert told.say("PmtId/EndToEndId") == "E1"
    assert told.say("DrctDbtTx/MndtRltdInf/MndtId") == "M-1"
    assert told.say("DrctDbtTx/MndtRltdInf/DtOfSgntr") == "2026-01-31"
    assert told.say("DbtrAcct/Id/IBAN") == "DE89370400440532013000"


def test_names_are_written_in_the_characters_that_sepa_takes() -> None:
    orders = [_order(name="Łukasz <Ørsted> & Co\x00", text="€ 7 ☃")]
    content = write_transfers(_PARTY, orders, message_id="PM1", created_at=_AT).decode()
    assert "Lukasz  Orsted    Co" in content
    assert "Muller   Sohne GmbH" in content


@pytest.mark.parametrize("minor", [0, -1, 100_000_000_000, 1.0])
def test_amounts_that_sepa_does_not_take_are_refused(minor: Any) -> None:
    with pytest.raises(OrderRefused):
        write_transfers(_PARTY, [_order(minor=minor)], message_id="PM1", created_at=_AT)


@pytest.mark.parametrize("currency", ["USD", "GBP", "eur", ""])
def test_other_currencies_are_refused(currency: str) -> None:
    with pytest.raises(OrderRefused, match="euros"):
        write_transfers(_PARTY, [_order(currency=currency)], message_id="PM1", created_at=_AT)


def test_what_does_not_fit_the_schema_is_never_written() -> None:
    for broken in (_order(iban="nonsense"), _order(end_to_end_id="x" * 36)):
        with pytest.raises(OrderRefused, match=r"pain\.001"):
            write_transfers(_PARTY, [broken], message_id="PM1", created_at=_AT)
    with pytest.raises(OrderRefused, match=r"pain\.008"):
        write_debits(_PARTY, [_order(sequence="LAST")], message_id="PM1", created_at=_AT)
    with pytest.raises(OrderRefused, match="creditor identifier"):
        write_debits(
            Party(holder="A", iban=_PARTY.iban), [_order()], message_id="P", created_at=_AT
        )


_TODAY = date(2026, 11, 23)
_TOKEN = "iban=DE89 3704 0044 0532 0130 00;name=Ada Lovelace;mandate=M-1;signed=2026-01-31"


def test_a_mandate_is_read_from_its_token() -> None:
    assert read_mandate(_TOKEN, today=_TODAY) == Mandate(
        mandate_id="M-1",
        iban="DE89370400440532013000",
        name="Ada Lovelace",
        signed_on="2026-01-31",
    )
    assert read_mandate(_TOKEN + ";type=OOFF", today=_TODAY).one_off


@pytest.mark.parametrize(
    "token",
    [
        "",
        "iban=DE89370400440532013000",
        _TOKEN + ";type=FRST",
        _TOKEN + ";colour=red",
        _TOKEN + ";mandate=M-2",
        _TOKEN.replace("M-1", "M_1"),
        _TOKEN.replace("M-1", "x" * 36),
        _TOKEN.replace("2026-01-31", "2027-01-31"),
        _TOKEN.replace("2026-01-31", "31.1.2026"),
        _TOKEN.replace("DE89", "DE88"),
        _TOKEN.replace("Ada Lovelace", "x" * 71),
        _TOKEN + ";" * 300,
    ],
)
def test_what_is_no_mandate_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(MandateUnreadable) as refused:
        read_mandate(token, today=_TODAY)
    assert "3704" not in str(refused.value)


def test_the_sequence_follows_from_the_debits_before() -> None:
    often = read_mandate(_TOKEN, today=_TODAY)
    once = read_mandate(_TOKEN + ";type=OOFF", today=_TODAY)
    assert next_sequence(often, used=0, ended=False, final=False) == "FRST"
    assert next_sequence(often, used=3, ended=False, final=False) == "RCUR"
    assert next_sequence(often, used=3, ended=False, final=True) == "FNAL"
    assert next_sequence(often, used=4, ended=True, final=False) is None
    assert next_sequence(once, used=0, ended=False, final=False) == "OOFF"
    assert next_sequence(once, used=1, ended=True, final=False) is None
    assert read_token(PaymentMethod(token="mandate:M-1;final")) == ("M-1", True)
    assert read_token(PaymentMethod(token=_TOKEN)) == (None, False)
