"""How does the platform pay out by bank?

The orders of one sending are one pain.001 file, whose MsgId derives from the sending's key: a bank
takes a MsgId once, so the same key is the same file for ever. What became of each order is read in
the bank's own files, by its EndToEndId. The books are the gateway's.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec
from msgspec.structs import replace
from payengine.plugin import (
    Amount,
    Call,
    LookUpPayouts,
    NotSent,
    PayoutFailure,
    PayoutOrder,
    PayoutResult,
    PayoutsTold,
    RailManifest,
    SendPayouts,
)

from payengine_bank_transfer import references
from payengine_bank_transfer.amounts import CURRENCY, LARGEST_MINOR
from payengine_bank_transfer.books import Books, instant_of
from payengine_bank_transfer.days import processing_day
from payengine_bank_transfer.desk import Desk, file_of
from payengine_bank_transfer.ibans import check_iban
from payengine_bank_transfer.pain import OrderRefused
from payengine_bank_transfer.records import Operation, Refused
from payengine_bank_transfer.settings import BankTransferSettings, cutoff_of, settings_of
from payengine_bank_transfer.store import now_us

__all__ = ["MANIFEST", "BankRail"]

MANIFEST = RailManifest(
    name="bank_transfer",
    title="Bank transfer (SEPA)",
    version="0.1.0",
    currencies=(CURRENCY,),
    destinations=("iban",),
    max_batch=500,
    # Keys are kept in the plugin's own books, for ever; a manifest says it in seconds.
    key_window_s=10 * 365 * 86_400,
    # Books that are busy may be written some seconds after the engine has given up waiting.
    lookup_consistent_after_ms=10_000,
    # A beneficiary's bank returns within three business days (EPC125-05), a recall takes weeks.
    returns_s=30 * 86_400,
    settings=BankTransferSettings,
)

#: ISO 20022's external codes, as a credit transfer is rejected or returned with them.
_FAILURES: dict[str, PayoutFailure] = {
    "AC01": "account_invalid",
    "AC03": "account_invalid",
    "AC04": "account_closed",
    "AC06": "account_blocked",
    "AC14": "account_invalid",
    "AG01": "not_allowed",
    "AM02": "limit_exceeded",
    "AM04": "insufficient_funds",
    "AM14": "limit_exceeded",
    "BE01": "beneficiary_mismatch",
    "MD07": "account_closed",
    "RC01": "account_invalid",
    "RR04": "not_allowed",
}


class BankRail:
    """A tenant's bank account, from which vendors are paid."""

    def __init__(self, desk: Desk | None = None) -> None:
        self.desk = desk or Desk()

    def describe(self) -> RailManifest:
        """The rail's manifest."""
        return MANIFEST

    async def send(self, call: Call, request: SendPayouts) -> PayoutsTold:
        """Write the orders down and hand their file in; the same key is the same file."""
        await self.desk.remember(call)
        self.desk.rail(call)
        books = await self.desk.run(self.desk.books)
        kept, is_first = await self.desk.run(_keep, books, call, request)
        try:
            await self._hand_in(call, request.key)
        except (NotSent, Refused) as refused:
            if is_first:
                raise NotSent(str(refused)) from None
            raise ConnectionError("it is unknown whether the bank has the file") from None
        told = [await self._now(call, one) for one in kept]
        return PayoutsTold(results=tuple(_told(one) for one in told))

    async def look_up(self, call: Call, request: LookUpPayouts) -> PayoutsTold:
        """What the books say, after the bank was asked once more for what it has to tell.

        A file of which it is unknown whether the bank has it is handed in again, by its MsgId.
        """
        books = await self.desk.run(self.desk.books)
        found = [
            await self.desk.run(books.store.by_key, call.account, one.key) for one in request.orders
        ]
        if any(one is not None and one.status == "ordered" for one in found):
            await self._hand_in(call, request.key)
        await self.desk.collect(call)
        results = []
        for order, one in zip(request.orders, found, strict=True):
            if one is None:
                results.append(PayoutResult(key=order.key, status="not_found"))
            else:
                results.append(_told(await self._now(call, one)))
        return PayoutsTold(results=tuple(results))

    async def aclose(self) -> None:
        """Close the books."""
        await self.desk.aclose()

    async def _hand_in(self, call: Call, key: str) -> None:
        books = await self.desk.run(self.desk.books)
        name = references.message_id(account=call.account, key=key)
        orders = await self.desk.run(books.store.of_file, call.account, name)
        waiting = [one for one in orders if one.status != "rejected"]
        if not any(one.status == "ordered" for one in waiting):
            return
        try:
            content = await self.desk.run(
                file_of,
                waiting,
                settings_of(call),
                message_id=name,
                created_us=waiting[0].created_us,
            )
        except OrderRefused:
            # The same orders always make the same file: no bank was ever sent one.
            for one in waiting:
                await self.desk.run(books.refuse, call.account, one.reference, "order_refused")
            return
        answers = await self.desk.rail(call).submit(call, name, content)
        await self.desk.run(books.submitted, call.account, name)
        await self.desk.take(call, answers)

    async def _now(self, call: Call, operation: Operation) -> Operation:
        books = await self.desk.run(self.desk.books)
        found = await self.desk.run(books.store.by_reference, call.account, operation.reference)
        return found or operation


