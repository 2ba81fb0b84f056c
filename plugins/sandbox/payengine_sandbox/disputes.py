"""How do buyers dispute what they paid at the sandbox?

Whoever tests opens a dispute and decides it; the merchant hands evidence in or gives up, once per
key. Each change is told by a signed webhook. What the bank takes back cannot be refunded as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal, TypeVar

import msgspec
from msgspec.structs import replace
from payengine.plugin import DisputeEvidence

from payengine_sandbox.cards import Fault
from payengine_sandbox.chaos import is_calm, strike
from payengine_sandbox.dispute_records import Dispute, DisputeStep, ShownDispute
from payengine_sandbox.engine import now_us, reference_of
from payengine_sandbox.provider import Provider
from payengine_sandbox.records import Operation, ProviderError
from payengine_sandbox.settings import SandboxSettings
from payengine_sandbox.store import StoreBusy
from payengine_sandbox.wire import instant_of

__all__ = ["DisputeBook", "OpenDispute", "digest_of", "shown_dispute"]

T = TypeVar("T")

_DAY_US = 86_400_000_000
_BUSY_TRIES = 2_000
_BUSY_PAUSE_S = 0.001
_COLUMNS = ", ".join(Dispute.__struct_fields__)
_PLACES = ", ".join("?" * len(Dispute.__struct_fields__))

_TABLES = (
    """
    create table if not exists disputes (
        reference text primary key, account text not null, key text not null,
        operation text not null, status text not null, amount_minor integer not null,
        currency text not null, reason text not null, fee_minor integer not null,
        fee_returned integer not null, due_us integer not null, changes integer not null,
        pieces integer not null
    ) without rowid
    """,
    """
    create table if not exists dispute_steps (
        account text not null, key text not null, digest text not null, answer blob not null,
        primary key (account, key)
    ) without rowid
    """,
)
_PUT = f"insert or replace into disputes ({_COLUMNS}) values ({_PLACES})"
_GET = f"select {_COLUMNS} from disputes where reference = ? and account = ?"
_STEP = "select digest, answer from dispute_steps where account = ? and key = ?"
_PUT_STEP = "insert into dispute_steps (account, key, digest, answer) values (?, ?, ?, ?)"
_BEFORE = frozenset({Fault.ERROR_BEFORE, Fault.HANG_BEFORE})
_AFTER = frozenset({Fault.ERROR_AFTER, Fault.HANG_AFTER})


class OpenDispute(msgspec.Struct, frozen=True, kw_only=True):
    """What a tester says of a new dispute; without an amount it is the operation's."""

    key: str
    amount_minor: int | None = None
    currency: str | None = None
    reason: str = "fraudulent"
    fee_minor: int = 1_500
    due_days: int = 10


def shown_dispute(dispute: Dispute, *, refused: str = "") -> ShownDispute:
    """The public face of a record."""
    return ShownDispute(
        reference=dispute.reference,
        key=dispute.key,
        operation=dispute.operation,
        status=dispute.status,
        amount_minor=dispute.amount_minor,
        currency=dispute.currency,
        reason=dispute.reason,
        fee_minor=dispute.fee_minor,
        fee_returned=bool(dispute.fee_returned),
        evidence_due_at=instant_of(dispute.due_us),
        pieces=dispute.pieces,
        refused=refused,
    )


