"""What becomes of a payment, given what the bank has told?

Each method is one SQL transaction over the store and judges by kept facts only: what was ordered,
what was received, what was rejected, what came back.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

import msgspec
from msgspec.structs import replace
from payengine.plugin import Authorize, Refund

from payengine_bank_transfer import references
from payengine_bank_transfer.amounts import CURRENCY, LARGEST_MINOR
from payengine_bank_transfer.days import collection_day, next_business_day, processing_day
from payengine_bank_transfer.mandates import (
    Mandate,
    MandateUnreadable,
    next_sequence,
    read_mandate,
    read_token,
)
from payengine_bank_transfer.records import Operation, Refused
from payengine_bank_transfer.settings import BankTransferSettings, cutoff_of
from payengine_bank_transfer.store import Store

__all__ = ["Books", "fingerprint_of", "instant_of", "order_day"]

_DAY_US = 86_400_000_000
#: Statuses in which a debit under a mandate counts as made.
_COUNTS = frozenset({"ordered", "submitted", "booked"})


def instant_of(us: int) -> datetime:
    """The aware instant of microseconds since 1970."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)


def fingerprint_of(request: msgspec.Struct) -> str:
    """What makes two requests the same."""
    plain: dict[str, Any] = msgspec.to_builtins(request)
    return sha256(msgspec.json.encode(plain, order="deterministic")).hexdigest()


class Books:
    """The orders of all accounts in one store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def find(self, account: str, key: str, *, at_us: int) -> Operation | None:
        """The operation sent with `key`, after its time has been looked at."""
        found = self.store.by_key(account, key)
        if found is None or not _is_over(found, at_us):
            return found
        with self.store.transaction():
            found = self.store.by_key(account, key)
            if found is not None and _is_over(found, at_us):
                found = replace(found, status="expired", reason="EXPIRED")
                self.store.rewrite(found)
        return found

    def authorize(
        self, account: str, request: Authorize, settings: BankTransferSettings, *, at_us: int
    ) -> Operation:
        """Await a transfer or order a debit; the same key is the same operation.

        Raises `Refused` for what no bank is asked.
        """
        fingerprint = fingerprint_of(request)
        with self.store.transaction():
            known = self.find(account, request.key, at_us=at_us)
            if known is not None:
                return _same(known, fingerprint)
            _check_amount(request.amount.minor, request.amount.currency)
            if not request.capture:
                raise Refused("manual_capture")
            base = Operation(
                account=account,
                reference=references.end_to_end_id(account=account, key=request.key),
                key=request.key,
                kind="authorize",
                method="sepa_debit",
                status="ordered",
                amount_minor=request.amount.minor,
                fingerprint=fingerprint,
                created_us=at_us,
                text=request.description or "",
            )
            if request.payment_method.kind == "sepa_debit":
                made = self._debit(base, request, settings, at_us=at_us)
            else:
                made = replace(
                    base,
                    method="bank_transfer",
                    status="awaited",
                    reference=references.virtual_reference(account=account, key=request.key),
                    name=request.metadata.get("payer_name", "")[:70],
                    expires_us=at_us + _patience_us(request, settings),
                )
            self._insert(made)
            return self.find(account, request.key, at_us=at_us) or made

    def refund(self, account: str, request: Refund, *, at_us: int) -> Operation:
        """Order a transfer back to the payer's account; the same key is the same operation."""
        fingerprint = fingerprint_of(request)
        with self.store.transaction():
            known = self.store.by_key(account, request.key)
            if known is not None:
                return _same(known, fingerprint)
            _check_amount(request.amount.minor, request.amount.currency)
            paid = self.store.by_reference(account, request.provider_reference)
            if paid is None or paid.kind != "authorize" or paid.status != "booked":
                raise Refused("not_booked")
            spent = sum(
                one.amount_minor - one.returned_minor
                for one in self.store.of_parent(account, paid.reference)
                if one.status in _COUNTS
            )
            if request.amount.minor > paid.amount_minor - paid.returned_minor - spent:
                raise Refused("refund_too_large")
            if not paid.iban:
                raise Refused("no_payer_account")
            came = self.store.lines_of(account, paid.reference, direction="credit")
            payers = {line.party_iban for line in came if line.party_iban}
            if paid.method == "bank_transfer" and len(payers) > 1:
                raise Refused("several_payers")
            made = Operation(
                account=account,
                reference=references.end_to_end_id(account=account, key=request.key),
                key=request.key,
                kind="refund",
                method="bank_transfer",
                status="ordered",
                amount_minor=request.amount.minor,
                fingerprint=fingerprint,
                created_us=at_us,
                parent=paid.reference,
                iban=paid.iban,
                name=paid.name,
                text=f"Refund {paid.reference}",
            )
            self._insert(made)
            return made

    def cancel(self, account: str, reference: str) -> Operation:
        """Call off what no bank was told; raises `Refused` where it is too late."""
        with self.store.transaction():
            found = self.store.by_reference(account, reference)
            if found is None or found.status not in ("awaited", "ordered", "canceled"):
                raise Refused("already_ordered")
            if found.message_id and found.status == "ordered":
                raise Refused("already_ordered")
            if found.received_minor:
                raise Refused("already_ordered")
            if found.status != "canceled":
                found = replace(found, status="canceled", reason="CANCELED")
                self.store.rewrite(found)
            return found

    def submitted(self, account: str, message_id: str) -> None:
        """The bank has the file: none of its orders can be called off any more."""
        with self.store.transaction():
            for one in self.store.of_file(account, message_id):
                if one.status in ("ordered", "refused"):
                    self.store.rewrite(replace(one, status="submitted", reason=""))

    def assign_file(
        self, account: str, wanted: list[Operation], message_id: str, *, day: str
    ) -> list[Operation]:
        """Put those of the orders that still wait into a file, to be carried out on `day`."""
        taken: list[Operation] = []
        with self.store.transaction():
            for each in wanted:
                now = self.store.by_reference(account, each.reference)
                if now is not None and now.status == "ordered" and not now.message_id:
                    now = replace(now, message_id=message_id, day=day)
                    self.store.rewrite(now)
                    taken.append(now)
        return taken

    def refuse(self, account: str, reference: str, code: str) -> None:
        """The bank did not take the file: nothing was done and nothing will be."""
        with self.store.transaction():
            found = self.store.by_reference(account, reference)
            if found is not None and found.status == "ordered":
                self.store.rewrite(replace(found, status="refused", reason=code))

    def order_again(self, account: str, reference: str) -> Operation | None:
        """What the bank did not take is asked for once more, by the same key."""
        with self.store.transaction():
            found = self.store.by_reference(account, reference)
            if found is not None and found.status == "refused":
                found = replace(found, status="ordered", reason="", message_id="")
                self.store.rewrite(found)
            return found

    def keep_mandate(self, account: str, token: str, *, at_us: int) -> Mandate:
        """Keep the mandate that the token spells; raises `MandateUnreadable`.

        Kept again with the same words it is the same mandate; with others it is refused.
        """
        today = instant_of(at_us).date()
        made = replace(read_mandate(token, today=today), created_us=at_us)
        with self.store.transaction():
            known = self.store.mandate(account, made.mandate_id)
            if known is None:
                self.store.insert_mandate(account, made)
                return made
        if replace(known, created_us=at_us, revoked_us=None) != made:
            raise MandateUnreadable("another mandate has this reference")
        return known

    def _insert(self, made: Operation) -> None:
        """Write it down, or nothing happens: two payments never share a reference."""
        if not self.store.insert_operation(made):
            raise LookupError("another operation has this reference")

    def _debit(
        self,
        base: Operation,
        request: Authorize,
        settings: BankTransferSettings,
        *,
        at_us: int,
    ) -> Operation:
        mandate_id, final = read_token(request.payment_method)
        if mandate_id is None:
            try:
                token = request.payment_method.token
                mandate = self.keep_mandate(base.account, token, at_us=at_us)
            except MandateUnreadable:
                raise Refused("mandate_unreadable") from None
        else:
            found = self.store.mandate(base.account, mandate_id)
            if found is None:
                raise Refused("mandate_unknown")
            mandate = found
        under = self.store.of_mandate(base.account, mandate.mandate_id)
        made = [one for one in under if one.status in _COUNTS]
        ended = any(one.sequence in ("FNAL", "OOFF") for one in made)
        sequence = next_sequence(mandate, used=len(made), ended=ended, final=final)
        debit = replace(
            base,
            mandate_id=mandate.mandate_id,
            signed_on=mandate.signed_on,
            iban=mandate.iban,
            name=mandate.name,
        )
        if mandate.revoked_us is not None:
            return replace(debit, status="rejected", reason="MD01")
        if sequence is None:
            raise Refused("mandate_used_up")
        day = collection_day(
            instant_of(at_us), cutoff=cutoff_of(settings), notice_days=settings.notice_days
        )
        return replace(debit, sequence=sequence, day=day.isoformat())


