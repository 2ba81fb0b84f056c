"""How is the sandbox served inside the platform's own process?"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace
from payengine.plugin import Call

from payengine_sandbox.dispute_records import DisputeStep, ShownDispute
from payengine_sandbox.disputes import DisputeBook, OpenDispute
from payengine_sandbox.provider import Provider
from payengine_sandbox.records import Command
from payengine_sandbox.settings import SandboxSettings
from payengine_sandbox.webhooks import Courier
from payengine_sandbox.wire import Shown, show

__all__ = [
    "LocalTransport",
    "book_at",
    "platform_url",
    "provider_at",
    "settings_of",
    "store_path",
]

#: How much longer than the caller's patience a hanging answer lasts.
_BEYOND_DEADLINE_S = 5.0
_PAGE = 100

_providers: dict[str, Provider] = {}
_books: dict[str, DisputeBook] = {}


def store_path() -> Path:
    """The books' file: `sandbox.sqlite3` in the platform's data folder."""
    return Path(os.environ.get("PAYENGINE_HOME") or ".payengine", "sandbox.sqlite3")


def _served_at() -> str:
    public = os.environ.get("PAYENGINE_PUBLIC_URL")
    base = public or f"http://127.0.0.1:{os.environ.get('PAYENGINE_PORT') or 8000}"
    return base.rstrip("/")


def platform_url() -> str:
    """Where the platform serves this plugin's pages."""
    return _served_at() + "/plugins/sandbox"


def settings_of(call: Call) -> SandboxSettings:
    """The call's settings; the defaults where a caller passes none.

    A webhook address that is only a path lies on the platform itself.
    """
    settings = call.settings
    if not isinstance(settings, SandboxSettings):
        return SandboxSettings()
    if settings.webhook_url.startswith("/"):
        return replace(settings, webhook_url=_served_at() + settings.webhook_url)
    return settings


def _may_tell(url: str) -> bool:
    """Whether the platform's own process may post there: to itself alone.

    A tenant writes the address, and this machine stands where tenants do not.
    """
    return url.startswith(_served_at() + "/")


def provider_at(path: Path) -> Provider:
    """The provider over this file, opened once in a process."""
    name = str(path.absolute())
    found = _providers.get(name)
    if found is None:
        found = _providers[name] = Provider(path)
        courier = Courier(found.engine.store, base_url=platform_url(), may_tell=_may_tell)
        found.engine.hear = courier.send
    return found


def book_at(path: Path) -> DisputeBook:
    """The disputes over this file, opened once in a process."""
    name, provider = str(path.absolute()), provider_at(path)
    found = _books.get(name)
    if found is None or found.provider is not provider:
        courier = Courier(provider.engine.store, base_url=platform_url(), may_tell=_may_tell)
        found = _books[name] = DisputeBook(provider, hear=courier.tell_dispute)
    return found


class LocalTransport:
    """Calls the provider directly; needs a running event loop only to sleep."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._provider: Provider | None = None

    async def perform(self, call: Call, command: Command) -> Shown:
        """One request; hangs beyond the call's deadline where chaos says so."""
        settings = settings_of(call)
        provider = self._open()
        done = await provider.perform(call.account, command, settings, hang_s=_patience(call))
        tell = provider.engine.hear
        if settings.webhook_url and done.status != "requires_action" and tell is not None:
            tell(done)
        return show(done, base_url=settings.base_url or platform_url())

    async def lookup(self, call: Call, key: str) -> Shown | None:
        """The record of the operation sent with `key`."""
        settings = settings_of(call)
        found = await self._open().lookup(call.account, key, settings, hang_s=_patience(call))
        if found is None:
            return None
        return show(found, base_url=settings.base_url or platform_url())

    async def dispute(self, call: Call, told: OpenDispute) -> ShownDispute:
        """The buyer disputes."""
        self._open()
        return await book_at(self._path).open(call.account, told)

    async def dispute_step(self, call: Call, step: DisputeStep) -> ShownDispute:
        """What the merchant asks about a dispute."""
        self._open()
        book = book_at(self._path)
        return await book.take(call.account, step, settings_of(call), hang_s=_patience(call))

    async def movements(self, call: Call, *, since_us: int, until_us: int) -> Sequence[Shown]:
        """The records that moved money in the span."""
        provider = self._open()
        shown: list[Shown] = []
        after = (since_us, "")
        while True:
            page = await provider.movements(
                call.account, after=after, until_us=until_us, limit=_PAGE
            )
            shown += [show(one, base_url="") for one in page]
            if len(page) < _PAGE:
                return shown
            after = (page[-1].moved_us or 0, page[-1].reference)
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Close the file, for every user of it in this process."""
        provider, self._provider = self._provider, None
        if provider is not None:
            _providers.pop(str(self._path.absolute()), None)
            _books.pop(str(self._path.absolute()), None)
            provider.close()

    def _open(self) -> Provider:
        if self._provider is None or self._provider.closed:
            self._provider = provider_at(self._path)
        return self._provider


def _patience(call: Call) -> float:
    return call.deadline_ms / 1000 + _BEYOND_DEADLINE_S
