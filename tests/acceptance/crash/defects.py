"""Does the harness see a defect?

Started in the program's place, this spoils one thing in it and then runs it as it is. The program
itself knows nothing of defects; `make crash-defects` shows that each of them turns the run red.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

__all__ = ["DEFECTS", "DROPPED", "main"]

#: A defect → what the harness does to the database, so that nothing there stands in its way.
DROPPED = {
    "no_check": """
        ALTER TABLE payment DROP CONSTRAINT payment_holds_suffice,
            DROP CONSTRAINT payment_refunds_suffice
    """,
    "period_twice": "DROP INDEX invoice_of_period",
}


def _fresh_key() -> None:
    """What is sent again goes out with another key than the first time."""
    import msgspec
    from payengine.ids import new_id
    from payengine.payments import record

    stored: Callable[[Any], msgspec.Struct] = vars(record)["stored_request"]

    def changed(operation: Any) -> msgspec.Struct:
        request = stored(operation)
        return msgspec.structs.replace(request, key=new_id("op")) if operation.tries else request

    vars(record)["stored_request"] = changed


def _no_lookup() -> None:
    """What is open is sent again, and nobody asks what became of it before."""
    from payengine.payments.record import Recorder
    from payengine.plugin import Outcome
    from payengine.registry import Answer

    async def blind(*_: Any, **__: Any) -> Answer:
        return Answer(kind="outcome", outcome=Outcome(status="not_found"))

    Recorder.look_up = blind  # type: ignore[method-assign]


def _no_check() -> None:
    """Amounts are reserved whether they suffice or not; the harness drops the constraints."""
    from payengine.payments import store

    head, _, tail = store._RESERVE.partition("      AND (")
    store._RESERVE = head + "    RETURNING" + tail.partition("RETURNING")[2]


def _webhook_twice() -> None:
    """A webhook is booked though what it tells has been booked before."""
    from payengine.events.writing import insert_event
    from payengine.ids import new_id
    from payengine.ledger import post
    from payengine.payments.books import postings_of
    from payengine.payments.record import Recorder
    from payengine.payments.settle import event_of

    record = Recorder.record

    async def again(self: Any, context: Any, **given: Any) -> Any:
        payment, operation = await record(self, context, **given)
        if given["finding"].source != "webhook" or operation.status != "succeeded":
            return payment, operation
        if operation.kind != "refund" and not operation.capture:
            return payment, operation
        at = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            renamed = msgspec.structs.replace(operation, id=new_id("op"))
            await post(
                session, context.tenant_id, list(postings_of(payment, renamed, holds=())), at=at
            )
            kind = "refund.succeeded" if operation.kind == "refund" else "payment.captured"
            await insert_event(
                session, context.tenant_id, event_of(kind, payment, operation, at=at)
            )
        return payment, operation

    import msgspec

    Recorder.record = again  # type: ignore[method-assign]


def _period_twice() -> None:
    """A subscription is invoiced, and stays where it was the first time."""
    from collections.abc import Sequence

    from payengine.billing.invoices import renewals

    advance: Callable[..., Any] = vars(renewals)["advance"]
    stayed: set[str] = set()

    async def late(session: Any, tenant_id: Any, at: Any, advanced: Sequence[Any]) -> None:
        known = [each for each in advanced if each.after.id in stayed]
        stayed.update(each.after.id for each in advanced)
        await advance(session, tenant_id, at, known)

    vars(renewals)["advance"] = late


def _charge_key() -> None:
    """An invoice whose charge was sent is charged with another key when somebody comes again."""
    import msgspec
    from payengine.billing.collection import service
    from payengine.ids import new_id

    request_of: Callable[[Any], Any] = vars(service)["request_of"]

    def changed(charge: Any) -> Any:
        return msgspec.structs.replace(request_of(charge), idempotency_key=new_id("key"))

    vars(service)["request_of"] = changed


def _payout_key() -> None:
    """A payout that nobody answered for is sent again with another key, and nobody looks before."""
    from contextvars import ContextVar

    from payengine.ids import new_id
    from payengine.marketplace.treasury import sending
    from payengine.marketplace.treasury.states import OPEN
    from payengine.plugin import PayoutResult, SendPayouts
    from payengine.registry.rails import RailAnswer

    sender = sending.Sender
    look_up, send_again = sender._look_up, sender._send_again
    is_again = ContextVar("is_again", default=False)

    async def blindly(self: Any, context: Any, batch: Any, payouts: Any) -> Any:
        if not any(one.status in OPEN for one in payouts):
            return await look_up(self, context, batch, payouts)
        absent = {one.id: PayoutResult(key=one.id, status="not_found") for one in payouts}
        return RailAnswer(kind="told", results=absent)

    async def again(self: Any, context: Any, batch: Any, *, at: Any) -> None:
        is_again.set(True)
        try:
            await send_again(self, context, batch, at=at)
        finally:
            is_again.set(False)

    def sent(*, key: str, **given: Any) -> SendPayouts:
        return SendPayouts(key=new_id("pob") if is_again.get() else key, **given)

    sender._look_up = blindly  # type: ignore[method-assign]
    sender._send_again = again  # type: ignore[method-assign]
    vars(sending)["SendPayouts"] = sent


DEFECTS: dict[str, Callable[[], None]] = {
    "fresh_key": _fresh_key,
    "no_lookup": _no_lookup,
    "no_check": _no_check,
    "webhook_twice": _webhook_twice,
    "period_twice": _period_twice,
    "charge_key": _charge_key,
    "payout_key": _payout_key,
}


def main() -> None:
    """`python -m tests.acceptance.crash.defects NAME serve …`"""
    DEFECTS[sys.argv.pop(1)]()
    from payengine.cli import main as program

    program()


if __name__ == "__main__":
    main()
