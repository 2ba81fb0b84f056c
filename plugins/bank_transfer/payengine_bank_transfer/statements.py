"""What does a bank's file say?

camt.053 and camt.054 tell what was booked, pain.002 what became of our orders, pacs.004 what comes
back. Read from any of their versions, by local names. What cannot be read exactly is not read: an
entry whose parts do not add up stays one line that nobody has explained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import islice
from typing import Literal

import msgspec

from payengine_bank_transfer.amounts import CURRENCY, AmountUnreadable, read_amount
from payengine_bank_transfer.xmltree import DocumentRefused, Node, read_tree

__all__ = ["Document", "Line", "Report", "read_document"]

Direction = Literal["credit", "debit"]

_MOST_LINES = 100_000
_LONGEST = 140
#: Sub-families of bank transaction codes that say: an order comes back.
_RETURNS = frozenset({"RRTN", "UPDD", "UPCT", "PRDD", "ARET", "RPCR", "UPTR"})
_ORDER = "TxInfAndSts"
_NOT_PROVIDED = frozenset({"", "NOTPROVIDED", "NONREF", "NOT PROVIDED"})


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One booked movement on the account.

    `bank_ref` is the bank's own name of it, where it gives one; `batch_ref` names the file that a
    sum was booked for. `is_return` says that an earlier movement comes back, `reason` why.
    """

    iban: str
    direction: Direction
    minor: int
    currency: str
    booked_on: str
    source: str
    bank_ref: str = ""
    end_to_end_id: str = ""
    batch_ref: str = ""
    references: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    party_name: str = ""
    party_iban: str = ""
    is_return: bool = False
    reason: str = ""

    @property
    def fingerprint(self) -> str:
        """What two files that tell of the same movement agree on."""
        told = (
            self.iban,
            self.direction,
            str(self.minor),
            self.currency,
            self.booked_on,
            self.end_to_end_id,
            self.party_iban,
            *self.references,
            *self.texts,
        )
        return sha256("\x1f".join(told).encode()).hexdigest()[:40]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A bank's word about an order of ours, by file and EndToEndId.

    `rejected` comes before any money moves; `returned` tells that money comes back.
    """

    status: Literal["accepted", "rejected", "returned"]
    message_id: str = ""
    end_to_end_id: str = ""
    reason: str = ""
    text: str = ""
    minor: int | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its kind (`camt.053`), the lines or reports, and what does not add up in it."""

    kind: str
    message_id: str
    digest: str
    lines: tuple[Line, ...] = ()
    reports: tuple[Report, ...] = ()
    problems: tuple[str, ...] = ()


_CAMT = {
    "BkToCstmrStmt": ("camt.053", "Stmt"),
    "BkToCstmrDbtCdtNtfctn": ("camt.054", "Ntfctn"),
}


def read_document(content: bytes) -> Document:
    """The bank's file; raises `DocumentRefused` where it is none that we read."""
    root = read_tree(content)
    digest = sha256(content).hexdigest()
    body = root.children[0] if root.name == "Document" and root.children else root
    if body.name in _CAMT:
        return _camt(body, digest)
    if body.name == "CstmrPmtStsRpt":
        reports = tuple(_statuses(body))
        return _told("pain.002", body, digest, reports, ())
    if body.name == "PmtRtr":
        problems: list[str] = []
        return _told("pacs.004", body, digest, tuple(_returns(body, problems)), problems)
    if body.name == "BkToCstmrAcctRpt":
        # Intraday: what it tells is told again, for good, by the notification or the statement.
        return Document(kind="camt.052", message_id=body.say("GrpHdr/MsgId"), digest=digest)
    raise DocumentRefused("this is none of camt.052, camt.053, camt.054, pain.002 and pacs.004")


def _told(
    kind: str, body: Node, digest: str, reports: tuple[Report, ...], problems: Sequence[str]
) -> Document:
    return Document(
        kind=kind,
        message_id=body.say("GrpHdr/MsgId")[:_LONGEST],
        digest=digest,
        reports=reports,
        problems=tuple(problems),
    )


def _camt(body: Node, digest: str) -> Document:
    kind, holder = _CAMT[body.name]
    lines: list[Line] = []
    problems: list[str] = []
    for statement in body.each(holder):
        iban = statement.say("Acct/Id/IBAN").replace(" ", "").upper()
        begun = len(lines)
        for entry in statement.each("Ntry"):
            if (entry.say("Sts/Cd", "Sts") or "BOOK") == "BOOK":
                lines += _lines(entry, iban=iban, source=kind, problems=problems)
            if len(lines) > _MOST_LINES:
                raise DocumentRefused(f"a document has at most {_MOST_LINES} lines")
        problems += _sums(statement, lines[begun:])
    return Document(
        kind=kind,
        message_id=body.say("GrpHdr/MsgId")[:_LONGEST],
        digest=digest,
        lines=tuple(lines),
        problems=tuple(problems),
    )


