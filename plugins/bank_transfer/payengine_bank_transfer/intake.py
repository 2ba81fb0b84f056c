"""What follows from a bank's file?

One transaction for each file: every line is taken once, however many files tell of it, and each
fact that the engine must hear is written down in the same transaction. The order of the files makes
no difference to what is received, rejected and returned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from payengine_bank_transfer.amounts import CURRENCY
from payengine_bank_transfer.matching import are_distinct, references_in
from payengine_bank_transfer.notices import notice_of, part_of
from payengine_bank_transfer.records import KeptLine, Operation
from payengine_bank_transfer.statements import Document, Line, Report
from payengine_bank_transfer.store import Store

__all__ = ["AssignRefused", "Taken", "assign", "dismiss", "summed", "take_in"]

#: Reports that a file was sent twice: the first one counts.
_DUPLICATE = frozenset({"DUPL", "AM05"})
#: What goes from us to somebody.
_OUTGOING = frozenset({"refund", "payout"})
_TO_COME = frozenset({"awaited", "ordered", "submitted"})


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What a file brought; `is_new` is False for one that was read before."""

    kind: str
    is_new: bool
    lines: int = 0
    known: int = 0
    matched: int = 0
    unmatched: int = 0
    reports: int = 0
    problems: tuple[str, ...] = ()


class AssignRefused(ValueError):
    """The line or the payment is not there, or the one does not fit the other."""


def take_in(
    store: Store, account: str, document: Document, *, iban: str, tolerance: int, at_us: int
) -> Taken:
    """Take a document in for the account whose IBAN is `iban`; again, it changes nothing."""
    with store.transaction():
        is_new = store.insert_document(
            account,
            digest=document.digest,
            kind=document.kind,
            message_id=document.message_id,
            at_us=at_us,
        )
        if not is_new:
            return Taken(kind=document.kind, is_new=False)
        round_ = _Round(store, account, tolerance=tolerance, at_us=at_us)
        seen: Counter[str] = Counter()
        problems = list(document.problems)
        counts: Counter[str] = Counter()
        for line in document.lines:
            if line.iban != iban:
                counts["foreign"] += 1
                continue
            seen[line.fingerprint] += 1
            kept = round_.keep(line, ordinal=seen[line.fingerprint])
            counts["lines"] += kept is not None
            counts["known"] += kept is None
            if kept is not None:
                what = round_.explain(kept, line)
                counts[what] += 1
                counts["lost"] += what == "other" and line.is_return
        if counts["foreign"]:
            problems.append(f"{counts['foreign']} lines of another account were left out")
        if counts["lost"]:
            problems.append(f"{counts['lost']} debits take money back and name no payment of ours")
        for report in document.reports:
            counts["reports"] += round_.hear(report)
        return Taken(
            kind=document.kind,
            is_new=True,
            lines=counts["lines"],
            known=counts["known"],
            matched=counts["matched"],
            unmatched=counts["unmatched"],
            reports=counts["reports"],
            problems=tuple(dict.fromkeys(problems)),
        )


