"""How does a bank behave that exists in this process only?

For test worlds: it reads the files that are meant for a bank, and answers with the files of one, at
once. The name on the mandate says what it does: `Ada Declines AM04`, `Ada Returns MD06`, `Ada
Waits`, `Ada Loses`; every other debtor pays. A transfer's token says what its buyer sends:
`simulated:paid`, `simulated:short`, `simulated:over`, `simulated:twice`, `simulated:late`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree

import msgspec
from payengine.plugin import Call

from payengine_bank_transfer.amounts import read_amount, spell_amount
from payengine_bank_transfer.records import Operation
from payengine_bank_transfer.settings import settings_of
from payengine_bank_transfer.xmltree import Node, read_tree

__all__ = ["BUYER_IBAN", "SimulatedRail", "Written", "write_notification", "write_report"]

BUYER_IBAN = "DE89370400440532013000"

_WAIT_S = 0.3
_MOST_REMEMBERED = 10_000


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a camt.054: `end_to_end_id` or `text` names what it is for."""

    direction: str
    minor: int
    bank_ref: str
    end_to_end_id: str = "NOTPROVIDED"
    text: str = ""
    name: str = ""
    iban: str = ""
    return_reason: str = ""
    currency: str = "EUR"


class SimulatedRail:
    """Answers each file at once, or a moment later; remembers in memory only."""

    at_once = True

    def __init__(self) -> None:
        self._known: deque[tuple[str, str]] = deque(maxlen=_MOST_REMEMBERED)
        self._later: deque[tuple[str, float, bytes]] = deque(maxlen=_MOST_REMEMBERED)

    async def submit(self, call: Call, message_id: str, content: bytes) -> Sequence[bytes]:
        """Take the file once, and tell what became of its orders."""
        if (call.account, message_id) in self._known:
            return ()
        self._known.append((call.account, message_id))
        body = read_tree(content).children[0]
        collects = body.name == "CstmrDrctDbtInitn"
        answers: list[bytes] = []
        lost = False
        for batch in body.each("PmtInf"):
            for order in batch.each("DrctDbtTxInf" if collects else "CdtTrfTxInf"):
                name = order.say("Dbtr/Nm", "Cdtr/Nm")
                told = self._decide(call, message_id, order, name=name, collects=collects)
                if "Waits" in name and collects:
                    until = time.monotonic() + _WAIT_S
                    self._later += [(call.account, until, one) for one in told]
                elif "Loses" in name and collects:
                    self._later += [(call.account, 0.0, one) for one in told]
                    lost = True
                else:
                    answers += told
        if lost:
            raise ConnectionError("the simulated bank's answer was lost")
        return answers

    async def fetch(self, call: Call) -> Sequence[bytes]:
        """What was put off and is due now."""
        now = time.monotonic()
        due = [one for one in self._later if one[0] == call.account and one[1] <= now]
        for one in due:
            self._later.remove(one)
        return [content for _, _, content in due]

    async def aclose(self) -> None:
        """Nothing is open."""

    def transfer(self, call: Call, operation: Operation) -> list[bytes]:
        """What a simulated buyer sends for this payment."""
        scenario = operation.text.partition(":")[2]
        minor = operation.amount_minor
        sent = {"paid": [minor], "short": [minor - 1], "over": [minor + 1], "twice": [minor, minor]}
        return [
            write_notification(
                call.settings.iban,
                Written(
                    direction="credit",
                    minor=each,
                    bank_ref=f"SIM-{operation.reference}-{number}",
                    text=f"order {operation.reference}",
                    name="Ada Lovelace",
                    iban=BUYER_IBAN,
                ),
            )
            for number, each in enumerate(sent.get(scenario, []))
            if each > 0
        ]

    def _decide(
        self, call: Call, message_id: str, order: Node, *, name: str, collects: bool
    ) -> list[bytes]:
        iban = settings_of(call).iban
        end_to_end = order.say("PmtId/EndToEndId")
        minor = read_amount(order.say("InstdAmt", "Amt/InstdAmt"))
        word, _, reason = name.partition(" ")[2].partition(" ")
        if word == "Declines":
            return [write_report(message_id, end_to_end, reason or "AM04")]
        entry = Written(
            direction="credit" if collects else "debit",
            minor=minor,
            bank_ref=f"SIM-{end_to_end}",
            end_to_end_id=end_to_end,
            name=name,
            iban=order.say("DbtrAcct/Id/IBAN", "CdtrAcct/Id/IBAN"),
        )
        answers = [write_notification(iban, entry)]
        if word == "Returns" and collects:
            back = msgspec.structs.replace(
                entry,
                direction="debit",
                bank_ref=f"SIM-R-{end_to_end}",
                return_reason=reason or "MD06",
            )
            answers.append(write_notification(iban, back))
        return answers


def write_notification(iban: str, *entries: Written) -> bytes:
    """A camt.054 about the account `iban`."""
    root = ElementTree.Element("Document", xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.08")
    body = ElementTree.SubElement(root, "BkToCstmrDbtCdtNtfctn")
    _put(body, "GrpHdr/MsgId", f"SIM-{entries[0].bank_ref}")
    told = ElementTree.SubElement(body, "Ntfctn")
    _put(told, "Acct/Id/IBAN", iban)
    today = datetime.now(UTC).date().isoformat()
    for entry in entries:
        credit = entry.direction == "credit"
        made = ElementTree.SubElement(told, "Ntry")
        _put(made, "Amt", spell_amount(entry.minor)).set("Ccy", entry.currency)
        _put(made, "CdtDbtInd", "CRDT" if credit else "DBIT")
        _put(made, "Sts/Cd", "BOOK")
        _put(made, "BookgDt/Dt", today)
        _put(made, "AcctSvcrRef", entry.bank_ref)
        _put(made, "NtryDtls/TxDtls/Refs/EndToEndId", entry.end_to_end_id)
        theirs = "Cdtr" if credit == bool(entry.return_reason) else "Dbtr"
        _put(made, f"NtryDtls/TxDtls/RltdPties/{theirs}/Pty/Nm", entry.name)
        _put(made, f"NtryDtls/TxDtls/RltdPties/{theirs}Acct/Id/IBAN", entry.iban)
        _put(made, "NtryDtls/TxDtls/RmtInf/Ustrd", entry.text)
        if entry.return_reason:
            _put(made, "NtryDtls/TxDtls/RtrInf/Rsn/Cd", entry.return_reason)
    content: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return content


def write_report(message_id: str, end_to_end_id: str, reason: str) -> bytes:
    """A pain.002 that rejects one order."""
    root = ElementTree.Element("Document", xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10")
    body = ElementTree.SubElement(root, "CstmrPmtStsRpt")
    _put(body, "GrpHdr/MsgId", f"SIM-{end_to_end_id}")
    _put(body, "OrgnlGrpInfAndSts/OrgnlMsgId", message_id)
    batch = "OrgnlPmtInfAndSts/TxInfAndSts"
    _put(body, f"{batch}/OrgnlEndToEndId", end_to_end_id)
    _put(body, f"{batch}/TxSts", "RJCT")
    _put(body, f"{batch}/StsRsnInf/Rsn/Cd", reason)
    content: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return content


def _put(parent: ElementTree.Element, path: str, text: str) -> ElementTree.Element:
    """The element at the path, made where it is missing, with this text."""
    for name in path.split("/"):
        found = parent.find(name)
        parent = ElementTree.SubElement(parent, name) if found is None else found
    parent.text = text
    return parent
