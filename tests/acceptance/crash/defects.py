"""Does the harness see a defect?

Started in the program's place, this spoils one thing in it and then runs it as it is. The program
itself knows nothing of defects; `make crash-defects` shows that each of them turns the run red.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

__all__ = ["DEFECTS", "DROPPED_CHECKS", "NO_CHECK", "main"]

NO_CHECK = "no_check"
#: What the harness does to the database where the checks are to be gone.
DROPPED_CHECKS = """
    ALTER TABLE payment DROP CONSTRAINT payment_holds_suffice,
        DROP CONSTRAINT payment_refunds_suffice
"""


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


DEFECTS: dict[str, Callable[[], None]] = {
    "fresh_key": _fresh_key,
    "no_lookup": _no_lookup,
    NO_CHECK: _no_check,
    "webhook_twice": _webhook_twice,
}


def main() -> None:
    """`python -m tests.acceptance.crash.defects NAME serve …`"""
    DEFECTS[sys.argv.pop(1)]()
    from payengine.cli import main as program

    program()


if __name__ == "__main__":
    main()