@dataclass(eq=False)
class DisputeBook:
    """The disputes of all accounts in one provider's store."""

    provider: Provider
    clock: Callable[[], int] = now_us
    hear: Callable[[Dispute, ShownDispute], None] | None = None
    _ready: bool = field(default=False, init=False)

    async def open(self, account: str, told: OpenDispute) -> ShownDispute:
        """The buyer disputes the operation that was sent with the key, once."""
        return await self._patiently(lambda: self._open(account, told))

    async def show(self, account: str, reference: str) -> ShownDispute:
        """The dispute as it stands."""
        return await self._patiently(lambda: shown_dispute(self._get(account, reference)))

    async def decide(
        self,
        account: str,
        reference: str,
        status: Literal["needs_response", "under_review", "won", "lost"],
        *,
        fee_returned: bool = False,
    ) -> ShownDispute:
        """The bank decides, whatever was decided before: a bank may change its mind."""
        return await self._patiently(
            lambda: self._decide(account, reference, status, fee_returned=fee_returned)
        )

    async def take(
        self, account: str, step: DisputeStep, settings: SandboxSettings, *, hang_s: float
    ) -> ShownDispute:
        """What the merchant asks, once per key; chaos strikes here as it does money calls."""
        fault = None
        if not is_calm(settings):
            fault = await self._patiently(lambda: self._fault(account, step, settings))
        if fault in _BEFORE:
            await self._misbehave(fault, hang_s)
        done = await self._patiently(lambda: self._take(account, step))
        if fault in _AFTER:
            await self._misbehave(fault, hang_s)
        return done

    def _open(self, account: str, told: OpenDispute) -> ShownDispute:
        store = self.provider.engine.store
        with store.transaction():
            operation = self._disputed(account, told.key)
            reference = "dsp" + operation.reference[3:]
            known = self._find(account, reference)
            if known is not None:
                return shown_dispute(known)
            dispute = Dispute(
                reference=reference,
                account=account,
                key=told.key,
                operation=operation.reference,
                status="needs_response",
                amount_minor=told.amount_minor or operation.amount_minor,
                currency=told.currency or operation.currency,
                reason=told.reason,
                fee_minor=told.fee_minor,
                fee_returned=False,
                due_us=self.clock() + told.due_days * _DAY_US,
                changes=0,
                pieces=0,
            )
            self._take_back(dispute, 1)
            return self._put(dispute)

    def _decide(
        self,
        account: str,
        reference: str,
        status: Literal["needs_response", "under_review", "won", "lost"],
        *,
        fee_returned: bool,
    ) -> ShownDispute:
        with self.provider.engine.store.transaction():
            before = self._get(account, reference)
            if (before.status == "won") != (status == "won"):
                self._take_back(before, -1 if status == "won" else 1)
            returned = before.fee_returned or fee_returned
            return self._put(replace(before, status=status, fee_returned=returned))

    def _take(self, account: str, step: DisputeStep) -> ShownDispute:
        store = self.provider.engine.store
        with store.transaction():
            self._prepare()
            row = store._run(_STEP, (account, step.key)).fetchone()
            digest = f"{step.kind}:{step.reference}:{step.digest}"
            if row is not None:
                if row[0] != digest:
                    message = "This idempotency key was used before with another request."
                    raise ProviderError("idempotency_key_reused", message, status=409)
                return msgspec.json.decode(row[1], type=ShownDispute)
            shown = self._judge(account, step)
            answer = msgspec.json.encode(shown)
            store._run(_PUT_STEP, (account, step.key, digest, answer))
            return shown

    def _judge(self, account: str, step: DisputeStep) -> ShownDispute:
        dispute = self._get(account, step.reference)
        if step.kind == "accept_dispute":
            if dispute.status not in ("needs_response", "under_review"):
                return shown_dispute(dispute, refused="not_open")
            return self._put(replace(dispute, status="lost"))
        if dispute.status != "needs_response":
            return shown_dispute(dispute, refused="not_open")
        if dispute.due_us < self.clock():
            return shown_dispute(dispute, refused="evidence_overdue")
        return self._put(replace(dispute, status="under_review", pieces=step.pieces))

    def _disputed(self, account: str, key: str) -> Operation:
        found = self.provider.engine.store.find(reference_of(account=account, key=key))
        operation = found[0] if found is not None else None
        if operation is None or operation.kind not in ("authorize", "capture"):
            raise ProviderError("not_found", "No payment was made with this key.", status=404)
        if operation.status != "succeeded" or operation.moved_us is None:
            raise ProviderError("invalid_request", "This took no money.", status=400)
        return operation

    def _take_back(self, dispute: Dispute, sign: int) -> None:
        """What is disputed is not there to be refunded."""
        store = self.provider.engine.store
        found = store.find(dispute.operation)
        if found is not None and found[0].parent:
            found = store.find(found[0].parent)
        if found is not None and found[0].currency == dispute.currency:
            root = found[0]
            store.rewrite(replace(root, returned=root.returned + sign * dispute.amount_minor))

    def _find(self, account: str, reference: str) -> Dispute | None:
        self._prepare()
        row = self.provider.engine.store._run(_GET, (reference, account)).fetchone()
        return None if row is None else Dispute(*row)

    def _get(self, account: str, reference: str) -> Dispute:
        found = self._find(account, reference)
        if found is None:
            raise ProviderError("not_found", "There is no such dispute.", status=404)
        return found

    def _put(self, dispute: Dispute) -> ShownDispute:
        dispute = replace(dispute, changes=dispute.changes + 1)
        self.provider.engine.store._run(_PUT, msgspec.structs.astuple(dispute))
        if self.hear is not None:
            self.hear(dispute, shown_dispute(dispute))
        return shown_dispute(dispute)

    def _prepare(self) -> None:
        if not self._ready:
            for statement in _TABLES:
                self.provider.engine.store._run(statement, ())
            self._ready = True

    def _fault(self, account: str, step: DisputeStep, settings: SandboxSettings) -> Fault | None:
        store = self.provider.engine.store
        attempt = store.count_try(account=account, key=step.key, kind=step.kind)
        return strike(settings, key=step.key, kind=step.kind, attempt=attempt)

    async def _misbehave(self, fault: Fault | None, hang_s: float) -> None:
        if fault in (Fault.ERROR_BEFORE, Fault.ERROR_AFTER):
            raise ProviderError("internal_error", "Something broke inside the provider.")
        await asyncio.sleep(hang_s)
        raise ProviderError("timeout", "No answer in time.", status=504)

    async def _patiently(self, act: Callable[[], T]) -> T:
        for _ in range(_BUSY_TRIES):
            try:
                return act()
            except StoreBusy:
                await asyncio.sleep(_BUSY_PAUSE_S)
        raise ProviderError("store_busy", "The sandbox's store is busy.", status=500)


def digest_of(evidence: DisputeEvidence) -> str:
    """A short name of everything that is handed in."""
    told = msgspec.json.encode([evidence.texts, evidence.files])
    return blake2b(told, digest_size=12).hexdigest()