class _Round:
    """One document, or one person's word, within one transaction."""

    def __init__(self, store: Store, account: str, *, tolerance: int, at_us: int) -> None:
        self.store = store
        self.account = account
        self.tolerance = tolerance
        self.at_us = at_us

    def keep(self, line: Line, *, ordinal: int) -> KeptLine | None:
        """The line as a new row; None where another file, or this one, has told of it.

        By the bank's own name of it. Where one of two files gives no name, the n-th of lines that
        cannot be told apart is taken for the n-th of the other file.
        """
        store, account = self.store, self.account
        ref = line.bank_ref
        known = store.lines_named(account, ref, direction=line.direction, minor=line.minor)
        if ref and not all(are_distinct(one, line) for one in known):
            return None
        alike = store.lines_like(account, line.fingerprint)
        nameless = [one for one in alike if not one.bank_ref]
        if ref:
            other = next((one for one in nameless if one.source != line.source), None)
            if other is not None:
                store.name_line(account, other.line_id, ref)
                return None
        elif len(alike) >= ordinal:
            return None
        name = f"{ref}\x1f{line.fingerprint}\x1f{'' if ref else ordinal}"
        kept = KeptLine(
            account=account,
            line_id="L" + sha256(name.encode()).hexdigest()[:20],
            direction=line.direction,
            minor=line.minor,
            rest_minor=line.minor,
            booked_on=line.booked_on,
            source=line.source,
            bank_ref=ref,
            fingerprint=line.fingerprint,
            end_to_end_id=line.end_to_end_id,
            party_name=line.party_name,
            party_iban=line.party_iban,
            text=" ".join((*line.references, *line.texts))[:500],
            note="" if line.currency == CURRENCY else f"in {line.currency or 'no currency'}",
            taken_us=self.at_us,
        )
        return kept if store.insert_line(kept) else None

    def explain(self, kept: KeptLine, line: Line) -> str:
        """`matched`, `unmatched`, or `other` for a debit that is none of our business."""
        if line.currency != CURRENCY:
            return "unmatched"
        own = self._named(line.end_to_end_id)
        if line.is_return:
            return self._came_back(kept, line, own)
        if line.direction == "debit":
            outgoing = [own] if own else self._of_batch(line, kinds=_OUTGOING)
            return self._all_booked(kept, [one for one in outgoing if one.kind in _OUTGOING])
        debits = [own] if own else self._of_batch(line, kinds=frozenset({"authorize"}))
        if debits:
            return self._all_booked(kept, [one for one in debits if one.kind == "authorize"])
        return self._received(kept, line)

    def hear(self, report: Report) -> bool:
        """A bank's word about an order; whether it was about one of ours."""
        if report.end_to_end_id:
            named = self._named(report.end_to_end_id)
            about = [named] if named else []
        else:
            about = self.store.of_file(self.account, report.message_id)
        for operation in about:
            if report.status == "rejected" and report.reason not in _DUPLICATE:
                self._reject(operation, report.reason, report.text)
            elif report.status == "returned":
                minor = operation.amount_minor if report.minor is None else report.minor
                self._return(operation, minor, report.reason)
            elif operation.status == "ordered":
                self.store.rewrite(replace(operation, status="submitted"))
        return bool(about)

    def give(self, kept: KeptLine, operation: Operation, *, by_whom: str) -> None:
        """So much of the line as the payment lacks is for it; the rest stays to be explained."""
        missing = operation.amount_minor - operation.received_minor
        minor = min(kept.rest_minor, missing)
        self.store.allocate(kept, operation.reference, minor, by_whom=by_whom, at_us=self.at_us)
        self._receive(operation, minor, iban=kept.party_iban, name=kept.party_name)

    def _named(self, end_to_end_id: str) -> Operation | None:
        if not end_to_end_id:
            return None
        return self.store.by_reference(self.account, end_to_end_id)

    def _of_batch(self, line: Line, *, kinds: frozenset[str]) -> list[Operation]:
        """The orders of a file that the bank booked in one sum, where they add up to it."""
        if not line.batch_ref:
            return []
        message_id = line.batch_ref
        found = self.store.of_file(self.account, message_id)
        if not found and message_id.count("-") == 1:
            found = [
                one
                for one in self.store.in_status(self.account, "submitted", limit=10_000)
                if one.message_id[:28] == message_id.partition("-")[0]
            ]
        found = [one for one in found if one.kind in kinds and one.status in _TO_COME]
        return found if sum(one.amount_minor for one in found) == line.minor else []

    def _all_booked(self, kept: KeptLine, about: list[Operation]) -> str:
        total = sum(one.amount_minor for one in about)
        if not about or total != kept.minor or any(one.status == "booked" for one in about):
            return "unmatched" if kept.direction == "credit" else "other"
        for one in about:
            self.store.allocate(
                kept, one.reference, one.amount_minor, by_whom="bank", at_us=self.at_us
            )
            if one.kind in _OUTGOING:
                self._book(one)
            else:
                self._receive(one, one.amount_minor, iban=one.iban, name=one.name)
        return "matched"

    def _received(self, kept: KeptLine, line: Line) -> str:
        """A buyer's transfer, by the one reference of ours that it names."""
        found = [self._named(one) for one in references_in(line)]
        about = [one for one in found if one is not None and one.method == "bank_transfer"]
        if len(about) != 1 or about[0].status != "awaited":
            return "unmatched"
        told = self.store.lines_of(self.account, about[0].reference, direction="credit")
        if any(_may_be_one(one, kept) for one in told):
            return "unmatched"
        self.give(kept, about[0], by_whom="bank")
        return "matched"

    def _receive(self, operation: Operation, minor: int, *, iban: str, name: str) -> None:
        received = operation.received_minor + minor
        whose = {"iban": iban or operation.iban, "name": name or operation.name}
        after = replace(operation, received_minor=received, **whose)
        missing = operation.amount_minor - received
        if missing <= min(self.tolerance, operation.amount_minor - 1):
            self._book(replace(after, missing_minor=max(missing, 0)))
        else:
            self.store.rewrite(after)

    def _book(self, operation: Operation) -> None:
        booked = replace(operation, status="booked", booked_us=self.at_us)
        if operation.kind in _OUTGOING:
            booked = replace(booked, received_minor=operation.amount_minor)
        self.store.rewrite(booked)
        self._tell(booked, "booked")
        if booked.returned_us is not None:
            # The return was told before what it returns.
            self._tell(booked, "returned")

    def _reject(self, operation: Operation, reason: str, text: str) -> None:
        if operation.status not in _TO_COME:
            return
        rejected = replace(operation, status="rejected", reason=reason, reason_text=text)
        self.store.rewrite(rejected)
        self._tell(rejected, "rejected")

    def _came_back(self, kept: KeptLine, line: Line, own: Operation | None) -> str:
        named = [self._named(one) for one in references_in(line)]
        about = own or next((one for one in named if one is not None), None)
        # What came in goes back as a debit, and what went out as a credit.
        way = "debit" if about is not None and about.kind == "authorize" else "credit"
        if about is None or kept.direction != way:
            return "unmatched" if kept.direction == "credit" else "other"
        minor = min(kept.minor, about.amount_minor)
        fee = kept.minor - minor if way == "debit" else 0
        self.store.allocate(kept, about.reference, kept.minor, by_whom="bank", at_us=self.at_us)
        back = self.store.lines_of(self.account, about.reference, direction=way)
        in_parts = sum(one.minor for one in back)
        is_more = about.returned_minor < in_parts <= about.amount_minor
        if about.returned_us is not None and is_more and way == "debit":
            self._return_more(about, in_parts, part=len(back))
        else:
            self._return(about, minor, line.reason, fee=fee)
        return "matched"

    def _return_more(self, operation: Operation, minor: int, *, part: int) -> None:
        """What was paid in parts comes back in parts; before the booking they are told as one."""
        more = minor - operation.returned_minor
        self.store.rewrite(replace(operation, returned_minor=minor))
        if operation.status == "booked" and operation.kind != "payout":
            self.store.insert_notice(part_of(operation, more, part=part, at_us=self.at_us))

    def _return(self, operation: Operation, minor: int, reason: str, *, fee: int = 0) -> None:
        """The bank took back, or gave back, what an order had moved; told once, the first counts.

        What was never booked is not returned yet: the booking may be told by a later file.
        """
        if operation.returned_us is not None:
            self._charge(operation, fee)
            return
        if not minor:
            return
        returned = replace(
            operation,
            returned_us=self.at_us,
            returned_minor=min(minor, operation.amount_minor),
            return_fee_minor=fee,
            return_reason=reason,
        )
        self.store.rewrite(returned)
        if returned.status == "booked":
            self._tell(returned, "returned")

    def _charge(self, operation: Operation, fee: int) -> None:
        """What the bank takes for a return that was told before."""
        if not fee or operation.return_fee_minor:
            return
        charged = replace(operation, return_fee_minor=fee)
        self.store.rewrite(charged)
        if charged.status == "booked":
            self._tell(charged, "returned")

    def _tell(self, operation: Operation, what: str) -> None:
        if operation.kind == "payout":
            return  # whoever pays out looks it up
        self.store.insert_notice(notice_of(operation, what, at_us=self.at_us))


