"""How does the sandbox judge a request?

A state machine over the store: synchronous, without chaos and without a transport. Each method is
one SQL transaction. A record's reference is a pure function of account and key, so one index
serves idempotency, lookup and the later steps.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from hashlib import blake2b

from msgspec.structs import replace

from payengine_sandbox.cards import PLAIN, Script
from payengine_sandbox.records import Command, Operation, ProviderError, Status
from payengine_sandbox.settings import SandboxSettings
from payengine_sandbox.store import Store

__all__ = ["Engine", "fee_of", "now_us", "reference_of"]

_DAY_US = 86_400_000_000
_SETTLE_BATCH = 20
_LARGEST = 2**63 - 1


def reference_of(*, account: str, key: str) -> str:
    """The provider's reference of the operation that `account` sends with `key`."""
    digest = blake2b(f"{account}\x1f{key}".encode(), digest_size=15, person=b"sandbox").digest()
    return "sbx_" + base64.b32hexencode(digest).decode().lower()


def fee_of(amount_minor: int, *, bps: int, fixed_minor: int) -> int:
    """The provider's fee on a capture, in minor units, rounded half away from zero."""
    return (amount_minor * bps * 2 + 10_000) // 20_000 + fixed_minor


def now_us() -> int:
    """Microseconds since 1970, in UTC."""
    return time.time_ns() // 1_000