def _lines(entry: Node, *, iban: str, source: str, problems: list[str]) -> list[Line]:
    """The entry's movements: one for each detail where those add up to the entry, else one."""
    amount = entry.find("Amt")
    currency = amount.attributes.get("Ccy", "") if amount is not None else ""
    try:
        total = read_amount(amount.text if amount is not None else "")
        direction = _direction(entry)
    except (AmountUnreadable, DocumentRefused):
        problems.append("an entry was left out: its amount or its direction cannot be read")
        return []
    whole = _line(entry, Node("TxDtls", {}), total, currency, direction, iban=iban, source=source)
    details = [one for block in entry.each("NtryDtls") for one in block.each("TxDtls")]
    if not details:
        return [whole]
    parts = [_detail_amount(one) for one in details]
    if len(details) == 1 and (parts[0] is None or parts[0][1] != CURRENCY or currency != CURRENCY):
        parts = [(total, currency)]
    known = [part for part in parts if part is not None and part[1] == currency]
    if len(known) < len(parts) or sum(part[0] for part in known) != total:
        if len(details) == 1:
            known = [(total, currency)]
        else:
            problems.append("an entry's details do not add up to it: it stays one line")
            return [whole]
    return [
        _line(entry, detail, minor, currency, direction, iban=iban, source=source)
        for detail, (minor, _) in zip(_named_apart(details), known, strict=True)
        if minor
    ]


def _named_apart(details: list[Node]) -> list[Node]:
    """The details, without the entry's own name where a bank repeats it in several of them.

    A name that two movements of one entry share is the name of neither.
    """
    told = Counter(one.say("Refs/AcctSvcrRef") for one in details)
    for one in details:
        refs = one.find("Refs")
        if refs is not None and told[one.say("Refs/AcctSvcrRef")] > 1:
            refs.children = [each for each in refs.children if each.name != "AcctSvcrRef"]
    return details


def _direction(entry: Node) -> Direction:
    told = entry.say("CdtDbtInd")
    if told not in ("CRDT", "DBIT"):
        raise DocumentRefused("an entry is neither a credit nor a debit")
    return "credit" if told == "CRDT" else "debit"


def _detail_amount(detail: Node) -> tuple[int, str] | None:
    for path in ("Amt", "AmtDtls/TxAmt/Amt", "AmtDtls/InstdAmt/Amt"):
        found = detail.find(path)
        if found is not None:
            try:
                return read_amount(found.text), found.attributes.get("Ccy", "")
            except AmountUnreadable:
                return None
    return None


def _line(
    entry: Node,
    detail: Node,
    minor: int,
    currency: str,
    direction: Direction,
    *,
    iban: str,
    source: str,
) -> Line:
    theirs, account = ("Dbtr", "DbtrAcct") if direction == "credit" else ("Cdtr", "CdtrAcct")
    returned = _return_reason(entry, detail)
    if returned is not None:
        # What comes back names the parties of the original.
        theirs, account = ("Cdtr", "CdtrAcct") if direction == "credit" else ("Dbtr", "DbtrAcct")
    parties = detail.find("RltdPties") or Node("RltdPties", {})
    remittance = detail.find("RmtInf") or Node("RmtInf", {})
    every = (one for block in entry.each("NtryDtls") for one in block.each("TxDtls"))
    single = len(list(islice(every, 2))) <= 1
    own_ref = _provided(detail.say("Refs/AcctSvcrRef"))
    ustrd = tuple(one.text[:_LONGEST] for one in remittance.each("Ustrd"))
    return Line(
        iban=iban,
        direction=direction,
        minor=minor,
        currency=currency,
        booked_on=entry.say("BookgDt/Dt", "BookgDt/DtTm", "ValDt/Dt")[:10],
        source=source,
        bank_ref=own_ref or (_provided(entry.say("AcctSvcrRef")) if single else ""),
        end_to_end_id=_provided(detail.say("Refs/EndToEndId")),
        batch_ref=_batch_ref(entry, detail),
        references=tuple(
            one.say("CdtrRefInf/Ref")[:_LONGEST]
            for one in remittance.each("Strd")
            if one.say("CdtrRefInf/Ref")
        )[:20],
        texts=(ustrd or ((entry.say("AddtlNtryInf")[:_LONGEST],) if single else ()))[:20],
        party_name=parties.say(f"{theirs}/Pty/Nm", f"{theirs}/Nm")[:_LONGEST],
        party_iban=parties.say(f"{account}/Id/IBAN").replace(" ", "").upper()[:34],
        is_return=returned is not None,
        reason=returned or "",
    )


