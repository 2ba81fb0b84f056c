"""What does the provider do with a request, its bad days included?

The engine judges; this adds what a network and a real provider add: errors before and after the
fact, answers that never come, nonsense, and results that come late. It sleeps, but never blocks
the event loop. Both transports serve this one object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from payengine_sandbox.cards import MAGIC_TOKEN, PLAIN, TOKENS, Fault, Script, script_for
from payengine_sandbox.chaos import draw, is_calm, strike
from payengine_sandbox.engine import Engine
from payengine_sandbox.records import Command, Garbled, Operation, ProviderError
from payengine_sandbox.settings import SandboxSettings
from payengine_sandbox.store import Store, StoreBusy

__all__ = ["Provider"]

T = TypeVar("T")

#: So many rows take less than 1 ms.
_READ_AT_ONCE = 100
_BUSY_TRIES = 2_000
_BUSY_PAUSE_S = 0.001
_STATUS_OF = {"rate_limited": 429, "maintenance": 503}
_BEFORE = frozenset({Fault.ERROR_BEFORE, Fault.HANG_BEFORE})
_LATE = frozenset({Fault.LATE_SUCCESS, Fault.LATE_SUCCESS_UNHEARD})
_NONSENSE: tuple[object, ...] = (None, "<html>It works!</html>", {"status": "maybe"}, 3.14, [])


class Provider:
    """The sandbox as a provider: one store, its engine and its faults."""

    def __init__(self, path: Path) -> None:
        self.engine = Engine(Store(path))
        self.closed = False

    def close(self) -> None:
        """Close the store."""
        self.closed = True
        self.engine.store.close()

    async def perform(
        self, account: str, command: Command, settings: SandboxSettings, *, hang_s: float
    ) -> Operation:
        """Do what is asked; `hang_s` is how long a hanging answer keeps its caller waiting.

        Raises `ProviderError` for an error and after a hang, `Garbled` for nonsense.
        """
        script, fault = PLAIN, None
        is_quiet = command.token in _QUIET_TOKENS and not command.challenge
        if command.kind != "authorize" or not is_quiet:
            script = await self._patiently(lambda: self._script(account, command))
        if script.fault is not None or not is_calm(settings):
            fault = await self._patiently(lambda: self._fault(account, command, script, settings))
        if fault in _BEFORE:
            await self._misbehave(fault, hang_s)
        if script.result == "not_processed" and script.code:
            raise ProviderError(
                script.code, "Nothing was done; try again.", status=_STATUS_OF[script.code]
            )
        if fault is Fault.SLOW:
            await asyncio.sleep(settings.slow_ms / 1000)
        if settings.webhook_url:
            url, secret = settings.webhook_url, settings.webhook_secret
            await self._patiently(
                lambda: self.engine.store.set_endpoint(account=account, url=url, secret=secret)
            )
        late = fault in _LATE
        done = await self._patiently(
            lambda: self.engine.perform(account, command, settings, script, late=late)
        )
        return done if fault is None else await self._told(done, fault, hang_s)

    async def lookup(
        self, account: str, key: str, settings: SandboxSettings, *, hang_s: float
    ) -> Operation | None:
        """What became of the operation sent with `key`; raises as `perform` does."""
        if settings.chaos_lookups and not is_calm(settings):
            attempt = await self._patiently(
                lambda: self.engine.store.count_try(account=account, key=key, kind="lookup")
            )
            fault = strike(settings, key=key, kind="lookup", attempt=attempt)
            if fault is Fault.GARBAGE:
                raise Garbled(_nonsense(settings.seed, key))
            if fault is not None:
                await self._misbehave(fault, hang_s)
        found = await self._patiently(lambda: self.engine.find(account=account, key=key))
        if found is not None and script_for(found.kind, found.token, found.amount_minor).blind:
            raise ProviderError("internal_error", "The search is out of order.")
        return found

    async def movements(
        self, account: str, *, after: tuple[int, str], until_us: int, limit: int
    ) -> list[Operation]:
        """At most `limit` captures and refunds of the account, in order of time.

        `after` is the (moved_us, reference) of the last one read; (T, "") begins at T itself.
        """
        await self.settle()
        found: list[Operation] = []
        while len(found) < limit:
            at, count = after, min(_READ_AT_ONCE, limit - len(found))
            page = await self._patiently(
                lambda at=at, count=count: self.engine.store.movements(  # type: ignore[misc]
                    account, after=at, until_us=until_us, limit=count
                )
            )
            found += page
            if len(page) < count:
                break
            after = (page[-1].moved_us or 0, page[-1].reference)
            await asyncio.sleep(0)
        return found

    async def decide(self, reference: str, *, approve: bool) -> Operation | None:
        """End a challenge as the buyer chose."""
        return await self._patiently(lambda: self.engine.decide(reference, approve=approve))

    async def settle(self) -> None:
        """Let delayed results that are due come true."""
        done = await self._patiently(self.engine.settle)
        while done:
            await asyncio.sleep(0)
            done = await self._patiently(self.engine.settle)

    def _script(self, account: str, command: Command) -> Script:
        token = command.token
        if command.kind != "authorize":
            token = self.engine.token_of(account=account, reference=command.parent)
        script = script_for(command.kind, token, command.amount_minor)
        if command.challenge and script == PLAIN:
            return Script("requires_action")
        return script

    def _fault(
        self, account: str, command: Command, script: Script, settings: SandboxSettings
    ) -> Fault | None:
        attempt = self.engine.store.count_try(account=account, key=command.key, kind=command.kind)
        if script.fault is not None:
            return script.fault if script.always or attempt == 1 else None
        return strike(settings, key=command.key, kind=command.kind, attempt=attempt)

    async def _told(self, done: Operation, fault: Fault, hang_s: float) -> Operation:
        """The answer about what is done, as the fault distorts it."""
        if fault is Fault.GARBAGE:
            raise Garbled(_nonsense(0, done.key))
        if fault is Fault.WRONG_AMOUNT:
            return replace(done, amount_minor=done.amount_minor + 1)
        if fault is Fault.WRONG_CURRENCY:
            return replace(done, currency="XTS" if done.currency != "XTS" else "XXX")
        if fault in (Fault.ERROR_AFTER, Fault.HANG_AFTER, Fault.LATE_SUCCESS_UNHEARD):
            await self._misbehave(fault, hang_s)
        return done

    async def _misbehave(self, fault: Fault | None, hang_s: float) -> None:
        if fault in (Fault.ERROR_BEFORE, Fault.ERROR_AFTER):
            raise ProviderError("internal_error", "Something broke inside the provider.")
        await asyncio.sleep(hang_s)
        raise ProviderError("timeout", "No answer in time.", status=504)

    async def _patiently(self, act: Callable[[], T]) -> T:
        """Run one transaction, waiting while another process writes; 2,000 tries, about 2 s."""
        for _ in range(_BUSY_TRIES):
            try:
                return act()
            except StoreBusy:
                await asyncio.sleep(_BUSY_PAUSE_S)
        raise ProviderError("store_busy", "The sandbox's store is busy.", status=500)


def _nonsense(seed: int, key: str) -> object:
    return _NONSENSE[draw(seed=seed, key=key, kind="nonsense", attempt=0) % len(_NONSENSE)]


#: Tokens whose authorizations need no second look.
_QUIET_TOKENS = frozenset(name for name, script in TOKENS.items() if script == PLAIN) - {
    MAGIC_TOKEN
}