class Engine:
    """The books of all accounts in one store."""

    def __init__(self, store: Store, *, clock: Callable[[], int] = now_us) -> None:
        """`clock` tells microseconds since 1970; set `hear` to be told of the results that no
        answer carried: the late ones and the challenges."""
        self.store = store
        self.hear: Callable[[Operation], None] | None = None
        self._clock = clock

    def perform(
        self,
        account: str,
        command: Command,
        settings: SandboxSettings,
        script: Script = PLAIN,
        *,
        late: bool = False,
    ) -> Operation:
        """Do what is asked, or answer again what was answered to this key before.

        `late` makes a success come true only `late_ms` from now. Raises `ProviderError` for a
        request that cannot be read and for a key that was used with another body.
        """
        _check(account, command)
        fingerprint = _fingerprint(command)
        reference = reference_of(account=account, key=command.key)
        if command.kind == "authorize":
            made = self._authorization(account, command, settings, script, reference)
            made = self._delayed(made, script, settings, late=late)
            if self.store.insert(made, fingerprint):
                return made
            return self._again(reference, fingerprint)
        with self.store.transaction():
            if self.store.find(reference) is not None:
                return self._again(reference, fingerprint)
            made = self._step(account, command, settings, script, reference, late=late)
            self.store.insert(made, fingerprint)
            return made

    def find(self, *, account: str, key: str) -> Operation | None:
        """What became of the operation sent with `key`."""
        reference = reference_of(account=account, key=key)
        found = self.store.find(reference)
        return None if found is None else self._settled(found[0])

    def token_of(self, *, account: str, reference: str) -> str:
        """The payment method behind a reference; empty where it is not known."""
        found = self.store.find(reference)
        return found[0].token if found is not None and found[0].account == account else ""

    def challenge(self, reference: str) -> Operation | None:
        """The authorization behind a challenge page, whatever its state is now."""
        found = self.store.find(reference)
        return None if found is None or found[0].kind != "authorize" else found[0]

    def decide(self, reference: str, *, approve: bool) -> Operation | None:
        """End a challenge; where it has ended already, what stands is answered unchanged."""
        with self.store.transaction():
            waiting = self.challenge(reference)
            if waiting is None or waiting.status != "requires_action":
                return waiting
            return self._finish(waiting, "succeeded" if approve else "declined", "challenge_failed")

    def settle(self) -> list[Operation]:
        """Let delayed results that are due come true, at most 20 of them."""
        if not self.store.due(until_us=self._clock(), limit=1):
            return []
        with self.store.transaction():
            due = self.store.due(until_us=self._clock(), limit=_SETTLE_BATCH)
            return [self._come_true(one) for one in due]

    def _again(self, reference: str, fingerprint: bytes) -> Operation:
        found = self.store.find(reference)
        if found is None or found[1] != fingerprint:
            message = "This idempotency key was used before with another request."
            raise ProviderError("idempotency_key_reused", message, status=409)
        return self._settled(found[0])

    def _settled(self, found: Operation) -> Operation:
        if found.due_us is None or found.due_us > self._clock():
            return found
        with self.store.transaction():
            again = self.store.find(found.reference)
            if again is None or again[0].due_us is None:
                return found if again is None else again[0]
            return self._come_true(again[0])

    def _authorization(
        self,
        account: str,
        command: Command,
        settings: SandboxSettings,
        script: Script,
        reference: str,
    ) -> Operation:
        now = self._clock()
        status: Status = "succeeded"
        raw_code = None
        if script.result == "declined":
            status, raw_code = "declined", script.code
        elif script.result == "requires_action":
            status = "declined" if command.off_session else "requires_action"
            raw_code = "authentication_required" if command.off_session else None
        amount = command.amount_minor - script.short
        made = _blank(account, command, reference, command.token, amount)
        if status == "declined":
            return replace(made, status=status, raw_code=raw_code)
        taken = amount if command.capture else 0
        return replace(
            made,
            status=status,
            fee_minor=_fee(settings, amount) if command.capture else 0,
            expires_us=None if command.capture else now + settings.hold_days * _DAY_US,
            held=amount,
            taken=taken,
            moved_us=now if command.capture and status == "succeeded" else None,
        )

    def _delayed(
        self, made: Operation, script: Script, settings: SandboxSettings, *, late: bool
    ) -> Operation:
        if made.status != "succeeded" or not (late or script.result.startswith("pending")):
            return made
        after_ms = settings.late_ms if late else settings.pending_ms
        declined = script.result == "pending_declined"
        return replace(
            made,
            status="pending",
            moved_us=None,
            due_us=self._clock() + after_ms * 1_000,
            due_status="declined" if declined else "succeeded",
            raw_code=script.code if declined else None,
        )

    def _step(
        self,
        account: str,
        command: Command,
        settings: SandboxSettings,
        script: Script,
        reference: str,
        *,
        late: bool,
    ) -> Operation:
        """A capture, void, refund or increment of what an authorization holds."""
        made = _blank(account, command, reference, "", command.amount_minor - script.short)
        root = self._root(account, command.parent)
        if root is None:
            return replace(made, status="declined", raw_code="unknown_reference")
        made = replace(made, parent=root.reference, token=root.token)
        if script.result == "declined":
            return replace(made, status="declined", raw_code=script.code)
        if command.kind == "void" and root.status in ("pending", "requires_action"):
            self.store.rewrite(_ended(root, "declined", "canceled"))
            return replace(made, amount_minor=root.amount_minor)
        refused = _refusal(root, command, self._clock())
        if refused:
            return replace(made, status="declined", raw_code=refused)
        if command.kind == "void":
            made = replace(made, amount_minor=_open(root))
        if command.kind == "capture":
            made = replace(made, fee_minor=_fee(settings, made.amount_minor))
        if command.kind in ("capture", "refund"):
            made = replace(made, moved_us=self._clock())
        if command.kind == "capture" and command.final:
            made = replace(made, released=_open(root) - made.amount_minor)
        made = self._delayed(made, script, settings, late=late)
        waits = made.status == "pending"
        self.store.rewrite(_reserved(root, made, 1) if waits else _applied(root, made))
        return made

    def _root(self, account: str, reference: str) -> Operation | None:
        """The authorization behind a reference, which may also name a later step of it."""
        found = self.store.find(reference)
        if found is not None and found[0].kind != "authorize":
            found = self.store.find(found[0].parent)
        if found is None or found[0].account != account:
            return None
        root = found[0]
        if root.due_us is not None and root.due_us <= self._clock():
            return self._come_true(root)
        return root

    def _come_true(self, waiting: Operation) -> Operation:
        succeeded = waiting.due_status == "succeeded"
        return self._finish(waiting, "succeeded" if succeeded else "declined", waiting.raw_code)

    def _finish(self, waiting: Operation, status: Status, raw_code: str | None) -> Operation:
        """End a wait, inside a transaction: money moves now, or a reservation is taken back."""
        succeeded = status == "succeeded"
        done = _ended(waiting, status, None if succeeded else raw_code)
        if succeeded and (waiting.kind in ("capture", "refund") or waiting.capture):
            done = replace(done, moved_us=waiting.due_us or self._clock())
        root = self.store.find(waiting.parent) if waiting.parent else None
        if root is not None:
            free = _reserved(root[0], waiting, -1)
            self.store.rewrite(_applied(free, waiting) if succeeded else free)
        self.store.rewrite(done)
        if self.hear:
            self.hear(done)
        return done


