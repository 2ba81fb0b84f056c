"""What if there is more than one gateway?

Sandboxes under other names, each with books of its own. A test may dictate the next answers of
one, and what it says when it is asked what became of an operation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from payengine.plugin import (
    Authorize,
    Call,
    Decline,
    Gateway,
    Lookup,
    Manifest,
    Movement,
    Outcome,
    Void,
    hookimpl,
)
from payengine_sandbox.gateway import MANIFEST, SandboxGateway

from tests.engines import Shop, Till, open_till
from tests.servers import HomeOfTest

__all__ = ["NamedSandbox", "Several", "charges", "declined", "open_several", "shop_with_only"]

_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)


def declined(code: str) -> Outcome:
    """The gateway says no; a code that is not in the taxonomy is one that nobody maps."""
    return Outcome(status="declined", decline=Decline(code=code, raw_code=f"raw_{code}"))


class NamedSandbox(SandboxGateway):
    """A sandbox of another name; `answers` are given before it does anything itself."""

    def __init__(self, name: str, *, path: Path | None = None, url: str | None = None) -> None:
        super().__init__(path=path, url=url)
        self._name = name
        self.answers: list[Outcome | Exception] = []
        self.found: Outcome | Exception | None = None
        self.asked: list[Authorize] = []
        self.voids: list[Outcome | Exception] = []

    def describe(self) -> Manifest:
        """The sandbox's, under this name."""
        return msgspec.structs.replace(MANIFEST, name=self._name, title=self._name.title())

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        """The next answer that the test dictates, else the sandbox's."""
        self.asked.append(request)
        if self.answers:
            return _given(self.answers.pop(0))
        return await super().authorize(call, request)

    async def void(self, call: Call, request: Void) -> Outcome:
        """The next answer that the test dictates, else the sandbox's."""
        return _given(self.voids.pop(0)) if self.voids else await super().void(call, request)

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        """What the test dictates, else the truth."""
        return await super().lookup(call, request) if self.found is None else _given(self.found)


def _given(answer: Outcome | Exception) -> Outcome:
    if isinstance(answer, Exception):
        raise answer
    return answer


class Several:
    """A plugin that brings these gateways."""

    def __init__(self, *offered: Gateway) -> None:
        self._offered = offered

    @hookimpl
    def gateways(self) -> Sequence[Gateway]:
        """All of them."""
        return self._offered


@asynccontextmanager
async def open_several(home: HomeOfTest, *offered: Gateway, **settings: Any) -> AsyncIterator[Till]:
    """An engine with these gateways in the plugin `several`."""
    async with open_till(home, plugins={"several": Several(*offered)}, **settings) as till:
        yield till


async def shop_with_only(till: Till, plugin: str = "several") -> Shop:
    """A new tenant who has enabled this plugin, and the sandbox no more."""
    shop = await till.shop()
    registry = till.engine.registry
    await registry.save_settings(shop.context, "sandbox", enabled=False)
    assert {each.plugin for each in await registry.for_tenant(shop.context)} == {plugin}
    return shop


async def charges(shop: Shop, *gateways: str) -> dict[str, list[Movement]]:
    """What each gateway has in its own books of this shop."""
    return {
        name: list(
            await shop.engine.registry.movements(
                shop.context,
                name,
                since=_ALWAYS,
                until=datetime.now(UTC) + timedelta(days=1),
                deadline_ms=10_000,
            )
        )
        for name in gateways
    }
