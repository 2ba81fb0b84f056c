"""Is a hostile file refused, and a strange one read no further than it can be?"""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payengine.plugin import DECLINE_CODES, decline_rule
from payengine_bank_transfer.reasons import NOT_PROCESSED_CODES, decline_of
from payengine_bank_transfer.simulated import Written, write_notification
from payengine_bank_transfer.statements import read_document
from payengine_bank_transfer.xmltree import LARGEST_DOCUMENT, DocumentRefused, read_tree

_HOSTILE = int(os.environ.get("PAYENGINE_HOSTILE_FILES", "2000"))
_BILLION = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]>'
    b"<Document><BkToCstmrStmt>&b;</BkToCstmrStmt></Document>"
)
_GENUINE = write_notification(
    "DE1", Written(direction="credit", minor=1_234, bank_ref="B1", text="RF")
)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<",
        b"\x00\xff",
        b"{}",
        b"<a/>",
        b"<a></b>",
        _BILLION,
        b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        b"<!DOCTYPE a PUBLIC 'x' 'http://127.0.0.1/x.dtd'><a/>",
        b"<?xml-stylesheet href='http://127.0.0.1/'?><Document/>",
        b"<?xml version='1.0' encoding='nonsense-9'?><a/>",
        b"<?xml version='1.0' encoding='utf-7'?><a/>",
        b"<a>" * 41 + b"</a>" * 41,
        b"<a>" * 500_000,
        b"<a b='" + b"x" * LARGEST_DOCUMENT + b"'/>",
        b"<a>" + b"x" * 5_000 + b"</a>",
        "<a>\ud800</a>".encode("utf-8", "surrogatepass"),
        b"<Document><Unknown/></Document>",
        b"<x:Document/>",
    ],
)
def test_a_hostile_file_is_refused(content: bytes) -> None:
    with pytest.raises(DocumentRefused):
        read_document(content)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_bytes_of_any_kind_raise_nothing_but_a_refusal(content: bytes) -> None:
    with pytest.raises(DocumentRefused):
        read_document(content)


def test_a_genuine_file_that_was_spoilt_is_read_or_refused() -> None:
    chance = random.Random(7)
    for _ in range(_HOSTILE):
        spoilt = bytearray(_GENUINE)
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(spoilt))
            how = chance.randrange(3)
            if how == 0:
                spoilt[place] = chance.randrange(256)
            elif how == 1:
                del spoilt[place : place + chance.randint(1, 40)]
            else:
                spoilt[place:place] = spoilt[place : place + chance.randint(1, 40)]
            if not spoilt:
                break
        try:
            document = read_document(bytes(spoilt))
        except DocumentRefused:
            continue
        assert all(line.minor >= 0 for line in document.lines)


def test_an_entry_is_read_to_the_cent() -> None:
    (line,) = read_document(_GENUINE).lines
    assert (line.minor, line.currency, line.direction) == (1_234, "EUR", "credit")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b">12.34<", b">12.345<"),
        (b">12.34<", b">-12.34<"),
        (b">12.34<", b">1e9<"),
        (b"CRDT", b"BOTH"),
    ],
)
def test_an_entry_that_cannot_be_read_exactly_is_left_out_and_reported(
    old: bytes, new: bytes
) -> None:
    document = read_document(_GENUINE.replace(old, new))
    assert document.lines == ()
    assert len(document.problems) == 1


def test_what_is_not_booked_is_not_read() -> None:
    assert read_document(_GENUINE.replace(b">BOOK<", b">PDNG<")).lines == ()


def test_details_that_do_not_add_up_stay_one_line() -> None:
    detail = b"<TxDtls><Refs><EndToEndId>E</EndToEndId></Refs><Amt Ccy='EUR'>%s</Amt></TxDtls>"
    begin, end = _GENUINE.index(b"<TxDtls>"), _GENUINE.index(b"</TxDtls>") + len(b"</TxDtls>")
    whole = _GENUINE[:begin] + detail % b"10.00" + detail % b"2.34" + _GENUINE[end:]
    assert [one.minor for one in read_document(whole).lines] == [1_000, 234]
    short = _GENUINE[:begin] + detail % b"10.00" + detail % b"2.33" + _GENUINE[end:]
    document = read_document(short)
    assert ([one.minor for one in document.lines], len(document.problems)) == ([1_234], 1)


def test_balances_that_do_not_add_up_are_reported() -> None:
    balance = (
        "<Bal><Tp><CdOrPrtry><Cd>{}</Cd></CdOrPrtry></Tp><Amt Ccy='EUR'>{}</Amt>"
        "<CdtDbtInd>CRDT</CdtDbtInd></Bal>"
    )
    told = balance.format("OPBD", "1.00") + balance.format("CLBD", "13.34")
    body = _GENUINE.decode().replace("BkToCstmrDbtCdtNtfctn", "BkToCstmrStmt")
    body = body.replace("Ntfctn>", "Stmt>").replace("<Ntry>", told + "<Ntry>", 1)
    assert read_document(body.encode()).problems == ()
    hole = body.replace(">13.34<", ">14.34<").encode()
    assert len(read_document(hole).problems) == 1


def test_a_tree_is_read_by_local_names() -> None:
    root = read_tree(b"<a xmlns='urn:x' xmlns:y='urn:y'><y:b c='1'> t \n u </y:b></a>")
    assert (root.name, root.say("b")) == ("a", "t u")


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        ("AC01", "invalid_account"),
        ("AC04", "invalid_account"),
        ("AM04", "insufficient_funds"),
        ("MD01", "revocation_of_authorization"),
        ("MD06", "stop_payment_order"),
        ("MS03", "do_not_honor"),
    ],
)
def test_reason_codes_are_said_in_our_words(code: str, ours: str) -> None:
    decline = decline_of(code)
    assert (decline.code, decline.raw_code) == (ours, code)
    assert ours in DECLINE_CODES


def test_every_mapped_code_is_in_the_taxonomy_and_an_unknown_one_stays_unknown() -> None:
    from payengine_bank_transfer.reasons import _CODES

    assert {code for code, _ in _CODES.values()} <= DECLINE_CODES.keys()
    strange = decline_of("ZZ99", "who knows")
    assert (strange.raw_code, strange.raw_text) == ("ZZ99", "who knows")
    assert not decline_rule(strange.code).known
    assert len(set(NOT_PROCESSED_CODES)) == len(NOT_PROCESSED_CODES)