def _blank(
    account: str, command: Command, reference: str, token: str, amount_minor: int
) -> Operation:
    """A record that succeeds and has moved nothing yet."""
    return Operation(
        reference=reference,
        account=account,
        key=command.key,
        kind=command.kind,
        parent="",
        token=token,
        status="succeeded",
        amount_minor=amount_minor,
        currency=command.currency,
        capture=command.capture and command.kind == "authorize",
        fee_minor=0,
        raw_code=None,
        expires_us=None,
        return_url=command.return_url,
    )


def _fee(settings: SandboxSettings, amount_minor: int) -> int:
    return fee_of(amount_minor, bps=settings.fee_bps, fixed_minor=settings.fee_fixed_minor)


def _open(root: Operation) -> int:
    """What is still held: neither taken nor released."""
    return root.held - root.taken - root.released


def _refusal(root: Operation, command: Command, now: int) -> str | None:
    """Why the provider refuses this step, or None; nothing may be taken beyond what it holds."""
    if command.currency != root.currency:
        return "currency_differs"
    if root.status != "succeeded":
        return "not_authorized"
    if command.kind == "refund":
        left = root.taken - root.returned
        return "refund_exceeds_captured" if command.amount_minor > left else None
    if _open(root) <= 0:
        return "nothing_held"
    if root.expires_us is not None and root.expires_us <= now and command.kind != "void":
        return "hold_expired"
    if command.kind == "capture" and command.amount_minor > _open(root):
        return "capture_exceeds_held"
    return None


def _applied(root: Operation, step: Operation) -> Operation:
    """The authorization's sums after a step that has succeeded."""
    if step.kind == "capture":
        released = root.released + step.released
        return replace(root, taken=root.taken + step.amount_minor, released=released)
    if step.kind == "refund":
        return replace(root, returned=root.returned + step.amount_minor)
    if step.kind == "void":
        return replace(root, released=root.released + step.amount_minor)
    return replace(root, held=root.held + step.amount_minor)


def _reserved(root: Operation, step: Operation, sign: int) -> Operation:
    """The sums while a step waits: what it will use up is not free for others, and what it will
    bring is not there yet. With sign -1, the reservation is taken back."""
    amount = step.amount_minor * sign
    if step.kind == "refund":
        return replace(root, returned=root.returned + amount)
    if step.kind in ("capture", "void"):
        return replace(root, released=root.released + amount + step.released * sign)
    return root


def _ended(waiting: Operation, status: Status, raw_code: str | None) -> Operation:
    return replace(waiting, status=status, raw_code=raw_code, due_us=None, due_status=None)


def _fingerprint(command: Command) -> bytes:
    c = command
    text = (
        f"{c.kind}\x1f{c.amount_minor}\x1f{c.currency}\x1f{c.capture}\x1f{c.token}\x1f"
        f"{c.off_session}\x1f{c.return_url}\x1f{c.payment_id}\x1f{c.parent}\x1f{c.final}"
    )
    if c.challenge:
        text += "\x1fchallenge"
    return blake2b(text.encode(), digest_size=12).digest()


def _check(account: str, command: Command) -> None:
    """Refuse what cannot be read; raises `ProviderError` invalid_request."""
    amount, currency = command.amount_minor, command.currency
    if not account or not command.key or len(command.key) > 255:
        problem = "An account and a key of 1 to 255 characters are needed."
    elif type(amount) is not int or not 0 < amount <= _LARGEST:
        problem = "The amount must be a positive integer of at most 64 bits."
    elif len(currency) != 3 or not (currency.isascii() and currency.isupper()):
        problem = "The currency must be an ISO 4217 code."
    elif command.kind == "authorize" and not command.token:
        problem = "A payment method's token is needed."
    elif command.kind != "authorize" and not command.parent:
        problem = "The reference of an authorization is needed."
    else:
        return
    raise ProviderError("invalid_request", problem, status=400)
