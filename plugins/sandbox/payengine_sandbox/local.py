"""How is the sandbox served inside the platform's own process?"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from payengine.plugin import Call

from payengine_sandbox.provider import Provider
from payengine_sandbox.records import Command
from payengine_sandbox.settings import SandboxSettings
from payengine_sandbox.webhooks import Courier
from payengine_sandbox.wire import Shown, show

__all__ = ["LocalTransport", "platform_url", "provider_at", "settings_of", "store_path"]

#: How much longer than the caller's patience a hanging answer lasts.
_BEYOND_DEADLINE_S = 5.0
_PAGE = 100

_providers: dict[str, Provider] = {}


def store_path() -> Path:
    """The books' file: `sandbox.sqlite3` in the platform's data folder."""
    return Path(os.environ.get("PAYENGINE_HOME") or ".payengine", "sandbox.sqlite3")


def platform_url() -> str:
    """Where the platform serves this plugin's pages."""
    public = os.environ.get("PAYENGINE_PUBLIC_URL")
    base = public or f"http://127.0.0.1:{os.environ.get('PAYENGINE_PORT') or 8000}"
    return base.rstrip("/") + "/plugins/sandbox"


def settings_of(call: Call) -> SandboxSettings:
    """The call's settings; the defaults where a caller passes none."""
    return call.settings if isinstance(call.settings, SandboxSettings) else SandboxSettings()


def provider_at(path: Path) -> Provider:
    """The provider over this file, opened once in a process."""
    name = str(path.absolute())
    found = _providers.get(name)
    if found is None:
        found = _providers[name] = Provider(path)
        found.engine.hear = Courier(found.engine.store, base_url=platform_url()).send
    return found


class LocalTransport:
    """Calls the provider directly; needs a running event loop only to sleep."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._provider: Provider | None = None

    async def perform(self, call: Call, command: Command) -> Shown:
        """One request; hangs beyond the call's deadline where chaos says so."""
        settings = settings_of(call)
        done = await self._open().perform(call.account, command, settings, hang_s=_patience(call))
        return show(done, base_url=settings.base_url or platform_url())

    async def lookup(self, call: Call, key: str) -> Shown | None:
        """The record of the operation sent with `key`."""
        settings = settings_of(call)
        found = await self._open().lookup(call.account, key, settings, hang_s=_patience(call))
        if found is None:
            return None
        return show(found, base_url=settings.base_url or platform_url())

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
            provider.close()

    def _open(self) -> Provider:
        if self._provider is None or self._provider.closed:
            self._provider = provider_at(self._path)
        return self._provider


def _patience(call: Call) -> float:
    return call.deadline_ms / 1000 + _BEYOND_DEADLINE_S