def _patience_us(request: Authorize, settings: BankTransferSettings) -> int:
    """For how long a transfer is awaited; the simulated buyer may be too late already."""
    scenario = request.payment_method.token.partition(":")
    is_late = settings.rail == "simulated" and scenario == ("simulated", ":", "late")
    return 0 if is_late else settings.pay_within_days * _DAY_US


def _same(known: Operation, fingerprint: str) -> Operation:
    if known.fingerprint != fingerprint:
        raise Refused("key_reused")
    return known


def _check_amount(minor: int, currency: str) -> None:
    if currency != CURRENCY:
        raise Refused("currency")
    if not 0 < minor <= LARGEST_MINOR:
        raise Refused("amount_out_of_range")


def _is_over(operation: Operation, at_us: int) -> bool:
    """Whether the buyer's time has run out, and nothing has come."""
    return (
        operation.status == "awaited"
        and operation.expires_us is not None
        and operation.expires_us <= at_us
        and operation.received_minor == 0
    )


def order_day(operation: Operation, settings: BankTransferSettings, *, at_us: int) -> str:
    """The day on which an order that is sent now is carried out: never before the told one."""
    at, cutoff = instant_of(at_us), cutoff_of(settings)
    if operation.method == "sepa_debit":
        earliest = collection_day(at, cutoff=cutoff, notice_days=0)
        return max(earliest, next_business_day(date.fromisoformat(operation.day))).isoformat()
    return processing_day(at, cutoff=cutoff).isoformat()