def _provided(name: str) -> str:
    """The name, or an empty text for the words by which banks say that there is none."""
    return "" if name.upper() in _NOT_PROVIDED else name[:_LONGEST]


def _batch_ref(entry: Node, detail: Node) -> str:
    told = detail.say("Refs/MsgId", "Refs/PmtInfId")
    for block in entry.each("NtryDtls"):
        told = told or block.say("Btch/MsgId", "Btch/PmtInfId")
    return told[:_LONGEST]


def _return_reason(entry: Node, detail: Node) -> str | None:
    """The reason code of what comes back ("" where none is told); None for what is no return."""
    information = detail.find("RtrInf")
    if information is not None:
        return information.say("Rsn/Cd", "Rsn/Prtry")[:35]
    family = entry.say("BkTxCd/Domn/Fmly/SubFmlyCd")
    own = detail.say("BkTxCd/Domn/Fmly/SubFmlyCd")
    reversed_ = entry.say("RvslInd") in ("true", "1")
    return "" if reversed_ or family in _RETURNS or own in _RETURNS else None


def _sums(statement: Node, lines: list[Line]) -> Iterator[str]:
    """Whether opening balance, lines and closing balance agree, where the file tells them."""
    balances: dict[str, int] = {}
    for balance in statement.each("Bal"):
        code = balance.say("Tp/CdOrPrtry/Cd")
        try:
            minor = read_amount(balance.say("Amt"))
        except AmountUnreadable:
            continue
        balances[code] = minor if balance.say("CdtDbtInd") != "DBIT" else -minor
    opening = balances.get("OPBD", balances.get("PRCD"))
    closing = balances.get("CLBD")
    if opening is None or closing is None:
        return
    moved = sum(one.minor if one.direction == "credit" else -one.minor for one in lines)
    if opening + moved != closing:
        yield "the balances and the lines do not add up: a line is missing, or one too many"


def _statuses(body: Node) -> Iterator[Report]:
    """pain.002: each order's verdict; the batch's or the file's own where no order is named."""
    group = body.find("OrgnlGrpInfAndSts") or Node("none", {})
    message_id = group.say("OrgnlMsgId")[:_LONGEST]
    batches = list(body.each("OrgnlPmtInfAndSts"))
    orders = [(one, batch.say("PmtInfSts")) for batch in batches for one in batch.each(_ORDER)]
    orders += [(one, "") for one in body.each(_ORDER)]
    for order, whole in orders:
        told = order.say("TxSts") or whole
        yield _status(order, told, message_id, order.say("OrgnlEndToEndId")[:_LONGEST])
    if orders:
        return
    # Each of our files has one batch: the batch's verdict is the file's.
    for node, told in ((group, "GrpSts"), *((one, "PmtInfSts") for one in batches)):
        if node.say(told) == "RJCT":
            yield _status(node, "RJCT", message_id, "")


def _status(node: Node, told: str, message_id: str, end_to_end_id: str) -> Report:
    return Report(
        status="rejected" if told == "RJCT" else "accepted",
        message_id=message_id,
        end_to_end_id=end_to_end_id,
        reason=node.say("StsRsnInf/Rsn/Cd", "StsRsnInf/Rsn/Prtry")[:35],
        text=node.say("StsRsnInf/AddtlInf")[:_LONGEST],
    )


def _returns(body: Node, problems: list[str]) -> Iterator[Report]:
    """pacs.004: each transaction that comes back, by an amount that is told."""
    for one in body.each("TxInf"):
        amount = one.find("RtrdIntrBkSttlmAmt") or one.find("RtrdInstdAmt")
        try:
            minor = read_amount(amount.text if amount is not None else "")
        except AmountUnreadable:
            problems.append("a return was left out: its amount cannot be read")
            continue
        yield Report(
            status="returned",
            message_id=(one.say("OrgnlGrpInf/OrgnlMsgId") or body.say("OrgnlGrpInf/OrgnlMsgId"))[
                :_LONGEST
            ],
            end_to_end_id=one.say("OrgnlEndToEndId")[:_LONGEST],
            reason=one.say("RtrRsnInf/Rsn/Cd", "RtrRsnInf/Rsn/Prtry")[:35],
            text=one.say("RtrRsnInf/AddtlInf")[:_LONGEST],
            minor=minor,
        )