def _keep(books: Books, call: Call, request: SendPayouts) -> tuple[list[Operation], bool]:
    """The sending's operations, written down where they are not there yet; whether they were new.

    Raises `ValueError` where one of them belongs to another sending, or was another order.
    """
    at_us = now_us()
    settings = settings_of(call)
    name = references.message_id(account=call.account, key=request.key)
    day = processing_day(instant_of(at_us), cutoff=cutoff_of(settings)).isoformat()
    kept = []
    is_first = True
    with books.store.transaction():
        for order in request.orders:
            print_ = _fingerprint(request.key, order)
            known = books.store.by_key(call.account, order.key)
            if known is not None and known.fingerprint != print_:
                raise ValueError("this order was sent before, as another one or with another key")
            if known is None:
                known = _operation(call.account, order, print_, at_us=at_us)
                known = replace(known, message_id=name, day=day)
                if not books.store.insert_operation(known):
                    raise ValueError("another operation has this reference")
            else:
                is_first = False
            kept.append(known)
    return kept, is_first


def _operation(account: str, order: PayoutOrder, fingerprint: str, *, at_us: int) -> Operation:
    """The order as the books keep it; one that no bank would take is rejected at once."""
    iban = order.destination.number.replace(" ", "").upper()
    reference = references.end_to_end_id(account=account, key=order.key)
    made = Operation(
        account=account,
        reference=reference,
        key=order.key,
        kind="payout",
        method="bank_transfer",
        status="ordered",
        amount_minor=order.amount.minor,
        fingerprint=fingerprint,
        created_us=at_us,
        iban=iban,
        name=order.destination.holder[:70],
        text=order.statement or reference,
    )
    try:
        check_iban(iban)
    except ValueError:
        return replace(made, status="rejected", reason="AC01")
    if order.amount.currency != CURRENCY or not 0 < order.amount.minor <= LARGEST_MINOR:
        return replace(made, status="rejected", reason="AM02")
    return made


def _fingerprint(key: str, order: PayoutOrder) -> str:
    """What makes two orders the same: all but what the bank itself has told."""
    plain = msgspec.to_builtins(replace(order, provider_reference=None))
    return sha256(msgspec.json.encode((key, plain), order="deterministic")).hexdigest()


def _told(operation: Operation) -> PayoutResult:
    result = PayoutResult(
        key=operation.key,
        status="unknown",
        amount=Amount(operation.amount_minor, CURRENCY),
        provider_reference=operation.reference,
    )
    match operation.status:
        case "submitted":
            return replace(result, status="accepted")
        case "booked" if operation.returned_us is None:
            return replace(result, status="paid")
        case "booked":
            return _failed(result, operation, operation.return_reason, came_back=True)
        case "rejected" | "refused":
            return _failed(result, operation, operation.reason, came_back=False)
        case _:
            return result


def _failed(
    result: PayoutResult, operation: Operation, code: str, *, came_back: bool
) -> PayoutResult:
    return replace(
        result,
        status="returned" if came_back else "failed",
        failure=_FAILURES.get(code, "unspecified"),
        raw_code=code or None,
        detail=operation.reason_text,
    )
