"""Is every line taken once, and matched by evidence only?"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_bank import OUR_IBAN, mandate, payment, settings_at
from msgspec.structs import replace
from payengine.plugin import Amount, Refund
from payengine_bank_transfer.books import Books
from payengine_bank_transfer.intake import AssignRefused, Taken, assign, dismiss, take_in
from payengine_bank_transfer.matching import candidates
from payengine_bank_transfer.records import Operation, Refused
from payengine_bank_transfer.simulated import Written, write_notification, write_report
from payengine_bank_transfer.statements import read_document
from payengine_bank_transfer.store import Store

_AT = 1_780_000_000_000_000
_DAY_US = 86_400_000_000


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    made = Books(Store(tmp_path / "books.sqlite3"))
    yield made
    made.store.close()


def _await(books: Books, key: str = "k1", minor: int = 1_200, **more: Any) -> Operation:
    return books.authorize("a", payment(key, minor, **more), settings_at(), at_us=_AT)


def _debit(books: Books, key: str = "k1", minor: int = 1_200) -> Operation:
    request = payment(key, minor, mandate())
    made = books.authorize("a", request, settings_at(), at_us=_AT)
    books.assign_file("a", [made], f"PM-{key}", day=made.day)
    books.submitted("a", f"PM-{key}")
    return made


def _line(minor: int, text: str = "", *, ref: str = "B1", **more: Any) -> Written:
    fields: dict[str, Any] = {"direction": "credit", "name": "Ada", "iban": "DE89"} | more
    return Written(minor=minor, bank_ref=ref, text=text, **fields)


def _take(books: Books, content: bytes, *, tolerance: int = 0) -> Taken:
    return take_in(
        books.store, "a", read_document(content), iban=OUR_IBAN, tolerance=tolerance, at_us=_AT
    )


def _tell(books: Books, *lines: Written, tolerance: int = 0) -> Taken:
    return _take(books, write_notification(OUR_IBAN, *lines), tolerance=tolerance)


def _now(books: Books, key: str = "k1") -> Operation:
    found = books.store.by_key("a", key)
    assert found is not None
    return found


def _rest(books: Books) -> list[int]:
    return [one.rest_minor for one in books.store.unexplained("a", limit=100)]


def _told(books: Books) -> list[str]:
    return [one.event_id.partition("_")[0] for one in books.store.untold("a", limit=100)]


def test_a_part_waits_for_the_rest(books: Books) -> None:
    reference = _await(books).reference
    _tell(books, _line(700, reference))
    assert (_now(books).status, _now(books).received_minor) == ("awaited", 700)
    _tell(books, _line(500, reference, ref="B2"))
    assert (_now(books).status, _now(books).missing_minor) == ("booked", 0)
    assert (_rest(books), _told(books)) == ([], ["booked"])


@pytest.mark.parametrize(("missing", "status"), [(5, "booked"), (6, "awaited")])
def test_what_is_missing_within_the_tolerance_is_taken_for_charges(
    books: Books, missing: int, status: str
) -> None:
    reference = _await(books).reference
    _tell(books, _line(1_200 - missing, reference), tolerance=5)
    assert _now(books).status == status
    assert _now(books).missing_minor == (missing if status == "booked" else 0)


def test_what_is_too_much_waits_for_a_person(books: Books) -> None:
    reference = _await(books).reference
    _tell(books, _line(1_250, reference))
    assert (_now(books).status, _now(books).received_minor) == ("booked", 1_200)
    assert _rest(books) == [50]


def test_a_second_transfer_for_the_same_payment_is_not_swallowed(books: Books) -> None:
    reference = _await(books).reference
    _tell(books, _line(1_200, reference), _line(1_200, reference, ref="B2"))
    assert (_now(books).received_minor, _rest(books)) == (1_200, [1_200])


def test_amount_and_name_alone_match_nothing(books: Books) -> None:
    made = _await(books, metadata={"payer_name": "Ada Lovelace"})
    _await(books, "k2", 999)
    taken = _tell(books, _line(1_200, "no reference", name="LOVELACE ADA"))
    assert (taken.matched, taken.unmatched, _now(books).status) == (0, 1, "awaited")
    (line,) = books.store.unexplained("a", limit=9)
    shown = candidates(line, books.store.in_status("a", "awaited", limit=9))
    assert [(one.reference, one.likeness) for one in shown] == [(made.reference, 100)]


def test_two_references_on_one_transfer_are_for_a_person(books: Books) -> None:
    both = f"{_await(books).reference} {_await(books, 'k2').reference}"
    assert _tell(books, _line(2_400, both)).unmatched == 1
    assert (_now(books).received_minor, _now(books, "k2").received_minor) == (0, 0)


def test_a_line_in_another_currency_or_of_another_account_is_never_matched(books: Books) -> None:
    reference = _await(books).reference
    assert _tell(books, _line(1_200, reference, currency="USD")).unmatched == 1
    elsewhere = write_notification("NL14MOCK0000000002", _line(1_200, reference, ref="B2"))
    taken = _take(books, elsewhere)
    assert (taken.lines, len(taken.problems)) == (0, 1)
    assert _now(books).received_minor == 0


def test_notification_and_statement_tell_of_one_movement(books: Books) -> None:
    reference = _await(books).reference
    notice = write_notification(OUR_IBAN, _line(700, reference))
    statement = (
        notice.replace(b"camt.054", b"camt.053")
        .replace(b"BkToCstmrDbtCdtNtfctn", b"BkToCstmrStmt")
        .replace(b"<Ntfctn>", b"<Stmt>")
        .replace(b"</Ntfctn>", b"</Stmt>")
    )
    assert _take(books, notice).lines == 1
    assert _take(books, statement) == Taken(kind="camt.053", is_new=True, known=1)
    assert _take(books, statement) == Taken(kind="camt.053", is_new=False)
    assert _now(books).received_minor == 700


def test_where_one_file_names_a_line_and_another_does_not_it_is_one(books: Books) -> None:
    reference = _await(books).reference
    notice = write_notification(OUR_IBAN, _line(400, reference), _line(400, reference, ref="B2"))
    nameless = notice.replace(b"<AcctSvcrRef>B1</AcctSvcrRef>", b"")
    nameless = nameless.replace(b"<AcctSvcrRef>B2</AcctSvcrRef>", b"")
    statement = notice.replace(b"BkToCstmrDbtCdtNtfctn", b"BkToCstmrStmt")
    statement = statement.replace(b"Ntfctn>", b"Stmt>")
    assert _take(books, nameless).lines == 2
    assert _take(books, statement).known == 2
    assert _now(books).received_minor == 800


def test_words_that_say_that_there_is_no_name_are_none(books: Books) -> None:
    first, second = _await(books).reference, _await(books, "k2").reference
    one, other = _line(1_200, first, ref="NONREF"), _line(1_200, second, ref="NONREF")
    assert _tell(books, one, other).matched == 2
    assert (_now(books).status, _now(books, "k2").status) == ("booked", "booked")


def test_a_name_that_a_bank_gives_twice_hides_no_second_payment(books: Books) -> None:
    first, second = _await(books).reference, _await(books, "k2").reference
    assert _tell(books, _line(1_200, first)).matched == 1
    assert _tell(books, _line(1_200, second)).matched == 1
    assert _tell(books, _line(1_200, second), _line(1_200, "")).known == 2
    assert (_now(books).status, _now(books, "k2").status) == ("booked", "booked")


def test_details_that_repeat_the_entrys_name_are_each_taken(books: Books) -> None:
    reference = _await(books).reference
    whole = write_notification(OUR_IBAN, _line(1_200, reference)).decode()
    begin, end = whole.index("<TxDtls>"), whole.index("</TxDtls>") + len("</TxDtls>")
    detail = (
        whole[begin:end]
        .replace("<Refs>", "<Refs><AcctSvcrRef>B1</AcctSvcrRef>")
        .replace("</Refs>", '</Refs><Amt Ccy="EUR">6.00</Amt>')
    )
    content = (whole[:begin] + detail * 2 + whole[end:]).encode()
    assert _take(books, content).lines == 2
    assert _take(books, content + b"\n").known == 2
    assert (_now(books).status, _rest(books)) == ("booked", [])


def test_a_part_that_two_files_name_differently_is_for_a_person(books: Books) -> None:
    reference = _await(books).reference
    notice = write_notification(OUR_IBAN, _line(700, reference))
    statement = write_notification(OUR_IBAN, _line(700, reference, ref="S1"))
    statement = statement.replace(b"BkToCstmrDbtCdtNtfctn", b"BkToCstmrStmt")
    assert _take(books, notice).matched == 1
    assert _take(books, statement.replace(b"Ntfctn>", b"Stmt>")).unmatched == 1
    assert (_now(books).received_minor, _rest(books)) == (700, [700])


def test_what_comes_back_in_parts_comes_back_whole(books: Books) -> None:
    reference = _await(books).reference
    back = {"direction": "debit", "return_reason": "FOCR"}
    _tell(books, _line(700, reference), _line(500, reference, ref="B2"))
    _tell(books, _line(700, reference, ref="R1", **back))
    assert _now(books).returned_minor == 700
    _tell(books, _line(500, reference, ref="R2", **back))
    _tell(books, _line(500, reference, ref="R2", **back), _line(1, "?"))
    assert _now(books).returned_minor == 1_200
    bodies = [one.body for one in books.store.untold("a", limit=9) if b'"returned"' in one.body]
    first, second = sorted(bodies, key=lambda body: b'"part":2' in body)
    assert b'"amount_minor":700' in first
    assert b'"amount_minor":500' in second


def test_a_debit_that_takes_back_what_nobody_knows_is_reported(books: Books) -> None:
    taken = _tell(books, _line(1_200, "?", direction="debit", return_reason="AM04"))
    assert (taken.matched, len(taken.problems)) == (0, 1)


def test_a_return_whose_amount_cannot_be_read_decides_nothing(books: Books) -> None:
    made = _debit(books)
    _tell(books, _line(1_200, end_to_end_id=made.reference))
    taken = _take(books, _pacs(made.reference).replace(b">12.00<", b">12,00<"))
    assert (taken.reports, len(taken.problems)) == (0, 1)
    assert _now(books).returned_us is None


@pytest.mark.parametrize(("other", "code"), [("DE89", None), ("NL14", "several_payers")])
def test_what_several_accounts_paid_is_not_given_back_to_one_of_them(
    books: Books, other: str, code: str | None
) -> None:
    reference = _await(books).reference
    _tell(books, _line(700, reference), _line(500, reference, ref="B2", iban=other))
    amount = Amount(1_200, "EUR")
    wanted = Refund(key="r1", provider_reference=reference, amount=amount)
    if code is None:
        assert books.refund("a", wanted, at_us=_AT).iban == "DE89"
        return
    with pytest.raises(Refused) as refused:
        books.refund("a", wanted, at_us=_AT)
    assert refused.value.code == code


def test_a_refused_debit_moves_nothing_and_a_duplicate_is_no_refusal(books: Books) -> None:
    made = _debit(books)
    _take(books, write_report("PM-k1", made.reference, "DUPL"))
    assert _now(books).status == "submitted"
    _take(books, write_report("PM-k1", made.reference, "AC06"))
    assert (_now(books).status, _now(books).reason) == ("rejected", "AC06")
    assert _told(books) == ["rejected"]


def test_a_refused_file_refuses_all_of_its_orders(books: Books) -> None:
    made = _debit(books)
    whole = (
        b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt>'
        b"<OrgnlGrpInfAndSts><OrgnlMsgId>PM-k1</OrgnlMsgId><GrpSts>RJCT</GrpSts>"
        b"<StsRsnInf><Rsn><Cd>FF01</Cd></Rsn></StsRsnInf></OrgnlGrpInfAndSts>"
        b"</CstmrPmtStsRpt></Document>"
    )
    _take(books, whole)
    assert (_now(books).status, _now(books).reason) == ("rejected", "FF01")
    assert _now(books).reference == made.reference


def _pacs(reference: str, reason: str = "MD06") -> bytes:
    return (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pacs.004.001.09"><PmtRtr><TxInf>'
        f"<OrgnlEndToEndId>{reference}</OrgnlEndToEndId>"
        '<RtrdIntrBkSttlmAmt Ccy="EUR">12.00</RtrdIntrBkSttlmAmt>'
        f"<RtrRsnInf><Rsn><Cd>{reason}</Cd></Rsn></RtrRsnInf></TxInf></PmtRtr></Document>"
    ).encode()


def test_booking_and_return_in_whatever_order_are_one_capture_and_one_return(
    tmp_path: Path,
) -> None:
    for number, order in enumerate(itertools.permutations(range(4))):
        books = Books(Store(tmp_path / f"{number}.sqlite3"))
        made = _debit(books)
        named = {"end_to_end_id": made.reference}
        back = {"direction": "debit", "return_reason": "MD06"}
        documents = [
            write_notification(OUR_IBAN, _line(1_200, **named)),
            write_notification(OUR_IBAN, _line(1_200, ref="R1", **named, **back)),
            _pacs(made.reference),
            write_report("PM-k1", made.reference, "DUPL"),
        ]
        for place in order:
            _take(books, documents[place])
            _take(books, documents[place])
        assert sorted(_told(books)) == ["booked", "returned"]
        found = _now(books)
        assert (found.status, found.returned_minor, found.return_reason) == (
            "booked",
            1_200,
            "MD06",
        )
        assert _rest(books) == []
        books.store.close()


def test_what_the_bank_takes_for_a_return_is_told_once(books: Books) -> None:
    made = _debit(books)
    named = {"end_to_end_id": made.reference}
    _tell(books, _line(1_200, **named))
    _take(books, _pacs(made.reference))
    back = _line(1_500, ref="R1", direction="debit", return_reason="AM04", **named)
    _tell(books, back)
    assert (_now(books).returned_minor, _now(books).return_fee_minor) == (1_200, 300)
    bodies = [one.body for one in books.store.untold("a", limit=9)]
    assert [b'"fee_minor":300' in one for one in sorted(bodies)].count(True) == 1
    assert sorted(_told(books)) == ["booked", "returned", "returned"]


def test_a_return_of_a_return_is_for_a_person(books: Books) -> None:
    made = _debit(books)
    named = {"end_to_end_id": made.reference}
    _tell(books, _line(1_200, **named))
    assert _tell(books, _line(1_200, ref="R1", return_reason="AM04", **named)).unmatched == 1
    assert _now(books).returned_us is None


def test_a_return_of_what_was_never_booked_decides_nothing(books: Books) -> None:
    made = _debit(books)
    _take(books, _pacs(made.reference))
    assert (_now(books).status, _told(books)) == ("submitted", [])


def test_a_sum_for_a_whole_file_books_each_of_its_debits(books: Books) -> None:
    for number in (1, 2):
        made = books.authorize(
            "a", payment(f"k{number}", 600, mandate(f"M-{number}")), settings_at(), at_us=_AT
        )
        books.assign_file("a", [made], "PBFILE", day=made.day)
    books.submitted("a", "PBFILE")
    whole = write_notification(OUR_IBAN, _line(1_200)).replace(
        b"<EndToEndId>NOTPROVIDED</EndToEndId>", b"<MsgId>PBFILE</MsgId>"
    )
    assert _take(books, whole).matched == 1
    assert {_now(books, "k1").status, _now(books, "k2").status} == {"booked"}


def test_a_sum_that_is_not_the_files_books_nothing(books: Books) -> None:
    _debit(books)
    short = write_notification(OUR_IBAN, _line(1_199)).replace(
        b"<EndToEndId>NOTPROVIDED</EndToEndId>", b"<MsgId>PM-k1</MsgId>"
    )
    assert _take(books, short).unmatched == 1
    assert _now(books).status == "submitted"


def test_a_person_assigns_what_a_payment_lacks_and_the_rest_stays(books: Books) -> None:
    made = _await(books)
    _tell(books, _line(2_000, "?"))
    (line,) = books.store.unexplained("a", limit=9)
    common: dict[str, Any] = {"line_id": line.line_id, "by_whom": "grace", "tolerance": 0}
    after = assign(books.store, "a", reference=made.reference, **common, at_us=_AT)
    assert (after.status, _rest(books)) == ("booked", [800])
    with pytest.raises(AssignRefused):
        assign(books.store, "a", reference=made.reference, **common, at_us=_AT)
    with pytest.raises(AssignRefused):
        assign(books.store, "a", reference="RF00", **common, at_us=_AT)
    with pytest.raises(AssignRefused):
        assign(books.store, "b", reference=made.reference, **common, at_us=_AT)
    with pytest.raises(AssignRefused):
        dismiss(books.store, "a", line_id=line.line_id, note=" ")
    dismiss(books.store, "a", line_id=line.line_id, note="given back at the counter")
    assert _rest(books) == []


def test_money_that_comes_too_late_is_kept_and_may_be_assigned(books: Books) -> None:
    made = _await(books)
    late = _AT + 7 * _DAY_US
    found = books.find("a", "k1", at_us=late)
    assert found is not None
    assert found.status == "expired"
    assert _tell(books, _line(1_200, made.reference)).unmatched == 1
    (line,) = books.store.unexplained("a", limit=9)
    after = assign(
        books.store,
        "a",
        line_id=line.line_id,
        reference=made.reference,
        by_whom="grace",
        tolerance=0,
        at_us=late,
    )
    assert after.status == "booked"


def test_a_part_that_came_keeps_a_payment_from_running_out(books: Books) -> None:
    made = _await(books)
    _tell(books, _line(1, made.reference))
    found = books.find("a", "k1", at_us=_AT + 99 * _DAY_US)
    assert found is not None
    assert found.status == "awaited"


@pytest.mark.parametrize("seed", range(20))
def test_no_cent_is_lost_or_counted_twice(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    books = Books(Store(tmp_path / "b.sqlite3"))
    made = [_await(books, f"k{n}", chance.randint(1, 5_000)) for n in range(6)]
    lines = [
        _line(
            chance.randint(1, 4_000),
            chance.choice([*(one.reference for one in made), "nothing"]),
            ref=f"B{n}",
        )
        for n in range(25)
    ]
    documents = [write_notification(OUR_IBAN, *chance.sample(lines, 8)) for _ in range(30)]
    documents += [write_notification(OUR_IBAN, *lines)]
    for content in documents:
        _take(books, content)
    received = sum(_now(books, one.key).received_minor for one in made)
    assert received + sum(_rest(books)) == sum(one.minor for one in lines)
    assert all(_now(books, one.key).received_minor <= one.amount_minor for one in made)
    books.store.close()


def test_replacing_nothing_keeps_an_operation_as_it_is(books: Books) -> None:
    made = _await(books)
    books.store.rewrite(replace(made))
    assert _now(books) == made