def _may_be_one(known: KeptLine, line: KeptLine) -> bool:
    """Whether two files may tell of one movement by two names: then a person says what it is."""
    days = {known.booked_on, line.booked_on}
    return (
        known.source != line.source and known.minor == line.minor and (len(days) == 1 or "" in days)
    )


def assign(
    store: Store,
    account: str,
    *,
    line_id: str,
    reference: str,
    by_whom: str,
    tolerance: int,
    at_us: int,
) -> Operation:
    """A person says that a line was for a payment; raises `AssignRefused`.

    What the payment lacks is taken from the line; what is left of it stays in the queue. A payment
    that was called off or ran out of time may be named too: the money has come.
    """
    with store.transaction():
        kept = store.line(account, line_id)
        if kept is None or kept.direction != "credit" or kept.dismissed or not kept.rest_minor:
            raise AssignRefused("there is no such line to be explained")
        if kept.note:
            raise AssignRefused("the line is not in euros")
        operation = store.by_reference(account, reference)
        if operation is None or operation.kind != "authorize":
            raise AssignRefused("there is no such payment")
        if operation.status == "booked" or operation.method != "bank_transfer":
            raise AssignRefused("the payment awaits no transfer")
        round_ = _Round(store, account, tolerance=tolerance, at_us=at_us)
        round_.give(kept, operation, by_whom=by_whom)
        after = store.by_reference(account, reference)
        return after or operation


def dismiss(store: Store, account: str, *, line_id: str, note: str) -> None:
    """A person says that a line is for no payment, and why; raises `AssignRefused`."""
    if not note.strip():
        raise AssignRefused("a note says why")
    with store.transaction():
        kept = store.line(account, line_id)
        if kept is None or kept.direction != "credit" or kept.dismissed or not kept.rest_minor:
            raise AssignRefused("there is no such line to be explained")
        store.dismiss(account, line_id, note.strip()[:500])


def summed(taken: Iterable[Taken]) -> Taken:
    """What several files brought, together."""
    every = list(taken)
    return Taken(
        kind=", ".join(dict.fromkeys(one.kind for one in every)) or "nothing",
        is_new=any(one.is_new for one in every),
        lines=sum(one.lines for one in every),
        known=sum(one.known for one in every),
        matched=sum(one.matched for one in every),
        unmatched=sum(one.unmatched for one in every),
        reports=sum(one.reports for one in every),
        problems=tuple(dict.fromkeys(problem for one in every for problem in one.problems)),
    )
